package sparekey_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Whoever owes a registration gets no token, by whatever door.
func TestEN06_A05_A06_NoTokenByAnyRouteBeforeRegistration(t *testing.T) {
	t.Run("the code waits for the registration", func(t *testing.T) {
		h := open(t)
		b := h.browser()
		b.signIn("ironman", password)
		b.want("More information required")
		if b.last.location != "" {
			t.Fatalf("sent on to %q", b.last.location)
		}
		if p := b.authorize("prompt", "none"); p.query("error") != "login_required" && p.query("error") != "interaction_required" || p.query("code") != "" {
			t.Errorf("prompt=none answered %q", p.location)
		}
	})
	t.Run("prompt=none says interaction_required where the duty came later", func(t *testing.T) {
		h := open(t)
		b := h.browser()
		if b.register("ironman").query("code") == "" {
			t.Fatal("not signed in")
		}
		if p := b.authorize("prompt", "none"); p.query("code") == "" {
			t.Fatalf("no single sign-on: %q", p.location)
		}
		requireAgain(t, h, "ironman")
		if p := b.authorize("prompt", "none"); p.query("error") != "interaction_required" || p.query("code") != "" {
			t.Errorf("prompt=none answered %q", p.location)
		}
		if b.authorize(); b.last.location != "" {
			t.Errorf("a live session passed by the duty: %q", b.last.location)
		}
		b.want("More information required")
	})
	t.Run("a second tab does not pass", func(t *testing.T) {
		h := open(t)
		b := h.browser()
		b.signIn("ironman", password)
		b.want("More information required")
		b.authorize() // the same browser, another tab
		b.want("Sign in")
	})
	t.Run("a request begun before the policy was switched on", func(t *testing.T) {
		off := false
		h := open(t, rule(func(p *sparekey.Policy) { p.Registration.AtSignIn = &off }))
		b := h.browser()
		b.authorize()
		b.post("username", "ironman", "action", "next")
		h.restart(rule(func(p *sparekey.Policy) { p.Registration.AtSignIn = nil }))
		b.get(b.last.url.String())
		b.post("password", password, "action", "sign_in")
		b.want("More information required")
	})
	t.Run("a code not yet redeemed when the duty comes", func(t *testing.T) {
		h := open(t)
		done := h.browser().register("ironman")
		requireAgain(t, h, "ironman")
		if got := h.redeem(done); got.Access != "" || got.status != 400 || got.Error != "invalid_grant" {
			t.Errorf("the code was redeemed: %d %s", got.status, got.raw)
		}
	})
	t.Run("refresh after methods require-again", func(t *testing.T) {
		h := open(t)
		got := h.redeem(h.browser().register("ironman"))
		requireAgain(t, h, "ironman")
		if again := h.refresh(got.Refresh); again.Access != "" || again.Error != "invalid_grant" {
			t.Errorf("the refresh token still works: %d %s", again.status, again.raw)
		}
	})
	t.Run("a typed return address", func(t *testing.T) {
		h := open(t)
		b := h.browser()
		b.signIn("ironman", password)
		b.want("More information required")
		flow := strings.TrimPrefix(b.last.url.Path, "/avengers/flow/")
		for _, to := range []string{"/avengers/authorize/resume?flow=" + flow, "/avengers/authorize/resume?request=" + flow + "&flow=" + flow} {
			if p := b.get(to); p.query("code") != "" || p.status < 400 {
				t.Errorf("%s answered %d %q", to, p.status, p.location)
			}
		}
		if p := b.get("/avengers/security-info"); p.h1() == "Security info" {
			t.Error("the security-info page opened")
		}
	})
	t.Run("security info is closed too", func(t *testing.T) {
		h := open(t)
		b := h.browser()
		b.register("ironman")
		requireAgain(t, h, "ironman")
		b.get("/avengers/security-info")
		b.want("More information required")
	})
}

func requireAgain(t *testing.T, h *house, login string) {
	t.Helper()
	h.clock.Advance(time.Second)
	if err := h.admin("avengers").RequireAgain(t.Context(), h.user(login), "test"); err != nil {
		t.Fatal(err)
	}
}

func TestSkipIsCountedInTheStoreAndEnds(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.Registration.Skip.Times = 2 }))
	for left := 2; left > 0; left-- {
		b := h.browser()
		b.signIn("ironman", password)
		b.want("More information required")
		if p := b.post("action", "skip"); p.query("code") == "" {
			t.Fatalf("with %d skips left: %d %s %q", left, p.status, p.h1(), p.location)
		}
	}
	b := h.browser()
	b.signIn("ironman", password)
	b.want("More information required")
	if strings.Contains(b.last.body, "Skip for now") {
		t.Error("a third skip is offered")
	}
	if p := b.post("action", "skip"); p.query("code") != "" {
		t.Error("a third skip was let through")
	}
}

