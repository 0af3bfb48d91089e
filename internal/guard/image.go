package guard

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
	"golang.org/x/text/unicode/norm"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/templates"
)

//go:generate go run voice_make.go

//go:embed voice/*.wav
var recordings embed.FS

// Image shows six digits, bent and strewn with noise, and speaks them for who cannot see them. NewImage makes one.
type Image struct {
	fonts []*sfnt.Font
	voice [10][]float64 // waves in -128…127, 8,000 a second
}

const (
	imageDigits          = 6
	imageWide, imageTall = 240, 84
)

// NewImage reads the fonts and the recordings that are built in.
func NewImage() (*Image, error) {
	var c Image
	for _, ttf := range [][]byte{gobold.TTF, gomedium.TTF} {
		f, err := opentype.Parse(ttf)
		if err != nil {
			return nil, fmt.Errorf("read a font: %w", err)
		}
		c.fonts = append(c.fonts, f)
	}
	for digit := range c.voice {
		file, err := recordings.ReadFile(fmt.Sprintf("voice/%d.wav", digit))
		if err != nil {
			return nil, fmt.Errorf("read a recording: %w", err)
		}
		if c.voice[digit], err = readWAV(file); err != nil {
			return nil, fmt.Errorf("read the recording of %d: %w", digit, err)
		}
	}
	return &c, nil
}

func (*Image) Kind() string { return "image" }

// Offer draws and speaks six digits. They are no harder when hot: people must still read them.
func (c *Image) Offer(bool) (Puzzle, error) {
	p := Puzzle{Answer: secret.Digits(imageDigits)}
	picture, err := c.draw(p.Answer)
	if err != nil {
		return Puzzle{}, fmt.Errorf("draw a puzzle: %w", err)
	}
	p.Show = templates.Captcha{
		Image: "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture),
		Audio: "data:audio/wav;base64," + base64.StdEncoding.EncodeToString(c.speak(p.Answer)),
	}
	return p, nil
}

// Check takes the digits in any script's full width, with spaces or hyphens between them.
func (*Image) Check(p Puzzle, answer string) bool {
	if len(answer) > 100 || len(p.Answer) != imageDigits {
		return false
	}
	typed := strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, norm.NFKC.String(answer))
	return secret.Equal(typed, p.Answer)
}

// draw gives a PNG. Each digit has a font, a size, a slant and a place of its own; then waves run through all of them.
func (c *Image) draw(digits string) ([]byte, error) {
	d := new(dice)
	shape := vector.NewRasterizer(imageWide, imageTall)
	bend := newWave(d)
	step := float64(imageWide-28) / imageDigits
	for i, digit := range digits {
		size := d.between(46, 56)
		t := turned{
			angle: d.between(-0.38, 0.38), slant: d.between(-0.25, 0.25),
			x: 14 + step*(float64(i)+0.5) + d.between(-3, 3), y: imageTall/2 + d.between(-8, 8), bend: bend,
		}
		if err := t.add(shape, c.fonts[d.upTo(len(c.fonts))], digit, size); err != nil {
			return nil, err
		}
	}
	for range 5 {
		scratch(shape, d, bend)
	}
	mask := image.NewAlpha(image.Rect(0, 0, imageWide, imageTall))
	shape.Draw(mask, mask.Bounds(), image.Opaque, image.Point{})
	return encode(mask, d)
}

// encode puts the mask on a mottled ground, in sixteen greys.
func encode(mask *image.Alpha, d *dice) ([]byte, error) {
	var greys color.Palette
	for i := range 16 {
		greys = append(greys, color.Gray{Y: uint8(i * 17)})
	}
	out := image.NewPaletted(mask.Bounds(), greys)
	ground := newWave(d)
	for y := range imageTall {
		for x := range imageWide {
			gx, gy := ground.at(float64(x), float64(y))
			paper := 13 + 0.25*(gx-float64(x)+gy-float64(y))
			ink := 2 + 0.2*(gy-float64(y))
			a := float64(mask.AlphaAt(x, y).A) / 255
			v := paper*(1-a) + ink*a + d.grain(1.6)
			if d.take(1)[0] < 4 {
				v = d.between(2, 14)
			}
			out.SetColorIndex(x, y, uint8(max(0, min(15, math.Round(v)))))
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, out)
	return b.Bytes(), err
}

// wave moves points by two sines that run across the picture.
type wave struct{ ax, ay, lx, ly, px, py float64 }

func newWave(d *dice) wave {
	return wave{ax: d.between(2, 4), ay: d.between(3, 6), lx: d.between(38, 60), ly: d.between(60, 110), px: d.between(0, 2*math.Pi), py: d.between(0, 2*math.Pi)}
}

func (w wave) at(x, y float64) (float64, float64) {
	return x + w.ax*math.Sin(2*math.Pi*y/w.lx+w.px), y + w.ay*math.Sin(2*math.Pi*x/w.ly+w.py)
}

// turned is how one digit lies.
type turned struct {
	angle, slant, x, y float64
	bend               wave
}

// add puts the outline of a digit, moved point by point, among the shapes.
func (t turned) add(shape *vector.Rasterizer, f *sfnt.Font, digit rune, size float64) error {
	var b sfnt.Buffer
	index, err := f.GlyphIndex(&b, digit)
	if err != nil {
		return err
	}
	ppem := fixed.Int26_6(size * 64)
	outline, err := f.LoadGlyph(&b, index, ppem, nil)
	if err != nil {
		return err
	}
	bounds, _, err := f.GlyphBounds(&b, index, ppem, font.HintingNone)
	if err != nil {
		return err
	}
	midX, midY := float64(bounds.Min.X+bounds.Max.X)/128, float64(bounds.Min.Y+bounds.Max.Y)/128
	sin, cos := math.Sincos(t.angle)
	place := func(p fixed.Point26_6) (float32, float32) {
		x, y := float64(p.X)/64-midX, float64(p.Y)/64-midY
		x += t.slant * y
		x, y = t.bend.at(t.x+x*cos-y*sin, t.y+x*sin+y*cos)
		return float32(x), float32(y)
	}
	for i, s := range outline {
		x0, y0 := place(s.Args[0])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			if i > 0 {
				shape.ClosePath()
			}
			shape.MoveTo(x0, y0)
		case sfnt.SegmentOpLineTo:
			shape.LineTo(x0, y0)
		case sfnt.SegmentOpQuadTo:
			x1, y1 := place(s.Args[1])
			shape.QuadTo(x0, y0, x1, y1)
		case sfnt.SegmentOpCubeTo:
			x1, y1 := place(s.Args[1])
			x2, y2 := place(s.Args[2])
			shape.CubeTo(x0, y0, x1, y1, x2, y2)
		}
	}
	shape.ClosePath()
	return nil
}

// scratch draws a thin bent line from one side to the other.
func scratch(shape *vector.Rasterizer, d *dice, bend wave) {
	y0, y1 := d.between(8, imageTall-8), d.between(8, imageTall-8)
	thick := d.between(1.2, 2.2)
	const parts = 24
	edge := func(i int, off float64) (float32, float32) {
		s := float64(i) / parts
		x, y := bend.at(4+s*(imageWide-8), y0+(y1-y0)*s)
		return float32(x), float32(y + off)
	}
	shape.MoveTo(edge(0, 0))
	for i := 1; i <= parts; i++ {
		shape.LineTo(edge(i, 0))
	}
	for i := parts; i >= 0; i-- {
		shape.LineTo(edge(i, thick))
	}
	shape.ClosePath()
}
