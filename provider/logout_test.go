package provider

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
)

func (b *browser) logout(with ...string) answer {
	b.h.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(with); i += 2 {
		v.Set(with[i], with[i+1])
	}
	return b.get("/avengers/logout?" + v.Encode())
}

// asks checks that the end-user is asked, and ended and redirected nowhere.
func (a answer) asks(b *browser) identity.SignInRequest {
	a.t.Helper()
	if u := a.location(); u.Host != "" || !strings.HasPrefix(u.Path, "/avengers/flow/") {
		a.t.Fatalf("not asked: %s", u)
	}
	if _, err := b.h.p.current(b.request()); err != nil {
		a.t.Fatal("the session has ended")
	}
	q := b.h.guide.asked[b.h.guide.last]
	if !q.SignOut {
		a.t.Fatalf("a sign-in is asked for: %+v", q)
	}
	return q
}

// says is what the other wing does when the end-user says yes.
func (b *browser) says(q identity.SignInRequest) string {
	h := b.h
	flow := h.guide.last
	s, _ := h.p.current(b.request())
	h.must(func(tx store.Tx) error { return h.sessions.End(tx, s.Key) })
	b.cookies["walker"] = flow
	h.guide.out[flow] = identity.Authentication{User: ironman, Request: q}
	return "/avengers" + q.Return + "&flow=" + flow
}

func TestOA11_AValidHintEndsTheSessionAtOnceAndLeadsBack(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted()
	to := b.logout("id_token_hint", tk.id, "post_logout_redirect_uri", goodbye, "state", "a b&c").Header.Get("Location")
	if to != goodbye+"?state=a+b%26c" {
		t.Fatal(to)
	}
	if len(b.cookies) != 0 {
		t.Error("the cookie stays", b.cookies)
	}
	b.authorize("prompt", "none").refusal("login_required")
	b.userinfo(tk.access).fails(401, "invalid_token")
	if h.events("sign_out") != 1 {
		t.Error("not journalled")
	}
	if to := b.logout("id_token_hint", tk.id, "post_logout_redirect_uri", goodbye).Header.Get("Location"); to != goodbye { // twice is no harm
		t.Error(to)
	}
}

func TestOA11_AHintAloneEndsTheSessionAndStaysHere(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted()
	if to := b.logout("id_token_hint", tk.id).Header.Get("Location"); to != "/avengers/signed-out" {
		t.Fatal(to)
	}
	b.authorize("prompt", "none").refusal("login_required")
}

func TestOA11_WhatIsNotRightIsAskedAndNeverRedirected(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted()
	other := h.browser()
	other.signedIn(pepper)
	hers := other.redeem(other.authorize().code()).tokens()
	parts := strings.Split(tk.id, ".")
	const none = "eyJhbGciOiJub25lIn0."
	for name, with := range map[string][]string{
		"no parameters":             {},
		"no hint":                   {"post_logout_redirect_uri", goodbye},
		"a bad URI":                 {"id_token_hint", tk.id, "post_logout_redirect_uri", "https://evil.example/"},
		"an added query":            {"id_token_hint", tk.id, "post_logout_redirect_uri", goodbye + "?x=y"},
		"a URI of another purpose":  {"id_token_hint", tk.id, "post_logout_redirect_uri", callback},
		"an empty URI":              {"id_token_hint", tk.id, "post_logout_redirect_uri", ""},
		"a bad hint":                {"id_token_hint", parts[0] + "." + parts[1] + ".AAAA", "post_logout_redirect_uri", goodbye},
		"a bad hint of a client":    {"id_token_hint", "x", "client_id", "wiki", "post_logout_redirect_uri", goodbye},
		"an alg-none hint":          {"id_token_hint", none + parts[1] + ".", "post_logout_redirect_uri", goodbye},
		"a hint of another client":  {"id_token_hint", tk.id, "client_id", "rsa", "post_logout_redirect_uri", goodbye},
		"a hint of somebody else":   {"id_token_hint", hers.id, "post_logout_redirect_uri", goodbye},
		"a hint of somebody, alone": {"id_token_hint", hers.id},
		"a state too long":          {"id_token_hint", tk.id, "post_logout_redirect_uri", goodbye, "state", strings.Repeat("x", longest+1)},
	} {
		t.Run(name, func(t *testing.T) {
			q := b.logout(with...).asks(b)
			if name == "a hint of somebody else" {
				return // the URI is the client's own
			}
			if to := b.get(b.says(q)).Header.Get("Location"); to != "/avengers/signed-out" {
				t.Errorf("said yes: %s", to)
			}
			b.signedIn(ironman)
		})
	}
	twice := url.Values{"id_token_hint": {tk.id}, "post_logout_redirect_uri": {goodbye, goodbye}}
	b.get("/avengers/logout?" + twice.Encode()).asks(b)
}

func TestOA11_AClientWithoutAHintIsAskedForAndThenRedirected(t *testing.T) {
	h := newHouse(t)
	b, _ := h.granted()
	q := b.logout("client_id", "wiki", "post_logout_redirect_uri", goodbye, "state", "s").asks(b)
	if q.ClientName != "The Wiki" || q.Origin != "https://wiki.example.com" {
		t.Errorf("%+v", q)
	}
	stranger := h.browser()
	back := b.says(q)
	stranger.get(back).shows(400, "expired")
	if to := b.get(back).Header.Get("Location"); to != goodbye+"?state=s" {
		t.Error(to)
	}
	b.get(back).shows(400, "expired")
}

func TestOA11_NobodySignedInSeesThatThereIsNothingToEnd(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	for _, with := range [][]string{{}, {"post_logout_redirect_uri", goodbye}, {"client_id", "wiki", "post_logout_redirect_uri", goodbye}, {"id_token_hint", "x", "post_logout_redirect_uri", goodbye}} {
		if to := b.logout(with...).Header.Get("Location"); to != "/avengers/signed-out" {
			t.Errorf("%v: %s", with, to)
		}
	}
}

func TestAPostedLogoutIsParkedToo(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted()
	to := h.browser().do("POST", "/avengers/logout", url.Values{"id_token_hint": {tk.id}, "post_logout_redirect_uri": {goodbye}}).location()
	if to.Path != "/avengers/logout" || strings.Contains(to.RawQuery, tk.id) {
		t.Fatal(to)
	}
	if got := b.get(to.String()).Header.Get("Location"); got != goodbye {
		t.Error(got)
	}
	if a := b.do("DELETE", "/avengers/logout", nil); a.StatusCode != 405 {
		t.Error(a.StatusCode)
	}
}

func TestALogoutsReturnIsGoodForItselfAlone(t *testing.T) {
	h := newHouse(t)
	b, _ := h.granted()
	q := b.logout().asks(b)
	back := b.says(q)
	a := h.guide.out[h.guide.last]
	a.Request.SignOut = false
	h.guide.out[h.guide.last] = a
	b.get(back).shows(400, "expired")

	b.signedIn(ironman)
	first := b.logout("client_id", "wiki", "post_logout_redirect_uri", goodbye).asks(b)
	b.says(b.logout().asks(b))
	b.get("/avengers"+first.Return+"&flow="+h.guide.last).shows(400, "expired") // a yes to one question answers no other
	for _, bad := range []string{"", "?request=x", "?flow=x", "?request=x&flow=y", "?%zz"} {
		if a := b.get("/avengers/logout/resume" + bad); a.StatusCode != 400 || a.Header.Get("Location") != "" {
			t.Errorf("%q: %d", bad, a.StatusCode)
		}
	}
}
