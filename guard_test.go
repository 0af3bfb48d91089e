package sparekey_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestUI01_A28_GuardsOfAFlow: who has not the browser's cookie, its token and its origin gets nowhere.
func TestUI01_A28_GuardsOfAFlow(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.authorize()
	at := b.last.url.String()
	csrf := first2(hidden(b.last.body, "csrf"), "value")

	thief := h.browser()
	if p := thief.get(at); p.status != http.StatusForbidden || strings.Contains(p.body, "username") {
		t.Errorf("A28: the flow opened in another browser: %d %s", p.status, p.h1())
	}
	thief.authorize() // a cookie of its own
	if p := thief.get(at); p.status != http.StatusForbidden {
		t.Errorf("A28: the flow opened in a browser with another flow: %d", p.status)
	}
	if p := thief.send(at, url.Values{"csrf": {csrf}, "username": {"hulk"}, "action": {"next"}}); p.status != http.StatusForbidden {
		t.Errorf("A28: the flow took a post of another browser: %d", p.status)
	}
	form := url.Values{"username": {"hulk"}, "action": {"next"}}
	for name, token := range map[string]string{"none": "", "another browser's": first2(hidden(thief.authorize().body, "csrf"), "value"), "cut": csrf[:10]} {
		form.Set("csrf", token)
		if p := b.send(at, form); p.status != http.StatusForbidden {
			t.Errorf("UI-01: a token that is %s: %d", name, p.status)
		}
	}
	form.Set("csrf", csrf)
	for name, header := range map[string]http.Header{"another origin": {"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}, "a sister site": {"Origin": {h.origin}, "Sec-Fetch-Site": {"same-site"}}} {
		b.header = header
		if p := b.send(at, form); p.status != http.StatusForbidden {
			t.Errorf("UI-01: a post from %s: %d", name, p.status)
		}
		b.header = nil
	}
	if p := b.get(at); !strings.Contains(p.body, `name="username"`) {
		t.Errorf("the flow was moved on: %s", p.h1())
	}
}

func TestA27_WhatEndsWhileASignInIsUnderWayEndsIt(t *testing.T) {
	h := open(t)
	h.browser().register("ironman")
	b := h.browser()
	b.authorize()
	b.post("username", "ironman", "action", "next")
	if err := h.admin("avengers").SetDisabled(t.Context(), h.user("ironman"), true, "test"); err != nil {
		t.Fatal(err)
	}
	if p := b.post("password", password, "action", "sign_in"); p.query("code") != "" {
		t.Error("A27: disabled meanwhile, and signed in")
	}
}
