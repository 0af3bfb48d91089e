package sparekey_test

import (
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// TestF03_AKilledResetLeavesOnePasswordAndNoOldSession kills the real server with SIGKILL while a reset is under way.
func TestF03_AKilledResetLeavesOnePasswordAndNoOldSession(t *testing.T) {
	t.Parallel()
	p := newProcess(t, storetest.SQLiteURL(t), kills(200))
	newWorks, oldWorks := 0, 0
	p.start()
	for i, one := range p.people {
		thief := p.browserFrom(one.address)
		if one.b.signIn(one.login, password).query("code") == "" {
			t.Fatalf("%s cannot sign in: %d %s %s", one.login, one.b.last.status, one.b.last.h1(), one.b.last.error())
		}
		thief.beginReset(one.login)
		catchUp(p.house)
		thief.post("code", p.totp(one.key, 0), "action", "verify")
		thief.want("Choose a new password")

		// The kill falls anywhere in the last step: from before the intent to after the answer.
		at := p.killedWithin(120*time.Millisecond, func() { thief.try("new", renewed, "confirm", renewed, "action", "next") })
		p.start()

		check := p.browserFrom(one.address)
		isNew := check.signIn(one.login, renewed).query("code") != ""
		check = p.browserFrom(one.address)
		isOld := check.signIn(one.login, password).query("code") != ""
		if isNew == isOld {
			t.Fatalf("kill %d after %v: the new password works: %v, the old one: %v", i, at, isNew, isOld)
		}
		if isNew {
			newWorks++
			if q := one.b.authorize("prompt", "none"); q.query("error") != "login_required" {
				t.Fatalf("kill %d after %v: the old session outlived the reset: %q", i, at, q.location)
			}
		} else {
			oldWorks++
		}
	}
	t.Logf("%d kills: the new password worked %d times, the old one %d times, both never", len(p.people), newWorks, oldWorks)
}
