package sparekey_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
)

// which is which of how many proofs the page asks for, and what it says of the one before.
func (b *browser) which() string {
	return strings.Trim(first(b.last.body, `(?s)<p class="steps"><span>(.*?)</span>`)+" "+first(b.last.body, `(?s)role="status"><svg.*?</svg>(.*?)</p>`), " ")
}

const oneMore = " That was right. One more proof, and you go on."

func TestTheSecondOfTwoProofsIsAnnounced(t *testing.T) {
	two := 2
	both := rule(func(p *sparekey.Policy) { p.Required = &two })
	says := func(t *testing.T, b *browser, want string) {
		t.Helper()
		if got := b.which(); got != strings.TrimSpace(want) {
			t.Errorf("%s says %q, not %q", b.last.h1(), got, want)
		}
	}
	reset := func(t *testing.T, h *house, login, key, address, firstly string) {
		t.Helper()
		r := h.browser()
		r.beginReset(login)
		says(t, r, firstly)
		r.pick("totp")
		says(t, r, firstly)
		h.clock.Advance(30 * time.Second)
		r.post("code", h.totp(key, 0), "action", "verify")
		says(t, r, "Proof 2 of 2"+oneMore)
		r.chooseEmail(address)
		says(t, r, "Proof 2 of 2")
		r.post("code", h.code(1, address), "action", "verify")
		r.want("Choose a new password")
	}
	t.Run("in a reset", func(t *testing.T) {
		h := open(t, both)
		key, _, _ := h.equip(h.user("ironman").ID, "tony@home.example")
		reset(t, h, "ironman", key, "tony@home.example", "Proof 1 of 2")
		n := h.browser()
		n.beginReset("nobody-at-all")
		says(t, n, "Proof 1 of 2")
	})
	t.Run("RS-01: an administrator’s two are not told before the first", func(t *testing.T) {
		h := open(t)
		key, _, _ := h.equip(h.user("pepper").ID, "pepper@home.example")
		reset(t, h, "pepper", key, "pepper@home.example", "")
	})
	t.Run("at sign-in", func(t *testing.T) {
		h := open(t, rule(func(p *sparekey.Policy) { p.SecondFactor, p.AcceptSingle = "when_registered", true }))
		h.browser().register("ironman")
		b := h.browser()
		b.authorize()
		b.post("username", "ironman", "action", "next")
		says(t, b, "")
		b.post("password", password, "action", "sign_in")
		says(t, b, "Proof 2 of 2"+oneMore)
	})
	t.Run("before a change of security info", func(t *testing.T) {
		h := open(t)
		b := h.browser()
		b.register("ironman")
		b.get("/avengers/security-info")
		b.post("action", "add")
		says(t, b, "") // the password was proven a moment ago
		h.clock.Advance(11 * time.Minute)
		b.get("/avengers/security-info")
		b.post("action", "add")
		says(t, b, "Proof 1 of 2")
		b.post("password", password, "action", "sign_in")
		says(t, b, "Proof 2 of 2"+oneMore)
		b.post("code", h.totp(b.key, 0), "action", "verify")
		b.want("Keep your account secure")
	})
}
