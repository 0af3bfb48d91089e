package sparekey_test

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
)

// errand is something a person or a relying party does from beginning to end.
type errand struct {
	name  string
	ready func(*run)        // what was before, while the store is well
	walk  func(*run)        // fails the test, or returns when all is done
	state func(*run) string // done, none, or what is half done, as the store has it
	rest  func(*run)        // what is left where all is done and the page could not be shown
	end   func(*run)        // what must not be possible afterwards
}

const (
	done = "done"
	none = "none"
)

// whole tells whether all of the signs of a deed are there, or none.
func whole(signs map[string]bool) string {
	var there, missing []string
	for name, is := range signs {
		if is {
			there = append(there, name)
		} else {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) == 0:
		return done
	case len(there) == 0:
		return none
	}
	return strings.Join(there, ", ") + " without " + strings.Join(missing, ", ")
}

// oneSession is the state of a sign-in: as many sessions as sign-ins are journalled.
func oneSession(x *run) string {
	list, err := x.admin("avengers").SessionList(x.t.Context(), x.user)
	if err != nil {
		x.t.Fatal(err)
	}
	n := x.events("sign_in.ok")
	if len(list) != n {
		return "sessions and sign-ins differ"
	}
	return whole(map[string]bool{"session": n > 0})
}

// renewal is the state of a walk that sets a new password.
func renewal(notice string, mails int, event string) func(*run) string {
	return func(x *run) string {
		return whole(map[string]bool{"another password": x.stored() != x.first, "the notice": x.notices(notice) == mails, "the row": x.events(event) == 1,
			"the end of her sessions": x.account().Epoch > 1})
	}
}

// binding is the state of a walk that changes what is registered.
func binding(want, notice string, mails int, event string) func(*run) string {
	return func(x *run) string {
		now := x.kinds()
		if now != x.has && !regexp.MustCompile(want).MatchString(now) {
			return "half registered: " + now
		}
		return whole(map[string]bool{"the method": now != x.has, "the notices": x.notices(notice) == mails, "the row": x.events(event) == 1})
	}
}

// signs is a sign-in from the relying party's side up to what comes after the password.
func (x *run) signs() *browser {
	b := x.browse()
	b.authorize()
	b.password(x.login, x.old)
	return b
}

func (x *run) signedOn(p page) {
	x.t.Helper()
	if p.query("code") == "" {
		x.t.Fatalf("no code: %d %s %q %q", p.status, p.h1(), p.error(), p.location)
	}
	x.token = p.query("code")
}

// manages begins a change on the page of her security info, in the browser she has, or a new one where its session has ended.
func (x *run) manages(pairs ...string) *browser {
	x.t.Helper()
	if x.again > 0 {
		x.o.pause(func() { x.signedIn(identity.Password) })
	}
	b := x.b
	b.get("/avengers/security-info")
	b.want("Security info")
	b.post(pairs...)
	x.proveApp()
	return b
}

func (x *run) id(kind string) (id string) {
	x.o.pause(func() {
		id = x.row(`SELECT id FROM authenticator WHERE tenant = $1 AND user_id = $2 AND kind = $3`, string(x.user.ID), kind)
	})
	return id
}

// begins opens a reset and names her.
func (x *run) begins(what string) *browser {
	b := x.browse()
	b.get("/avengers/reset")
	b.want("Get back into your account")
	x.names(b)
	b.post("what", what, "action", "next")
	return b
}

// app sets an authenticator app up. Where a page was lost and its button pressed twice, the key is one step back.
func (x *run) app() {
	x.t.Helper()
	b := x.b
	if b.last.h1() == "More information required" {
		b.post("action", "next")
	}
	b.want("Keep your account secure")
	if b.post("action", "next"); strings.Contains(b.last.body, `name="code"`) {
		b.post("action", "back")
	}
	b.key = first(b.last.body, `(?s)data-secret[^>]*>(.*?)<`)
	b.post("action", "next")
	b.post("code", x.totp(b.key, 0), "action", "verify")
}

