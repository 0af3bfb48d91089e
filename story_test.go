package sparekey_test

import (
	"strings"
	"testing"
)

func TestTheStoryFromSignInToSecurityInfo(t *testing.T) {
	each(t, theStory)
}

// theStory is walked by ironman: he registers at sign-in, forgets his password, resets it, and signs in anew.
func theStory(t *testing.T, h *house) {
	b := h.browser()
	done := b.register("ironman")
	if done.query("code") == "" || done.query("iss") != h.issuer || done.query("state") != "s" {
		t.Fatalf("the relying party got %q", done.location)
	}
	before := h.redeem(done)
	if before.status != 200 || before.ID == "" || before.Refresh == "" || h.userinfo(before.Access) != 200 {
		t.Fatalf("tokens: %d %s", before.status, before.raw)
	}
	h.await(1, subject("added"))

	elsewhere := h.browser()
	elsewhere.reset("ironman", b.key, renewed)
	elsewhere.want("Your password has been reset")
	h.await(1, func(m mail) bool { return m.to == "tony@stark.example" && strings.Contains(m.subject, "reset") })

	if h.userinfo(before.Access) == 200 {
		t.Error("RS-11: the access token outlived the reset")
	}
	if after := h.refresh(before.Refresh); after.status == 200 {
		t.Error("RS-11: the refresh token outlived the reset")
	}
	if p := b.authorize("prompt", "none"); p.query("error") != "login_required" {
		t.Errorf("RS-11: the session outlived the reset: %q", p.location)
	}
	if p := elsewhere.authorize("prompt", "none"); p.query("error") != "login_required" {
		t.Errorf("RS-09: the reset signed in: %q", p.location)
	}
	b.authorize()
	b.password("ironman", password)
	if b.last.error() == "" {
		t.Errorf("the old password still signs in: %q", b.last.body)
	}
	if p := b.post("password", renewed, "action", "sign_in"); p.query("code") == "" {
		t.Errorf("the new password does not sign in: %d %s %s", p.status, p.h1(), p.error())
	}
	b.get("/avengers/security-info")
	b.want("Security info")
}
