package sparekey_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/store"
)

// withEmail registers ironman's address beside his app and gives the browser.
func withEmail(t *testing.T, h *house) *browser {
	t.Helper()
	b := h.browser()
	b.register("ironman")
	b.get("/avengers/security-info")
	b.post("action", "add")
	h.clock.Advance(30 * time.Second)
	b.post("code", h.totp(b.key, 0), "action", "verify")
	b.want("Keep your account secure")
	b.post("choose", "email", "action", "next")
	b.post("email", "tony@home.example", "action", "next")
	b.post("code", h.code(1, "tony@home.example"), "action", "verify")
	b.want("Security info")
	return b
}

// chooseEmail picks the e-mail choice of a reset and types an address.
func (b *browser) chooseEmail(address string) page {
	b.h.t.Helper()
	if m := regexp.MustCompile(`<input[^>]*name="choose"[^>]*data-kind="email"[^>]*>`).FindString(b.last.body); m != "" {
		b.post("choose", first2(m, "value"), "action", "next")
	}
	return b.post("email", address, "action", "verify")
}

func TestAResetByEmailGoesToTheStoredAddressOnly_A11_RS06(t *testing.T) {
	h := open(t)
	withEmail(t, h)
	codes := func() int {
		n := 0
		for _, m := range h.mails.all() {
			if strings.Contains(strings.ToLower(m.subject), "code") {
				n++
			}
		}
		return n
	}
	before := codes()
	b := h.browser()
	b.beginReset("ironman")
	b.chooseEmail("mallory@evil.example")
	if b.last.status != 200 || !strings.Contains(b.last.body, `name="code"`) {
		t.Fatalf("a wrong address looks different: %s", b.last.body)
	}
	h.drained()
	if codes() != before {
		t.Fatal("A11: a code was sent for a wrong address")
	}
	b = h.browser()
	b.beginReset("ironman")
	b.chooseEmail("tony@home.example")
	code := h.code(2, "tony@home.example")
	// The code proves this flow alone.
	other := h.browser()
	other.beginReset("ironman")
	other.chooseEmail("mallory@evil.example")
	if p := other.post("code", code, "action", "verify"); p.h1() == "Choose a new password" {
		t.Fatal("RS-06: a code of one reset opened another")
	}
	b.post("code", code, "action", "verify")
	b.want("Choose a new password")
	b.post("new", renewed, "confirm", renewed, "action", "next")
	b.want("Your password has been reset")
}

func TestRS01_EveryNameLooksAlike(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.DeadEnd = "neutral" }))
	h.browser().register("ironman")
	u := h.user("hulk")
	h.addUser("avengers", "disabled", "D", "d@stark.example", "Avengers")
	if err := h.admin("avengers").SetDisabled(t.Context(), h.user("disabled"), true, "test"); err != nil {
		t.Fatal(err)
	}
	h.addUser("avengers", "bare", "B", "b@stark.example", "Avengers")
	_ = u
	shape := func(b *browser) string {
		body := b.last.body
		for _, p := range []string{`value="[^"]*"`, `/flow/\w+`, `nonce="[^"]*"`, `(?s)<[^>]*class="who"[^>]*>.*?<`, `\S*•••\S*`} {
			body = regexp.MustCompile(p).ReplaceAllString(body, "~")
		}
		return body
	}
	names := []string{"ironman", "nobody", "hulk", "disabled", "bare", "tchalla", "fury"}
	kinds := map[string]string{}
	for _, name := range names {
		b := h.browser()
		b.get("/avengers/reset")
		b.post(append(b.puzzle(), "username", name, "action", "next")...)
		what := shape(b)
		b.post("what", "forgot", "action", "next")
		again := h.browser()
		again.beginReset(name)
		if shape(b) != shape(again) {
			t.Errorf("RS-01: %s is asked differently the second time", name)
		}
		if b.last.status != 200 || b.last.h1() != "Get back into your account" {
			t.Errorf("RS-01: %s meets %d %q", name, b.last.status, b.last.h1())
		}
		kinds[name] = what
		// "I can’t use any of these" leads everybody to the same page.
		if b.post("action", "none"); b.last.h1() != "Ask your administrator" {
			t.Errorf("RS-13: %s meets %q", name, b.last.h1())
		}
	}
	for _, name := range names {
		if kinds[name] != kinds["ironman"] {
			t.Errorf("RS-01: after the puzzle %s meets another page than ironman:\n%s\n---\n%s", name, kinds[name], kinds["ironman"])
		}
	}
	// No answer of a decoy verifies, and none resets.
	b := h.browser()
	b.beginReset("nobody")
	for range 6 {
		b.post("code", "123456", "action", "verify")
		if b.last.h1() == "Choose a new password" {
			t.Fatal("a decoy verified")
		}
	}
}

func TestRS05_FiveFailedProofsBlockResetsAndNeverSignIn(t *testing.T) {
	h := open(t)
	owner := h.browser()
	owner.register("ironman")
	for range 5 {
		b := h.browser()
		b.beginReset("ironman")
		b.post("code", "000000", "action", "verify")
	}
	b := h.browser()
	b.beginReset("ironman")
	h.clock.Advance(30 * time.Second)
	if b.post("code", h.totp(owner.key, 0), "action", "verify"); b.last.h1() == "Choose a new password" {
		t.Error("RS-05: a sixth try was compared")
	}
	if p := h.browser().signIn("ironman", password); p.query("code") == "" {
		t.Errorf("RS-04: failed resets block sign-in: %s %s", p.h1(), p.error())
	}
	h.clock.Advance(25 * time.Hour)
	if b := h.browser(); b.reset("ironman", owner.key, renewed).h1() != "Your password has been reset" {
		t.Errorf("RS-05: a day later still blocked: %s %s", b.last.h1(), b.last.error())
	}
}

