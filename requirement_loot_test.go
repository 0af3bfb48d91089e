package sparekey_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// loot is what one tenant has given out to ironman, each thing good at home.
type loot struct {
	*house             // the tenant it is of
	owner     *browser // signed in, with an app and an address, the proofs fresh
	reset     *browser // waits for the code that was mailed
	mailed    string
	puzzled   *browser            // looks at a puzzle
	csrf      map[*browser]string // of their forms
	solved    []string
	walker    *browser // has walked a sign-in to its end and not gone back yet
	back      string
	tokens    tokens
	code      string // not redeemed
	parked    string // query of an authorization request that came by POST
	link      string // “This wasn’t me”
	session   string
	app, mail string // authenticators
	dead      string // the flow of a dead end, whose id is the reference number
}

// give makes a tenant hand out everything it hands out.
func give(t *testing.T, h *house) *loot {
	t.Helper()
	l := &loot{house: h, owner: h.browser(), reset: h.browser(), puzzled: h.browser(), walker: h.browser()}
	l.tokens = h.redeem(l.owner.register("ironman"))
	l.owner.addEmail("tony@home.example", 1+h.mailedTo("tony@home.example", "code"))
	l.owner.want("Security info")
	l.code = l.owner.forCode()
	l.app, l.mail = l.owner.ids("totp")[0], l.owner.ids("email")[0]
	list, err := h.admin(h.tenant).SessionList(t.Context(), h.user("ironman"))
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	l.session = list[0].ID
	link := regexp.MustCompile(regexp.QuoteMeta(h.issuer) + `/not-me/[\w-]+`)
	l.link = link.FindString(h.await(1, func(m mail) bool { return link.MatchString(m.text) }).text)

	l.reset.beginReset("ironman")
	before := h.mailedTo("tony@home.example", "code")
	l.reset.chooseEmail("tony@home.example")
	l.mailed = h.code(before+1, "tony@home.example")
	l.puzzled.get(h.issuer + "/reset")
	l.solved = l.puzzled.puzzle()
	l.csrf = map[*browser]string{l.reset: l.reset.token(), l.puzzled: l.puzzled.token()}

	step := func(b *browser, address string) string {
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return b.get(address).location
	}
	b := l.walker
	step(b, h.authorizeURL(h.tenant))
	step(b, b.last.location)
	b.post("username", "ironman", "action", "next")
	step(b, b.last.location)
	l.back = b.post("password", password, "action", "sign_in").location
	if !strings.Contains(l.back, "/authorize/resume?") {
		t.Fatalf("the sign-in leads to %q", l.back)
	}
	by := h.browser()
	by.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	at, asked, _ := strings.Cut(h.authorizeURL(h.tenant), "?")
	form, _ := url.ParseQuery(asked)
	_, l.parked, _ = strings.Cut(by.send(at, form).location, "?")
	lost := h.browser()
	lost.beginReset("nobody")
	l.dead = flowOf(lost)
	lost.post("action", "none")
	if l.tokens.Refresh == "" || l.solved == nil || !strings.HasPrefix(l.parked, "posted=") || l.dead == "" || l.link == "" {
		t.Fatalf("something was not given out: %+v", l)
	}
	return l
}

// flowOf is the id of the flow the browser is at.
func flowOf(b *browser) string {
	_, id, _ := strings.Cut(b.last.url.Path, "/flow/")
	return id
}

// carried is a new browser at another tenant that brings this one's cookies, under their own names and under that tenant's.
func (b *browser) carried(to *house) *browser {
	c := to.browser()
	from, _ := url.Parse(b.h.issuer)
	there, _ := url.Parse(to.issuer)
	var all []*http.Cookie
	for _, k := range b.jar.Cookies(from) {
		for _, name := range []string{k.Name, strings.Replace(k.Name, b.h.tenant, to.tenant, 1)} {
			all = append(all, &http.Cookie{Name: name, Value: k.Value, Path: "/", Secure: there.Scheme == "https"})
		}
	}
	c.jar.SetCookies(there, all)
	return c
}

