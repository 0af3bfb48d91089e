package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestUI02_ThePolicyOfAPageAllowsNoInlineScriptAndNoFrame(t *testing.T) {
	var nonce string
	w := serve(Porch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce = Nonce(r)
		CSP(w, r)
	}), Options{}), httptest.NewRequest("GET", "/", nil))
	want := "default-src 'none'; img-src 'self' data:; media-src data:; style-src 'self'; script-src 'self' 'nonce-" + nonce +
		"'; connect-src 'self'; worker-src 'self' blob:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	if got := w.Header()["Content-Security-Policy"]; len(got) != 1 || got[0] != want {
		t.Errorf("policy\n%q, want\n%q", got, want)
	}
}

func TestFormsMayLeadToTheGivenOriginsAlone(t *testing.T) {
	for address, want := range map[string]string{
		"https://wiki.example.com/callback?x=1":   "form-action 'self' https://wiki.example.com;",
		"https://WIKI.example.com":                "form-action 'self' https://wiki.example.com;",
		"http://localhost:8081/callback":          "form-action 'self' http://localhost:8081;",
		"http://[::1]:8081/":                      "form-action 'self' http://[::1]:8081;",
		"https://u:p@wiki.example.com/":           "form-action 'self' https://wiki.example.com;",
		"com.example.app:/callback":               "form-action 'self' com.example.app:;",
		"":                                        "form-action 'self';",
		"/path":                                   "form-action 'self';",
		"https:":                                  "form-action 'self';",
		"https://*":                               "form-action 'self';",
		"https://*.example.com":                   "form-action 'self';",
		"https://a;script-src *":                  "form-action 'self';",
		"https://a.example; script-src 'unsafe'":  "form-action 'self';",
		"https://a.example%3bscript-src":          "form-action 'self';",
		"javascript:alert(1)":                     "form-action 'self';",
		"data:text/html,x":                        "form-action 'self';",
		"https://a.example,https://b.example":     "form-action 'self';",
		"https://a.example\r\nX: y":               "form-action 'self';",
		"https://a.example https://evil.example/": "form-action 'self';",
	} {
		w := httptest.NewRecorder()
		CSP(w, httptest.NewRequest("GET", "/", nil), address)
		if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, want) || strings.Count(got, ";") != 9 {
			t.Errorf("%q: %s", address, got)
		}
	}
	w := httptest.NewRecorder()
	CSP(w, httptest.NewRequest("GET", "/", nil), "https://a.example/1", "https://b.example/", "https://a.example/2")
	if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "form-action 'self' https://a.example https://b.example;") {
		t.Error(got)
	}
}

func TestSE05_NoStoreKeepsAPageOutOfEveryCache(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Cache-Control", "public")
	NoStore(w)
	if got := w.Header()["Cache-Control"]; len(got) != 1 || got[0] != "no-store" {
		t.Error(got)
	}
}
