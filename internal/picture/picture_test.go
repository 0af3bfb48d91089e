package main

import (
	"image"
	"image/color"
	"testing"
)

func TestTheFloorsInTheREADMEAreTheFloorsOfTheHouse(t *testing.T) {
	t.Chdir("../..")
	drawn, err := floors()
	if err == nil {
		err = same("docs/floors.svg", drawn)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestPicturesDifferWhenManyPixelsDo(t *testing.T) {
	of := func(grey uint8, from int) image.Image {
		m := image.NewGray(image.Rect(0, 0, 10, 10))
		for i := range 100 {
			m.SetGray(i%10, i/10, color.Gray{Y: 200})
			if i >= from {
				m.SetGray(i%10, i/10, color.Gray{Y: grey})
			}
		}
		return m
	}
	for _, c := range []struct {
		name string
		a, b image.Image
		want float64
	}{
		{"the same", of(200, 0), of(200, 0), 0},
		{"a rasteriser's other mind", of(200, 0), of(180, 0), 0},
		{"darker by far", of(200, 0), of(20, 50), 0.5},
		{"lighter by far", of(20, 50), of(200, 0), 0.5},
		{"of another size", of(200, 0), image.NewGray(image.Rect(0, 0, 10, 11)), 1},
	} {
		if got := difference(c.a, c.b); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
