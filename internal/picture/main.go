// Command picture draws the README's pictures: the floors, from the table in floors_test.go and from the imports as they are, and the pages,
// wide and on a telephone, from the screenshots the journey takes. With -check it draws them anew and fails when the ones in docs differ.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "compare instead of write")
	flag.Parse()
	failed := false
	for name, draw := range map[string]func() ([]byte, error){"docs/floors.svg": floors, "docs/story.png": storySheet.draw, "docs/pages.png": phoneSheet.draw} {
		drawn, err := draw()
		if err == errNoShots && os.Getenv("SPAREKEY_REQUIRE") != "1" {
			fmt.Println(name, "left alone:", err)
			continue
		}
		if err == nil && *check {
			err = same(name, drawn)
		} else if err == nil {
			err = os.WriteFile(name, drawn, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// same compares a picture with the one that was committed: a drawing byte by byte, a photograph by its pixels, within what
// another version of a font rasteriser may change.
func same(name string, drawn []byte) error {
	kept, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if filepath.Ext(name) != ".png" {
		if !bytes.Equal(kept, drawn) {
			return fmt.Errorf("has changed: go generate, look at it, and commit it")
		}
		return nil
	}
	a, err := png.Decode(bytes.NewReader(kept))
	if err != nil {
		return err
	}
	b, err := png.Decode(bytes.NewReader(drawn))
	if err != nil {
		return err
	}
	if d := difference(a, b); d > 0.02 {
		return fmt.Errorf("has changed by %.1f %%: go generate, look at it, and commit it", 100*d)
	}
	return nil
}

// difference is the part of all pixels that are visibly different; 1 when the sizes are.
func difference(a, b image.Image) float64 {
	if a.Bounds() != b.Bounds() {
		return 1
	}
	r, n := a.Bounds(), 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			ar, ag, ab, _ := a.At(x, y).RGBA()
			br, bg, bb, _ := b.At(x, y).RGBA()
			if far(ar, br) || far(ag, bg) || far(ab, bb) {
				n++
			}
		}
	}
	return float64(n) / float64(r.Dx()*r.Dy())
}

func far(a, b uint32) bool { return a > b && a-b > 0x3000 || b > a && b-a > 0x3000 }
