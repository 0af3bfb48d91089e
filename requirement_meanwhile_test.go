package sparekey_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/store"
)

const patience = "Please wait a moment"

// waits fails unless the browser is told that the password is being changed.
func (b *browser) waits(what string) {
	b.h.t.Helper()
	if p := b.last; p.h1() != patience || p.status != http.StatusConflict || !strings.Contains(p.body, "is being changed") {
		b.h.t.Errorf("%s meets %d %q %q", what, p.status, p.h1(), p.error())
	}
}

// once fails unless one password was written, one notice sent, nothing left open, and the new password alone works.
func once(h *house, m *meddling, notice string) {
	h.t.Helper()
	if m.writes != 1 {
		h.t.Errorf("%d passwords were written", m.writes)
	}
	h.await(1, to("loki@asgard.example", notice))
	u := h.user("loki")
	h.write("avengers", func(tx store.Tx) error {
		acc, err := h.admin("avengers").Accounts.Load(tx, u.ID)
		if acc.Intent != "" {
			h.t.Error("an intent stands")
		}
		return err
	})
	if err := h.p.Settle(h.t.Context()); err != nil {
		h.t.Error(err)
	}
	h.clock.Advance(time.Minute)
	if h.browser().signIn("loki", renewed).query("code") == "" {
		h.t.Error("the new password does not sign in")
	}
	if h.browser().signIn("loki", password).query("code") != "" {
		h.t.Error("the old password signs in")
	}
	if n := h.mailedTo("loki@asgard.example", notice); n != 1 {
		h.t.Errorf("%d notices", n)
	}
	if n := h.mailedTo("loki@asgard.example", "may have"); n != 0 {
		h.t.Error("what is known to be done is told as unsure")
	}
}

// prods is all a second tab can do with the page at which a new password is chosen.
func prods(b *browser, pairs ...string) {
	start := b.last
	b.get(start.url.String())
	b.waits("a second tab")
	for what, with := range map[string][]string{
		"the same form again":     pairs,
		"another password":        {"old", password, "new", "yet-another-suit-43", "confirm", "yet-another-suit-43", "action", "next"},
		"a password too short":    {"old", password, "new", "short", "confirm", "short", "action", "next"},
		"a wrong old password":    {"old", "wrong", "new", renewed, "confirm", renewed, "action", "next"},
		"an empty form":           {},
		"Back":                    {"action", "back"},
		"a dead end":              {"action", "none"},
		"“I use another account”": {"action", "different_account"},
	} {
		b.last = start
		b.post(with...)
		b.waits(what)
	}
	b.last = start
}

func TestF03_WhileAResetSetsAPasswordASecondTabWaits(t *testing.T) {
	h, m, owner, _ := meddled(t)
	other := h.browser() // another reset of hers, as far as this one
	other.beginReset("loki")
	other.proveApp(owner.key)
	other.want("Choose a new password")
	b := h.browser()
	b.beginReset("loki")
	b.proveApp(owner.key)
	b.want("Choose a new password")
	tab := b.twin()
	form := []string{"new", renewed, "confirm", renewed, "action", "next"}
	m.setting = func() {
		m.setting = nil
		prods(tab, form...)
		prods(other, form...)
	}
	b.post(form...)
	b.want("Your password has been reset")
	tab.get(tab.last.url.String())
	tab.want("Your password has been reset")
	if p := other.post(form...); p.status != http.StatusForbidden {
		t.Errorf("RS-11: another reset goes on: %d %q", p.status, p.h1())
	}
	once(h, m, "was reset")
}

func TestF03_WhileAPasswordIsChangedASecondTabWaits(t *testing.T) {
	h, m, b, _ := meddled(t)
	b.manage("action", "add")
	b.want("Keep your account secure")
	adding := b.twin()
	b.manage("action", "password")
	b.want("Choose a new password")
	tab := b.twin()
	form := []string{"old", password, "new", renewed, "confirm", renewed, "action", "next"}
	m.setting = func() {
		m.setting = nil
		prods(tab, form...)
		prods(adding, "choose", "email", "action", "next")
		info := b.twin()
		info.get("/avengers/security-info")
		info.waits("her security info")
		info.last = tab.last
		for _, do := range []string{"add", "sign_out_everywhere"} {
			info.send(h.issuer+"/security-info", map[string][]string{"csrf": {tab.token()}, "action": {do}})
			info.waits(do)
		}
		if p := h.browser().signIn("loki", password); p.query("code") != "" || p.h1() != patience {
			t.Errorf("a sign-in meanwhile: %d %q", p.status, p.location)
		}
	}
	b.post(form...)
	b.want("Security info")
	tab.get(tab.last.url.String())
	tab.want("Security info")
	if p := adding.get(adding.last.url.String()); p.status != http.StatusForbidden {
		t.Errorf("a change of before goes on: %d %q", p.status, p.h1())
	}
	if p := b.authorize("prompt", "none"); p.query("code") == "" {
		t.Errorf("her own session has ended: %q", p.location)
	}
	once(h, m, "was changed")
}

