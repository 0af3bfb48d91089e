package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"
)

// errNoShots says that the journey has not been walked on this machine.
var errNoShots = errors.New("no screenshots in journey/shots: they are taken by go test ./journey")

// sheet is a picture of pages side by side, by the names the journey gives its shots: none that a clock or a new key changes much.
type sheet struct {
	variant    string          // the folder of the shots
	from       image.Rectangle // what is shown of each, from the middle of its top
	wide, high int             // of a cell
	columns    int
	between    int // pixels between columns
	shown      []string
}

var (
	storySheet = sheet{"wide", image.Rect(-380, 40, 380, 760), 400, 379, 4, 0,
		[]string{"sign-in-light", "more-information-light", "register-app-light", "all-set-light", "reset-light", "reset-what-light", "reset-done-dark", "security-info-dark"}}
	phoneSheet = sheet{"narrow", image.Rect(-180, 0, 180, 780), 224, 485, 7, 5,
		[]string{"sign-in-light", "more-information-light", "all-set-light", "security-info-light", "reset-dark", "reset-password-dark", "security-info-two-dark"}}
)

// draw puts the pages side by side.
func (s sheet) draw() ([]byte, error) {
	rows := (len(s.shown) + s.columns - 1) / s.columns
	whole := image.NewRGBA(image.Rect(0, 0, s.columns*(s.wide+s.between)-s.between, rows*s.high))
	for i, name := range s.shown {
		found, err := filepath.Glob("journey/shots/" + s.variant + "/[0-9][0-9]-" + name + ".png")
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
		at := image.Pt(i%s.columns*(s.wide+s.between), i/s.columns*s.high)
		cell := image.Rectangle{at, at.Add(image.Pt(s.wide, s.high))}
		draw.CatmullRom.Scale(whole, cell, page, s.from.Add(image.Pt(page.Bounds().Dx()/2, 0)), draw.Src, nil)
	}
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, whole)
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