func TestEN03_AHalfFinishedRegistrationLeavesNoTrace(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.signIn("ironman", password)
	b.post("action", "next")
	b.post("action", "next")
	b.post("action", "next")
	list, err := h.admin("avengers").Methods(t.Context(), h.user("ironman"))
	if err != nil || len(list) != 0 {
		t.Errorf("registered %v, %v", list, err)
	}
	var rows int
	h.write("avengers", func(tx store.Tx) error {
		return tx.Row(`SELECT count(*) FROM authenticator WHERE tenant = $1`).Scan(&rows)
	})
	if rows != 0 {
		t.Errorf("%d rows", rows)
	}
}

func TestAnAdministratorRegistersTwoDifferentMethods_RS12(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.signIn("pepper", password)
	b.want("More information required")
	b.app()
	b.want("Keep your account secure")
	b.post("email", "pepper@home.example", "action", "next")
	b.post("code", h.code(1, "pepper@home.example"), "action", "verify")
	b.want("All set")
	if p := b.post("action", "done"); p.query("code") == "" {
		t.Fatalf("%s %s", p.h1(), p.error())
	}
	// One gate is not enough for her.
	r := h.browser()
	r.beginReset("pepper")
	r.proveApp(b.key)
	if r.last.h1() == "Choose a new password" {
		t.Fatal("RS-12: one method reset an administrator's password")
	}
	if p := r.send(r.last.url.String(), url.Values{"csrf": {first2(hidden(r.last.body, "csrf"), "value")}, "new": {renewed}, "confirm": {renewed}, "action": {"next"}}); p.h1() == "Your password has been reset" {
		t.Fatal("A01: the second gate was skipped")
	}
}

func hidden(body, name string) string {
	i := strings.Index(body, `name="`+name+`"`)
	if i < 0 {
		return ""
	}
	start := strings.LastIndex(body[:i], "<")
	return body[start : i+strings.Index(body[i:], ">")+1]
}

func TestA09_EN02_ARegistrationThatNeedsAMailCodeIsNotAPasswordThiefs(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.Registration.Needs = "email" }))
	b := h.browser()
	b.signIn("ironman", password)
	b.want("More information required")
	b.post("action", "next")
	if b.last.h1() == "Keep your account secure" {
		t.Fatal("A09: a password alone registers a method")
	}
	b.post("choose", b.choice("email"), "action", "next")
	b.post("code", "000000", "action", "verify")
	if b.last.error() == "" {
		t.Fatalf("a wrong code was taken: %s", b.last.h1())
	}
	b.post("code", h.code(1, "tony@stark.example"), "action", "verify")
	b.app()
	b.want("All set")
	if p := b.post("action", "done"); p.query("code") == "" {
		t.Errorf("%s %s", p.h1(), p.error())
	}
}

func TestEN01_APartlyRegisteredUserProvesWhatSheHasBeforeMoreIsRegistered(t *testing.T) {
	h := open(t)
	owner := withEmail(t, h)
	// The app goes; e-mail alone is left. Then two methods are required.
	owner.get("/avengers/security-info")
	list, err := h.admin("avengers").Methods(t.Context(), h.user("ironman"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Kind == "totp" {
			if _, err := h.admin("avengers").RemoveMethods(t.Context(), h.user("ironman"), m.ID, "test"); err != nil {
				t.Fatal(err)
			}
		}
	}
	two := 2
	h.restart(rule(func(p *sparekey.Policy) { p.Required = &two }))
	b := h.browser()
	b.signIn("ironman", password)
	b.want("More information required")
	b.post("action", "next")
	if b.last.h1() == "Keep your account secure" {
		t.Fatal("EN-01: a stolen password adds a method beside the e-mail address")
	}
	if m := first2(hidden(b.last.body, "choose"), "value"); m != "" {
		b.post("choose", m, "action", "next")
	}
	b.post("code", h.code(2, "tony@home.example"), "action", "verify")
	b.app()
	b.want("All set")
}

// What an operator is told of a first registration that needs a code is what its user meets.
func TestWhySaysOfARegistrationThatNeedsAMailCodeWhatThePagesDo(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.Registration.Needs = "email" }))
	h.addUser("avengers", "groot", "Groot", "", "Avengers")
	for login, h1 := range map[string]string{"ironman": "More information required", "groot": "Ask your administrator"} {
		b := h.browser()
		b.signIn(login, password)
		b.want(h1)
		why, err := h.admin("avengers").Why(t.Context(), h.user(login))
		if err != nil {
			t.Fatal(err)
		}
		if refused := slices.Contains(why.SignIn, "sign-in is refused"); refused != (h1 == "Ask your administrator") {
			t.Errorf("%s meets %q, and the operator is told %q", login, h1, why.SignIn)
		}
	}
}