// anew signs her in by her new password where the answer to the last commit was lost, and the session it began with it.
func (x *run) anew() {
	if x.o.answers && x.b.last.h1() == "Sign in" {
		x.b.password(x.login, x.next)
	}
}

// names says who she is, with another puzzle where an outage has used one up.
func (x *run) names(b *browser) {
	for range 2 {
		if !strings.Contains(b.last.body, `name="what"`) {
			b.post(append(b.puzzle(), "username", x.login, "action", "next")...)
		}
	}
}

func (x *run) picks(kind string) {
	if m := regexp.MustCompile(`<input[^>]*name="choose"[^>]*data-kind="` + kind + `"[^>]*>`).FindString(x.b.last.body); m != "" {
		x.b.post("choose", first2(m, "value"), "action", "next")
	}
}

func (x *run) chooses() {
	x.t.Helper()
	x.b.want("Choose a new password")
	for range 2 { // where the store cannot tell whether resets are under attack, nothing is done, and the page is there again
		if x.b.last.h1() == "Choose a new password" {
			x.b.post("new", x.next, "confirm", x.next, "action", "next")
		}
	}
	x.b.want("Your password has been reset")
}

func (x *run) addsAddress(address string) {
	x.b.post("email", address, "action", "next")
	x.b.post("code", x.inbox(address), "action", "verify")
	x.b.want("Security info")
}

func managing(x *run) {
	x.registered(x.login + "@home.example")
	x.signedIn(identity.Password)
}

func withPast(x *run) {
	x.registered("")
	x.past()
}

// comesIn is what is left of a sign-in whose end could not be shown.
func comesIn(x *run) { x.signedOn(x.signs().last) }

// skipsOn is comesIn for somebody who skips.
func skipsOn(x *run) { x.signedOn(x.signs().post("action", "skip")) }

