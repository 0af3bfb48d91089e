package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestUI01_APostFromAnotherOriginIsDenied(t *testing.T) {
	let := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) })
	deny := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	var log events
	h := Porch(CrossOrigin(let, deny), Options{Logger: log.logger()})
	for name, c := range map[string]struct {
		method, site, origin string
		want                 int
	}{
		"our own form":                       {"POST", "same-origin", "https://login.example.com", 202},
		"our own form without an origin":     {"POST", "same-origin", "null", 202},
		"typed by hand":                      {"POST", "none", "", 202},
		"another site":                       {"POST", "cross-site", "https://evil.example", 418},
		"another site that hides its origin": {"POST", "cross-site", "null", 418},
		"a sibling":                          {"POST", "same-site", "https://app.example.com", 418},
		"an old browser, our own":            {"POST", "", "https://login.example.com", 202},
		"an old browser, another site":       {"POST", "", "https://evil.example", 418},
		"an old browser, a sandboxed frame":  {"POST", "", "null", 418},
		"another port":                       {"POST", "", "https://login.example.com:8443", 418},
		"no browser":                         {"POST", "", "", 202},
		"another site by PUT":                {"PUT", "cross-site", "https://evil.example", 418},
		"another site by DELETE":             {"DELETE", "cross-site", "https://evil.example", 418},
		"a link from another site":           {"GET", "cross-site", "", 202},
	} {
		r := httptest.NewRequest(c.method, "https://login.example.com/flow/x", nil)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		r.Header.Set("X-Forwarded-Host", "evil.example") // must not make it the same origin
		log.Reset()
		if got := serve(h, r).Code; got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if denied := log.all(t)[0]["denied"] == "cross-origin"; denied != (c.want == 418) {
			t.Errorf("%s: noted %v", name, denied)
		}
	}
}

func TestDenyingWithoutAPageIsAnEmpty403(t *testing.T) {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := serve(CrossOrigin(http.NotFoundHandler(), nil), r)
	if w.Code != 403 || w.Body.Len() != 0 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
}