// replay brings everything of one tenant to the other. who is signed in there, with an account of the same name, id and subject.
func replay(t *testing.T, from, to *loot) {
	who := to.owner
	refused := func(t *testing.T, what string, p page) {
		t.Helper()
		if p.status != http.StatusForbidden && p.status != http.StatusNotFound && p.status != http.StatusBadRequest || p.query("code") != "" {
			t.Errorf("%s is answered %d %q %q", what, p.status, p.h1(), p.location)
		}
	}
	both := func(b *browser) []*browser { return []*browser{b.carried(to.house), who} }
	t.Run("cookies", func(t *testing.T) {
		for _, b := range []*browser{from.owner, from.walker} {
			c := b.carried(to.house)
			if p := c.authorize("prompt", "none"); p.query("error") != "login_required" {
				t.Errorf("a session is one: %q", p.location)
			}
			if c.get(to.issuer + "/security-info"); c.last.h1() != "Sign in" || strings.Contains(c.last.body, "ironman") {
				t.Errorf("the cookies open %q", c.last.h1())
			}
		}
	})
	t.Run("flows, by their addresses", func(t *testing.T) {
		for _, of := range []*browser{from.reset, from.puzzled, from.walker} {
			id := flowOf(of)
			if id == "" {
				_, id, _ = strings.Cut(from.back, "flow=")
			}
			home := from.csrf[of]
			for _, b := range both(of) {
				refused(t, "GET", b.get(to.issuer+"/flow/"+id))
				for _, csrf := range []string{home, b.token()} {
					for _, form := range []url.Values{{"code": {from.mailed}, "action": {"verify"}}, {"username": {"ironman"}, "action": {"next"}}, {"new": {renewed}, "confirm": {renewed}, "action": {"next"}}} {
						form.Set("csrf", csrf)
						refused(t, "POST", b.send(to.issuer+"/flow/"+id, form))
					}
				}
				b.get(to.issuer + "/reset?from=" + id)
				if b.want("Get back into your account"); strings.Contains(b.last.body, id) || strings.Contains(b.last.body, "ironman") {
					t.Error("a reset begins at a flow of next door")
				}
			}
		}
	})
	t.Run("the token of a form", func(t *testing.T) {
		b := from.puzzled.carried(to.house)
		b.get(to.issuer + "/reset")
		refused(t, "a form", b.send(b.last.url.String(), url.Values{"csrf": {from.csrf[from.puzzled]}, "username": {"ironman"}, "action": {"next"}}))
	})
	t.Run("a puzzle", func(t *testing.T) {
		for _, b := range both(from.puzzled) {
			b.get(to.issuer + "/reset")
			if b.post(append(from.solved, "username", "ironman", "action", "next")...); b.last.error() == "" || !strings.Contains(b.last.body, "data-captcha") {
				t.Errorf("it was taken for %q", b.last.h1())
			}
		}
	})
	t.Run("a mailed code and the code of an app", func(t *testing.T) {
		b := to.reset.twin()
		b.get(b.last.url.String())
		b.post("code", from.mailed, "action", "verify")
		b.post("code", from.totp(from.owner.key, 1), "action", "verify")
		if b.get(b.last.url.String()); b.last.h1() == "Choose a new password" || !strings.Contains(b.last.body, `name="code"`) {
			t.Errorf("it proved: %q", b.last.h1())
		}
	})
	t.Run("authenticators and sessions, by their ids", func(t *testing.T) {
		for _, id := range []string{from.app, from.mail, from.session} {
			for _, do := range []string{"delete", "change", "default", "sign_out"} {
				who.get(to.issuer + "/security-info")
				who.want("Security info")
				refused(t, do, who.post("action", do, "id", id))
			}
		}
	})
	t.Run("codes and tokens", func(t *testing.T) {
		if got := to.redeem(page{location: callback + "?code=" + from.code}); got.Access != "" || got.Error != "invalid_grant" {
			t.Errorf("the code: %d %s", got.status, got.raw)
		}
		if got := to.refresh(from.tokens.Refresh); got.Access != "" || got.Error != "invalid_grant" {
			t.Errorf("the refresh token: %d %s", got.status, got.raw)
		}
		if s := to.userinfo(from.tokens.Access); s != http.StatusUnauthorized {
			t.Errorf("the access token: %d", s)
		}
		for _, token := range []string{from.tokens.Access, from.tokens.Refresh} {
			r, _ := http.NewRequest(http.MethodPost, to.meta(to.tenant)["revocation_endpoint"].(string), strings.NewReader(url.Values{"token": {token}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth("wiki", "wiki-secret")
			if res, err := to.client.Do(r); err != nil || res.StatusCode != http.StatusOK {
				t.Error(res, err)
			}
		}
	})
	t.Run("an ID token as a hint", func(t *testing.T) {
		if p := who.authorize("prompt", "none", "id_token_hint", from.tokens.ID); p.query("code") != "" || p.query("error") == "" {
			t.Errorf("it names a user: %q", p.location)
		}
		p := who.get(to.issuer + "/logout?client_id=wiki&id_token_hint=" + from.tokens.ID + "&post_logout_redirect_uri=" + url.QueryEscape("http://localhost:9/"))
		if p.location != "" || p.h1() != "Sign out?" {
			t.Errorf("it signs out: %q %q", p.h1(), p.location)
		}
	})
	t.Run("the return of a sign-in, and a request that was parked", func(t *testing.T) {
		_, query, _ := strings.Cut(from.back, "?")
		for _, b := range both(from.walker) {
			for _, path := range []string{"/authorize/resume?" + query, "/logout/resume?" + query, "/authorize?" + from.parked, "/logout?" + from.parked} {
				refused(t, path, b.get(to.issuer+path))
			}
		}
	})
	t.Run("“This wasn’t me”", func(t *testing.T) {
		link := to.issuer + from.link[strings.LastIndex(from.link, "/not-me/"):]
		for _, b := range both(from.owner) {
			refused(t, "GET", b.get(link))
			refused(t, "POST", b.send(link, url.Values{"csrf": {b.token()}, "action": {"not_me"}}))
		}
	})
	t.Run("a reference number", func(t *testing.T) {
		if found, err := to.admin(to.tenant).Journal.Find(t.Context(), from.dead); err != nil || len(found) != 0 {
			t.Error(found, err)
		}
	})
}

// home is the proof that what was refused next door was good: all of it is used up where it is from.
func home(t *testing.T, l *loot) {
	if found, err := l.admin(l.tenant).Journal.Find(t.Context(), l.dead); err != nil || len(found) == 0 {
		t.Error("the reference number leads nowhere", err)
	}
	if l.userinfo(l.tokens.Access) != http.StatusOK || l.refresh(l.tokens.Refresh).Access == "" || l.redeem(page{location: callback + "?code=" + l.code}).Access == "" {
		t.Error("a token or a code is good no more")
	}
	for what, p := range map[string]page{"the session and the hint": l.owner.authorize("prompt", "none", "id_token_hint", l.tokens.ID),
		"the return": l.walker.get(l.back), "the parked request": l.owner.get(l.issuer + "/authorize?" + l.parked)} {
		if p.query("code") == "" {
			t.Errorf("%s: %d %q %q", what, p.status, p.h1(), p.location)
		}
	}
	l.puzzled.get(l.puzzled.last.url.String())
	if l.puzzled.post(append(l.solved, "username", "ironman", "action", "next")...); l.puzzled.last.error() != "" || strings.Contains(l.puzzled.last.body, "data-captcha") {
		t.Errorf("the puzzle: %q", l.puzzled.last.error())
	}
	l.reset.get(l.reset.last.url.String())
	l.reset.post("code", l.mailed, "action", "verify")
	l.reset.want("Choose a new password")
	if l.owner.manage("action", "default", "id", l.mail); l.owner.last.h1() != "Security info" {
		t.Errorf("its own authenticator: %q", l.owner.last.h1())
	}
	l.owner.get(l.link)
	if p := l.owner.post("action", "not_me"); p.status != http.StatusOK {
		t.Errorf("“This wasn’t me”: %d", p.status)
	}
}
