package sparekey_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
)

// canary is a text that would become markup, a handler or a template's value wherever it is not escaped. It says where it was put.
func canary(field string) string {
	return `"'><canary id=` + field + ` onerror=alert(1)></title></script></textarea></style>{{.CSRF}}` + "`"
}

// sightings are the fields whose canaries were shown as plain text, and the headings of the pages seen.
type sightings map[string]bool

var canaryIn = regexp.MustCompile(`(?i)<canary id=(\w+) onerror=alert\(1\)></title></script></textarea></style>\{\{\.CSRF}}`)

// look parses HTML as a browser would. Nothing of a canary may be an element or an attribute in it.
func (s sightings) look(t *testing.T, where, body string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		text := n.Data
		if n.Type == html.ElementNode {
			if n.Data == "canary" {
				t.Errorf("%s: the canary of %v is an element", where, n.Attr)
			}
			text = ""
		}
		for _, a := range n.Attr {
			value := strings.ToLower(strings.TrimSpace(a.Val))
			if strings.HasPrefix(a.Key, "on") || strings.ContainsAny(a.Key, `"'<>{`) || a.Key == "srcdoc" || a.Key == "style" && strings.Contains(value, "canary") {
				t.Errorf("%s: <%s %s=%q>", where, n.Data, a.Key, a.Val)
			}
			if slices.Contains([]string{"href", "src", "action", "formaction", "data"}, a.Key) && (strings.HasPrefix(value, "javascript:") || strings.HasPrefix(value, "data:text")) {
				t.Errorf("%s: <%s %s=%q>", where, n.Data, a.Key, a.Val)
			}
			text += " " + a.Val
			if to, err := url.PathUnescape(a.Val); err == nil {
				text += " " + to
			}
		}
		for _, m := range canaryIn.FindAllStringSubmatch(text, -1) {
			s[m[1]] = true
		}
	}
}

// watched is a browser whose every page is looked at.
func (s sightings) watched(t *testing.T, h *house) *browser {
	b := h.browser()
	b.agent = canary("agent") + " Firefox/150.0 (X11; Linux x86_64)"
	b.header = http.Header{"Accept-Language": {canary("accept")}, "Referer": {"http://localhost/" + canary("referer")}, "X-Forwarded-For": {canary("network")}, "X-Request-Id": {canary("request")}}
	b.watch(func(r *http.Request, _ []byte, send func(*http.Request) *http.Response) *http.Response {
		res := send(r)
		body, where := text(res), r.Method+" "+r.URL.Path
		switch kind := res.Header.Get("Content-Type"); {
		case strings.HasPrefix(kind, "text/html"):
			s.look(t, where, body)
			s["page "+page{body: body}.h1()] = true
			csp := res.Header.Get("Content-Security-Policy")
			if res.StatusCode/100 == 3 { // the few words of a redirect, which may do nothing
				csp += "'nonce-of-no-script-at-all'"
			}
			if !policyNonce.MatchString(csp) || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "canary") {
				t.Errorf("%s has the policy %q", where, csp)
			}
		case strings.Contains(body, "<canary"):
			t.Errorf("%s repeats it as %q: %s", where, kind, body)
		}
		for name, values := range res.Header {
			if all := strings.Join(values, " "); strings.Contains(all, "<canary") || strings.Contains(all, `"'>`) {
				t.Errorf("%s has the header %s: %s", where, name, all)
			}
		}
		return res
	})
	return b
}

