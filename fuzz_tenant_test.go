package sparekey_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
)

// What a request says of its host and its path leads to the tenant whose issuer has that host and the beginning of that path, and to none
// otherwise, whatever other headers claim; and no answer of a tenant is made of what they claim.
func FuzzZ13_TheTenantIsTheOneOfTheHostAndThePath(f *testing.F) {
	issuers := map[string]string{"avengers": "https://login.example", "wakanda": "https://login.example/wakanda", "asgard": "https://asgard.example:8443/a/b", "shield": "https://shield.example"}
	cfg := &sparekey.Config{Database: "sqlite:" + filepath.Join(f.TempDir(), "db"), Keyring: "file:" + filepath.Join(f.TempDir(), "keyring"), TrustedProxies: []string{"192.0.2.0/24"}, Tenants: map[string]sparekey.Tenant{}}
	for name, issuer := range issuers {
		t := tenantConfig(issuer, "tenant-"+name)
		t.Clients = []sparekey.Client{{ID: "wiki", Secret: config.NewSecret("wiki-secret"), RedirectURIs: []string{"https://wiki.example/cb"}}}
		cfg.Tenants[name] = t
	}
	p, err := sparekey.Open(f.Context(), cfg, sparekey.WithSender((&mails{}).send))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	// whose is the oracle: issuers by host, the longest path first.
	whose := func(host, path string) string {
		for _, name := range []string{"asgard", "wakanda", "avengers", "shield"} {
			u, _ := url.Parse(issuers[name])
			if strings.EqualFold(host, u.Host) && (u.Path == "" || path == u.Path || strings.HasPrefix(path, u.Path+"/") || path == "/.well-known/oauth-authorization-server"+u.Path) {
				return name
			}
		}
		return ""
	}
	for _, host := range []string{"login.example", "LOGIN.example", "login.example:443", "login.example.", "asgard.example:8443", "asgard.example", "evil.example", "", "shield.example@evil.example", "login.example, shield.example", "login.example\x00", "login.example%00", "ｌogin.example"} {
		for _, path := range []string{"/", "/.well-known/openid-configuration", "/wakanda", "/wakanda/", "/wakanda/.well-known/openid-configuration", "/wakandax", "/WAKANDA/x", "/a/b/reset", "/a//b/reset", "/a/b/../../wakanda/reset", "/wakanda%2freset", "/.well-known/oauth-authorization-server/wakanda", "//wakanda/reset", "/healthz"} {
			f.Add(host, path, "shield.example", "192.0.2.1:1")
		}
	}
	f.Add("login.example", "/reset", "evil.example\r\nX: y", "203.0.113.1:1")
	f.Fuzz(func(t *testing.T, host, path, claimed, peer string) {
		u := &url.URL{Path: path}
		if !strings.HasPrefix(path, "/") {
			return
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL, r.RequestURI, r.Host, r.RemoteAddr = u, u.RequestURI(), host, peer
		for _, name := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-Host", "X-Forwarded-Prefix", "X-Original-Url", "X-Rewrite-Url", "X-Http-Host-Override"} {
			r.Header[name] = []string{claimed}
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%q %q: %d", host, path, w.Code)
		}
		name := whose(host, path)
		if path == "/healthz" || path == "/readyz" {
			name = ""
		}
		all := w.Body.String() + w.Header().Get("Location") + strings.Join(w.Header().Values("Set-Cookie"), " ")
		for other := range issuers {
			if other != name && (strings.Contains(all, "tenant-"+other) || strings.Contains(all, "sparekey-"+other)) {
				t.Fatalf("%q %q is answered by %s, want %q: %d %s", host, path, other, name, w.Code, all)
			}
		}
		if name == "" && len(w.Header().Values("Set-Cookie")) > 0 {
			t.Fatalf("%q %q is nobody's, and sets a cookie", host, path)
		}
		if w.Header().Get("Content-Type") == "application/json" && strings.HasPrefix(w.Body.String(), `{"issuer"`) && !strings.Contains(w.Body.String(), `"issuer":"`+issuers[name]+`"`) {
			t.Fatalf("%q %q: %s", host, path, w.Body)
		}
		if to := w.Header().Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`)) {
			t.Fatalf("%q %q leads to %q", host, path, to)
		}
	})
}
