package sparekey_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
)

// code sends the browser, which is signed in, for a code and gives it.
func (b *browser) forCode(pairs ...string) string {
	b.h.t.Helper()
	p := b.authorize(pairs...)
	if p.query("code") == "" {
		b.h.t.Fatalf("no code: %d %s %q", p.status, p.h1(), p.location)
	}
	return p.query("code")
}

// asPhone are the token request's fields of the public client.
func asPhone(pairs ...string) []string { return append(pairs, "client_id", "phone") }

func TestA17_WhatOneClientGotNoOtherOneRedeems(t *testing.T) {
	other := sparekey.Client{ID: "shop", Secret: config.NewSecret("shop-secret"), RedirectURIs: []string{callback}, Grants: []string{"authorization_code", "refresh_token"}}
	h := open(t, with(func(t *sparekey.Tenant) { t.Clients = append(t.Clients, other) }))
	b := h.browser()
	b.register("ironman")
	redeem := func(code string) []string {
		return []string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier}
	}
	refresh := func(token string) []string { return []string{"grant_type", "refresh_token", "refresh_token", token} }
	shop := func(fields []string) []string {
		return append(fields, "client_id", "shop", "client_secret", "shop-secret")
	}
	refused := func(what string, got tokens) {
		t.Helper()
		if got.Access != "" || got.Refresh != "" || got.status < 400 || got.status >= 500 {
			t.Errorf("%s: %d %s", what, got.status, got.raw)
		}
	}
	code := b.forCode()
	refused("wiki's code by another confidential client", h.token("avengers", shop(redeem(code))...))
	refused("wiki's code by a public client", h.token("avengers", asPhone(redeem(code)...)...))
	refused("wiki's code by wiki without its secret", h.token("avengers", append(redeem(code), "client_id", "wiki")...))
	refused("wiki's code by wiki with a wrong secret", h.token("avengers", append(redeem(code), "client_id", "wiki", "client_secret", "guess")...))
	refused("wiki's code by nobody", h.token("avengers", append(redeem(code), "client_id", "unknown")...))
	mine := h.token("avengers", redeem(code)...)
	if mine.Refresh == "" {
		t.Fatalf("strangers' tries ended the code: %s", mine.raw)
	}
	refused("wiki's refresh token by another client", h.token("avengers", shop(refresh(mine.Refresh))...))
	refused("wiki's refresh token by a public client", h.token("avengers", asPhone(refresh(mine.Refresh)...)...))
	if again := h.refresh(mine.Refresh); again.Refresh == "" {
		t.Errorf("strangers' tries ended the family: %s", again.raw)
	}
	phones := b.forCode("client_id", "phone")
	refused("a public client's code by a confidential one", h.token("avengers", redeem(phones)...))
	refused("a public client's code by another one's name", h.token("avengers", shop(redeem(phones))...))
	got := h.token("avengers", asPhone(redeem(phones)...)...)
	if got.Refresh == "" {
		t.Fatal(got.raw)
	}
	refused("a public client's refresh token by a confidential one", h.refresh(got.Refresh))
	// Of another tenant, a client of the same name and secret gets nothing.
	refused("a code of avengers at wakanda", h.token("wakanda", redeem(b.forCode())...))
}

func TestA20_OA05_ACodeLivesAMinuteAndItsChallengeCannotBeDropped(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.register("ironman")
	redeem := func(code string, more ...string) tokens {
		return h.token("avengers", append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback}, more...)...)
	}
	for _, c := range []struct {
		age  time.Duration
		good bool
	}{{59 * time.Second, true}, {60 * time.Second, false}, {61 * time.Second, false}} {
		code := b.forCode()
		h.clock.Advance(c.age)
		if got := redeem(code, "code_verifier", verifier); (got.Access != "") != c.good {
			t.Errorf("OA-02 a code of %v: %d %s", c.age, got.status, got.raw)
		}
	}
	code := b.forCode()
	for _, v := range []string{"", verifier + "0", challenge(), strings.ToUpper(verifier), verifier[:42]} {
		if got := redeem(code, "code_verifier", v); got.Access != "" {
			t.Errorf("OA-05 redeemed with the verifier %q", v)
		}
	}
	if got := redeem(code); got.Access != "" {
		t.Error("OA-05 redeemed without a verifier")
	}
	if got := redeem(code, "code_verifier", verifier); got.Access == "" {
		t.Errorf("the right verifier comes too late: %s", got.raw)
	}
	// A challenge that was taken out of the request on its way: the client's verifier gives it away.
	bare := b.forCode("code_challenge", "", "code_challenge_method", "")
	if got := redeem(bare, "code_verifier", verifier); got.Access != "" {
		t.Error("OA-05 a verifier without a challenge was taken")
	}
	for what, pairs := range map[string][]string{
		"plain":              {"code_challenge", verifier, "code_challenge_method", "plain"},
		"no method":          {"code_challenge", verifier, "code_challenge_method", ""},
		"a public client's":  {"client_id", "phone", "code_challenge", "", "code_challenge_method", ""},
		"a method by itself": {"code_challenge", ""},
	} {
		if p := b.authorize(pairs...); p.query("error") != "invalid_request" || p.query("code") != "" || p.query("iss") != h.issuer {
			t.Errorf("OA-05 %s: %q", what, p.location)
		}
	}
	if methods := fmt.Sprint(h.meta("avengers")["code_challenge_methods_supported"]); methods != "[S256]" {
		t.Errorf("OA-05 published are %s", methods)
	}
}