// canaried puts a canary into everything that an operator, a directory or a relying party says.
func canaried(m *directorytest.Memory) []setting {
	m.Add(directorytest.Account{User: directory.User{Login: canary("login"), Name: canary("name"), Email: "loki@asgard.example", Groups: []string{"Avengers", "IT"}}, Password: password})
	m.Add(directorytest.Account{User: directory.User{Login: "ironman", Name: "Stark <canary id=greeting onerror=alert(1)>", Email: "tony@stark.example", Groups: []string{"Avengers"}}, Password: password})
	m.Add(directorytest.Account{User: directory.User{Login: "fury", Name: "Nick Fury", Email: "fury@shield.example", Groups: []string{"IT"}}, Password: password})
	return []setting{bring(m), unsilenced, func(h *house) { h.cfg.TrustedProxies = []string{"127.0.0.0/8", "::1/128"} }, with(func(t *sparekey.Tenant) {
		t.Name = canary("tenant")
		t.Branding.Help = "https://help.example/" + canary("help")
		t.Policies[0].Help = "https://help.example/" + canary("policyhelp")
		t.Policies[0].Registration.Skip.Times = 3
		t.Clients[0].Name = canary("client")
	})}
}

// canaries posts a form with a canary in every field that is not named.
func (b *browser) canaries(pairs ...string) page {
	b.h.t.Helper()
	all := []string{"username", canary("username"), "email", canary("email"), "code", canary("code"), "choose", canary("choose"), "what", canary("what"), "id", canary("id"),
		"captcha", canary("captcha"), "captcha_id", canary("ticket"), "old", canary("old"), "new", canary("new"), "confirm", canary("confirm"), "password", canary("password"), canary("field"), canary("value")}
	return b.post(append(all, pairs...)...)
}

