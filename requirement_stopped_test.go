package sparekey_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Whoever knows a password that is due does not choose the next one while changes are stopped.
func TestEN05_APasswordThatIsDueIsAChangeLikeAnyOther(t *testing.T) {
	due := func(a *directorytest.Account) { a.State |= directory.MustChange }
	form := []string{"old", password, "new", renewed, "confirm", renewed, "action", "next"}
	t.Run("what was there before lifts the freeze", func(t *testing.T) {
		h, m, owner, _ := meddled(t)
		owner.addEmail("thief@evil.example", 1)
		h.press(linkOf(h.await(1, func(m mail) bool { return m.to == "loki@asgard.example" && strings.Contains(m.text, "t•••@evil") })))
		m.Change("loki", due)
		thief := h.browser()
		thief.signIn("loki", password)
		if strings.Contains(thief.last.body, `name="new"`) || !strings.Contains(thief.last.body, `name="code"`) {
			t.Fatalf("the password leads to %q", thief.last.h1())
		}
		if thief.post(form...); m.writes != 0 {
			t.Fatal("a password was set by the one before alone")
		}
		b := h.browser()
		b.signIn("loki", password)
		b.proveApp(owner.key)
		b.want("Choose a new password")
		if b.post(form...); b.last.query("code") == "" || m.writes != 1 {
			t.Errorf("her own is not taken: %s %s", b.last.h1(), b.last.error())
		}
		if n := h.journalled("changes.thawed", "", ""); n != 1 {
			t.Errorf("%d rows tell of the thaw", n)
		}
	})
	t.Run("with nothing from before an operator does", func(t *testing.T) {
		h, m, _, _ := meddled(t)
		h.press(linkOf(h.await(1, to("loki@asgard.example", "added"))))
		m.Change("loki", due)
		thief := h.browser()
		thief.signIn("loki", password)
		thief.want("Ask your administrator")
		if thief.post(form...); m.writes != 0 {
			t.Error("a password was set")
		}
		if err := h.admin("avengers").Unlock(t.Context(), h.user("loki"), true, "test"); err != nil {
			t.Fatal(err)
		}
		owner := h.browser()
		owner.signIn("loki", password)
		owner.want("Choose a new password")
	})
}

// The button is pressed about something else while the directory writes the password of whoever had the app.
func TestEN05_APasswordThatIsBeingWrittenLetsNobodyIn(t *testing.T) {
	h, m, owner, _ := meddled(t)
	owner.addEmail("loki@away.example", 1)
	link := linkOf(h.await(1, func(m mail) bool { return m.to == "loki@asgard.example" && strings.Contains(m.text, "l•••@away") }))
	thief := h.browser()
	m.setting = func() { m.setting = nil; h.press(link) }
	thief.reset("loki", owner.key, renewed)
	if m.writes != 1 {
		t.Fatalf("%d passwords were written", m.writes)
	}
	for _, b := range []*browser{thief, h.browser()} {
		if b.signIn("loki", renewed); b.last.query("code") != "" || b.last.h1() != "Ask your administrator" {
			t.Errorf("the thief’s password leads to %q %q", b.last.h1(), b.last.location)
		}
	}
	if err := h.admin("avengers").Unlock(t.Context(), h.user("loki"), true, "test"); err != nil {
		t.Fatal(err)
	}
	if b := h.browser(); b.signIn("loki", renewed).query("code") == "" {
		t.Errorf("an operator’s word ends at %q", b.last.h1())
	}
}

// meanwhile has a deed done once, within the next request, after its page's facts were read.
func (h *house) meanwhile(deed func(store.Tx) error) (done func() bool) {
	var n atomic.Int32
	h.failing(func(op string) error {
		if op == "begin" && n.Add(1) == 2 { // the first reads where the flow stands
			h.failing(nil)
			h.write("avengers", deed)
		}
		return nil
	})
	return func() bool { return n.Load() >= 2 }
}

func TestEN06_WhatChangesWhileAMethodIsRegisteredIsNotPassedBy(t *testing.T) {
	for name, c := range map[string]struct {
		deed func(h *house, tx store.Tx, user directory.UserID) error
		want string
	}{
		"a freeze": {func(h *house, tx store.Tx, user directory.UserID) error {
			return h.admin("avengers").Accounts.Freeze(tx, user, h.clock.Now().Add(time.Hour), time.Time{})
		}, "Ask your administrator"},
		"a registration that is required again": {func(h *house, tx store.Tx, user directory.UserID) error {
			return h.admin("avengers").Accounts.RequireAgain(tx, user)
		}, "Keep your account secure"},
		"an end of all sessions": {func(h *house, tx store.Tx, user directory.UserID) error {
			return h.admin("avengers").Accounts.End(tx, user)
		}, "This took too long"},
		"a password being set": {func(h *house, tx store.Tx, user directory.UserID) error {
			return h.admin("avengers").Accounts.Intend(tx, user, "another")
		}, patience},
		"nothing": {func(*house, store.Tx, directory.UserID) error { return nil }, "All set"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, quietly)
			owner := h.browser()
			owner.register("ironman")
			h.clock.Advance(time.Minute)
			h.restart(rule(func(p *sparekey.Policy) { two := 2; p.Required = &two }))
			b := h.browser()
			b.signIn("ironman", password)
			b.want("More information required")
			b.post("action", "next")
			b.proveApp(owner.key)
			b.post("email", "tony@home.example", "action", "next")
			h.deliver()
			code, before, user := h.code(1, "tony@home.example"), h.holds("ironman"), h.user("ironman").ID
			done := h.meanwhile(func(tx store.Tx) error { return c.deed(h, tx, user) })
			b.post("code", code, "action", "verify")
			if b.want(c.want); !done() {
				t.Fatal("nothing happened meanwhile")
			}
			if bound := h.holds("ironman") != before; bound != (name == "nothing") {
				t.Errorf("bound: %v", bound)
			}
		})
	}
}

func TestEN06_AFreezeWhileAPasswordIsChangedIsNotPassedBy(t *testing.T) {
	h := open(t, quietly)
	b := h.browser()
	b.register("ironman")
	b.manage("action", "password")
	b.want("Choose a new password")
	user := h.user("ironman").ID
	done := h.meanwhile(func(tx store.Tx) error {
		return h.admin("avengers").Accounts.Freeze(tx, user, h.clock.Now().Add(time.Hour), time.Time{})
	})
	b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
	if b.want("Ask your administrator"); !done() {
		t.Fatal("nothing happened meanwhile")
	}
	if h.browser().signIn("ironman", renewed).query("code") != "" {
		t.Error("the password was changed")
	}
}
