package sparekey_test

import (
	"net/http"
	"net/url"
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

// A link stops what it tells of for whoever it was mailed to. What a thief added in between gets none for itself, and those that went there
// end with it; the owner's stay good.
func TestEN05_ALinkThatWentToAThiefEndsWithHisAddress(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const primary, hers, his = "tony@stark.example", "tony@home.example", "thief@evil.example"
		b := withEmail(t, h)
		links := func(words string, addresses ...string) (list []string) {
			t.Helper()
			for _, address := range addresses {
				list = append(list, linkOf(h.await(1, func(m mail) bool { return m.to == address && strings.Contains(m.text, words) })))
			}
			return list
		}
		good := func(link string) bool { return h.browser().get(link).h1() == "Was this you?" }
		dead := func(what, link string) {
			t.Helper()
			x := h.browser()
			x.get(h.issuer + "/security-info")
			if p := x.send(link, url.Values{"csrf": {x.token()}, "action": {"not_me"}}); p.status != http.StatusForbidden || good(link) {
				t.Errorf("%s stops something: %d %s", what, p.status, p.h1())
			}
		}
		held := len(b.ids("email"))
		h.clock.Advance(time.Minute) // his is the younger
		b.addEmail(his, 1)
		added := links("t•••@evil", primary, hers, his)
		if added[0] == "" || added[1] == "" || added[0] == added[1] || added[2] != "" {
			t.Fatalf("of a new address the links are %q", added)
		}
		b.manage("action", "password")
		b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
		changed := links("was changed", primary, hers, his)
		b.manage("action", "delete", "id", b.ids("email")[0])
		b.proveRenewed(b.key)
		b.post("action", "delete")
		deleted := links("was deleted", primary, hers, his)
		for _, link := range []string{changed[0], changed[2], deleted[0], deleted[2]} {
			if !good(link) {
				t.Errorf("%q is not good", link)
			}
		}
		if deleted[1] != "" {
			t.Errorf("the address that was deleted has the link %q, although the directory's has one", deleted[1])
		}
		dead("what was mailed before to an address that is deleted", changed[1])
		if n := len(b.ids("email")); n != held {
			t.Fatalf("%d addresses", n)
		}
		h.press(added[0])
		dead("the copy of a link that was used and went to an address that is deleted", added[1])
		dead("the notice of a change that went to a stopped address", changed[2])
		dead("the notice of a deletion that went to a stopped address", deleted[2])
		if !good(changed[0]) {
			t.Error("hers went with it")
		}
		h.press(changed[0])
		if !good(deleted[0]) {
			t.Error("another change's link went with it")
		}
		h.press(deleted[0])
		dead("a link that was used", deleted[0])
		if err := h.admin("avengers").Unlock(t.Context(), h.user("ironman"), true, "test"); err != nil {
			t.Fatal(err)
		}
		c := h.browser()
		c.signIn("ironman", renewed)
		c.get("/avengers/security-info")
		c.post("action", "delete", "id", c.ids("email")[0])
		c.key = b.key
		c.proveAll()
		c.post("action", "delete")
		h.await(2, to(primary, "was deleted"))
		if n := h.mailedTo(his, "was deleted"); n != 1 || h.holds("ironman") == "" {
			t.Errorf("a stopped address is told of its end: %d", n)
		}
	})
}
