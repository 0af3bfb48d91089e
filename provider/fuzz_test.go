package provider

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// ownPort is the native client's loopback address with whatever port.
var ownPort = regexp.MustCompile(`^http://127\.0\.0\.1(?::[0-9]{1,5})?/cb[?#](.*)$`)

// A request is answered with a page, or with a redirect to an address its client registered and to no other.
func FuzzZ01_AnAuthorizationRequestLeadsToRegisteredAddressesAlone(f *testing.F) {
	h := newHouse(f)
	b := h.browser()
	b.signedIn(ironman)
	f.Add(h.ask().Encode(), false)
	f.Add(h.ask("response_mode", "fragment", "client_id", "spa", "redirect_uri", "https://spa.example.com/cb", "claims", `{"userinfo":{"name":null}}`, "max_age", "0", "prompt", "login consent").Encode(), true)
	f.Add(h.ask("client_id", "app", "redirect_uri", "http://127.0.0.1:1/cb").Encode(), false)
	for _, trick := range tricks(callback) {
		f.Add(h.ask("redirect_uri", trick).Encode(), false)
	}
	f.Add("client_id=wiki&redirect_uri="+url.QueryEscape(callback)+"&state=%0d%0aSet-Cookie:x&state=2&;&%zz", true)
	f.Fuzz(func(t *testing.T, query string, post bool) {
		r := httptest.NewRequest("GET", issuer+authorizePath, nil)
		if r.URL.RawQuery = query; post {
			r = httptest.NewRequest("POST", issuer+authorizePath, strings.NewReader(query))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		r.Header.Set("Cookie", b.request().Header.Get("Cookie"))
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		to := w.Header().Get("Location")
		if w.Code != 303 {
			if to != "" || w.Code >= 500 {
				t.Fatalf("%d %s", w.Code, to)
			}
			return
		}
		if strings.HasPrefix(to, "/avengers/") {
			return
		}
		if strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			t.Fatalf("a control character in %q", to)
		}
		v, _ := url.ParseQuery(query)
		// The address is a registered one of the very client that is named, or its native one with another port, and what follows it is ours.
		at := slices.IndexFunc(registered(), func(c Client) bool { return c.ID == v.Get("client_id") })
		if at < 0 {
			t.Fatalf("redirected to %q for nobody", to)
		}
		c := registered()[at]
		rest, known := "", false
		for _, uri := range c.RedirectURIs {
			if after, ok := strings.CutPrefix(to, uri); ok && after != "" && strings.ContainsAny(after[:1], "?&#") {
				rest, known = after[1:], true
			}
		}
		if m := ownPort.FindStringSubmatch(to); c.Native && m != nil {
			rest, known = m[1], true
		}
		answer, err := url.ParseQuery(rest)
		if !known || err != nil {
			t.Fatalf("redirected to %q", to)
		}
		for name, values := range answer {
			if len(values) != 1 || !slices.Contains([]string{"code", "state", "iss", "error", "error_description"}, name) {
				t.Fatalf("%s is %q in %q", name, values, to)
			}
		}
		if answer.Get("iss") != issuer || answer.Has("code") == answer.Has("error") {
			t.Fatalf("redirected to %q", to)
		}
		u, err := url.Parse(to)
		if err != nil || u.Hostname() != "" && !slices.Contains([]string{"wiki.example.com", "spa.example.com", "127.0.0.1", "post.example.com", "rsa.example.com", "strict.example.com", "lab.example.com", "graceful.example.com"}, u.Hostname()) {
			t.Fatalf("%q: %v", to, err)
		}
	})
}

