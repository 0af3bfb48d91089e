package templates

import (
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func get(h http.Handler, method, path string) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Result()
}

func TestAssetsAreServedForEverUnderTheirDigest(t *testing.T) {
	s := newTestSet(t)
	h := s.Assets()
	for _, path := range s.AssetPaths() {
		for _, method := range []string{"GET", "HEAD"} {
			r := get(h, method, "/avengers/"+path)
			if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s: %d %v", method, path, r.StatusCode, r.Header)
			}
		}
		if !hashed.MatchString(path) {
			t.Errorf("%s has no digest", path)
		}
	}
	for path, status := range map[string]int{
		"/assets/sparekey.css": 404, "/assets/": 404, "/assets/sparekey-000000000000.css": 404,
		"/assets/accent-7a1f1f.css": 404, "/assets/accent-zzzzzz-" + s.assets.shade + ".css": 404,
		"/assets/accent-7a1f1f-" + s.assets.shade + ".css": 200, "/assets/accent-+7a1f1-" + s.assets.shade + ".css": 404,
	} {
		if got := get(h, "GET", path).StatusCode; got != status {
			t.Errorf("%s: %d, want %d", path, got, status)
		}
	}
	if r := get(h, "POST", "/"+s.AssetPaths()[0]); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", r.StatusCode)
	}
}

func TestEveryAssetThatAPageLinksToIsServed(t *testing.T) {
	s := newTestSet(t)
	for _, e := range tags(document(t, render(t, s, ResetName{Frame: frame(), Captcha: puzzle})), "link", "script") {
		for _, name := range []string{"href", "src"} {
			if path := attr(e, name); path != "" && get(s.Assets(), "GET", path).StatusCode != 200 {
				t.Errorf("%s is not served", path)
			}
		}
	}
}

func TestRatioIsThatOfWCAG(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{{"#000", "#fff", 21}, {"#767676", "#ffffff", 4.54}, {"#777777", "#ffffff", 4.48}, {"#ff0000", "#ffffff", 4.00}, {"#123456", "#123456", 1}} {
		if got := ratio(mustColour(c.a), mustColour(c.b)); math.Abs(got-c.want) > 0.005 {
			t.Errorf("%s on %s: %.3f, want %.2f", c.a, c.b, got, c.want)
		}
	}
}

// property reads a custom property out of a sheet: the light one first, the dark one second.
func property(t *testing.T, css, name string) (light, dark colour) {
	t.Helper()
	found := regexp.MustCompile(`--`+name+`:\s*(#[0-9a-f]+)`).FindAllStringSubmatch(css, -1)
	if len(found) < 2 {
		t.Fatalf("--%s: %d times, want light and dark", name, len(found))
	}
	return mustColour(found[0][1]), mustColour(found[1][1])
}

func TestUI07_EveryAccentCanBeReadOnBothThemes(t *testing.T) {
	accents := []string{"#7a1f1f", "#8a1c24", "#ffcc00", "#ffffff", "#000000", "#808080", "#777777", "#0000ff", "#00ff00", "#ff0000", "#00ffff", "#fe0", house}
	for hue := range 24 {
		for _, l := range []float64{0.25, 0.45, 0.6, 0.75, 0.9} {
			angle := float64(hue) * math.Pi / 12
			accents = append(accents, fromOKLab(l, 0.18*math.Cos(angle), 0.18*math.Sin(angle)).hex())
		}
	}
	for _, accent := range accents {
		css, err := AccentCSS(accent)
		if err != nil {
			t.Fatal(err)
		}
		check := func(theme string, accent, fill, hover, on colour, grounds []colour) {
			if got := worst(accent, grounds); got < 4.5 {
				t.Errorf("%s, %s: links have %.2f on the worst ground", accent.hex(), theme, got)
			}
			for name, c := range map[string]colour{"button": fill, "button under the pointer": hover} {
				if got := ratio(c, on); got < 4.5 {
					t.Errorf("%s, %s: words on the %s have %.2f", accent.hex(), theme, name, got)
				}
			}
			if least := map[string]float64{"light": 1.4, "dark": 3}[theme]; ratio(fill, grounds[0]) < least {
				t.Errorf("%s, %s: the button hardly stands out", accent.hex(), theme)
			}
		}
		al, ad := property(t, string(css), "accent")
		fl, fd := property(t, string(css), "fill")
		hl, hd := property(t, string(css), "fill-hover")
		ol, od := property(t, string(css), "on-fill")
		check("light", al, fl, hl, ol, lightGrounds)
		check("dark", ad, fd, hd, od, darkGrounds)
	}
}