func TestA37_WhateverIsStoredOrAskedForIsTextOnEveryPageAndInEveryMail(t *testing.T) {
	m := &directorytest.Memory{}
	h := open(t, canaried(m)...)
	seen := sightings{}
	const plain = "o'{{.CSRF}}=`x`@asgard.example" // as much as an address may have of it

	b := seen.watched(t, h)
	b.authorize("login_hint", canary("hint"), "ui_locales", canary("locales"), "state", canary("state"), "nonce", canary("nonce"), "display", canary("display"), "acr_values", canary("acr"), "claims_locales", canary("claims"), canary("parameter"), canary("value"))
	b.canaries("action", "next")
	b.canaries("action", "sign_in")
	b.post("action", "back")
	b.post("username", canary("login"), "action", "next")
	b.canaries("action", "sign_in")
	b.post("password", password, "action", "sign_in")
	b.want("More information required")
	b.app()
	b.canaries("action", "next")
	b.post("email", plain, "action", "next")
	b.canaries("action", "verify")
	b.post("code", h.code(1, plain), "action", "verify")
	b.want("All set")
	if p := b.post("action", "done"); p.query("state") != canary("state") {
		t.Errorf("the state is %q", p.location)
	}

	b.get("/avengers/security-info?done=" + url.QueryEscape(canary("done")))
	b.want("Security info")
	b.canaries("action", canary("action"))
	b.canaries("action", "delete")
	var held []string
	b.get("/avengers/security-info")
	for _, tag := range tagsOf(b.last.body, "id") {
		held = append(held, first2(tag, "value"))
	}
	for _, do := range []string{"change", "delete", "default", "add", "password"} {
		for _, id := range held {
			b.get("/avengers/security-info")
			h.clock.Advance(3 * time.Minute) // now and then she has to prove it anew
			b.post("action", do, "id", id)
			b.proveAll()
			b.canaries("action", "next")
		}
	}
	b.get("/avengers/security-info")
	b.post("action", "password")
	for _, next := range []string{canary("new"), canary("tenant"), canary("login"), canary("name"), "<canary", strings.Repeat(canary("new"), 9)} {
		b.post("old", canary("old"), "new", next, "confirm", next, "action", "next")
		b.post("old", password, "new", next, "confirm", next+"x", "action", "next")
	}
	b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
	b.want("Security info")
	for _, ask := range [][]string{{"prompt", "select_account"}, {"prompt", "login"}, {"prompt", canary("prompt")}, {"scope", canary("scope")}, {"response_type", canary("type")}, {"response_mode", canary("mode")},
		{"claims", canary("claims")}, {"max_age", canary("age")}, {"id_token_hint", canary("token")}, {"redirect_uri", canary("uri")}, {"redirect_uri", "javascript:alert(1)//" + canary("uri")}, {"client_id", canary("id")}, {"code_challenge_method", canary("method")},
		{"response_mode", "form_post", "state", canary("posted")}, {"response_mode", "form_post", "state", canary("posted"), "scope", canary("scope")}} {
		b.authorize(ask...)
	}
	q := url.QueryEscape(canary("query"))
	for _, path := range []string{"/logout?client_id=wiki&state=" + q + "&post_logout_redirect_uri=" + q + "&id_token_hint=" + q, "/signed-out?" + q + "=" + q, "/reset?from=" + q, "/flow/" + url.PathEscape(canary("path")), "/not-me/" + url.PathEscape(canary("path")),
		"/" + url.PathEscape(canary("path")), "/authorize/resume?request=" + q + "&flow=" + q, "/logout/resume?request=" + q + "&flow=" + q, "/authorize?posted=" + q, "/assets/" + url.PathEscape(canary("path")), "/keys?" + q,
		"/.well-known/openid-configuration?" + q, "/userinfo?access_token=" + q} {
		b.get(h.issuer + path)
	}
	b.get("/" + url.PathEscape(canary("path")))

	// A reset: of nobody, to its dead end and to its waits; and her own, of which another administrator hears.
	lost := seen.watched(t, h)
	lost.get("/avengers/reset")
	lost.canaries("action", "next")
	lost.post(append(lost.puzzle(), "username", canary("username"), "action", "next")...)
	lost.canaries("action", "next")
	lost.post("what", "forgot", "action", "next")
	lost.canaries("action", "next")
	lost.chooseEmail(canary("email"))
	lost.canaries("action", "verify")
	lost.post("action", "none")
	lost.want("Ask your administrator")
	r := seen.watched(t, h)
	r.beginReset(canary("login"))
	r.proveApp(b.key)
	r.chooseEmail(plain)
	r.post("code", h.code(2, plain), "action", "verify")
	r.want("Choose a new password")
	r.canaries("new", canary("tenant"), "confirm", canary("tenant"), "action", "next")
	r.post("new", "one-more-suit-of-armour", "confirm", "one-more-suit-of-armour", "action", "next")
	r.want("Your password has been reset")
	link := notMeLink.FindString(h.await(1, to("loki@asgard.example", "added")).text)
	r.get(link)
	r.canaries("action", "not_me")
	for range 100 { // until one has to wait
		w := seen.watched(t, h)
		if w.beginReset("fury"); w.last.status == http.StatusTooManyRequests {
			break
		}
		w.pick("totp")
		w.canaries("code", "000000", "action", "verify")
	}
	i := seen.watched(t, h)
	i.signIn("ironman", password)
	i.app()
	i.post("action", "done")
	i.get("/avengers/security-info")

	for _, name := range []string{"login", "name", "tenant", "client", "help", "policyhelp", "username", "hint", "posted"} {
		if !seen[name] {
			t.Errorf("the canary of %s was on no page; seen were %v", name, slices.Sorted(maps.Keys(seen)))
		}
	}
	for _, h1 := range []string{"Sign in", "More information required", "Keep your account secure", "All set", "Security info", "Verify it’s you", "Choose a new password", "Get back into your account", "Your password has been reset",
		"Ask your administrator", "Was this you?", "Your account is protected", "Sign out?"} {
		if !seen["page "+h1] {
			t.Errorf("no page %q was seen, only %q", h1, slices.Sorted(maps.Keys(seen)))
		}
	}
	h.drained()
	mailed := sightings{}
	for _, m := range h.mails.all() {
		mailed.look(t, "the mail "+m.subject, m.html)
		if strings.ContainsAny(m.subject, "\r\n") {
			t.Errorf("the subject %q", m.subject)
		}
	}
	for _, name := range []string{"login", "tenant", "help"} {
		if !mailed[name] {
			t.Errorf("the canary of %s was in no mail; there were %v", name, slices.Sorted(maps.Keys(mailed)))
		}
	}
	if n := len(h.mails.all()); n < 10 {
		t.Errorf("%d mails", n)
	}
}
