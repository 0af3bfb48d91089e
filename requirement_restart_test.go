package sparekey_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
)

// Nothing that was ended or used up is good again when the process has ended and begun anew: no such state is in memory alone, and no
// counter or nonce begins from the start.
func TestA45_WhatWasEndedOrUsedUpStaysSoAfterARestart(t *testing.T) {
	shop := sparekey.Client{ID: "shop", Secret: config.NewSecret("shop-secret"), RedirectURIs: []string{callback}, Grants: []string{"authorization_code", "refresh_token"}, Pushed: true}
	each(t, func(t *testing.T, h *house) {
		again := func(what string, do func() bool) {
			t.Helper()
			h.restart()
			if do() {
				t.Errorf("%s is good again after a restart", what)
			}
		}
		owner := withEmail(t, h)
		fresh := func() *browser {
			b := h.browser()
			b.key = owner.key
			b.register2("ironman")
			return b
		}
		good := func(got tokens) bool { return got.Access != "" || got.Refresh != "" }

		b := fresh()
		used := b.authorize()
		first := h.redeem(used)
		again("a code that was redeemed", func() bool { return good(h.redeem(used)) })
		again("an access token whose code came twice", func() bool { return h.userinfo(first.Access) == http.StatusOK })
		again("a refresh token whose code came twice", func() bool { return good(h.refresh(first.Refresh)) })

		rotated := h.redeem(b.authorize())
		next := h.refresh(rotated.Refresh)
		again("a refresh token that was rotated", func() bool { return good(h.refresh(rotated.Refresh)) })
		again("the family of a refresh token that was used twice", func() bool { return good(h.refresh(next.Refresh)) || h.userinfo(next.Access) == http.StatusOK })

		for what, token := range map[string]func(tokens) string{"an access token": func(k tokens) string { return k.Access }, "a refresh token": func(k tokens) string { return k.Refresh }} {
			held := h.redeem(b.authorize())
			h.client.PostForm(h.meta("avengers")["revocation_endpoint"].(string), url.Values{"client_id": {"wiki"}, "client_secret": {"wiki-secret"}, "token": {token(held)}})
			again(what+" that was revoked", func() bool { return h.userinfo(held.Access) == http.StatusOK })
			if what == "a refresh token" {
				again(what+" that was revoked", func() bool { return good(h.refresh(held.Refresh)) })
			}
		}

		out := fresh()
		bound := h.redeem(out.authorize("scope", "openid")) // ends with its session
		stolen := out.withSession()
		out.get("/avengers/logout")
		out.post("action", "sign_out")
		again("a session that was signed out", func() bool { return stolen.authorize("prompt", "none").query("code") != "" })
		again("an access token of such a session", func() bool { return h.userinfo(bound.Access) == http.StatusOK })

		pushed := h.push("shop", "shop-secret", callback)
		at := "/avengers/authorize?client_id=shop&request_uri=" + url.QueryEscape(pushed)
		if p := b.get(at); p.query("code") == "" {
			t.Fatalf("the pushed request: %d %q", p.status, p.location)
		}
		again("a pushed request that was answered", func() bool { return b.get(at).query("code") != "" })

		walked := h.browser()
		walked.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		walked.get(walked.get(h.authorizeURL("avengers")).location)
		walked.post("username", "ironman", "action", "next")
		walked.get(walked.last.location)
		back := walked.post("password", password, "action", "sign_in").location
		if walked.get(back).query("code") == "" {
			t.Fatalf("the return of a sign-in: %q", back)
		}
		again("the return of a sign-in", func() bool { return walked.get(back).query("code") != "" })

		r := h.browser()
		r.get("/avengers/reset")
		ticket := r.puzzle()
		r.post(append(ticket, "username", "ironman", "action", "next")...)
		again("a puzzle that was spent", func() bool {
			o := h.browser()
			o.get("/avengers/reset")
			return o.post(append(ticket, "username", "ironman", "action", "next")...).error() == ""
		})
		r.post("what", "forgot", "action", "next")
		r.chooseEmail("tony@home.example")
		mailed := h.code(2, "tony@home.example")
		r.post("code", mailed, "action", "verify")
		r.want("Choose a new password")
		again("a mailed code that was used", func() bool {
			o := h.browser()
			o.beginReset("ironman")
			o.chooseEmail("tony@home.example")
			return o.post("code", mailed, "action", "verify").h1() == "Choose a new password"
		})
		h.clock.Advance(2 * time.Minute)
		code := h.totp(owner.key, 0)
		prove := func() bool {
			o := h.browser()
			o.beginReset("ironman")
			o.pick("totp")
			return o.post("code", code, "action", "verify").h1() == "Choose a new password"
		}
		if !prove() {
			t.Fatal("the app's code is refused")
		}
		again("a code of the app that was used", prove)

		link := linkOf(h.await(1, to("tony@stark.example", "was added")))
		h.press(link)
		again("a notice's link that was pressed", func() bool {
			o := h.browser()
			o.get(link)
			return o.post("action", "not_me").status == http.StatusOK
		})
		again("security info that was frozen", func() bool {
			o := h.browser()
			o.authorize()
			o.password("ironman", password)
			o.get("/avengers/security-info")
			o.post("action", "add")
			return o.last.h1() == "Keep your account secure"
		})

		h.addUser("avengers", "thor", "Thor", "thor@asgard.example", "Avengers")
		ended := h.redeem(h.browser().register("thor"))
		if err := h.admin("avengers").EndSessions(t.Context(), h.user("thor"), "test"); err != nil {
			t.Fatal(err)
		}
		again("what an operator ended", func() bool { return h.userinfo(ended.Access) == http.StatusOK || good(h.refresh(ended.Refresh)) })
		if err := h.admin("avengers").SetDisabled(t.Context(), h.user("thor"), true, "test"); err != nil {
			t.Fatal(err)
		}
		again("a user who was disabled", func() bool { return h.browser().signIn("thor", password).query("code") != "" })

		guess := func(i int) bool {
			o := h.browser()
			o.authorize()
			o.post("username", "hulk", "action", "next")
			o.post(append(o.puzzle(), "password", "a guess "+strings.Repeat("x", i), "action", "sign_in")...)
			return !strings.Contains(o.last.error(), "too many tries")
		}
		for i := range 5 {
			guess(i)
		}
		h.restart()
		for i := range 5 {
			guess(5 + i)
		}
		again("an account whose tries were used up", func() bool { return guess(10) })
	}, with(func(t *sparekey.Tenant) { t.Clients = append(t.Clients, shop) }))
}

// push brings an authorization request to the provider and gives its URI.
func (h *house) push(client, secret, redirect string) string {
	h.t.Helper()
	uri, status := h.pushes(client, secret, "client_id", client, "redirect_uri", redirect)
	if uri == "" {
		h.t.Fatalf("the request was not pushed: %d", status)
	}
	return uri
}

// pushes is push with more of the request, which may be refused.
func (h *house) pushes(client, secret string, pairs ...string) (uri string, status int) {
	h.t.Helper()
	_, asked, _ := strings.Cut(h.authorizeURL(h.tenant, pairs...), "?")
	form, _ := url.ParseQuery(asked)
	for name := range form {
		if form.Get(name) == "" {
			form.Del(name)
		}
	}
	r, _ := http.NewRequest(http.MethodPost, h.meta(h.tenant)["pushed_authorization_request_endpoint"].(string), strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, secret)
	res, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		URI string `json:"request_uri"`
	}
	_ = json.NewDecoder(res.Body).Decode(&answer)
	return answer.URI, res.StatusCode
}
