package method

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/directory"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a whole otpauth: link with a known seed.
func sample() string {
	who := Claimant{Tenant: "The Avengers", User: directory.User{Login: "ironman"}}
	return TOTP{}.uri(who, []byte("12345678901234567890"))
}

func TestTheQRCodeLooksAsItDid(t *testing.T) {
	got, err := qrSVG(sample())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "qr.svg")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the picture has changed; look at it, then run the test with -update")
	}
}

func TestTheQRCodeIsAPlainPicture(t *testing.T) {
	svg, err := qrSVG(sample())
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		tok, err := d.Token()
		if err != nil {
			break
		}
		switch x := tok.(type) {
		case xml.StartElement:
			if x.Name.Local != "svg" && x.Name.Local != "path" {
				t.Errorf("element %s", x.Name.Local)
			}
			for _, a := range x.Attr {
				switch a.Name.Local {
				case "xmlns", "viewBox", "shape-rendering", "aria-hidden", "focusable", "fill", "d":
				default: // style would be refused by the page's policy, on… is a script
					t.Errorf("attribute %s", a.Name.Local)
				}
			}
		case xml.CharData:
			t.Errorf("text %q", x)
		}
	}
	if strings.Contains(svg, "otpauth") || strings.Contains(svg, "GEZD") {
		t.Error("the picture carries the key as text")
	}
}

func TestTheQRCodeHoldsTheLink(t *testing.T) {
	for name, text := range map[string]string{"usual": sample(), "long": "otpauth://totp/" + strings.Repeat("%D0%9B", 104) + "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=" + strings.Repeat("%D0%9B", 40)} {
		t.Run(name, func(t *testing.T) {
			svg, err := qrSVG(text)
			if err != nil {
				t.Fatal(err)
			}
			modules := modulesOf(t, svg)
			if got := readQR(t, modules); got != text {
				t.Errorf("it reads %q, want %q", got, text)
			}
		})
	}
	t.Run("as zbar sees it", func(t *testing.T) {
		reader, err := exec.LookPath("zbarimg")
		if err != nil {
			t.Skip("zbarimg is not installed: the picture is read by this test's own reader alone")
		}
		svg, err := qrSVG(sample())
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "qr.png")
		if err := os.WriteFile(file, pngOf(t, modulesOf(t, svg)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(reader, "--raw", "-q", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(out)); got != sample() {
			t.Errorf("it reads %q, want %q", got, sample())
		}
	})
}

var (
	viewBox = regexp.MustCompile(`viewBox="0 0 (\d+) (\d+)"`)
	darkBar = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)
)

// modulesOf reads the dark modules back out of the SVG, quiet zone included.
func modulesOf(t *testing.T, svg string) [][]bool {
	t.Helper()
	box := viewBox.FindStringSubmatch(svg)
	if box == nil || box[1] != box[2] {
		t.Fatal("the picture is not square")
	}
	side := number(t, box[1])
	modules := make([][]bool, side)
	for y := range modules {
		modules[y] = make([]bool, side)
	}
	for _, m := range darkBar.FindAllStringSubmatch(svg, -1) {
		x, y, n := number(t, m[1]), number(t, m[2]), number(t, m[3])
		if m[3] != m[4] {
			t.Fatalf("a bar that does not close: %s", m[0])
		}
		for i := range n {
			modules[y][x+i] = true
		}
	}
	for i := range side {
		for _, edge := range []int{0, 1, 2, 3, side - 4, side - 3, side - 2, side - 1} {
			if modules[edge][i] || modules[i][edge] {
				t.Fatal("the quiet zone of four modules is not quiet")
			}
		}
	}
	return modules
}