func TestAnAccentThatReadsWellIsLeftAsItIs(t *testing.T) {
	css, err := AccentCSS("#7A1F1F")
	if err != nil {
		t.Fatal(err)
	}
	if accent, _ := property(t, string(css), "accent"); accent.hex() != "#7a1f1f" {
		t.Errorf("accent %s", accent.hex())
	}
	if fill, _ := property(t, string(css), "fill"); fill.hex() != "#7a1f1f" {
		t.Errorf("fill %s", fill.hex())
	}
	for _, bad := range []string{"", "red", "#12", "#12345g", "#1234567", "7a1f1f", "#+12345", "#7a1f1f;}"} {
		if _, err := AccentCSS(bad); err == nil {
			t.Errorf("%q passes for a colour", bad)
		}
	}
}

func TestUI07_TheOwnColoursCanBeReadOnBothThemes(t *testing.T) {
	css := sheet(t)
	grounds := func(names ...string) (light, dark []colour) {
		for _, n := range names {
			l, d := property(t, css, n)
			light, dark = append(light, l), append(dark, d)
		}
		return
	}
	for _, c := range []struct {
		ink  string
		on   []string
		want float64
	}{
		{"ink", []string{"paper", "wash", "ground", "good-wash", "bad-wash"}, 7},
		{"ink-2", []string{"paper", "wash", "ground"}, 4.5},
		{"good", []string{"paper", "wash", "good-wash"}, 4.5},
		{"bad", []string{"paper", "wash", "bad-wash"}, 4.5},
		{"edge", []string{"paper", "wash"}, 3}, // outlines of inputs: 1.4.11
		{"focus", []string{"paper", "wash", "ground"}, 3},
	} {
		l, d := property(t, css, c.ink)
		lights, darks := grounds(c.on...)
		if got := worst(l, lights); got < c.want {
			t.Errorf("--%s, light: %.2f, want %.1f", c.ink, got, c.want)
		}
		if got := worst(d, darks); got < c.want {
			t.Errorf("--%s, dark: %.2f, want %.1f", c.ink, got, c.want)
		}
	}
	light, dark := grounds("paper", "wash", "ground")
	if fmt.Sprint(light, dark) != fmt.Sprint(lightGrounds, darkGrounds) {
		t.Error("accents are computed for other grounds than the sheet's")
	}
}

func TestNoWordIsSmallerThan13Pixels(t *testing.T) {
	css := sheet(t)
	for _, m := range regexp.MustCompile(`(?:font-size|font|--t\d|--tiny):[^;}]*?(\d*\.?\d+)(rem|px)`).FindAllStringSubmatch(css, -1) {
		size, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		if m[2] == "rem" {
			size *= 16
		}
		if size < 13 {
			t.Errorf("%s", m[0])
		}
	}
	for _, media := range []string{"(prefers-color-scheme: dark)", "(prefers-reduced-motion: no-preference)", "(forced-colors: active)"} {
		if !strings.Contains(css, media) {
			t.Errorf("nothing for %s", media)
		}
	}
}

func sheet(t *testing.T) string {
	t.Helper()
	b, err := fs.ReadFile(files, "assets/sparekey.css")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
