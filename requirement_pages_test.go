package sparekey_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
)

// siege makes every POST of the browser's pages be tried first in each way a page of somebody else could send it.
// All of these must meet a 403 that changes nothing; then the true one goes through, and the walk has to succeed.
func siege(t *testing.T, b *browser, seen map[string]bool) {
	stranger := b.h.browser()
	stranger.get("/avengers/signed-out")
	b.watch(func(r *http.Request, body []byte, send func(*http.Request) *http.Response) *http.Response {
		if r.Method != http.MethodPost {
			return send(r)
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Fatal(err)
		}
		seen[regexp.MustCompile(`/[\w-]{20,}$`).ReplaceAllString(r.URL.Path, "/{}")+" "+form.Get("action")] = true
		with := func(token string) []byte {
			f := url.Values{}
			for k, v := range form {
				f[k] = v
			}
			if f.Set("csrf", token); token == "" {
				f.Del("csrf")
			}
			return []byte(f.Encode())
		}
		header := func(pairs ...string) *http.Request {
			c := again(r, body)
			for i := 0; i+1 < len(pairs); i += 2 {
				c.Header.Del(pairs[i])
				if pairs[i+1] != "" {
					c.Header.Set(pairs[i], pairs[i+1])
				}
			}
			return c
		}
		cookies := func(value string) *http.Request {
			c := again(r, body)
			c.Header.Del("Cookie")
			for _, k := range r.Cookies() {
				if k.Name == browserCookie {
					k.Value = value
				}
				if k.Value != "" {
					c.AddCookie(k)
				}
			}
			return c
		}
		for how, try := range map[string]*http.Request{
			"UI-01 without a CSRF token":            again(r, with("")),
			"UI-01 with a wrong CSRF token":         again(r, with(strings.Repeat("A", 43))),
			"UI-01 with another browser's token":    again(r, with(stranger.token())),
			"UI-01 from another site":               header("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"),
			"UI-01 from a sibling of the site":      header("Origin", "http://sub.localhost", "Sec-Fetch-Site", "same-site"),
			"UI-01 from another site, Origin alone": header("Origin", "https://evil.example", "Sec-Fetch-Site", ""),
			"UI-01 from a sandboxed frame":          header("Origin", "null", "Sec-Fetch-Site", ""),
			"A28 without the browser's cookie":      cookies(""),
			"A28 with another browser's cookie":     cookies(stranger.cookie(browserCookie)),
		} {
			res := send(try)
			if res.StatusCode != http.StatusForbidden || len(res.Cookies()) > 0 {
				t.Errorf("%s: POST %s %q answers %d %q and sets %d cookies", how, r.URL.Path, form.Get("action"), res.StatusCode, res.Header.Get("Location"), len(res.Cookies()))
			}
		}
		return send(again(r, body))
	})
}

// token is a CSRF token that is good in this browser.
func (b *browser) token() string {
	if v := first2(hidden(b.last.body, "csrf"), "value"); v != "" {
		return v
	}
	b.get(b.h.issuer + "/reset")
	return first2(hidden(b.last.body, "csrf"), "value")
}

// tour walks over every page that posts: sign-in, registration, security info, a reset, "This wasn’t me", sign-out.
func tour(t *testing.T, h *house, prepare func(*browser)) {
	t.Helper()
	b := h.browser()
	prepare(b)
	if b.register("ironman").query("code") == "" {
		t.Fatalf("not signed in: %s %s", b.last.h1(), b.last.error())
	}
	b.addEmail("tony@home.example", 1)
	b.want("Security info")
	app, mail := b.ids("totp"), b.ids("email")
	if len(app) != 1 || len(mail) != 1 {
		t.Fatalf("registered are %v and %v", app, mail)
	}
	b.manage("action", "default", "id", mail[0])
	b.manage("action", "change", "id", mail[0])
	b.want("Keep your account secure")
	b.post("email", "tony@tower.example", "action", "next")
	b.post("code", h.code(1, "tony@tower.example"), "action", "verify")
	b.want("Security info")
	b.manage("action", "delete", "id", b.ids("email")[0])
	b.post("action", "delete")
	b.want("Security info")
	b.manage("action", "password")
	b.want("Choose a new password")
	b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
	b.want("Security info")

	r := h.browser()
	prepare(r)
	r.reset("ironman", b.key, "one-more-suit-of-armour")
	r.want("Your password has been reset")

	s := h.browser()
	prepare(s)
	s.signIn("ironman", "one-more-suit-of-armour")
	s.get("/avengers/logout")
	s.want("Sign out?")
	s.post("action", "sign_out")
	n := h.browser()
	prepare(n)
	n.get(notMeLink.FindString(h.await(1, to("tony@stark.example", "deleted")).text))
	if n.post("action", "not_me"); n.last.status != http.StatusOK {
		t.Fatalf("“This wasn’t me” answers %d %s", n.last.status, n.last.h1())
	}
}