// What the matcher lets pass has, for a parser too, scheme, host and path of a registered address, and the port unless that is free.
func FuzzZ02_TheMatcherAndAParserAgree(f *testing.F) {
	c := newClient(Client{ID: "app", Public: true, Native: true, RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]:1/cb?x=y", "http://localhost", callback}, PostLogoutRedirectURIs: []string{goodbye}})
	for _, trick := range append(tricks(callback), tricks("http://127.0.0.1/cb")...) {
		f.Add(trick)
	}
	f.Add("http://127.0.0.1:65535/cb")
	f.Add("http://[::1]:2/cb?x=y")
	f.Fuzz(func(t *testing.T, uri string) {
		if c.leavesTo(uri) && uri != goodbye {
			t.Fatalf("%q is not the one", uri)
		}
		if !c.sendsTo(uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil {
			if strings.Contains(err.Error(), "port") { // more than 65535: nothing listens there
				return
			}
			t.Fatalf("%q passes and cannot be parsed: %v", uri, err)
		}
		for _, registered := range c.RedirectURIs {
			want, _ := url.Parse(registered)
			free := want.Scheme == "http"
			if u.Scheme == want.Scheme && u.Hostname() == want.Hostname() && u.Path == want.Path && u.RawQuery == want.RawQuery && u.Fragment == "" && u.User == nil && (free || u.Port() == want.Port()) {
				return
			}
		}
		t.Fatalf("%q passes", uri)
	})
}

// Whatever comes to the token endpoint, a code gives tokens at most once, and no secret comes back.
func FuzzZ03_ATokenRequestGivesAtMostOneGrantAndRepeatsNoSecret(f *testing.F) {
	h := newHouse(f)
	b := h.browser()
	b.signedIn(ironman)
	const good = "grant_type=authorization_code&redirect_uri=https%3A%2F%2Fwiki.example.com%2Fcallback&code_verifier=" + "0123456789-0123456789-0123456789-0123456789.~_" + "&code="
	f.Add(good, "application/x-www-form-urlencoded", uint16(0))
	f.Add("client_id=wiki&client_id=wiki&"+good, "application/x-www-form-urlencoded; charset=utf-16", uint16(0))
	f.Add("grant_type[]=authorization_code&"+good, "application/json", uint16(0))
	f.Add("client_secret="+wikiSecret+"&"+good, "multipart/form-data; boundary=x", uint16(0))
	f.Add(good, "application/x-www-form-urlencoded", uint16(1<<15))
	f.Add("code=x&grant_type=authorization_code&grant_type=refresh_token&"+good, "application/x-www-form-urlencoded", uint16(0))
	f.Add("refresh_token=x&grant_type=refresh_token&scope=%00&"+good, "application/x-www-form-urlencoded", uint16(0))
	f.Fuzz(func(t *testing.T, body, kind string, pad uint16) {
		body = strings.Repeat("a=some-value-or-other&", int(pad)) + body // up to 1.4 MB
		h.t = t
		before := h.count("grant")
		code := b.authorize().code()
		good := 0
		for range 2 {
			r := httptest.NewRequest("POST", issuer+tokenPath, strings.NewReader(body+code))
			r.Header.Set("Content-Type", kind)
			r.SetBasicAuth("wiki", wikiSecret)
			w := httptest.NewRecorder()
			h.handler.ServeHTTP(w, r)
			if w.Code == 200 {
				good++
			}
			if w.Code >= 500 || strings.Contains(w.Body.String(), wikiSecret) || strings.Contains(w.Body.String(), code) || strings.Contains(w.Body.String(), verifier) {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Fatalf("not JSON: %q", w.Body)
			}
		}
		if good > 1 || h.count("grant") > before+1 {
			t.Fatalf("%d times tokens", good)
		}
	})
}

// The small parsers never panic, and keep what they keep within bounds.
func FuzzZ16_ScopesClaimsLocalesAndHints(f *testing.F) {
	h := newHouse(f)
	_, tk := h.granted()
	c := h.p.clients["wiki"]
	f.Add("openid email openid", `{"userinfo":{"name":null,"email":{"essential":true}},"id_token":{"acr":{"essential":true,"value":"aal1","values":["aal2"]},"sub":{"value":"x"}}}`, "de-AT en xx-", tk.id)
	f.Add(strings.Repeat("openid ", 100), `{"id_token":{"sub":{"value":[]},"acr":{"values":"x"}}}`, "*", "eyJhbGciOiJub25lIn0.e30.")
	f.Add("", `null`, "", "")
	f.Add("", `{"userinfo":null,"id_token":[]}`, "i-default art-lojban", "a.b.c.d.e")
	f.Fuzz(func(t *testing.T, scope, claims, tags, hint string) {
		q := &request{}
		if f := q.readScopes(scope, c); f == nil && (!slices.Contains(q.Scopes, oidc.ScopeOpenID) || len(q.Scopes) > len(scopes)) {
			t.Fatalf("scopes %q", q.Scopes)
		}
		if f := q.Wants.read(claims, c); f == nil {
			for _, name := range append(q.Wants.UserInfo, q.Wants.IDToken...) {
				if scopeOf[name] == "" {
					t.Fatalf("a claim that does not exist: %q", name)
				}
			}
		}
		for _, tag := range locales(tags) {
			if strings.ContainsAny(tag, " <>\"") {
				t.Fatalf("a tag %q", tag)
			}
		}
		if _, ok := h.p.readHint(t.Context(), hint, "wiki"); ok && hint != tk.id {
			t.Fatalf("a hint nobody signed: %q", hint)
		}
		if a := judge(&request{MaxAge: -1}, nil, 0, h.clock.Now()); !a.begin {
			t.Fatal("no session and nothing to do")
		}
	})
}
