package provider

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestDiscoveryIsCompleteAndTrue(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	a := b.get("/avengers/.well-known/openid-configuration")
	d := a.json()
	for name, want := range map[string]string{
		"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token", "userinfo_endpoint": issuer + "/userinfo",
		"revocation_endpoint": issuer + "/revoke", "end_session_endpoint": issuer + "/logout", "jwks_uri": issuer + "/keys",
		"introspection_endpoint": issuer + "/introspect", "pushed_authorization_request_endpoint": issuer + "/par",
	} {
		if d[name] != want {
			t.Errorf("%s: %v, want %s", name, d[name], want)
		}
	}
	for name, want := range map[string]string{
		"response_types_supported": "code", "grant_types_supported": "authorization_code refresh_token client_credentials", "subject_types_supported": "public",
		"response_modes_supported":              "query form_post fragment",
		"id_token_signing_alg_values_supported": "RS256 ES256 EdDSA", "code_challenge_methods_supported": "S256",
		"token_endpoint_auth_methods_supported":         "none client_secret_basic client_secret_post",
		"introspection_endpoint_auth_methods_supported": "client_secret_basic client_secret_post",
		"revocation_endpoint_auth_methods_supported":    "none client_secret_basic client_secret_post",
		"scopes_supported":                              "openid profile email phone address groups offline_access", "ui_locales_supported": "en de",
	} {
		var got []string
		for _, v := range d[name].([]any) {
			got = append(got, v.(string))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
	for _, name := range []string{"authorization_response_iss_parameter_supported", "claims_parameter_supported"} {
		if d[name] != true {
			t.Errorf("%s is not true", name)
		}
	}
	if d["request_uri_parameter_supported"] != false { // its default is true
		t.Error("request_uri is announced")
	}
	for name, v := range d {
		if s, ok := v.(string); ok && strings.HasPrefix(s, "http") && !strings.HasPrefix(s, "https://") {
			t.Errorf("%s is not https: %s", name, s)
		}
	}
	for _, absent := range []string{"device_authorization_endpoint", "registration_endpoint", "check_session_iframe", "backchannel_logout_supported"} {
		if _, ok := d[absent]; ok {
			t.Errorf("%s is announced and not there", absent)
		}
	}
	if other := b.get("/.well-known/oauth-authorization-server/avengers"); other.body != a.body {
		t.Error("the RFC 8414 path says something else")
	}
}

func TestRS256IsOfferedEvenWhenNoClientUsesIt(t *testing.T) {
	h := newHouse(t)
	h.p = h.provide(issuer, []Client{{ID: "wiki", Secret: "s", RedirectURIs: []string{callback}, IDTokenAlg: "ES256"}})
	h.mount()
	algs := h.browser().get("/avengers/.well-known/openid-configuration").json()["id_token_signing_alg_values_supported"].([]any)
	if len(algs) != 2 || algs[0] != "RS256" || algs[1] != "ES256" {
		t.Fatal(algs)
	}
}

func TestPublicDocumentsAreCachedBytes(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	for _, path := range []string{"/avengers/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/avengers", "/avengers/keys"} {
		a := b.get(path)
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Content-Length") != strconv.Itoa(len(a.body)) || !strings.Contains(a.Header.Get("Cache-Control"), "max-age") {
			t.Errorf("%s: %d %v", path, a.StatusCode, a.Header)
		}
		tag := a.Header.Get("ETag")
		for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			if again := b.do("GET", path, nil, "If-None-Match", match); again.StatusCode != http.StatusNotModified || again.body != "" {
				t.Errorf("%s with %s: %d %q", path, match, again.StatusCode, again.body)
			}
		}
		if again := b.do("GET", path, nil, "If-None-Match", `"other"`); again.body != a.body {
			t.Errorf("%s: another tag got %q", path, again.body)
		}
		if head := b.do("HEAD", path, nil); head.body != "" || head.Header.Get("Content-Length") != strconv.Itoa(len(a.body)) {
			t.Errorf("%s by HEAD: %v", path, head.Header)
		}
		if post := b.do("POST", path, nil); post.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s by POST: %d", path, post.StatusCode)
		}
	}
}

func TestTheKeySetHasAKidOnEveryKeyAndNothingPrivate(t *testing.T) {
	h := newHouse(t)
	body := h.browser().get("/avengers/keys").body
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	allowed := []string{"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"}
	kinds := []string{}
	for _, k := range set.Keys {
		kinds = append(kinds, k["kty"].(string))
		if id, _ := k["kid"].(string); len(id) < 20 || k["use"] != "sig" || k["alg"] == "" {
			t.Errorf("a key without kid, use or alg: %v", k)
		}
		for name := range k {
			if !slices.Contains(allowed, name) {
				t.Errorf("the member %q is published", name)
			}
		}
	}
	if slices.Sort(kinds); !slices.Equal(kinds, []string{"EC", "OKP", "RSA"}) {
		t.Error(kinds)
	}
}

