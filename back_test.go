package sparekey_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
)

// buttons are the actions that the page offers.
func (b *browser) buttons() (actions []string) {
	for _, tag := range tagsOf(b.last.body, "action") {
		actions = append(actions, first2(tag, "value"))
	}
	return actions
}

// Back leads to the page before, for a name that can reset and for one that cannot.
func TestEveryStepOfAResetHasAWayBack(t *testing.T) {
	h := open(t)
	h.equip(h.user("ironman").ID, "tony@home.example")
	nobody := ""
	for i := 0; nobody == ""; i++ { // one whose invented ways are those of ironman
		b := h.browser()
		if b.beginReset("nobody-" + string(rune('a'+i))); b.choice("totp") != "" && b.choice("email") != "" {
			nobody = "nobody-" + string(rune('a'+i))
		}
	}
	for _, name := range []string{"ironman", nobody} {
		b := h.browser()
		b.get("/avengers/reset")
		next := func() { b.post(append(b.puzzle(), "username", name, "action", "next")...) }
		next()
		b.post("what", "locked", "action", "next")
		b.pick("email")
		b.post("email", "tony@hme.example", "action", "verify")
		for _, to := range []string{atMail, atAddress, atChoose, atWhat, atName} {
			if got := shown(b.last); got != to {
				t.Fatalf("%s: back leads to %q, not to %q", name, got, to)
			}
			if to != atName && !slices.Contains(b.buttons(), "back") {
				t.Errorf("%s: no button leads back from %q", name, to)
			}
			if to != atName {
				b.post("what", "forgot", "choose", b.choice("totp"), "code", "", "action", "back") // what is checked is sent beside the button
			}
		}
		if !strings.Contains(b.last.body, `value="`+name+`"`) {
			t.Error("the name has to be typed again")
		}
		b.post("username", name, "action", "next")
		if shown(b.last) != atName {
			t.Errorf("%s: named anew without a puzzle", name)
		}
		next()
		b.post("what", "forgot", "action", "next")
		if b.pick("totp"); shown(b.last) != atApp {
			t.Errorf("%s: the way on leads to %q", name, shown(b.last))
		}
		if b.post("action", "back"); shown(b.last) != atChoose {
			t.Errorf("%s: back leads to %q", name, shown(b.last))
		}
	}
}

// What was proven for one name is nothing for the next, and with a proof given the name stays.
func TestAResetNeverBringsAProofToAnotherName(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { two := 2; p.Required = &two }))
	key, _, _ := h.equip(h.user("ironman").ID, "tony@home.example")
	h.equip(h.user("pepper").ID, "pepper@home.example")
	b := h.browser()
	b.get("/avengers/reset")
	// After a name that is nobody's, hers.
	b.post(append(b.puzzle(), "username", "nobody-at-all", "action", "next")...)
	b.post("action", "back")
	b.post(append(b.puzzle(), "username", "pepper", "action", "next")...)
	b.post("what", "forgot", "action", "next")
	b.chooseEmail("pepper@home.example")
	code := h.code(1, "pepper@home.example")
	// A code that was mailed for one name is nothing after the next one.
	for shown(b.last) != atName {
		b.post("action", "back")
	}
	b.post(append(b.puzzle(), "username", "ironman", "action", "next")...)
	b.post("what", "forgot", "action", "next")
	b.chooseEmail("tony@home.example")
	if b.post("code", code, "action", "verify"); shown(b.last) != atMail {
		t.Fatalf("her code leads to %q for his name", shown(b.last))
	}
	b.post("code", h.code(1, "tony@home.example"), "action", "verify")
	if b.which() != "Proof 2 of 2"+oneMore {
		t.Fatalf("his own code: %q", b.which())
	}
	for _, button := range []string{"back", "back", "other", "back", "back", "different_account", "back"} {
		if b.post("action", button, "username", "pepper", "what", "forgot"); !slices.Contains([]string{atApp, atChoose}, shown(b.last)) {
			t.Fatalf("with a proof given %q leads to %q", button, shown(b.last))
		}
	}
	if slices.Contains(b.buttons(), "back") {
		t.Error("a button promises a way back that there is not")
	}
	b.pick("totp")
	h.clock.Advance(30 * time.Second)
	if b.post("code", h.totp(key, 0), "action", "verify"); shown(b.last) != atNew {
		t.Fatalf("his second proof leads to %q %s", shown(b.last), b.last.error())
	}
	b.post("new", renewed, "confirm", renewed, "action", "next")
	b.want("Your password has been reset")
	if h.opens("pepper", renewed) || !h.opens("ironman", renewed) {
		t.Error("whose password was reset?")
	}
}

// Guesses are counted for the name they were made at, whatever way back was taken between them.
func TestGoingBackMakesNoRoomForGuesses(t *testing.T) {
	h := open(t)
	h.equip(h.user("ironman").ID, "")
	b := h.browser()
	b.get("/avengers/reset")
	for n := range 5 {
		b.post(append(b.puzzle(), "username", "ironman", "action", "next")...)
		b.post("what", "forgot", "action", "next")
		if shown(b.last) != atApp {
			t.Fatalf("after %d guesses she stands at %q", n, shown(b.last))
		}
		b.post("code", "000000", "action", "verify")
		for shown(b.last) != atName && n < 4 {
			b.post("action", "back")
		}
	}
	if !strings.HasPrefix(b.last.h1(), "Please wait until") {
		t.Errorf("after five guesses: %q", b.last.h1())
	}
}

// Who may reset but not unlock goes back from the latter as herself.
func TestWhoAskedForAnUnlockInVainGoesBackToAReset(t *testing.T) {
	h := open(t, with(func(tenant *sparekey.Tenant) {
		off := false
		tenant.Policies = []sparekey.Policy{
			{For: sparekey.For{Groups: []string{"Avengers"}}, Reset: true, Unlock: &off, Methods: map[string]sparekey.MethodUse{"totp": {}}},
			{For: sparekey.For{Groups: []string{"Staff"}}, Reset: true, Methods: map[string]sparekey.MethodUse{"totp": {}}},
		}
	}))
	b := h.browser()
	b.register("ironman")
	r := h.browser()
	r.get("/avengers/reset")
	r.post(append(r.puzzle(), "username", "ironman", "action", "next")...)
	r.post("what", "locked", "action", "next")
	r.post("action", "back")
	r.post("what", "forgot", "action", "next")
	r.proveApp(b.key)
	r.want("Choose a new password")
	if h.journalled("unlock.refused", "", "") != 1 || h.journalled("reset.refused", "", "") != 0 {
		t.Error("what was refused is not in the journal as it was")
	}
}

func TestTheSecondFactorOfASignInIsLeftByAnotherAccount(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.SecondFactor, p.AcceptSingle = "when_registered", true }))
	h.browser().register("ironman")
	b := h.browser()
	b.authorize()
	b.password("ironman", password)
	if !slices.Contains(b.buttons(), "different_account") {
		t.Fatal("no way to another account")
	}
	b.post("action", "different_account")
	b.want("Sign in")
	if b.password("hulk", password); b.last.query("code") == "" {
		t.Errorf("another account goes nowhere: %s", b.last.h1())
	}
}
