package sparekey_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/store"
)

// press opens a "This wasn’t me" link in a browser of its own and presses the button.
func (h *house) press(link string) {
	h.t.Helper()
	if link == "" {
		h.t.Fatal("no link")
	}
	b := h.browser()
	b.get(link)
	b.want("Was this you?")
	b.post("action", "not_me")
	b.want("Your account is protected")
}

func linkOf(m mail) string { return notMeLink.FindString(m.text) }

// journalled counts the journal's rows of a name with a detail.
func (h *house) journalled(name, key, value string) (n int) {
	h.t.Helper()
	rows, err := h.admin("avengers").Journal.Tail(h.t.Context(), 0, 10000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range rows {
		if e.Event == name && (key == "" || e.Detail[key] == value) {
			n++
		}
	}
	return n
}

func TestEN05_WhatWasThereBeforeLiftsAFreezeAndNothingElseDoes(t *testing.T) {
	h := open(t)
	b := withEmail(t, h)
	b.addEmail("thief@evil.example", 1)
	h.press(linkOf(h.await(1, func(m mail) bool { return m.to == "tony@stark.example" && strings.Contains(m.text, "t•••@evil") })))

	b.authorize()
	b.password("ironman", password)
	b.get("/avengers/security-info")
	b.want("Security info")
	if !strings.Contains(b.last.body, "asks for a method you had before") {
		t.Error("the page does not say that changes are stopped, and how they go on")
	}
	// With the password fresh, the app is asked for, which is older than the change; the stopped address is not offered.
	b.post("action", "delete", "id", b.ids("email")[0])
	if strings.Contains(b.last.body, "Delete this method?") {
		t.Fatal("a change without an older proof")
	}
	b.proveAll()
	b.want("Delete this method?")
	if n := h.journalled("changes.thawed", "", ""); n != 1 {
		t.Errorf("%d rows tell of the thaw", n)
	}
	b.post("action", "delete")
	b.want("Security info")
	if strings.Contains(b.last.body, "asks for a method you had before") {
		t.Error("changes are still stopped")
	}
	t.Run("a freeze with nothing older is an operator’s", func(t *testing.T) {
		h.addUser("avengers", "thor", "Thor", "thor@asgard.example", "Avengers")
		thief := h.browser()
		thief.register("thor")
		h.press(linkOf(h.await(1, to("thor@asgard.example", "added"))))
		owner := h.browser()
		owner.authorize()
		owner.password("thor", password)
		owner.want("Ask your administrator")
		if err := h.admin("avengers").Unlock(t.Context(), h.user("thor"), false, "test"); err != nil {
			t.Fatal(err)
		}
		owner.post("action", "different_account")
		owner.password("thor", password)
		owner.want("Ask your administrator") // lifting throttles thaws nothing
		if err := h.admin("avengers").Unlock(t.Context(), h.user("thor"), true, "test"); err != nil {
			t.Fatal(err)
		}
		owner.post("action", "different_account")
		owner.password("thor", password)
		owner.want("More information required")
		if list, _ := h.admin("avengers").Methods(t.Context(), h.user("thor")); len(list) != 1 || !list[0].Suspended {
			t.Errorf("what was stopped counts again: %+v", list)
		}
	})
}

func TestEN05_APasswordThatSomebodyElseChoseLetsNobodyIn(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.register("ironman")
	thief := h.browser()
	thief.reset("ironman", b.key, renewed)
	thief.want("Your password has been reset")
	thief.signIn("ironman", renewed)
	old := h.redeem(thief.last)
	if old.Access == "" {
		t.Fatal("the thief is not in")
	}
	h.press(linkOf(h.await(1, to("tony@stark.example", "was reset"))))
	if h.refresh(old.Refresh).status == http.StatusOK || h.userinfo(old.Access) == http.StatusOK {
		t.Error("the thief’s tokens go on")
	}
	thief.authorize()
	thief.password("ironman", renewed)
	thief.want("Ask your administrator")
	if thief.authorize("prompt", "none").query("code") != "" {
		t.Error("the thief has a session")
	}
	again := h.browser()
	again.beginReset("ironman")
	again.proveApp(b.key)
	if strings.Contains(again.last.body, "Choose a new password") {
		t.Error("the methods that set it set it again")
	}
	// An operator's new password ends the doubt; the freeze stays until it is lifted, and a password that is due is a change.
	if err := h.admin("avengers").SetPassword(t.Context(), h.user("ironman"), "come-back-to-us-7", "test"); err != nil {
		t.Fatal(err)
	}
	owner := h.browser()
	owner.authorize()
	owner.password("ironman", "come-back-to-us-7")
	owner.want("Ask your administrator")
	if err := h.admin("avengers").Unlock(t.Context(), h.user("ironman"), true, "test"); err != nil {
		t.Fatal(err)
	}
	owner = h.browser()
	owner.authorize()
	owner.password("ironman", "come-back-to-us-7")
	owner.want("Choose a new password")
}

func TestANoticeOfAChangeOrAnUnlockCanBeStopped(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.register("ironman")
	b.manage("action", "password")
	b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
	if linkOf(h.await(1, to("tony@stark.example", "was changed"))) == "" {
		t.Error("the notice of a change has no link")
	}
	u := h.browser()
	u.get("/avengers/reset")
	u.post(append(u.puzzle(), "username", "ironman", "action", "next")...)
	u.post("what", "locked", "action", "next")
	u.proveApp(b.key)
	u.want("Your account is unlocked")
	h.press(linkOf(h.await(1, to("tony@stark.example", "was unlocked"))))
	owner := h.browser()
	owner.authorize()
	if owner.password("ironman", renewed); owner.last.query("code") == "" {
		t.Errorf("the password is not in doubt, but: %s", owner.last.h1())
	}
}

func TestEN12_AReplacementKeepsTheMinimum(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { two := 2; p.Required = &two }))
	b := h.browser()
	b.authorize()
	b.password("ironman", password)
	b.app()
	if strings.Contains(b.last.body, `name="choose"`) {
		b.post("choose", "email", "action", "next")
	}
	b.post("email", "tony@home.example", "action", "next")
	b.post("code", h.code(1, "tony@home.example"), "action", "verify")
	b.want("All set")
	b.post("action", "done")
	before := h.holds("ironman")
	b.get("/avengers/security-info")
	b.post("action", "delete", "id", b.ids("email")[0])
	b.proveAll()
	b.want("Delete this method?")
	if b.post("action", "delete"); h.holds("ironman") != before {
		t.Fatal("deleted below the minimum")
	}
	b.post("action", "replace")
	if strings.Contains(b.last.body, `value="totp"`) || strings.Contains(b.last.body, "data-secret") {
		t.Error("a second app is offered in place of the only address")
	}
	b.post("choose", "totp", "action", "next")
	if h.holds("ironman") != before {
		t.Error("something was bound or deleted")
	}
	b.get(b.last.url.String())
	b.post("email", "tony@away.example", "action", "next")
	b.post("code", h.code(1, "tony@away.example"), "action", "verify")
	b.want("Security info")
	kinds := map[string]int{}
	list, _ := h.admin("avengers").Methods(t.Context(), h.user("ironman"))
	for _, m := range list {
		kinds[string(m.Kind)+" "+m.Label]++
	}
	if len(list) != 2 || kinds["email t•••@away.example"] != 1 {
		t.Errorf("left are %v", kinds)
	}
}

