package sparekey_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// TestF02_AMethodIsThereWhollyOrNotWhateverIsKilled kills the real server with SIGKILL while users prove, register and delete methods, a third
// of the kills each. What was answered holds; what was not has happened with all that belongs to it, or not at all.
func TestF02_AMethodIsThereWhollyOrNotWhateverIsKilled(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		p := newProcess(t, url, kills(60))
		p.start()
		errands := []struct {
			name string
			run  func(*process, *resident) (answered, done bool)
		}{{"proving", (*process).killedProving}, {"registering", (*process).killedRegistering}, {"deleting", (*process).killedDeleting}}
		for i, e := range errands {
			answers, deeds := 0, 0
			for j := i; j < len(p.people); j += len(errands) {
				catchUp(p.house)
				answered, done := e.run(p, p.people[j])
				if answered && !done {
					t.Fatalf("%s: what was answered to %s has not happened", e.name, p.people[j].login)
				}
				if answered {
					answers++
				}
				if done {
					deeds++
				}
			}
			t.Logf("%s: of %d killed, %d were answered before, %d more were done without an answer", e.name, (len(p.people)-i+2)/len(errands), answers, deeds-answers)
		}
	})
}

// killedProving kills the server while a code of the app is verified in a reset. The code is good once at most, on whichever side of the kill.
func (p *process) killedProving(one *resident) (answered, done bool) {
	p.t.Helper()
	one.b.beginReset(one.login)
	code := p.totp(one.key, 0)
	var said page
	p.killedWithin(soon(p.t), func() { said = one.b.try("code", code, "action", "verify") })
	p.start()
	answered = said.h1() == "Choose a new password"
	again := func() bool {
		b := p.browserFrom(one.address)
		b.beginReset(one.login)
		return b.post("code", code, "action", "verify").h1() == "Choose a new password"
	}
	done = !again()
	if !done && again() {
		p.t.Fatalf("a code was good twice, after a kill and after that")
	}
	return answered, done
}

// killedRegistering kills the server while somebody without a method registers her app at sign-in.
func (p *process) killedRegistering(one *resident) (answered, done bool) {
	p.t.Helper()
	a := p.admin("avengers")
	if _, err := a.RemoveMethods(p.t.Context(), p.user(one.login), "", "test"); err != nil {
		p.t.Fatal(err)
	}
	b := one.b
	b.authorize()
	b.password(one.login, password)
	b.want("More information required")
	b.post("action", "next")
	b.post("action", "next")
	if b.key = first(b.last.body, `(?s)data-secret[^>]*>(.*?)<`); b.key == "" {
		p.t.Fatalf("no key is shown on %q", b.last.h1())
	}
	b.post("action", "next")
	code := p.totp(b.key, 0)
	var said page
	p.killedWithin(soon(p.t), func() { said = b.try("code", code, "action", "verify") })
	p.start()
	kinds, added := p.holds(one.login), p.notices(one.login, "MethodAdded")
	done = slices.Equal(kinds, []identity.Kind{identity.TOTP})
	if !done && len(kinds) != 0 || done != (added == 1) {
		p.t.Fatalf("%s holds %q and %d notices are on their way", one.login, kinds, added)
	}
	check := p.browserFrom(one.address)
	check.authorize()
	if check.password(one.login, password); done != (check.last.query("code") != "") {
		p.t.Fatalf("%s holds %q and meets %q", one.login, kinds, check.last.h1())
	}
	if !done {
		return said.h1() == "All set", false
	}
	check = p.browserFrom(one.address)
	check.beginReset(one.login)
	if check.post("code", code, "action", "verify").h1() == "Choose a new password" {
		p.t.Fatal("the code that registered the app was good for a reset")
	}
	if check.post("code", p.totp(b.key, 1), "action", "verify").h1() != "Choose a new password" {
		p.t.Fatalf("the key that was shown is not the one that was kept: %q, %q", check.last.h1(), check.last.error())
	}
	return said.h1() == "All set", done
}

// killedDeleting kills the server while one of two methods is deleted from the security info.
func (p *process) killedDeleting(one *resident) (answered, done bool) {
	p.t.Helper()
	p.bind(one.login, identity.Authenticator{Kind: identity.Email, Label: "E-mail", Data: []byte("away@stark.example")})
	b := one.b
	b.key = one.key
	b.signIn(one.login, password)
	for _, m := range p.methods(one.login) {
		if m.Kind == identity.Email {
			b.manage("action", "delete", "id", m.ID)
		}
	}
	var said page
	p.killedWithin(soon(p.t), func() { said = b.try("action", "delete") })
	p.start()
	kinds, deleted := p.holds(one.login), p.notices(one.login, "MethodRemoved")
	done = slices.Equal(kinds, []identity.Kind{identity.TOTP})
	if !done && len(kinds) != 2 || done != (deleted > 0) {
		p.t.Fatalf("%s holds %q and %d notices are on their way", one.login, kinds, deleted)
	}
	return said.h1() == "Security info", done
}

// soon is some time within which a server may or may not answer.
func soon(t *testing.T) time.Duration { return anyTime(t, 12*time.Millisecond) + 1 }