func pngOf(t *testing.T, modules [][]bool) []byte {
	t.Helper()
	const scale = 8
	picture := image.NewGray(image.Rect(0, 0, len(modules)*scale, len(modules)*scale))
	for y := range picture.Rect.Dy() {
		for x := range picture.Rect.Dx() {
			if !modules[y/scale][x/scale] {
				picture.SetGray(x, y, color.Gray{255})
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// blocks of error correction M (ISO/IEC 18004 table 9): data words of each block, by version.
var blocks = map[int][]int{
	6: {27, 27, 27, 27}, 7: {31, 31, 31, 31}, 8: {38, 38, 39, 39}, 9: {36, 36, 36, 37, 37}, 10: {43, 43, 43, 43, 44}, 11: {50, 51, 51, 51, 51},
	24: append(many(45, 6), many(46, 14)...), 25: append(many(47, 8), many(48, 13)...), 26: append(many(46, 19), many(47, 4)...), 27: append(many(45, 22), many(46, 3)...), 28: append(many(45, 3), many(46, 23)...),
}

func many(n, times int) []int {
	list := make([]int, times)
	for i := range list {
		list[i] = n
	}
	return list
}

// readQR reads an undamaged code of byte mode, independently of the library that drew it.
func readQR(t *testing.T, framed [][]bool) string {
	t.Helper()
	n := len(framed) - 8
	dark := func(x, y int) bool { return framed[y+4][x+4] }
	version := (n - 17) / 4
	data, ok := blocks[version]
	if !ok {
		t.Fatalf("version %d is not in this test's table", version)
	}
	// Format bits beside the upper left finder: two of level, three of mask (§7.9).
	format := 0
	for _, p := range [][2]int{{0, 8}, {1, 8}, {2, 8}, {3, 8}, {4, 8}} {
		format = format << 1
		if dark(p[0], p[1]) {
			format |= 1
		}
	}
	format ^= 0b10101
	if format>>3 != 0 { // 00 is M
		t.Fatalf("error correction level %02b, want M", format>>3)
	}
	mask := []func(x, y int) bool{
		func(x, y int) bool { return (x+y)%2 == 0 }, func(x, y int) bool { return y%2 == 0 }, func(x, y int) bool { return x%3 == 0 }, func(x, y int) bool { return (x+y)%3 == 0 },
		func(x, y int) bool { return (y/2+x/3)%2 == 0 }, func(x, y int) bool { return x*y%2+x*y%3 == 0 }, func(x, y int) bool { return (x*y%2+x*y%3)%2 == 0 }, func(x, y int) bool { return ((x+y)%2+x*y%3)%2 == 0 },
	}[format&7]
	centres := alignment(version)
	reserved := func(x, y int) bool {
		if x < 9 && y < 9 || x < 9 && y >= n-8 || x >= n-8 && y < 9 || x == 6 || y == 6 {
			return true
		}
		if version >= 7 && (x >= n-11 && y < 6 || y >= n-11 && x < 6) {
			return true
		}
		for _, cx := range centres {
			for _, cy := range centres {
				if (cx == 6 && cy == 6) || (cx == 6 && cy == n-7) || (cx == n-7 && cy == 6) {
					continue
				}
				if x >= cx-2 && x <= cx+2 && y >= cy-2 && y <= cy+2 {
					return true
				}
			}
		}
		return false
	}
	var words []byte
	var word byte
	bits, up := 0, true
	for right := n - 1; right > 0; right -= 2 {
		if right == 6 {
			right = 5
		}
		for i := range n {
			y := i
			if up {
				y = n - 1 - i
			}
			for _, x := range []int{right, right - 1} {
				if reserved(x, y) {
					continue
				}
				word <<= 1
				if dark(x, y) != mask(x, y) {
					word |= 1
				}
				if bits++; bits == 8 {
					words, word, bits = append(words, word), 0, 0
				}
			}
		}
		up = !up
	}
	// The blocks' words stand interleaved.
	parts := make([][]byte, len(data))
	at := 0
	for i := range data[len(data)-1] {
		for b := range data {
			if i < data[b] {
				parts[b] = append(parts[b], words[at])
				at++
			}
		}
	}
	stream := bytes.Join(parts, nil)
	var all strings.Builder
	for _, b := range stream {
		fmt.Fprintf(&all, "%08b", b)
	}
	take := func(n int) int {
		s := all.String()
		v, err := strconv.ParseInt(s[:n], 2, 64)
		if err != nil {
			t.Fatal(err)
		}
		all.Reset()
		all.WriteString(s[n:])
		return int(v)
	}
	if mode := take(4); mode != 0b0100 {
		t.Fatalf("mode %04b, want bytes", mode)
	}
	size := 8
	if version >= 10 {
		size = 16
	}
	text := make([]byte, take(size))
	for i := range text {
		text[i] = byte(take(8))
	}
	return string(text)
}

// alignment lists the centres of the alignment patterns (annex E).
func alignment(version int) []int {
	return map[int][]int{6: {6, 34}, 7: {6, 22, 38}, 8: {6, 24, 42}, 9: {6, 26, 46}, 10: {6, 28, 50}, 11: {6, 30, 54},
		24: {6, 28, 54, 80, 106}, 25: {6, 32, 58, 84, 110}, 26: {6, 30, 58, 86, 114}, 27: {6, 34, 62, 90, 118}, 28: {6, 26, 50, 74, 98, 122}}[version]
}