func TestADeadEndAtSignInHasAWayBack(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.SecondFactor = "when_registered"; p.AcceptSingle = true }))
	b := h.browser()
	b.register("ironman")
	s := h.browser()
	s.authorize()
	s.password("ironman", password)
	s.post("action", "none")
	s.want("Ask your administrator")
	s.post("action", "back")
	if !strings.Contains(s.last.body, `name="code"`) {
		t.Fatalf("back leads to %s", s.last.h1())
	}
	s.post("action", "none")
	s.post("action", "different_account")
	s.want("Sign in")
	if s.password("hulk", password); s.last.query("code") == "" {
		t.Errorf("another account goes nowhere: %s", s.last.h1())
	}
}

func TestLG01_WrongPuzzlesBindingsAndOldPasswordsAreJournalled(t *testing.T) {
	h := open(t, with(func(tenant *sparekey.Tenant) { tenant.Limits.SignIn.After = 2 }))
	b := h.browser()
	b.get("/avengers/reset")
	b.post("captcha_id", "none", "captcha", "0", "username", "ironman", "action", "next")
	b.authorize()
	b.password("ironman", password)
	b.post("action", "next")
	b.post("action", "next")
	b.post("action", "next")
	b.post("code", "000000", "action", "verify")
	for name, want := range map[[3]string]int{
		{"captcha.wrong", "step", "identify"}:  1,
		{"proof.wrong", "purpose", "register"}: 1,
		{"proof.wrong", "purpose", "change"}:   0,
		{"throttled", "scope", "account"}:      0,
		{"proof.ok", "kind", "password"}:       1,
	} {
		if n := h.journalled(name[0], name[1], name[2]); n != want {
			t.Errorf("%d rows of %v, want %d", n, name, want)
		}
	}
	c := h.browser()
	c.register("ironman")
	c.manage("action", "password")
	for i, wrong := range []string{"not-it-at-all-1", "not-it-at-all-2", "not-it-at-all-3"} {
		c.post("old", wrong, "new", renewed, "confirm", renewed, "action", "next")
		if i == 2 && !strings.Contains(c.last.body, "too many tries") {
			t.Errorf("the third guess meets no wait: %s", c.last.error())
		}
	}
	if n := h.journalled("proof.wrong", "purpose", "change"); n != 2 {
		t.Errorf("%d wrong old passwords are journalled", n)
	}
	if n := h.journalled("throttled", "scope", "account"); n != 1 {
		t.Errorf("%d waits are journalled", n)
	}
}

