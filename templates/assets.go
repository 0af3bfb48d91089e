package templates

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// assets are the files pages link to, each under a name that carries a digest of its content.
type assets struct {
	names map[string]string // "sparekey.css" → "sparekey-1a2b3c4d5e6f.css"
	files map[string]asset  // by the name with the digest
	shade string            // digest of how accents are made: part of their sheets' names
}

type asset struct {
	kind string
	body []byte
}

var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// house is the accent of a tenant that sets none.
const house = "#2456b8"

func readAssets(from fs.FS) (*assets, error) {
	a := &assets{names: map[string]string{}, files: map[string]asset{}}
	entries, err := fs.ReadDir(from, "assets")
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	for _, e := range entries {
		body, err := fs.ReadFile(from, path.Join("assets", e.Name()))
		if err != nil {
			return nil, err
		}
		ext := path.Ext(e.Name())
		if kinds[ext] == "" {
			return nil, fmt.Errorf("assets/%s: no media type for it", e.Name())
		}
		if ext == ".css" {
			accent, err := AccentCSS(house)
			if err != nil {
				return nil, err
			}
			body = append(body, accent...)
		}
		name := strings.TrimSuffix(e.Name(), ext) + "-" + digest(body) + ext
		a.names[e.Name()] = name
		a.files[name] = asset{kinds[ext], body}
	}
	for _, name := range []string{"sparekey.css", "sparekey.js", "icon.svg"} {
		if a.names[name] == "" {
			return nil, fmt.Errorf("assets/%s: missing", name)
		}
	}
	var sample []byte
	for _, accent := range []string{"#000000", "#7a1f1f", "#ffcc00", "#ffffff"} {
		css, err := AccentCSS(accent)
		if err != nil {
			return nil, err
		}
		sample = append(sample, css...)
	}
	a.shade = digest(sample)
	return a, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// accentName names the sheet of an accent: "accent-7a1f1f-1a2b3c4d5e6f.css"; empty for none and for what is no colour.
func (a *assets) accentName(accent string) string {
	c, err := parseColour(accent)
	if err != nil {
		return ""
	}
	return "accent-" + strings.TrimPrefix(c.hex(), "#") + "-" + a.shade + ".css"
}

func (a *assets) find(name string) (asset, bool) {
	if f, ok := a.files[name]; ok {
		return f, true
	}
	accent, ok := strings.CutPrefix(name, "accent-")
	if !ok {
		return asset{}, false
	}
	accent, ok = strings.CutSuffix(accent, "-"+a.shade+".css")
	if !ok || len(accent) != 6 {
		return asset{}, false
	}
	css, err := AccentCSS("#" + accent)
	if err != nil {
		return asset{}, false
	}
	return asset{kinds[".css"], css}, true
}

// AssetPaths gives the addresses of the files every page links to, relative to the issuer: "assets/sparekey-….css".
func (s *Set) AssetPaths() []string {
	var paths []string
	for _, name := range []string{"sparekey.css", "sparekey.js", "icon.svg"} {
		paths = append(paths, "assets/"+s.assets.names[name])
	}
	return paths
}

// Assets serves GET and HEAD of …/assets/{name}; it looks at the last element of the path alone, so it can be mounted
// below any issuer. Names carry a digest of the content, so that a browser may keep the answer for ever.
func (s *Set) Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		file, ok := s.assets.find(path.Base(r.URL.Path))
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", file.kind)
		h.Set("Content-Length", strconv.Itoa(len(file.body)))
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		w.Write(file.body) // net/http drops the body of a HEAD
	})
}
