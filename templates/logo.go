package templates

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // decoders of the pictures operators have
	"image/png"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"
)

const (
	logoSize  = 1 << 20 // bytes of the file
	logoEdge  = 4096    // pixels of the file's longer edge: what is larger is refused before it is decoded
	logoShown = 256     // pixels of the longer edge as it is served
)

// Logo makes an operator's picture fit to be served: PNG, JPEG or WebP in, PNG out, decoded and drawn anew, so that nothing but
// pixels is left of it (SECURITY UI-06). SVG, which can hold script, is refused.
func Logo(raw []byte) ([]byte, error) {
	if len(raw) > logoSize {
		return nil, fmt.Errorf("the logo has more than %d bytes", logoSize)
	}
	size, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, errors.New("the logo is no PNG, JPEG or WebP picture")
	}
	if size.Width < 1 || size.Height < 1 || size.Width > logoEdge || size.Height > logoEdge {
		return nil, fmt.Errorf("the logo is %d by %d pixels; 1 to %d are allowed", size.Width, size.Height, logoEdge)
	}
	picture, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("the logo cannot be read: %w", err)
	}
	w, h := size.Width, size.Height
	if edge := max(w, h); edge > logoShown {
		w, h = max(w*logoShown/edge, 1), max(h*logoShown/edge, 1)
	}
	drawn := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.CatmullRom.Scale(drawn, drawn.Bounds(), picture, picture.Bounds(), draw.Src, nil)
	var b bytes.Buffer
	if err := png.Encode(&b, drawn); err != nil {
		return nil, fmt.Errorf("draw the logo: %w", err)
	}
	return b.Bytes(), nil
}
