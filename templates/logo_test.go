package templates

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
)

func picture(w, h int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for x := range w {
		m.Set(x, h/2, color.NRGBA{200, 10, 10, 255})
	}
	return m
}

func encoded(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, picture(w, h)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUI06_A40_ALogoIsDrawnAnewOrRefused(t *testing.T) {
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, picture(600, 300), nil); err != nil {
		t.Fatal(err)
	}
	polyglot := append(encoded(t, 20, 10), []byte("<script>alert(1)</script>")...)
	for name, raw := range map[string][]byte{"png": encoded(t, 512, 512), "jpeg": photo.Bytes(), "something behind it": polyglot} {
		out, err := Logo(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m, kind, err := image.Decode(bytes.NewReader(out))
		if err != nil || kind != "png" || m.Bounds().Dx() > 256 || m.Bounds().Dy() > 256 {
			t.Errorf("%s: %v %s %v", name, err, kind, m.Bounds())
		}
		if bytes.Contains(out, []byte("<script")) {
			t.Errorf("%s: what stood behind the picture is served", name)
		}
	}
	bomb := encoded(t, 1, 1)
	copy(bomb[16:24], []byte{0, 0, 0x7f, 0xff, 0, 0, 0x7f, 0xff}) // says it is 32767 by 32767
	for name, raw := range map[string][]byte{
		"svg":       []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>`),
		"empty":     nil,
		"short":     encoded(t, 20, 10)[:30],
		"bomb":      bomb,
		"too large": []byte(strings.Repeat("x", logoSize+1)),
		"too wide":  encoded(t, 4097, 1),
	} {
		if _, err := Logo(raw); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
