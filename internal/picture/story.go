package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"
)

// errNoShots says that the journey has not been walked on this machine.
var errNoShots = errors.New("no screenshots in journey/shots: they are taken by go test ./journey")

// shown are the pages of the sheet, by the names the journey gives them: none that a clock or a new key changes much.
var shown = []string{"sign-in-light", "more-information-light", "register-app-light", "all-set-light", "reset-dark", "reset-what-dark", "reset-done-dark", "security-info-dark"}

const (
	cellWide, cellHigh = 400, 340
	columns            = 4
)

// story puts the pages of the journey side by side.
func story() ([]byte, error) {
	rows := (len(shown) + columns - 1) / columns
	sheet := image.NewRGBA(image.Rect(0, 0, columns*cellWide, rows*cellHigh))
	draw.Draw(sheet, sheet.Bounds(), image.NewUniform(color.RGBA{0xf3, 0xf4, 0xf6, 0xff}), image.Point{}, draw.Src)
	for i, name := range shown {
		found, err := filepath.Glob("journey/shots/wide/[0-9][0-9]-" + name + ".png")
		if err != nil {
			return nil, err
		}
		if len(found) != 1 {
			return nil, errNoShots
		}
		page, err := open(found[0])
		if err != nil {
			return nil, err
		}
		// The card stands in the middle; what is beside it is cut off.
		wide, high := 760, 646
		x := page.Bounds().Dx()/2 - wide/2
		into := image.Rect(i%columns*cellWide, i/columns*cellHigh, (i%columns+1)*cellWide, (i/columns+1)*cellHigh)
		draw.CatmullRom.Scale(sheet, into, page, image.Rect(x, 56, x+wide, 56+high), draw.Src, nil)
	}
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, sheet)
	return b.Bytes(), err
}

func open(file string) (image.Image, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}
