package sparekey_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
)

// What goes is told to the address that went. It has a link to stop that only where nobody who was told before it could: a mailbox that was
// given up keeps no power over an account, and a thief who deletes the owner's takes hers not away.
func TestEN05_AnAddressThatWentHearsOfItAndKeepsNoPower(t *testing.T) {
	const primary, home, other = "tony@stark.example", "tony@home.example", "tony@tower.example"
	for name, c := range map[string]struct {
		directory bool          // has an address of its own
		between   time.Duration // from the first address to the second
		later     time.Duration // from the second to the deed
		deed      string        // delete the first or the second, or change the first
		links     map[string]bool
	}{
		"the directory has an address":                             {true, time.Minute, time.Minute, "first", map[string]bool{primary: true, home: false, other: true}},
		"the directory has an address, and the other one is old":   {true, time.Minute, 73 * time.Hour, "first", map[string]bool{primary: true, home: false, other: true}},
		"it is the older one, and the other was added just before": {false, time.Minute, time.Minute, "first", map[string]bool{home: true, other: true}},
		"it is the younger one":                                    {false, time.Minute, time.Minute, "second", map[string]bool{home: true, other: false}},
		"it is the older one, and the other had its time":          {false, time.Minute, 73 * time.Hour, "first", map[string]bool{home: false, other: true}},
		"it is changed, and the directory has an address":          {true, 0, time.Minute, "change", map[string]bool{primary: true, home: false, other: false}},
		"it is changed, and there is no other":                     {false, 0, time.Minute, "change", map[string]bool{home: true, other: false}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			b := withEmail(t, h)
			if !c.directory {
				h.write("avengers", func(tx store.Tx) error {
					_, err := tx.Exec(`UPDATE local_user SET email = '', email_key = '' WHERE tenant = $1 AND login = 'ironman'`)
					return err
				})
			}
			h.clock.Advance(c.between)
			if c.between > 0 {
				b.addEmail(other, 1)
				b.want("Security info")
			}
			h.clock.Advance(c.later)
			if c.later > time.Hour { // the session has ended
				b.signIn("ironman", password)
			}
			words := "was deleted"
			switch ids := b.ids("email"); c.deed {
			case "first":
				b.manage("action", "delete", "id", ids[0])
				b.post("action", "delete")
			case "second":
				b.manage("action", "delete", "id", ids[1])
				b.post("action", "delete")
			case "change":
				words = "was changed"
				b.manage("action", "change", "id", ids[0])
				b.post("email", other, "action", "next")
				b.post("code", h.code(1, other), "action", "verify")
			}
			b.want("Security info")
			for address, want := range c.links {
				m := h.await(1, to(address, words))
				if got := linkOf(m) != ""; got != want {
					t.Errorf("%s has a link: %v", address, got)
				}
				if says := strings.Contains(m.text, "tell your administrator at once"); says == want {
					t.Errorf("%s is told whom to ask: %v", address, says)
				}
			}
			if c.deed == "change" && c.links[home] {
				h.press(linkOf(h.await(1, to(home, words))))
				list, err := h.admin("avengers").Methods(t.Context(), h.user("ironman"))
				if err != nil || !slices.ContainsFunc(list, func(a identity.Authenticator) bool { return a.Kind == identity.Email && a.Suspended }) {
					t.Errorf("what was put in its place is not stopped: %v %v", list, err)
				}
			}
		})
	}
}
