package templates

import (
	"fmt"
	"math"
	"strconv"
)

// colour is sRGB, 0…1 each.
type colour struct{ r, g, b float64 }

// The grounds that accents are read on: --paper, --wash and --ground of sparekey.css.
var (
	lightGrounds = []colour{mustColour("#ffffff"), mustColour("#f7f8fa"), mustColour("#f3f4f6")}
	darkGrounds  = []colour{mustColour("#1b1d22"), mustColour("#22252b"), mustColour("#111216")}
)

// Contrast that computed colours reach: text at least 4.5 (WCAG 2.2, 1.4.3), shapes at least 3 (1.4.11), and a little more
// so that rounding never falls below.
const (
	textContrast  = 4.6
	shapeContrast = 3.1
	paleContrast  = 1.4 // on white, a button paler than this would not look like one
)

// AccentCSS makes the style sheet of a tenant's accent, "#7a1f1f": custom properties for the light and the dark theme.
// --accent is for links, icons and lines: it keeps the hue and changes lightness until it reads on every ground.
// --fill is for the primary button: the tenant's own colour wherever --on-fill can be read on it and the button stands out.
func AccentCSS(accent string) ([]byte, error) {
	c, err := parseColour(accent)
	if err != nil {
		return nil, err
	}
	light, dark := c.theme(lightGrounds, false), c.theme(darkGrounds, true)
	return fmt.Appendf(nil, ":root { %s }\n@media (prefers-color-scheme: dark) { :root { %s } }\n", light.css(), dark.css()), nil
}

// shades are what one theme needs of an accent.
type shades struct{ accent, fill, hover, on colour }

func (s shades) css() string {
	return fmt.Sprintf("--accent: %s; --fill: %s; --fill-hover: %s; --on-fill: %s", s.accent.hex(), s.fill.hex(), s.hover.hex(), s.on.hex())
}

func (c colour) theme(grounds []colour, dark bool) shades {
	s := shades{accent: c.until(dark, grounds, textContrast), fill: c}
	if stands := ratio(c, grounds[0]); stands < paleContrast || dark && stands < shapeContrast {
		s.fill = s.accent
	}
	s.on = s.fill.on()
	// Under the pointer the button moves away from its words' lightness, so they stay at least as readable.
	step := -0.05
	if luminance(s.on) < luminance(s.fill) {
		step = 0.05
	}
	l, a, b := s.fill.oklab()
	s.hover = fromOKLab(math.Min(1, math.Max(0, l+step)), a, b)
	return s
}

// until moves the lightness as little as needed to reach the contrast with every ground.
func (c colour) until(lighter bool, grounds []colour, contrast float64) colour {
	if worst(c, grounds) >= contrast {
		return c
	}
	l, a, b := c.oklab()
	near, far := l, 0.0
	if lighter {
		far = 1
	}
	best := fromOKLab(far, a, b)
	for range 24 {
		middle := (near + far) / 2
		try := fromOKLab(middle, a, b)
		if worst(try, grounds) >= contrast {
			best, far = try, middle
		} else {
			near = middle
		}
	}
	return best
}

// on gives the colour of words on c: white or a very dark shade of c, whichever reads better, black if neither does.
func (c colour) on() colour {
	white := colour{1, 1, 1}
	if ratio(white, c) >= textContrast {
		return white
	}
	_, a, b := c.oklab()
	if ink := fromOKLab(0.18, a/4, b/4); ratio(ink, c) >= textContrast {
		return ink
	}
	if black := (colour{}); ratio(black, c) > ratio(white, c) {
		return black
	}
	return white
}

func worst(c colour, grounds []colour) float64 {
	least := math.Inf(1)
	for _, g := range grounds {
		least = math.Min(least, ratio(c, g))
	}
	return least
}

// ratio is the contrast ratio of WCAG 2.2, 1 to 21.
func ratio(a, b colour) float64 {
	x, y := luminance(a), luminance(b)
	if x < y {
		x, y = y, x
	}
	return (x + 0.05) / (y + 0.05)
}

// luminance is the relative luminance of WCAG 2.2, of the colour as it will be written: with eight bits a channel.
func luminance(c colour) float64 {
	c = c.rounded()
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}

func linear(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

func gamma(v float64) float64 {
	if v <= 0.0031308 {
		return 12.92 * v
	}
	return 1.055*math.Pow(v, 1/2.4) - 0.055
}

// oklab is the perceptual space of Björn Ottosson (CSS Color 4, §9.2): lightness 0…1 and two axes of hue.
func (c colour) oklab() (l, a, b float64) {
	r, g, bl := linear(c.r), linear(c.g), linear(c.b)
	x := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*bl)
	y := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*bl)
	z := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*bl)
	return 0.2104542553*x + 0.7936177850*y - 0.0040720468*z,
		1.9779984951*x - 2.4285922050*y + 0.4505937099*z,
		0.0259040371*x + 0.7827717662*y - 0.8086757660*z
}

// fromOKLab comes back, with less chroma where sRGB has no such colour.
func fromOKLab(l, a, b float64) colour {
	for share := 1.0; ; share -= 0.02 {
		c, inside := toRGB(l, a*math.Max(share, 0), b*math.Max(share, 0))
		if inside || share <= 0 {
			return c.rounded()
		}
	}
}

func toRGB(l, a, b float64) (colour, bool) {
	x, y, z := l+0.3963377774*a+0.2158037573*b, l-0.1055613458*a-0.0638541728*b, l-0.0894841775*a-1.2914855480*b
	x, y, z = x*x*x, y*y*y, z*z*z
	c := colour{
		gamma(4.0767416621*x - 3.3077115913*y + 0.2309699292*z),
		gamma(-1.2684380046*x + 2.6097574011*y - 0.3413193965*z),
		gamma(-0.0041960863*x - 0.7034186147*y + 1.7076147010*z),
	}
	inside := true
	for _, v := range []float64{c.r, c.g, c.b} {
		inside = inside && v > -0.001 && v < 1.001
	}
	return c, inside
}

func (c colour) rounded() colour {
	round := func(v float64) float64 { return math.Round(math.Min(1, math.Max(0, v))*255) / 255 }
	return colour{round(c.r), round(c.g), round(c.b)}
}

func (c colour) hex() string {
	c = c.rounded()
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c.r*255)), int(math.Round(c.g*255)), int(math.Round(c.b*255)))
}

// parseColour reads "#rrggbb" or "#rgb".
func parseColour(s string) (colour, error) {
	if len(s) == 4 && s[0] == '#' {
		s = string([]byte{'#', s[1], s[1], s[2], s[2], s[3], s[3]})
	}
	if len(s) != 7 || s[0] != '#' {
		return colour{}, fmt.Errorf("accent %q: want #rrggbb", s)
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return colour{}, fmt.Errorf("accent %q: want #rrggbb", s)
	}
	return colour{float64(n>>16) / 255, float64(n>>8&255) / 255, float64(n&255) / 255}, nil
}

func mustColour(s string) colour {
	c, err := parseColour(s)
	if err != nil {
		panic(err)
	}
	return c
}