func TestF03_WhileAPasswordThatIsDueIsChangedASecondTabWaits(t *testing.T) {
	h, m, _, _ := meddled(t)
	m.Change("loki", func(a *directorytest.Account) { a.State |= directory.MustChange })
	b := h.browser()
	b.signIn("loki", password)
	b.want("Choose a new password")
	tab := b.twin()
	form := []string{"old", password, "new", renewed, "confirm", renewed, "action", "next"}
	m.setting = func() {
		m.setting = nil
		prods(tab, form...)
	}
	if p := b.post(form...); p.query("code") == "" {
		t.Fatalf("not signed in: %d %q %q", p.status, p.h1(), p.error())
	}
	once(h, m, "was changed")
}

// A change of security info that was looked at before the intent and committed after it is of a session that does not count.
func TestF03_AChangeThatMeetsAnIntentIsNotMade(t *testing.T) {
	h, m, b, _ := meddled(t, quietly)
	u := h.user("loki")
	list, err := h.admin("avengers").Methods(t.Context(), u)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	r := h.browser()
	r.beginReset("loki")
	r.proveApp(b.key)
	r.want("Choose a new password")
	h.clock.Advance(11 * time.Minute)
	b.get("/avengers/security-info")
	b.post("action", "default", "id", list[0].ID)
	b.post("password", password, "action", "sign_in")
	h.clock.Advance(30 * time.Second)

	writing, written, reset := make(chan bool), make(chan bool), make(chan bool)
	m.setting = func() { m.setting = nil; close(writing); <-written }
	begins := 0
	h.failing(func(op string) error {
		if op == "begin" {
			begins++
		}
		if begins == 3 { // flow and account have been read, the code has not been looked at
			begins++
			h.failing(nil)
			go func() { r.post("new", renewed, "confirm", renewed, "action", "next"); close(reset) }()
			<-writing
		}
		return nil
	})
	if p := b.post("code", h.totp(b.key, 0), "action", "verify"); p.h1() != patience {
		t.Errorf("the change meets %d %q", p.status, p.h1())
	}
	close(written)
	<-reset
	r.want("Your password has been reset")
	if n := h.journalled("method.preferred", "", ""); n != 0 || m.writes != 1 {
		t.Errorf("%d changes were made by a session that did not count, %d passwords written", n, m.writes)
	}
}

// Somebody who is signed in while her password falls due changes it and goes on, without signing in twice.
func TestAPasswordThatFallsDueInASessionIsChangedInIt(t *testing.T) {
	h, m, b, got := meddled(t)
	m.Change("loki", func(a *directorytest.Account) { a.State |= directory.Expired })
	b.authorize()
	b.want("Choose a new password")
	if p := b.post("old", password, "new", renewed, "confirm", renewed, "action", "next"); p.query("code") == "" {
		t.Fatalf("not signed in: %d %q %q", p.status, p.h1(), p.error())
	}
	if h.userinfo(got.Access) == http.StatusOK {
		t.Error("a token of before counts")
	}
	once(h, m, "was changed")
}

func TestA47_AnUnlockThatFailedIsNotShownAsDone(t *testing.T) {
	h, m, owner, _ := meddled(t)
	m.Change("loki", func(a *directorytest.Account) { a.State |= directory.TempLocked })
	m.unlocking = func() error { return directory.ErrUnavailable }
	b := h.browser()
	b.get("/avengers/reset")
	b.post(append(b.puzzle(), "username", "loki", "action", "next")...)
	b.post("what", "locked", "action", "next")
	at := b.last.url.String()
	if p := b.proveApp(owner.key); p.status != http.StatusServiceUnavailable {
		t.Fatalf("%d %q", p.status, p.h1())
	}
	b.get(at)
	b.want("Unlock your account")
	m.unlocking = nil
	b.post("action", "next")
	b.want("Your account is unlocked")
	h.await(1, to("loki@asgard.example", "was unlocked"))
	if h.browser().signIn("loki", password).query("code") == "" {
		t.Error("she cannot sign in")
	}
}