func TestUI01_A28_EveryPostNeedsItsOwnBrowserItsTokenAndItsOwnSite(t *testing.T) {
	h := open(t)
	seen := map[string]bool{}
	tour(t, h, func(b *browser) { siege(t, b, seen) })
	for _, want := range []string{"/avengers/flow/{} sign_in", "/avengers/flow/{} verify", "/avengers/flow/{} delete", "/avengers/flow/{} next", "/avengers/flow/{} sign_out",
		"/avengers/security-info add", "/avengers/security-info password", "/avengers/not-me/{} not_me"} {
		if !seen[want] {
			t.Errorf("the walk did not come by %s; it saw %v", want, seen)
		}
	}
	t.Run("A28 the address of a flow opens nothing in another browser", func(t *testing.T) {
		b := h.browser()
		b.authorize()
		here := b.last.url.String()
		for name, thief := range map[string]*browser{"a browser without a cookie": h.browser(), "another browser": func() *browser { x := h.browser(); x.authorize(); return x }()} {
			if p := thief.get(here); p.status != http.StatusForbidden || strings.Contains(p.body, `name="username"`) {
				t.Errorf("%s is shown %d %q", name, p.status, p.h1())
			}
		}
		b.get(here)
		b.want("Sign in")
	})
	t.Run("UI-01 signing out of elsewhere takes the token too", func(t *testing.T) {
		b := h.browser()
		b.authorize()
		b.post("username", "pepper", "action", "next")
		if p := b.send(b.last.url.String(), url.Values{"password": {password}, "action": {"sign_in"}}); p.status != http.StatusForbidden {
			t.Errorf("login CSRF: %d", p.status)
		}
	})
}

var (
	handlerAttribute = regexp.MustCompile(`(?i)<[^>]*\s(on[a-z]+|style)\s*=`)
	scriptTag        = regexp.MustCompile(`(?is)<script([^>]*)>(.*?)</script>`)
	policyNonce      = regexp.MustCompile(`'nonce-([A-Za-z0-9_+/=-]{16,})'`)
)

func TestUI02_SE05_EveryPageHasAStrictPolicyAndIsKeptNowhere(t *testing.T) {
	h := open(t)
	nonces := map[string]string{}
	pages := 0
	tour(t, h, func(b *browser) {
		b.watch(func(r *http.Request, _ []byte, send func(*http.Request) *http.Response) *http.Response {
			res := send(r)
			if res.StatusCode/100 == 3 {
				if res.StatusCode == http.StatusTemporaryRedirect || res.StatusCode == http.StatusPermanentRedirect {
					t.Errorf("OA-13 %s answers %d, by which a browser repeats a password", r.URL.Path, res.StatusCode)
				}
				return res
			}
			if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
				return res
			}
			pages++
			body, csp := text(res), res.Header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "script-src 'self' 'nonce-"} {
				mustNot(t, !strings.Contains(csp, part), "UI-02 %s: the policy lacks %s: %s", r.URL.Path, part, csp)
			}
			mustNot(t, strings.Contains(csp, "unsafe-") || strings.Contains(csp, "*"), "UI-02 %s: %s", r.URL.Path, csp)
			if m := policyNonce.FindStringSubmatch(csp); m != nil {
				mustNot(t, nonces[m[1]] != "", "UI-02 the nonce of %s was that of %s", r.URL.Path, nonces[m[1]])
				nonces[m[1]] = r.URL.Path
				for _, s := range scriptTag.FindAllStringSubmatch(body, -1) {
					mustNot(t, strings.TrimSpace(s[2]) != "" || !strings.Contains(s[1], `nonce="`+m[1]+`"`), "UI-02 %s: a script without the nonce, or inline: %s", r.URL.Path, s[0])
				}
			}
			mustNot(t, handlerAttribute.MatchString(body), "UI-02 %s: an inline handler or style: %s", r.URL.Path, handlerAttribute.FindString(body))
			mustNot(t, !strings.Contains(res.Header.Get("Cache-Control"), "no-store"), "SE-05 %s may be kept: %q", r.URL.Path, res.Header.Get("Cache-Control"))
			mustNot(t, res.Header.Get("Referrer-Policy") != "no-referrer", "RS-07 %s tells its address on: %q", r.URL.Path, res.Header.Get("Referrer-Policy"))
			mustNot(t, res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("X-Frame-Options") != "DENY", "UI-02 %s: %v", r.URL.Path, res.Header)
			mustNot(t, res.Header.Get("Access-Control-Allow-Origin") != "", "A51 %s lets other origins read it", r.URL.Path)
			return res
		})
	})
	if pages < 30 {
		t.Errorf("only %d pages were seen", pages)
	}
}

