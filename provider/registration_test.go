package provider

import (
	"fmt"
	"testing"
)

// What a client may ask for is looked at whenever it brings a token, not when it asked: an operator who takes a scope from it is not told to wait for
// the end of what it holds.
func TestOA04_AScopeThatAClientHasNoMoreIsInNoTokenOfIts(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted("scope", "openid email phone offline_access")
	code := b.authorize("scope", "openid email phone offline_access").code()
	late := h.browser()
	late.authorize("scope", "openid email offline_access")
	waiting := late.walk(ironman)
	lose := func(scopes ...string) {
		clients := registered()
		clients[0].Scopes, clients[0].ClaimsInIDToken = scopes, true
		h.p = h.provide(issuer, clients)
		h.mount()
	}
	told := func(tk tokens, want string) {
		t.Helper()
		info, claims := b.userinfo(tk.access).json(), h.verified(tk.id)
		if got := fmt.Sprintln(info["email"], info["phone_number"], claims["email"], claims["phone_number"]); got != want+"\n" {
			t.Errorf("told: %s, want %s", got, want)
		}
	}
	lose("openid", "phone", "offline_access")
	if info := b.userinfo(tk.access).json(); info["email"] != nil || info["phone_number"] == nil {
		t.Errorf("the access token of before tells %v", info)
	}
	for _, token := range []string{tk.access, tk.refresh} {
		if told := b.introspect("wiki", wikiSecret, token).json(); told["scope"] != "openid phone offline_access" {
			t.Errorf("introspection tells %v", told)
		}
	}
	for _, next := range []tokens{b.redeem(code).tokens(), b.refresh(tk.refresh).tokens()} {
		told(next, "<nil> +15550100 <nil> +15550100")
		if next.all["scope"] != "openid phone offline_access" {
			t.Errorf("it says %v", next.all["scope"])
		}
		tk = next
	}
	b.refresh(tk.refresh, "scope", "openid email").fails(400, "invalid_scope")
	lose("openid", "email", "phone", "offline_access")
	tk = b.refresh(tk.refresh).tokens()
	told(tk, "tony@stark.example +15550100 tony@stark.example +15550100")
	lose("openid", "email", "phone")
	b.introspect("wiki", wikiSecret, tk.refresh).inactive()
	b.refresh(tk.refresh).fails(400, "invalid_grant")
	if tk := late.redeem(late.get(waiting).code()).tokens(); tk.refresh != "" || tk.all["scope"] != "openid email" {
		t.Errorf("a request that waited gives %v", tk.all)
	}
}
