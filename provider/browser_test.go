package provider

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// browser keeps cookies, and shows what came back.
type browser struct {
	h       *house
	cookies map[string]string
}

func (h *house) browser() *browser { return &browser{h, map[string]string{}} }

// answer is a response with its body read.
type answer struct {
	t testing.TB
	*http.Response
	body string
}

func (b *browser) do(method, target string, form url.Values, headers ...string) answer {
	b.h.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.h.p.origin + target
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, target, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.h.handler.ServeHTTP(w, r)
	res := w.Result()
	for _, c := range res.Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return answer{b.h.t, res, w.Body.String()}
}

func (b *browser) get(path string) answer { b.h.t.Helper(); return b.do("GET", path, nil) }

// location is where the answer redirects to, which must be a 303.
func (a answer) location() *url.URL {
	a.t.Helper()
	if a.StatusCode != http.StatusSeeOther {
		a.t.Fatalf("want a redirect, got %d %s", a.StatusCode, a.body)
	}
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

// code is the one in the answer.
func (a answer) code() string {
	a.t.Helper()
	u := a.location()
	if u.Query().Get("code") == "" {
		a.t.Fatalf("no code in %s", u)
	}
	return u.Query().Get("code")
}

// refusal is the error code of a redirect.
func (a answer) refusal(want string) {
	a.t.Helper()
	q := a.location().Query()
	if q.Get("error") != want || q.Has("code") {
		a.t.Fatalf("want the error %s, got %s", want, a.Header.Get("Location"))
	}
}

func (a answer) shows(status int, text string) {
	a.t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, text) || a.Header.Get("Location") != "" {
		a.t.Fatalf("want %d %q, got %d %q, Location %q", status, text, a.StatusCode, a.body, a.Header.Get("Location"))
	}
}

func (a answer) json() map[string]any {
	a.t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		a.t.Fatalf("not JSON: %d %q", a.StatusCode, a.body)
	}
	return v
}

// fails checks an error of a JSON endpoint.
func (a answer) fails(status int, code string) {
	a.t.Helper()
	if v := a.json(); a.StatusCode != status || v["error"] != code {
		a.t.Fatalf("want %d %s, got %d %s", status, code, a.StatusCode, a.body)
	}
}

// ask is an authorization request of the wiki with PKCE; more is name, value, …; an empty value removes.
func (h *house) ask(more ...string) url.Values {
	v := url.Values{"client_id": {"wiki"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"state of wiki"},
		"nonce": {"n0nce"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(more); i += 2 {
		if v.Del(more[i]); more[i+1] != "" {
			v.Set(more[i], more[i+1])
		}
	}
	return v
}

func (b *browser) authorize(more ...string) answer {
	b.h.t.Helper()
	return b.get(b.h.p.path + authorizePath + "?" + b.h.ask(more...).Encode())
}

// at is an endpoint called by the wiki with its secret.
func (b *browser) token(more ...string) answer {
	b.h.t.Helper()
	return b.tokenAs("wiki", wikiSecret, more...)
}

func (b *browser) tokenAs(id, password string, more ...string) answer {
	b.h.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return b.do("POST", b.h.p.path+tokenPath, form, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(password))))
}

func (b *browser) redeem(code string) answer {
	b.h.t.Helper()
	return b.token("grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier)
}

func (b *browser) refresh(token string, more ...string) answer {
	b.h.t.Helper()
	return b.token(append([]string{"grant_type", "refresh_token", "refresh_token", token}, more...)...)
}

func (b *browser) userinfo(token string) answer {
	b.h.t.Helper()
	return b.do("GET", b.h.p.path+userinfoPath, nil, "Authorization", "Bearer "+token)
}

// tokens checks a token response and gives its members.
type tokens struct {
	access, refresh, id string
	claims              map[string]any
	all                 map[string]any
}

func (a answer) tokens() tokens {
	a.t.Helper()
	v := a.json()
	if a.StatusCode != 200 || v["token_type"] != "Bearer" || v["expires_in"] != 600.0 || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
		a.t.Fatalf("not a token response: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	t := tokens{all: v}
	t.access, _ = v["access_token"].(string)
	t.refresh, _ = v["refresh_token"].(string)
	t.id, _ = v["id_token"].(string)
	return t
}

// verified checks an ID token as a relying party does, with the keys that are published.
func (h *house) verified(token string) map[string]any {
	h.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(h.browser().get(h.p.path+keysPath).body), &set); err != nil {
		h.t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{"RS256", "ES256", "EdDSA"})
	if err != nil {
		h.t.Fatal(err)
	}
	found := set.Key(parsed.Signatures[0].Protected.KeyID)
	if len(found) != 1 {
		h.t.Fatalf("the key %q is not published", parsed.Signatures[0].Protected.KeyID)
	}
	payload, err := parsed.Verify(found[0])
	if err != nil {
		h.t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		h.t.Fatal(err)
	}
	return claims
}

// form is made of names and values.
func form(more ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

// secretHash512 is at_hash for EdDSA: half of a SHA-512.
func secretHash512(s string) string {
	sum := sha512.Sum512([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:32])
}