// Whatever an address says, nobody is led away from here by it.
func TestUI03_NoAddressLeadsAway(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.register("ironman")
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	tricks := []string{"//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "%2f%2fevil.example", "/%09/evil.example", "javascript:alert(1)", "https:evil.example", "///evil.example/", ".evil.example", "@evil.example"}
	for _, trick := range tricks {
		q := url.QueryEscape(trick)
		addresses := []string{"/avengers/security-info?done=" + q, "/avengers/security-info?return_to=" + q, "/avengers/reset?from=" + q, "/avengers/reset?return_to=" + q + "&from=" + q,
			"/avengers/signed-out?return_to=" + q, "/avengers/.well-known/change-password?return_to=" + q, "/avengers/logout?post_logout_redirect_uri=" + q,
			"/avengers/logout?client_id=wiki&post_logout_redirect_uri=" + q, "/avengers/authorize?client_id=wiki&response_type=code&scope=openid&redirect_uri=" + q,
			"/avengers/authorize/resume?request=" + q + "&flow=" + q, "/avengers/logout/resume?request=" + q + "&flow=" + q}
		if strings.HasPrefix(trick, "/") {
			addresses = append(addresses, trick+"/avengers/..", trick+"/avengers/security-info/..", "/avengers/"+trick, "/avengers/flow/"+trick)
		}
		for _, a := range addresses {
			r, err := http.NewRequest(http.MethodGet, h.origin+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			path, query, _ := strings.Cut(a, "?")
			r.URL.Opaque, r.URL.RawQuery = strings.TrimPrefix(h.origin, "http:")+path, query
			p := b.do(r)
			if p.location == "" {
				if strings.Contains(p.body, `href="`+trick) {
					t.Errorf("%s shows a link to %s", a, trick)
				}
				continue
			}
			to, err := r.URL.Parse(p.location)
			if err != nil || strings.HasPrefix(p.location, "//") || strings.ContainsAny(p.location, "\\\t") || to.Host != "" && to.Scheme+"://"+to.Host != h.origin && !strings.HasPrefix(p.location, callback+"?") {
				t.Errorf("%s leads to %q", a, p.location)
			}
		}
	}
}

// Cookies of an https issuer are bound to host, path and TLS, and carry the tenant in their name.
func TestSE05_CookiesAreBoundToHostAndTenant(t *testing.T) {
	h := open(t, with(func(t *sparekey.Tenant) { t.Issuer = "https://sso.avengers.example/avengers" }))
	safe := h.named("https://sso.avengers.example")
	names := map[string]bool{}
	look := func(prefix string, secure bool) func(*http.Request, []byte, func(*http.Request) *http.Response) *http.Response {
		return func(r *http.Request, _ []byte, send func(*http.Request) *http.Response) *http.Response {
			res := send(r)
			for _, c := range res.Cookies() {
				names[c.Name] = true
				if !strings.HasPrefix(c.Name, prefix) || c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Domain != "" || c.Path != "/" {
					t.Errorf("SE-05 %s", c.Raw)
				}
			}
			return res
		}
	}
	b := safe.browser()
	b.client.Transport, b.client.CheckRedirect = served{h.p}, nil
	b.watch(look("__Host-sparekey-avengers-", true))
	b.get("/avengers/security-info")
	b.password("ironman", password)
	b.app()
	b.want("All set")
	b.post("action", "done")
	b.want("Security info")
	w := h.browser()
	w.watch(look("sparekey-wakanda-", false))
	w.get(h.authorizeURL("wakanda"))
	w.password("ironman", password)
	w.app()
	w.post("action", "done")
	for _, want := range []string{"browser", "session", "device"} {
		if !names["__Host-sparekey-avengers-"+want] || !names["sparekey-wakanda-"+want] {
			t.Errorf("no %s cookie was set: %v", want, names)
		}
	}
}

// A logo is a picture we have drawn anew, or the configuration is refused.
func TestUI06_OnlyADrawnPictureIsServedAsALogo(t *testing.T) {
	load := func(t *testing.T, logo []byte) (*sparekey.Config, error) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "logo"), logo, 0o600); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "sparekey.yaml")
		err := os.WriteFile(file, []byte(`
database: sqlite:x.db
tenants:
  avengers:
    issuer: http://localhost:8080/avengers
    branding: {logo: file:logo}
    directories: {staff: {type: local}}
`), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return sparekey.LoadConfig(file)
	}
	if _, err := load(t, []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)); err == nil {
		t.Error("an SVG was taken")
	}
	picture := append(dot(t), "<script>alert('canary')</script>"...)
	cfg, err := load(t, picture)
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, with(func(t *sparekey.Tenant) { t.Branding.Picture = cfg.Tenants["avengers"].Branding.Picture }))
	b := h.browser()
	b.authorize()
	src := regexp.MustCompile(`<img class="logo" src="([^"]*)"`).FindStringSubmatch(b.last.body)
	if src == nil {
		t.Fatalf("no logo on %s", b.last.body)
	}
	p := b.get(src[1])
	if p.header.Get("Content-Type") != "image/png" || strings.Contains(p.body, "canary") || !strings.HasPrefix(p.body, "\x89PNG") || p.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the logo is served as %v: %q", p.header, p.body)
	}
}

