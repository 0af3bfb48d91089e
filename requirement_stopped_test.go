package sparekey_test

import (
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
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