// Who is refused already gets as many pages as he asks for, and one row in the journal for each wait: else a request would be a row for ever.
func TestA50_RefusalsDoNotFillTheJournal(t *testing.T) {
	h := open(t, with(func(tenant *sparekey.Tenant) { tenant.Limits.SignIn.After = 2 }))
	b := h.browser()
	b.register("ironman")
	b.manage("action", "password")
	waits := []func(){
		func() { h.clock.Advance(2 * time.Minute) },
		func() {
			h.write("avengers", func(tx store.Tx) error { return h.admin("avengers").Guard.Lift(tx, string(h.user("ironman").ID)) })
			h.clock.Advance(time.Second)
		},
		func() {},
	}
	for wait, over := range waits {
		for i := range 20 {
			b.post("old", fmt.Sprintf("not-it-at-all-%d-%d", wait, i), "new", renewed, "confirm", renewed, "action", "next")
		}
		if !strings.Contains(b.last.body, "too many tries") {
			t.Fatalf("no wait: %s", b.last.error())
		}
		if n := h.journalled("throttled", "scope", "account"); n != wait+1 {
			t.Errorf("%d rows tell of the refusals of %d waits", n, wait+1)
		}
		over()
	}
}

// A second factor that is suspended by a notice's link is not switched off by it.
func TestEN05_StoppingAMethodDoesNotTurnTheSecondFactorOff(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.SecondFactor, p.AcceptSingle = "when_registered", true }))
	b := h.browser()
	b.register("ironman")
	h.press(linkOf(h.await(1, to("tony@stark.example", "added"))))
	mallory := h.browser()
	mallory.authorize()
	mallory.password("ironman", password)
	mallory.want("Ask your administrator")
	if mallory.authorize("prompt", "none").query("code") != "" {
		t.Error("the password alone signs in")
	}
}

// A thief who adds a method and then deletes hers is stopped by the notice of either: his own method lifts nothing.
func TestEN05_WhatIsLeftAfterADeletionLiftsNoFreeze(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.register("ironman")
	b.addEmail("thief@evil.example", 1)
	b.manage("action", "delete", "id", b.ids("totp")[0])
	b.post("action", "delete")
	h.press(linkOf(h.await(1, to("tony@stark.example", "deleted"))))
	thief := h.browser()
	thief.authorize()
	thief.password("ironman", password)
	thief.get("/avengers/security-info")
	thief.want("Security info")
	if !strings.Contains(thief.last.body, "Ask your administrator") {
		t.Error("the page promises that something lifts the freeze")
	}
	thief.get("/avengers/reset")
	thief.beginReset("ironman")
	thief.chooseEmail("thief@evil.example")
	if h.mailedTo("thief@evil.example", "code") != 1 || h.journalled("changes.thawed", "", "") != 0 {
		t.Error("his own method goes on")
	}
}