// Whatever a directory holds, a subject is one line, a mail has one recipient, and a name is text.
func TestA39_NoNameBreaksALineOfAMail(t *testing.T) {
	m := &directorytest.Memory{}
	name := "Raven\r\nBcc: raven@evil.example\r\n\r\n<b>=?utf-8?q?x?="
	m.Add(directorytest.Account{User: directory.User{ID: "1", Login: "mystique", Name: name, Email: "raven@xmen.example", Groups: []string{"Avengers"}}, Password: password})
	bad := []string{"raven@xmen.example\r\nBcc: x@evil.example", "a@evil.example, c@evil.example", "Friends: a@evil.example;", "=?utf-8?q?a?=@evil.example\x00"}
	for i, address := range bad {
		m.Add(directorytest.Account{User: directory.User{ID: directory.UserID(fmt.Sprint(i + 2)), Login: fmt.Sprintf("bad%d", i), Email: address, Groups: []string{"Avengers"}}, Password: password})
	}
	h := open(t, with(func(t *sparekey.Tenant) {
		t.Name = "The Avengers\r\nBcc: all@evil.example"
		t.Directories = map[string]sparekey.Directory{"staff": {Type: "program"}}
	}), bring(m))
	for i := range bad {
		login := fmt.Sprintf("bad%d", i)
		b := h.browser()
		b.register(login)
		h.browser().reset(login, b.key, renewed)
	}
	b := h.browser()
	b.register("mystique")
	h.browser().reset("mystique", b.key, renewed)
	h.await(1, to("raven@xmen.example", "added"))
	h.await(1, to("raven@xmen.example", "reset")) // what was queued before has had its turn
	for _, m := range h.mails.all() {
		if strings.ContainsAny(m.subject+m.to, "\r\n\x00") || m.to != "raven@xmen.example" {
			t.Errorf("to %q: %q", m.to, m.subject)
		}
		if strings.Contains(m.html, "<b>=?utf") {
			t.Errorf("a name is HTML in a mail: %s", m.html)
		}
	}
}

// Whoever opens a tenant's address finds her own page there, by way of a sign-in.
func TestATenantsAddressLeadsToSecurityInfo(t *testing.T) {
	h := open(t)
	for _, address := range []string{"/avengers", "/avengers/"} {
		b := h.browser()
		b.get(address)
		b.password("hulk", password)
		b.want("Security info")
	}
}