// Whatever ends a user's standing ends everything that rests on it at its next use, on every node.
func TestA19_SE04_NothingOutlivesItsEnd(t *testing.T) {
	h := open(t)
	second, err := sparekey.Open(t.Context(), h.cfg, sparekey.WithSender(h.mails.send), sparekey.WithClock(h.clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	for name, end := range map[string]func(t *testing.T, login string, b *browser){
		"a reset": func(t *testing.T, login string, b *browser) {
			h.browser().reset(login, b.key, renewed)
		},
		"a change of password": func(t *testing.T, login string, b *browser) {
			c := h.browser()
			c.key = b.key
			c.signIn(login, password)
			c.manage("action", "password")
			c.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
			c.want("Security info")
		},
		"a password that an operator set": func(t *testing.T, login string, _ *browser) {
			if err := h.admin("avengers").SetPassword(t.Context(), h.user(login), "good-only-once-123", "test"); err != nil {
				t.Fatal(err)
			}
		},
		"signing out everywhere": func(t *testing.T, login string, _ *browser) {
			c := h.browser()
			c.signIn(login, password)
			c.get("/avengers/security-info")
			c.post("action", "sign_out_everywhere")
		},
		"an operator's end of sessions": func(t *testing.T, login string, _ *browser) {
			if err := h.admin("avengers").EndSessions(t.Context(), h.user(login), "test"); err != nil {
				t.Fatal(err)
			}
		},
		"“This wasn’t me”": func(t *testing.T, login string, _ *browser) {
			c := h.browser()
			c.get(notMeLink.FindString(h.await(1, to(login+"@stark.example", "added")).text))
			c.post("action", "not_me")
		},
		"a method removed by an operator": func(t *testing.T, login string, _ *browser) {
			if _, err := h.admin("avengers").RemoveMethods(t.Context(), h.user(login), "", "test"); err != nil {
				t.Fatal(err)
			}
		},
		"disabling and enabling again": func(t *testing.T, login string, _ *browser) {
			u := h.user(login)
			for _, off := range []bool{true, false} {
				if err := h.admin("avengers").SetDisabled(t.Context(), u, off, "test"); err != nil {
					t.Fatal(err)
				}
			}
		},
		"removing the user": func(t *testing.T, login string, _ *browser) {
			if err := h.admin("avengers").RemoveUser(t.Context(), h.user(login), "test"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			login := regexp.MustCompile(`[^a-z]+`).ReplaceAllString(name, "")
			h.addUser("avengers", login, "User", login+"@stark.example", "Avengers")
			b := h.browser()
			got := h.redeem(b.register(login))
			if got.Refresh == "" || h.userinfo(got.Access) != http.StatusOK {
				t.Fatal(got.raw)
			}
			code := b.last
			code = b.authorize()
			flow := h.browser() // a sign-in that has proven the password and waits
			flow.key = b.key
			flow.signIn(login, password)
			flow.manage("action", "delete", "id", h.methodsOf(login)[0])
			standing := flow.last
			end(t, login, b)
			for node, at := range map[string]http.RoundTripper{"this node": nil, "another node": served{second}} {
				c := b.withSession()
				c.client.Transport = at
				if p := c.authorize("prompt", "none"); p.query("error") != "login_required" {
					t.Errorf("%s: the session lives: %q", node, p.location)
				}
				if c.get("/avengers/security-info"); c.last.h1() == "Security info" {
					t.Errorf("%s: security info opens", node)
				}
				client := &http.Client{Transport: at}
				ask := func(path string, form url.Values, bearer string) int {
					r, _ := http.NewRequest(http.MethodPost, h.issuer+path, strings.NewReader(form.Encode()))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					if r.SetBasicAuth("wiki", "wiki-secret"); bearer != "" {
						r.Header.Set("Authorization", "Bearer "+bearer)
					}
					res, err := client.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					res.Body.Close()
					return res.StatusCode
				}
				if s := ask("/userinfo", nil, got.Access); s != http.StatusUnauthorized {
					t.Errorf("%s: the access token: %d", node, s)
				}
				if s := ask("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}}, ""); s != http.StatusBadRequest {
					t.Errorf("%s: the refresh token: %d", node, s)
				}
				if s := ask("/token", url.Values{"grant_type": {"authorization_code"}, "code": {code.query("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}}, ""); s != http.StatusBadRequest {
					t.Errorf("%s: the code: %d", node, s)
				}
				flow.last = standing
				flow.client.Transport = at
				if p := flow.post("action", "delete"); p.status != http.StatusForbidden {
					t.Errorf("%s: a change that was under way: %d %s", node, p.status, p.h1())
				}
			}
		})
	}
}

func (h *house) methodsOf(login string) (ids []string) {
	h.t.Helper()
	list, err := h.admin("avengers").Methods(h.t.Context(), h.user(login))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestLG01_TheJournalTellsEveryDeedAndNoSecret(t *testing.T) {
	h := open(t)
	secrets := map[string]string{"a password": password, "the new password": renewed, "another password": "one-more-suit-of-armour", "a wrong password": "guess-of-a-stranger"}
	collect := func(b *browser) {
		b.watch(func(r *http.Request, body []byte, send func(*http.Request) *http.Response) *http.Response {
			res := send(r)
			for _, c := range res.Cookies() {
				if c.Value != "" {
					secrets["cookie "+c.Name] = c.Value
				}
			}
			form, _ := url.ParseQuery(string(body))
			for _, f := range []string{"csrf", "captcha_id"} {
				if v := form.Get(f); len(v) > 20 {
					secrets["field "+f] = v
				}
			}
			if m := regexp.MustCompile(`(?s)data-secret[^>]*>([^<]*)<`).FindStringSubmatch(text(res)); m != nil {
				secrets["a seed"], secrets["a seed as typed"] = m[1], strings.ReplaceAll(m[1], " ", "")
			}
			return res
		})
	}
	tour(t, h, collect)
	b := h.browser()
	h.addUser("avengers", "thor", "Thor", "thor@asgard.example", "Avengers")
	done := b.register("thor")
	got := h.redeem(done)
	h.redeem(done) // twice
	got = h.redeem(b.signInAgain("thor"))
	h.refresh(got.Refresh)
	h.refresh(got.Refresh) // reuse
	for what, v := range map[string]string{"a code": done.query("code"), "an access token": got.Access, "a refresh token": got.Refresh, "an ID token": got.ID} {
		secrets[what] = v
	}
	s := h.browser()
	s.authorize()
	s.post("username", "thor", "action", "next")
	for i := range 12 {
		s.post(append(s.puzzle(), "password", fmt.Sprint("guess-of-a-stranger", i), "action", "sign_in")...)
	}
	r := h.browser()
	r.beginReset("thor")
	r.post("code", "000000", "action", "verify")
	r.post("action", "none")
	if err := h.admin("avengers").EndSessions(t.Context(), h.user("thor"), "jane"); err != nil {
		t.Fatal(err)
	}
	for _, m := range h.mails.all() {
		if d := sixDigits.FindStringSubmatch(m.text); d != nil && strings.Contains(m.subject, "code") {
			secrets["a mailed code to "+m.to] = d[1] + d[2]
		}
		if l := notMeLink.FindString(m.text); l != "" {
			secrets["a link "+l[len(l)-5:]] = l[strings.LastIndex(l, "/")+1:]
		}
	}
	var journal bytes.Buffer
	if err := h.admin("avengers").Journal.Export(context.Background(), &journal, "jsonl"); err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{"sign_in.ok", "proof.ok", "proof.wrong", "throttled", "reset.begun", "reset.done", "dead_end", "method.bound", "method.changed", "method.unbound", "method.preferred",
		"password.changed", "not_me", "session.ended", "code.reused", "family.killed", "operator.sessions_ended", "operator.user_added"} {
		if !strings.Contains(journal.String(), `"`+event+`"`) {
			t.Errorf("the journal does not tell of %s", event)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(journal.String()), "\n") {
		for _, event := range []string{"proof.ok", "proof.wrong", "reset.begun", "reset.done", "method.bound"} {
			if strings.Contains(line, `"`+event+`"`) && !regexp.MustCompile(`"flow":"[a-z0-9]{26}"`).MatchString(line) {
				t.Errorf("no flow in %s", line)
			}
		}
	}
	log := h.logged()
	for what, secret := range secrets {
		if strings.Contains(journal.String(), secret) {
			t.Errorf("%s is in the journal", what)
		}
		if strings.Contains(log, secret) {
			t.Errorf("%s is in the log", what)
		}
	}
	if strings.Contains(journal.String(), "ironman") || strings.Contains(journal.String(), "thor") {
		t.Error("a user is named in the journal, which keeps pseudonyms")
	}
}

// signInAgain signs in by a new session.
func (b *browser) signInAgain(login string) page {
	b.h.t.Helper()
	b.authorize("prompt", "login")
	return b.password(login, password)
}
