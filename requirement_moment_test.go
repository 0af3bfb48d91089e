package sparekey_test

import (
	"context"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/store"
)

// meddling is a directory that lets something else happen while it checks or sets a password.
type meddling struct {
	*directorytest.Memory
	checking, setting func()
	writes            int          // passwords that were written
	unlocking         func() error // instead of an unlock
}

func (m *meddling) VerifyPassword(ctx context.Context, u directory.User, password string) (directory.Verdict, error) {
	v, err := m.Memory.VerifyPassword(ctx, u, password)
	if m.checking != nil {
		m.checking()
	}
	return v, err
}

func (m *meddling) SetPassword(ctx context.Context, u directory.User, next string, o directory.SetOptions) error {
	if m.setting != nil {
		m.setting()
	}
	m.writes++
	return m.Memory.SetPassword(ctx, u, next, o)
}

func (m *meddling) ChangePassword(ctx context.Context, u directory.User, old, next string) error {
	if m.setting != nil {
		m.setting()
	}
	m.writes++
	return m.Memory.ChangePassword(ctx, u, old, next)
}

func (m *meddling) Unlock(ctx context.Context, u directory.User) error {
	if m.unlocking != nil {
		return m.unlocking()
	}
	return m.Memory.Unlock(ctx, u)
}

// meddled is a house whose directory of avengers can be meddled with, and loki, who has registered an app, in a browser.
func meddled(t *testing.T, settings ...setting) (*house, *meddling, *browser, tokens) {
	t.Helper()
	m := &meddling{Memory: &directorytest.Memory{}}
	m.Add(directorytest.Account{User: directory.User{ID: "1", Login: "loki", Email: "loki@asgard.example", Groups: []string{"Avengers"}}, Password: password})
	h := open(t, append([]setting{bring(m)}, settings...)...)
	b := h.browser()
	got := h.redeem(b.register("loki"))
	if got.Refresh == "" {
		t.Fatal(got.raw)
	}
	h.clock.Advance(time.Minute)
	return h, m, b, got
}

func TestEN06_WhatChangesWhileAPasswordIsCheckedIsNotPassedBy(t *testing.T) {
	t.Run("a registration that is required again", func(t *testing.T) {
		h, m, _, _ := meddled(t)
		u := h.user("loki")
		m.checking = func() {
			m.checking = nil
			if err := h.admin("avengers").RequireAgain(t.Context(), u, "test"); err != nil {
				t.Error(err)
			}
		}
		b := h.browser()
		b.signIn("loki", password)
		if b.cookie(sessionCookie) != "" || b.last.location != "" {
			t.Fatalf("she was signed in: %q", b.last.location)
		}
		if b.last.h1() == "Sign in" { // the try was rolled back: once more
			b.post("password", password, "action", "sign_in")
		}
		b.want("More information required")
	})
	t.Run("a method that an operator removes", func(t *testing.T) {
		h, m, _, _ := meddled(t)
		u := h.user("loki")
		m.checking = func() {
			m.checking = nil
			if n, err := h.admin("avengers").RemoveMethods(t.Context(), u, "", "test"); n == 0 || err != nil {
				t.Error(n, err)
			}
		}
		b := h.browser()
		if b.signIn("loki", password); b.cookie(sessionCookie) != "" || b.last.location != "" {
			t.Fatalf("she was signed in: %q", b.last.location)
		}
	})
	t.Run("an end of all sessions", func(t *testing.T) {
		h, m, _, _ := meddled(t)
		u := h.user("loki")
		m.checking = func() {
			m.checking = nil
			if err := h.admin("avengers").EndSessions(t.Context(), u, "test"); err != nil {
				t.Error(err)
			}
		}
		b := h.browser()
		if b.signIn("loki", password); b.cookie(sessionCookie) != "" || b.last.location != "" {
			t.Fatalf("she was signed in: %q", b.last.location)
		}
	})
}

func TestRS11_F03_WhileAPasswordIsBeingSetNothingOldCounts(t *testing.T) {
	h, m, owner, got := meddled(t)
	asked := false
	m.setting = func() {
		asked = true
		if p := owner.authorize("prompt", "none"); p.query("error") != "login_required" {
			t.Errorf("the session counts: %q", p.location)
		}
		if h.userinfo(got.Access) == 200 {
			t.Error("the access token counts")
		}
		if again := h.refresh(got.Refresh); again.Access != "" {
			t.Error("the refresh token counts")
		}
	}
	r := h.browser()
	r.reset("loki", owner.key, renewed)
	r.want("Your password has been reset")
	if !asked {
		t.Error("the directory was never asked to set it")
	}
}

// The epoch alone ends everything: whatever was made at the same moment as an end, and was not there to be dropped.
func TestA19_WhatIsOfAnOlderEpochCountsForNothing(t *testing.T) {
	h, _, b, got := meddled(t)
	code := b.authorize()
	h.write("avengers", func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE account SET epoch = epoch + 1 WHERE tenant = $1`)
		return err
	})
	if p := b.authorize("prompt", "none"); p.query("error") != "login_required" {
		t.Errorf("the session counts: %q", p.location)
	}
	if b.get("/avengers/security-info"); b.last.h1() == "Security info" {
		t.Error("security info opens")
	}
	if h.userinfo(got.Access) == 200 {
		t.Error("the access token counts")
	}
	if again := h.refresh(got.Refresh); again.Access != "" {
		t.Error("the refresh token counts")
	}
	if again := h.redeem(code); again.Access != "" {
		t.Error("the code counts")
	}
}