func TestRS09_TheProofOfAResetNeverCountsAtSignIn(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.SecondFactor, p.AcceptSingle = "when_registered", true }))
	owner := h.browser()
	owner.register("ironman")
	b := h.browser()
	b.reset("ironman", owner.key, renewed)
	b.want("Your password has been reset")
	b.authorize()
	b.password("ironman", renewed)
	if b.last.location != "" || !strings.Contains(b.last.body, `name="code"`) {
		t.Fatalf("RS-09/A03: after a reset the password alone signs in: %q %s", b.last.location, b.last.h1())
	}
	// Nor does the very code of the reset.
	if p := b.post("code", h.totp(owner.key, 0), "action", "verify"); p.query("code") != "" {
		t.Error("A15: the code of the reset signed in")
	}
	h.clock.Advance(30 * time.Second)
	if p := b.post("code", h.totp(owner.key, 0), "action", "verify"); p.query("code") == "" {
		t.Errorf("a fresh code does not sign in: %s %s", p.h1(), p.error())
	}
}

func TestRS11_OtherResetsAndProvenFlowsEndWithAReset(t *testing.T) {
	h := open(t)
	owner := h.browser()
	owner.register("ironman")
	waiting := h.browser() // a reset that has come as far as the new password
	waiting.beginReset("ironman")
	waiting.proveApp(owner.key)
	waiting.want("Choose a new password")
	half := h.browser() // the request of a sign-in that proved nothing survives
	half.authorize()
	half.post("username", "ironman", "action", "next")
	b := h.browser()
	b.reset("ironman", owner.key, renewed)
	b.want("Your password has been reset")
	if waiting.post("new", "another-suit-than-that", "confirm", "another-suit-than-that", "action", "next"); waiting.last.status != 403 {
		t.Errorf("RS-11: another reset went on: %d %s", waiting.last.status, waiting.last.h1())
	}
	if p := half.post("password", renewed, "action", "sign_in"); p.query("code") == "" {
		t.Errorf("the proofless request did not survive: %s %s", p.h1(), p.error())
	}
}

func TestUnlockOpensAndKeepsThePassword(t *testing.T) {
	h := open(t)
	owner := h.browser()
	owner.register("ironman")
	for range 12 { // a stranger guesses until the account waits
		s := h.browser()
		s.authorize()
		s.post("username", "ironman", "action", "next")
		s.post(append(s.puzzle(), "password", "wrong-"+time.Now().String(), "action", "sign_in")...)
	}
	b := h.browser()
	b.authorize()
	b.post("username", "ironman", "action", "next")
	if b.post(append(b.puzzle(), "password", password, "action", "sign_in")...); b.last.location != "" {
		t.Fatal("A16: not throttled after twelve guesses")
	}
	u := h.browser()
	u.get("/avengers/reset")
	u.post(append(u.puzzle(), "username", "ironman", "action", "next")...)
	u.post("what", "locked", "action", "next")
	u.proveApp(owner.key)
	if strings.Contains(u.last.h1(), "password has been reset") || u.last.error() != "" {
		t.Fatalf("%s %s", u.last.h1(), u.last.error())
	}
	if p := h.browser().signIn("ironman", password); p.query("code") == "" {
		t.Errorf("still locked, or the password is gone: %s %s", p.h1(), p.error())
	}
}

func TestAMustChangePasswordLeadsToChooseANewOne(t *testing.T) {
	h := open(t)
	if err := h.admin("avengers").SetPassword(t.Context(), h.user("hulk"), "good-only-once-123", "test"); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.authorize()
	b.password("hulk", "good-only-once-123")
	b.want("Choose a new password")
	if p := b.authorize("prompt", "none"); p.query("code") != "" {
		t.Fatal("PW-08: a token for a password that is good once")
	}
	b = h.browser()
	b.authorize()
	b.password("hulk", "good-only-once-123")
	if p := b.post("old", "good-only-once-123", "new", renewed, "confirm", renewed, "action", "next"); p.query("code") == "" {
		t.Fatalf("%s %s", p.h1(), p.error())
	}
	if p := h.browser().signIn("hulk", "good-only-once-123"); p.query("code") != "" {
		t.Error("PW-08: the initial password lasts")
	}
}

func TestAnIntentRefusesEverySessionUntilItIsSettled(t *testing.T) {
	h := open(t)
	b := h.browser()
	got := h.redeem(b.register("ironman"))
	u := h.user("ironman")
	h.write("avengers", func(tx store.Tx) error { return h.admin("avengers").Accounts.Intend(tx, u.ID, "a-flow-that-crashed") })
	if p := b.authorize("prompt", "none"); p.query("error") != "login_required" {
		t.Errorf("a session counts while an intent stands: %q", p.location)
	}
	if h.refresh(got.Refresh).status == 200 {
		t.Error("a grant counts while an intent stands")
	}
	h.restart()
	if err := h.p.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.await(1, subject("may have"))
	if p := b.authorize("prompt", "none"); p.query("error") != "login_required" {
		t.Errorf("a session outlived an unsettled reset: %q", p.location)
	}
	if p := h.browser().signIn("ironman", password); p.query("code") == "" {
		t.Errorf("she cannot sign in afterwards: %s %s", p.h1(), p.error())
	}
}