// Whatever ends meanwhile stays ended, and what was done is told as done.
func TestF03_WhatEndsWhileAPasswordIsSetStaysEnded(t *testing.T) {
	ends := map[string]func(h *house, b *browser){
		"signing out here": func(h *house, b *browser) {
			x := b.twin()
			x.get(h.meta("avengers")["end_session_endpoint"].(string))
			x.want("Sign out?")
			x.post("action", "sign_out")
			x.want("You are signed out")
		},
		"an operator’s end of all sessions": func(h *house, b *browser) {
			if err := h.admin("avengers").EndSessions(h.t.Context(), h.user("loki"), "test"); err != nil {
				h.t.Error(err)
			}
		},
		"“This wasn’t me”":           func(h *house, b *browser) { h.press(linkOf(h.await(1, to("loki@asgard.example", "added")))) },
		"the end of the flow’s time": func(h *house, b *browser) { h.clock.Advance(16 * time.Minute) },
		"a settlement by somebody who thought nobody was waiting": func(h *house, b *browser) {
			if err := h.p.Settle(h.t.Context()); err != nil {
				h.t.Error(err)
			}
		},
	}
	for name, end := range ends {
		settled := strings.HasPrefix(name, "a settlement")
		check := func(h *house, m *meddling, notice string) {
			h.t.Helper()
			if settled {
				h.await(1, to("loki@asgard.example", "may have"))
				return
			}
			h.await(1, to("loki@asgard.example", notice))
			if strings.HasPrefix(name, "“This") {
				return // nobody signs in until changes thaw
			}
			once(h, m, notice)
		}
		t.Run("a reset and "+name, func(t *testing.T) {
			h, m, owner, _ := meddled(t)
			b := h.browser()
			b.beginReset("loki")
			b.proveApp(owner.key)
			m.setting = func() { m.setting = nil; end(h, owner) }
			b.post("new", renewed, "confirm", renewed, "action", "next")
			b.want("Your password has been reset")
			check(h, m, "was reset")
		})
		t.Run("a change and "+name, func(t *testing.T) {
			h, m, b, _ := meddled(t)
			b.manage("action", "password")
			m.setting = func() { m.setting = nil; end(h, b) }
			b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
			if name != "the end of the flow’s time" {
				if p := b.last; p.h1() != "Sign in" {
					t.Errorf("she meets %d %q", p.status, p.h1())
				}
				if p := b.authorize("prompt", "none"); p.query("error") != "login_required" {
					t.Errorf("the session that has ended is back: %q", p.location)
				}
			} else {
				b.want("Security info")
			}
			check(h, m, "was changed")
		})
		t.Run("a password that is due and "+name, func(t *testing.T) {
			h, m, owner, _ := meddled(t)
			m.Change("loki", func(a *directorytest.Account) { a.State |= directory.MustChange })
			b := h.browser()
			b.signIn("loki", password)
			b.want("Choose a new password")
			m.setting = func() { m.setting = nil; end(h, owner) }
			b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
			ended := name != "signing out here" && name != "the end of the flow’s time"
			if p := b.last; ended != (p.query("code") == "") || ended && p.h1() != "Sign in" {
				t.Errorf("she meets %d %q %q", p.status, p.h1(), p.location)
			}
			check(h, m, "was changed")
		})
	}
}

// What the directory refuses is told, and the flow goes on, whatever a second tab did meanwhile.
func TestF03_ARefusalMeetsTheTabThatAsked(t *testing.T) {
	refused := func(b *browser) {
		b.h.t.Helper()
		b.want("Choose a new password")
		if !strings.Contains(b.last.error(), "used") {
			b.h.t.Errorf("no reason is given, but %q", b.last.error())
		}
	}
	t.Run("in a reset", func(t *testing.T) {
		h, m, owner, _ := meddled(t)
		b := h.browser()
		b.beginReset("loki")
		b.proveApp(owner.key)
		tab := b.twin()
		m.setting = func() { m.setting = nil; prods(tab, "new", renewed, "confirm", renewed, "action", "next") }
		b.post("new", password, "confirm", password, "action", "next") // her last one
		refused(b)
		b.post("new", renewed, "confirm", renewed, "action", "next")
		b.want("Your password has been reset")
		m.writes--
		once(h, m, "was reset")
	})
	t.Run("in a change", func(t *testing.T) {
		h, m, b, _ := meddled(t)
		b.manage("action", "password")
		b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
		h.clock.Advance(time.Minute)
		b.manage("action", "password")
		if strings.Contains(b.last.body, `autocomplete="current-password"`) && !strings.Contains(b.last.body, `name="new"`) {
			b.post("password", renewed, "action", "sign_in")
		}
		tab := b.twin()
		m.setting = func() { m.setting = nil; prods(tab, "action", "back") }
		b.post("old", renewed, "new", password, "confirm", password, "action", "next")
		refused(b)
	})
	t.Run("and nobody is told of a change, though all has ended meanwhile", func(t *testing.T) {
		h, m, owner, _ := meddled(t)
		b := h.browser()
		b.beginReset("loki")
		b.proveApp(owner.key)
		m.setting = func() {
			m.setting = nil
			if err := h.admin("avengers").EndSessions(t.Context(), h.user("loki"), "test"); err != nil {
				t.Error(err)
			}
		}
		if p := b.post("new", password, "confirm", password, "action", "next"); p.status != http.StatusForbidden {
			t.Errorf("the reset that was ended goes on: %d %q", p.status, p.h1())
		}
		u := h.user("loki")
		h.write("avengers", func(tx store.Tx) error {
			acc, err := h.admin("avengers").Accounts.Load(tx, u.ID)
			if acc.Intent != "" {
				t.Error("an intent stands that nobody waits for")
			}
			return err
		})
	})
}
