package sparekey_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
)

// Another code goes to the same target ten seconds after the last one, whichever way leads back to it; an address that was mistyped is put
// right at once.
func TestRS05_NoWayBackLeadsToASecondCodeAtOnce(t *testing.T) {
	type way struct {
		settings []setting
		to       func(h *house) *browser          // leads to where the code is asked for
		ask      func(b *browser, address string) // has the code sent
		back     func(b *browser)                 // leads away from the page of the code
		right    string                           // where a right code leads
	}
	const address = "tony@home.example"
	typed := func(action string) func(*browser, string) {
		return func(b *browser, address string) {
			if c := b.choice("email"); c != "" {
				b.post("choose", c, "action", "next")
			} else if strings.Contains(b.last.body, `value="email"`) {
				b.post("choose", "email", "action", "next")
			}
			b.post("email", address, "action", action)
		}
	}
	does := func(actions ...string) func(*browser) {
		return func(b *browser) {
			for _, a := range actions {
				b.post("action", a)
			}
		}
	}
	reset := func(h *house) *browser {
		withEmail(t, h)
		h.clock.Advance(time.Minute)
		r := h.browser()
		r.beginReset("ironman")
		return r
	}
	add := func(h *house) *browser {
		b := h.browser()
		b.register("ironman")
		b.manage("action", "add")
		return b
	}
	first := func(h *house) *browser {
		b := h.browser()
		b.signIn("ironman", password)
		b.post("action", "next")
		b.post("action", "other")
		return b
	}
	for name, w := range map[string]way{
		"a reset, and back":                           {nil, reset, typed("verify"), does("back"), "Choose a new password"},
		"a reset, and back to the choice":             {nil, reset, typed("verify"), does("back", "back"), "Choose a new password"},
		"a reset, and another choice":                 {nil, reset, typed("verify"), does("other"), "Choose a new password"},
		"an address that is added, and back":          {nil, add, typed("next"), does("back"), "Security info"},
		"an address that is added, and another":       {nil, add, typed("next"), does("other"), "Security info"},
		"a first registration, and back to its start": {nil, first, typed("next"), does("back", "back", "next", "other"), "All set"},
		"a first registration that needs a code": {[]setting{rule(func(p *sparekey.Policy) { p.Registration.Needs = "email" })}, func(h *house) *browser {
			b := h.browser()
			b.signIn("ironman", password)
			b.post("action", "next")
			return b
		}, func(b *browser, _ string) { b.post("choose", b.choice("email"), "action", "next") }, does("other"), "Keep your account secure"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, w.settings...)
			at, one := address, 1
			if w.settings != nil {
				at = "tony@stark.example" // the directory's
			}
			b := w.to(h)
			h.drained()
			one += h.mailedTo(at, "code")
			codes := func() int { h.drained(); return h.mailedTo(at, "code") - one + 1 }
			w.ask(b, at)
			if n := codes(); n != 1 {
				t.Fatalf("%d codes at first, on %q %q", n, b.last.h1(), b.last.error())
			}
			w.back(b)
			w.ask(b, strings.ToUpper(at[:1])+at[1:])
			if n := codes(); n != 1 || !strings.Contains(b.last.error(), "sent only just now") || !strings.Contains(b.last.body, `name="code"`) {
				t.Fatalf("%d codes after going back, and she is told %q on %q", n, b.last.error(), b.last.h1())
			}
			if w.settings == nil {
				w.back(b)
				if w.ask(b, "tony@hom.example"); b.last.error() != "" || !strings.Contains(b.last.body, `name="code"`) {
					t.Errorf("an address put right meets %q on %q", b.last.error(), b.last.h1())
				}
			}
			w.back(b)
			w.ask(b, at)
			if n := codes(); n != 1 {
				t.Fatalf("%d codes after going there by another address", n)
			}
			h.clock.Advance(10 * time.Second)
			w.back(b)
			w.ask(b, at)
			if n := codes(); n != 2 || b.last.error() != "" {
				t.Fatalf("%d codes ten seconds later, and she is told %q", n, b.last.error())
			}
			w.back(b)
			w.ask(b, at) // at once again: the code that was just sent is good
			b.post("code", h.code(one+1, at), "action", "verify")
			b.want(w.right)
		})
	}
}