// errands are all that people and relying parties do here.
var errands = []errand{
	{"sign-in", func(x *run) { x.registered("") }, func(x *run) { x.signedOn(x.signs().last) }, oneSession, comesIn, nil},
	{"sign-in that registers the app", func(x *run) {}, func(x *run) {
		b := x.signs()
		b.want("More information required")
		x.app()
		b.want("All set")
		x.signedOn(b.post("action", "done"))
	}, binding(`^totp<> first$`, "MethodAdded", 1, "method.bound"), comesIn, nil},
	{"sign-in that registers an address", func(x *run) {
		x.write("avengers", func(tx store.Tx) error {
			_, err := tx.Exec(`UPDATE local_member SET group_name = 'Post' WHERE tenant = $1 AND user_id = $2`, string(x.user.ID))
			return err
		})
	}, func(x *run) {
		b := x.signs()
		b.want("More information required")
		b.post("action", "next")
		b.post("email", x.login+"@home.example", "action", "next")
		b.post("code", x.inbox(x.login+"@home.example"), "action", "verify")
		b.want("All set")
		x.signedOn(b.post("action", "done"))
	}, binding(`^email<\S+> first$`, "MethodAdded", 2, "method.bound"), comesIn, nil},
	{"sign-in that skips the registration", func(x *run) {}, func(x *run) {
		b := x.signs()
		b.want("More information required")
		x.signedOn(b.post("action", "skip"))
	}, func(x *run) string {
		return whole(map[string]bool{"skips": x.account().Skips == 1, "session": oneSession(x) == done, "row": x.events("registration.skipped") == 1})
	}, skipsOn, nil},
	{"code", func(x *run) {
		x.registered("")
		x.token = x.signedIn(identity.Password).forCode()
	}, func(x *run) {
		if x.again > 0 {
			x.o.pause(func() { x.token = x.signedIn(identity.Password).forCode() })
		}
		p := page{location: callback + "?code=" + x.token}
		x.held = x.ask(func() tokens { return x.redeem(p) })
		if x.held.Refresh == "" {
			x.t.Fatal(x.held.raw)
		}
	}, nil, nil, func(x *run) {
		if got := x.redeem(page{location: callback + "?code=" + x.token}); got.Access != "" {
			x.t.Error("a code was good twice")
		}
	}},
	{"refresh", withPast, func(x *run) {
		if x.again > 0 {
			x.o.pause(x.past)
		}
		got := x.ask(func() tokens { return x.refresh(x.held.Refresh) })
		if got.Refresh == "" || got.Refresh == x.held.Refresh {
			x.t.Fatal(got.raw)
		}
		x.token, x.held = x.held.Refresh, got
	}, nil, nil, func(x *run) {
		if got := x.refresh(x.token); got.Access != "" {
			x.t.Error("a refresh token was good twice")
		}
	}},
	{"userinfo", withPast, func(x *run) {
		got := x.ask(func() tokens { return tokens{status: x.userinfo(x.held.Access)} })
		if got.status != http.StatusOK {
			x.t.Fatal(got.status)
		}
	}, nil, nil, nil},
	{"revocation", withPast, func(x *run) {
		got := x.ask(func() tokens { return tokens{status: x.revoke(x.held.Refresh)} })
		if got.status != http.StatusOK {
			x.t.Fatal(got.status)
		}
	}, func(x *run) string {
		return whole(map[string]bool{"the end of the token": x.userinfo(x.held.Access) != http.StatusOK, "the row": x.events("grant.revoked") == 1})
	}, nil, nil},
	{"sign-out", withPast, func(x *run) {
		b := x.browse()
		b.jar = x.owner.jar
		b.client.Jar = b.jar
		b.get(x.meta("avengers")["end_session_endpoint"].(string))
		if b.last.h1() != "You are signed out" {
			b.want("Sign out?")
			b.post("action", "sign_out")
		}
		b.want("You are signed out")
		if b.cookie(sessionCookie) != "" {
			x.t.Error("the cookie stays")
		}
	}, func(x *run) string {
		return whole(map[string]bool{"the end of the session": x.owner.withSession().authorize("prompt", "none").query("error") == "login_required", "the row": x.events("session.ended") == 1})
	}, nil, nil},
	{"sign-out everywhere", withPast, func(x *run) {
		b := x.browse()
		b.jar = x.owner.jar
		b.client.Jar = b.jar
		if x.again > 0 && x.account().Epoch > 1 {
			return
		}
		b.get("/avengers/security-info")
		b.want("Security info")
		b.post("action", "sign_out_everywhere")
		b.want("You are signed out")
	}, func(x *run) string {
		return whole(map[string]bool{"the epoch": x.account().Epoch > 1, "the row": x.events("sessions.ended") == 1})
	}, nil, nil},
	{"reset by the app", func(x *run) { x.registered(x.login + "@home.example"); x.past() }, func(x *run) {
		x.begins("forgot")
		x.picks("totp")
		x.proveApp()
		x.chooses()
	}, renewal("PasswordReset", 2, "reset.done"), nil, nil},
	{"reset by a mailed code", func(x *run) { x.registered(x.login + "@home.example"); x.past() }, func(x *run) {
		x.begins("forgot")
		x.picks("email")
		x.b.post("email", x.login+"@home.example", "action", "verify")
		x.b.post("code", x.inbox(x.login+"@home.example"), "action", "verify")
		x.chooses()
	}, renewal("PasswordReset", 2, "reset.done"), nil, nil},
	{"unlock", func(x *run) {
		x.registered("")
		x.write("avengers", func(tx store.Tx) error {
			_, err := tx.Exec(`UPDATE local_user SET locked_until = $3 WHERE tenant = $1 AND id = $2`, string(x.user.ID), int64(1)<<62)
			return err
		})
	}, func(x *run) {
		x.begins("locked")
		x.picks("totp")
		x.proveApp()
		x.b.want("Your account is unlocked")
	}, func(x *run) string {
		return whole(map[string]bool{"the notice": x.notices("AccountUnlocked") > 0, "the row": x.events("unlock.done") > 0})
	}, nil, nil},
	{"a password that must be changed", func(x *run) { x.registered(""); x.past(); x.mustChange() }, func(x *run) {
		b := x.signs()
		if b.last.location == "" {
			b.want("Choose a new password")
			b.post("old", x.old, "new", x.next, "confirm", x.next, "action", "next")
			x.anew()
		}
		x.signedOn(b.last)
	}, renewal("PasswordChanged", 1, "password.changed"), nil, nil},
	{"forgotten at sign-in, and to be changed", func(x *run) { x.registered(""); x.past(); x.mustChange() }, func(x *run) {
		b := x.browse()
		b.authorize()
		b.post("username", x.login, "action", "next")
		back := b.last.url.String()
		b.get(regexp.MustCompile(`/avengers/reset\?from=\w+`).FindString(b.last.body))
		x.names(b)
		b.post("what", "forgot", "action", "next")
		x.picks("totp")
		x.proveApp()
		x.chooses()
		b.get(back)
		x.signedOn(b.post("password", x.next, "action", "sign_in"))
	}, renewal("PasswordReset", 1, "reset.done"), nil, nil},
	{"change of the password", func(x *run) { x.registered(""); x.past(); x.signedIn(identity.Password) }, func(x *run) {
		b := x.manages("action", "password")
		b.want("Choose a new password")
		b.post("old", x.old, "new", x.next, "confirm", x.next, "action", "next")
		x.anew()
		b.want("Security info")
	}, renewal("PasswordChanged", 1, "password.changed"), nil, nil},
	{"an app more", managing, func(x *run) {
		b := x.manages("action", "add")
		b.post("choose", "totp", "action", "next")
		x.app()
		b.want("Security info")
	}, binding(`^totp<> first, email<\S+>, totp<>$`, "MethodAdded", 2, "method.bound"), nil, nil},
	{"an address more", managing, func(x *run) {
		x.manages("action", "add").post("choose", "email", "action", "next")
		x.addsAddress(x.login + "@tower.example")
	}, binding(`^totp<> first, email<\S+@home.example>, email<\S+@tower.example>$`, "MethodAdded", 3, "method.bound"), nil, nil},
	{"another address", managing, func(x *run) {
		x.manages("action", "change", "id", x.id("email"))
		x.addsAddress(x.login + "@tower.example")
	}, binding(`^totp<> first, email<\S+@tower.example>$`, "MethodChanged", 3, "method.changed"), nil, nil},
	{"an address less", managing, func(x *run) {
		b := x.manages("action", "delete", "id", x.id("email"))
		b.post("action", "delete")
		b.want("Security info")
	}, binding(`^totp<> first$`, "MethodRemoved", 2, "method.unbound"), nil, nil},
	{"another first method", managing, func(x *run) {
		b := x.manages("action", "default", "id", x.id("email"))
		if b.last.h1() == "All set" {
			b.post("action", "done")
		}
		b.want("Security info")
	}, func(x *run) string {
		return whole(map[string]bool{"the order": strings.HasSuffix(x.kinds(), " first"), "the row": x.events("method.preferred") == 1})
	}, nil, nil},
	{"this was not me", func(x *run) {
		x.registered(x.login + "@home.example")
		x.past()
		b := x.signedIn(identity.Password, identity.TOTP)
		b.get("/avengers/security-info")
		b.post("action", "delete", "id", x.id("totp"))
		b.post("action", "delete")
		b.want("Security info")
		x.deliver()
		x.token = notMeLink.FindString(x.await(1, to(x.mail, "deleted")).text)
	}, func(x *run) {
		b := x.browse()
		b.get(x.token)
		if x.again > 0 && b.last.status == http.StatusForbidden {
			return // it has acted
		}
		b.want("Was this you?")
		b.post("action", "not_me")
		b.want("Your account is protected")
	}, func(x *run) string {
		return whole(map[string]bool{"the freeze": !x.account().FrozenUntil.IsZero(), "the end of her sessions": x.account().Epoch > 1, "the notice": x.notices("NotMeActed") > 0, "the row": x.events("not_me") == 1})
	}, nil, nil},
}

func (x *run) mustChange() {
	x.write("avengers", func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE local_user SET must_change = 1 WHERE tenant = $1 AND id = $2`, string(x.user.ID))
		return err
	})
}
