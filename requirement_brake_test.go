package sparekey_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/policy"
)

// Fifty wrong proofs in ten minutes put the brake on: from then on a reset by one proof waits half an hour, and can be stopped.
func TestRS04_WhileTheTenantIsUnderAttackAResetByOneProofWaits(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.register("ironman")
		h.siege(3)
		r := h.browser()
		r.beginReset("ironman")
		r.proveApp(b.key)
		r.wantWait(h.clock.Now().Add(policy.HotWait))
		link := linkOf(h.await(1, to("tony@stark.example", "was begun")))
		r.post("new", renewed, "confirm", renewed, "action", "next")
		r.get(r.last.url.String())
		r.wantWait(h.clock.Now().Add(policy.HotWait))
		owner := h.browser()
		if owner.signIn("ironman", password); owner.last.query("code") == "" {
			t.Error("sign-in waits as well")
		}
		t.Run("stopped by its notice", func(t *testing.T) {
			h.press(link)
			h.clock.Advance(policy.HotWait)
			if p := r.get(r.last.url.String()); p.status != http.StatusForbidden {
				t.Errorf("the reset goes on: %d %s", p.status, p.h1())
			}
			if err := h.admin("avengers").Unlock(t.Context(), h.user("ironman"), true, "test"); err != nil {
				t.Fatal(err)
			}
		})
		t.Run("goes on after half an hour", func(t *testing.T) {
			h.siege(3)
			r := h.browser()
			r.beginReset("ironman")
			r.proveApp(b.key)
			h.clock.Advance(policy.HotWait - time.Second)
			h.siege(3)
			r.get(r.last.url.String())
			r.wantWait(h.clock.Now().Add(time.Second))
			h.clock.Advance(time.Second)
			r.get(r.last.url.String())
			r.want("Choose a new password")
			r.post("new", renewed, "confirm", renewed, "action", "next")
			r.want("Your password has been reset")
		})
		t.Run("waits as long as its mail says when the brake falls or is let off before", func(t *testing.T) {
			h.siege(3)
			r := h.browser()
			r.beginReset("ironman")
			r.proveApp(b.key)
			r.wantWait(h.clock.Now().Add(policy.HotWait))
			if err := h.admin("avengers").UnlockMany(t.Context(), "", true, "test"); err != nil {
				t.Fatal(err)
			}
			until := h.clock.Now().Add(policy.HotWait)
			r.post("new", renewed, "confirm", renewed, "action", "next")
			r.get(r.last.url.String())
			r.wantWait(until)
			h.clock.Advance(policy.HotWait - time.Second)
			r.get(r.last.url.String())
			r.wantWait(until)
			h.clock.Advance(time.Second)
			r.get(r.last.url.String())
			r.want("Choose a new password")
			// The brake is off: what begins now waits for nothing.
			n := h.browser()
			n.beginReset("ironman")
			n.proveApp(b.key)
			n.want("Choose a new password")
		})
	}, with(func(tenant *sparekey.Tenant) { tenant.Limits.Rush = config.Rate{Count: 3, Per: 10 * time.Minute} }))
}

// wantWait fails unless the page says until when, what she can do meanwhile, and a number the journal finds.
func (b *browser) wantWait(until time.Time) {
	b.h.t.Helper()
	if got := b.last.h1(); !strings.HasPrefix(got, "Please wait until ") || !strings.Contains(b.last.body, `datetime="`+until.UTC().Format(time.RFC3339)+`"`) {
		b.h.t.Fatalf("%s %d shows %q, not a wait until %v", b.last.url, b.last.status, got, until)
	}
	if !strings.Contains(b.last.body, "If you remember your password, you can sign in at any time.") {
		b.h.t.Errorf("nothing is said of what can be done meanwhile: %q", b.lead())
	}
	number := first(b.last.body, `(?s)class="number">(.*?)<`)
	if rows, err := b.h.admin("avengers").Journal.Find(b.h.t.Context(), number); err != nil || len(rows) == 0 {
		b.h.t.Errorf("the number %q is not in the journal: %v", number, err)
	}
}

// siege has so many proofs fail, for names that are nobody.
func (h *house) siege(n int) {
	h.t.Helper()
	for i := range n {
		b := h.browser()
		b.beginReset(fmt.Sprintf("nobody-%d-%d", i, h.clock.Now().UnixNano()))
		if m := regexp.MustCompile(`<input[^>]*name="choose"[^>]*>`).FindString(b.last.body); m != "" {
			b.post("choose", first2(m, "value"), "action", "next")
		}
		if strings.Contains(b.last.body, `name="email"`) {
			b.post("email", "nobody@example.com", "action", "next")
		}
		b.post("code", "000000", "action", "verify")
	}
}

func TestRS05_AStrangersCodesDoNotSilenceTheOwners(t *testing.T) {
	h := open(t)
	b := withEmail(t, h)
	stranger := h.browserFrom("203.0.113.7")
	stranger.beginReset("ironman")
	stranger.chooseEmail("guess@evil.example")
	for range 7 {
		h.clock.Advance(11 * time.Second)
		stranger.post("action", "resend")
	}
	sent := h.mailedTo("tony@away.example", "code")
	b.addEmail("tony@away.example", 1)
	if h.mailedTo("tony@away.example", "code") != sent+1 {
		t.Error("her registration’s code was not sent")
	}
	owner := b.twin() // the browser she is known by
	owner.beginReset("ironman")
	owner.chooseEmail("tony@home.example")
	h.code(2, "tony@home.example")
}

// An unlock by one method gives the codes of another no fresh tries.
func TestA16_AnUnlockClearsNoCodes(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) {
		p.SecondFactor = "when_registered"
		p.Methods = map[string]sparekey.MethodUse{"totp": {}, "email": {For: []string{"reset"}}}
		p.AcceptSingle = true
	}))
	owner := withEmail(t, h)
	m := h.browser()
	m.authorize()
	m.password("ironman", password)
	for n := range 6 {
		m.post("code", h.wrongCode(owner.key, n), "action", "verify")
	}
	if !strings.Contains(m.last.error(), "too many") {
		t.Fatalf("six wrong codes: %q", m.last.error())
	}
	u := h.browser()
	u.get("/avengers/reset")
	u.post(append(u.puzzle(), "username", "ironman", "action", "next")...)
	u.post("what", "locked", "action", "next")
	u.chooseEmail("tony@home.example")
	u.post("code", h.code(2, "tony@home.example"), "action", "verify")
	u.want("Your account is unlocked")
	m.post("code", h.wrongCode(owner.key, 7), "action", "verify")
	if !strings.Contains(m.last.error(), "too many") {
		t.Errorf("after an unlock by mail the app’s codes may be guessed anew: %q", m.last.error())
	}
}
