package method

import (
	"fmt"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// qrSVG draws text as a QR code (ISO/IEC 18004, error correction M) in an inline SVG: one path of dark modules on white,
// also in dark mode, with the quiet zone of four modules. It carries no script, style or text of its own.
func qrSVG(text string) (string, error) {
	const quiet = 4
	picture, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", err
	}
	size := picture.Bounds().Dx()
	dark := func(x, y int) bool { r, _, _, _ := picture.At(x, y).RGBA(); return r == 0 }
	var path strings.Builder
	for y := range size {
		for x := 0; x < size; {
			from := x
			for x < size && dark(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			} else {
				x++
			}
		}
	}
	side := size + 2*quiet
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges" aria-hidden="true" focusable="false"><path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="%s"/></svg>`,
		side, side, side, side, path.String()), nil
}