func TestA51_OnlyEndpointsWithoutCookiesAnswerScriptsOfOtherOrigins(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	for path, shared := range map[string]bool{
		"/.well-known/openid-configuration": true, "/keys": true, "/token": true, "/userinfo": true, "/revoke": true,
		"/authorize": false, "/authorize/resume": false, "/logout": false, "/logout/resume": false,
	} {
		for _, method := range []string{"OPTIONS", "GET", "POST"} {
			a := b.do(method, "/avengers"+path, nil, "Origin", "https://evil.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
			origin := a.Header.Get("Access-Control-Allow-Origin")
			switch {
			case a.Header.Get("Access-Control-Allow-Credentials") != "":
				t.Errorf("%s %s allows credentials", method, path)
			case shared && origin != "*", !shared && origin != "":
				t.Errorf("%s %s: Access-Control-Allow-Origin %q", method, path, origin)
			case shared && method == "OPTIONS" && (a.StatusCode != 204 || !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Authorization")):
				t.Errorf("preflight of %s: %d %v", path, a.StatusCode, a.Header)
			}
		}
	}
}

func TestAConfigWithFaultsIsRefusedWithAllOfThem(t *testing.T) {
	c := Config{Issuer: "http://login.example.com/", Clients: []Client{
		{ID: "a", Secret: "s", Claims: map[string]string{"sub": "uid", "email": "mail", "a.b": "c", "address.": "l", "shoe": "", "size": "size"}, RedirectURIs: []string{"/cb", "https://a.example/#x", "https://*.a.example/", "javascript:alert(1)", "https://u@a.example/", "com.example.app:/cb", "data:text/html,x", "https://a.example/ok\r\nX: y", "//a.example/cb"}},
		{ID: "a", RedirectURIs: []string{"https://a.example/"}, AuthMethod: "none", IDTokenAlg: "HS256", Grants: []string{"password"}, Scopes: []string{"admin"}, ResponseModes: []string{"okta_post_message"}},
		{ID: "b", Public: true, Secret: "s", AuthMethod: "client_secret_basic", RedirectURIs: []string{"http://b.example/cb"}, RefreshGrace: 3600e9},
		{ID: "n", Public: true, Native: true, RedirectURIs: []string{"com.example.app:/cb", "http://127.0.0.1/cb", "app:/cb", "file:///etc/passwd"}, PostLogoutRedirectURIs: []string{"nonsense"}},
		{ID: "", Secret: "s"},
	}}
	var got []string
	for _, p := range c.Check() {
		got = append(got, p.Path)
	}
	for _, want := range []string{"issuer", "clients[0].claims.sub", "clients[0].claims.email", "clients[0].claims.a.b", "clients[0].claims.address.", "clients[0].claims.shoe", "clients[0].redirect_uris[0]", "clients[0].redirect_uris[1]", "clients[0].redirect_uris[2]", "clients[0].redirect_uris[3]",
		"clients[0].redirect_uris[4]", "clients[0].redirect_uris[5]", "clients[0].redirect_uris[6]", "clients[0].redirect_uris[7]", "clients[0].redirect_uris[8]", "clients[1].id", "clients[1].secret", "clients[1].auth_method",
		"clients[1].id_token_alg", "clients[1].grants[0]", "clients[1].scopes[0]", "clients[1].response_modes[0]", "clients[2].secret", "clients[2].auth_method", "clients[2].redirect_uris[0]", "clients[2].refresh_grace",
		"clients[3].redirect_uris[2]", "clients[3].redirect_uris[3]", "clients[3].post_logout_redirect_uris[0]", "clients[4].id", "clients[4].redirect_uris"} {
		if !slices.Contains(got, want) {
			t.Errorf("no problem at %s", want)
		}
	}
	for _, fine := range []string{"clients[0].claims.size", "clients[3].redirect_uris[0]", "clients[3].redirect_uris[1]", "clients[0].secret"} {
		if slices.Contains(got, fine) {
			t.Errorf("a problem at %s", fine)
		}
	}
	if _, err := New(t.Context(), c, Deps{}); err == nil || !strings.Contains(err.Error(), "issuer: ") {
		t.Error(err)
	}
	for issuer, ok := range map[string]bool{"https://a.example": true, "https://a.example/t": true, "http://localhost:8080/t": true, "http://127.0.0.1:1": true, "https://a.example/?x": false,
		"https://a.example/#": false, "ftp://a.example": false, "a.example": false, "": false, "http://localhost.evil.example": false, "https://a.example/a%20b": false, "https://u:p@a.example": false} {
		if got := issuerFault(issuer) == ""; got != ok {
			t.Errorf("issuer %q: %v", issuer, got)
		}
	}
}
