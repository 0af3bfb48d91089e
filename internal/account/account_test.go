package account

import (
	"errors"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

const ada directory.UserID = "ada"

func each(t *testing.T, f func(t *testing.T, h *store.Handle, a *Accounts)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := db.Tenant("avengers")
		f(t, h, New("avengers", secret.NewRing(), session.New(h, session.Options{Cookie: "sparekey-avengers"})))
	})
}

func write(t *testing.T, h *store.Handle, f func(store.Tx) error) {
	t.Helper()
	if err := h.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func TestEndMovesTheEpochOnAndTellsEverybody(t *testing.T) {
	each(t, func(t *testing.T, h *store.Handle, a *Accounts) {
		var told directory.UserID
		a.WhenEnded(func(_ store.Tx, u directory.UserID) error { told = u; return nil })
		var before, after Account
		write(t, h, func(tx store.Tx) (err error) {
			if before, err = a.Open(tx, ada); err != nil {
				return err
			}
			if err = a.End(tx, ada); err != nil {
				return err
			}
			after, err = a.Load(tx, ada)
			return err
		})
		if after.Epoch <= before.Epoch || told != ada || after.Subject != before.Subject || before.Subject == "" {
			t.Errorf("before %+v, after %+v, told %q", before, after, told)
		}
	})
}

func TestAnIntentIsOnesUntilItIsSettled(t *testing.T) {
	each(t, func(t *testing.T, h *store.Handle, a *Accounts) {
		write(t, h, func(tx store.Tx) error { return a.Intend(tx, ada, "flow-1") })
		if err := h.Write(t.Context(), func(tx store.Tx) error { return a.Intend(tx, ada, "flow-2") }); !errors.Is(err, store.ErrChanged) {
			t.Errorf("a second intent: %v", err)
		}
		if err := h.Write(t.Context(), func(tx store.Tx) error { return a.Settled(tx, ada, "flow-2") }); !errors.Is(err, store.ErrChanged) {
			t.Errorf("settled by another flow: %v", err)
		}
		write(t, h, func(tx store.Tx) error {
			open, err := a.Unsettled(tx, tx.Now().Add(time.Minute))
			if err == nil && (len(open) != 1 || open[0].User != ada || open[0].Intent != "flow-1") {
				t.Errorf("unsettled: %+v", open)
			}
			return err
		})
		write(t, h, func(tx store.Tx) error { return a.Settled(tx, ada, "flow-1") })
		if err := h.Write(t.Context(), func(tx store.Tx) error { return a.Settled(tx, ada, "flow-1") }); !errors.Is(err, store.ErrChanged) {
			t.Errorf("settled twice: %v", err)
		}
	})
}

func TestAuthenticatorsAreTheirOwnersAndSealed_A30_EN08(t *testing.T) {
	each(t, func(t *testing.T, h *store.Handle, a *Accounts) {
		var first, second identity.Authenticator
		write(t, h, func(tx store.Tx) (err error) {
			if first, err = a.Bind(tx, ada, identity.Authenticator{Kind: identity.TOTP, Label: "Authenticator app", Data: []byte("the-seed")}); err != nil {
				return err
			}
			second, err = a.Bind(tx, ada, identity.Authenticator{Kind: identity.Email, Label: "a•••@b.example", Data: []byte("ada@b.example")})
			return err
		})
		write(t, h, func(tx store.Tx) error {
			var data []byte
			if err := tx.Row(`SELECT data FROM authenticator WHERE tenant = $1 AND id = $2`, first.ID).Scan(&data); err != nil {
				return err
			}
			if string(data) == "the-seed" {
				t.Error("EN-08: the seed is stored plain")
			}
			return nil
		})
		for name, f := range map[string]func(store.Tx) error{
			"unbind":  func(tx store.Tx) error { return a.Unbind(tx, "mallory", first.ID) },
			"prefer":  func(tx store.Tx) error { return a.Prefer(tx, "mallory", first.ID) },
			"suspend": func(tx store.Tx) error { return a.Suspend(tx, "mallory", first.ID) },
		} {
			if err := h.Write(t.Context(), f); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("A30: %s of another user's: %v", name, err)
			}
		}
		write(t, h, func(tx store.Tx) error { return a.Unbind(tx, ada, first.ID) })
		write(t, h, func(tx store.Tx) error {
			list, err := a.Authenticators(tx, ada)
			if err == nil && (len(list) != 1 || list[0].ID != second.ID || !list[0].Default || string(list[0].Data) != "ada@b.example") {
				t.Errorf("left: %+v", list)
			}
			return err
		})
	})
}

func TestExactlyOneOfThoseThatCountIsAskedFirst(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		h := db.Tenant("avengers")
		a := New("avengers", secret.NewRing(), session.New(h, session.Options{Cookie: "sparekey-avengers"}))
		bind := func(id string, first bool) func(store.Tx) error {
			return func(tx store.Tx) error {
				_, err := a.Bind(tx, ada, identity.Authenticator{ID: id, Kind: identity.TOTP, Data: []byte("x"), Default: first})
				return err
			}
		}
		unbind := func(id string) func(store.Tx) error {
			return func(tx store.Tx) error { return a.Unbind(tx, ada, id) }
		}
		suspend := func(id string) func(store.Tx) error {
			return func(tx store.Tx) error { return a.Suspend(tx, ada, id) }
		}
		for _, step := range []struct {
			what  string
			deed  func(store.Tx) error
			first string
		}{
			{"the only one", bind("a", false), "a"},
			{"a further one", bind("b", false), "a"},
			{"a third one", bind("c", false), "a"},
			{"another by her wish", func(tx store.Tx) error { return a.Prefer(tx, ada, "c") }, "c"},
			{"one that was not asked first is changed", func(tx store.Tx) error { return errors.Join(unbind("b")(tx), bind("d", false)(tx)) }, "c"},
			{"the one asked first is changed", func(tx store.Tx) error { return errors.Join(unbind("c")(tx), bind("e", true)(tx)) }, "e"},
			{"the one asked first is deleted", unbind("e"), "a"},
			{"the one asked first is suspended", suspend("a"), "d"},
			{"nothing that counts is left", suspend("d"), ""},
			{"a suspended one is deleted", unbind("d"), ""},
			{"one beside those that are suspended", bind("f", false), "f"},
		} {
			clock.Advance(time.Second)
			write(t, h, step.deed)
			write(t, h, func(tx store.Tx) error {
				list, err := a.Authenticators(tx, ada)
				first := ""
				for _, x := range list {
					if x.Default {
						first += x.ID
					}
				}
				if first != step.first {
					t.Errorf("%s: %q is asked first, not %q", step.what, first, step.first)
				}
				return err
			})
		}
		if err := h.Write(t.Context(), func(tx store.Tx) error { return a.Prefer(tx, ada, "a") }); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a suspended one is asked first: %v", err)
		}
	})
}

func TestRegisteredDropsWhatWasDeclaredVoid(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		h := db.Tenant("avengers")
		a := New("avengers", secret.NewRing(), session.New(h, session.Options{Cookie: "sparekey-avengers"}))
		bind := func(tx store.Tx) error {
			_, err := a.Bind(tx, ada, identity.Authenticator{Kind: identity.TOTP, Data: []byte("x")})
			return err
		}
		write(t, h, bind)
		clock.Advance(time.Minute)
		write(t, h, func(tx store.Tx) error { return a.RequireAgain(tx, ada) })
		clock.Advance(time.Minute)
		write(t, h, bind)
		write(t, h, func(tx store.Tx) error { return a.Registered(tx, ada) })
		write(t, h, func(tx store.Tx) error {
			list, err := a.Authenticators(tx, ada)
			if len(list) != 1 || !list[0].Default {
				t.Errorf("left: %+v", list)
			}
			return err
		})
	})
}

func TestEraseLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, h *store.Handle, a *Accounts) {
		write(t, h, func(tx store.Tx) error {
			_, err := a.Bind(tx, ada, identity.Authenticator{Kind: identity.TOTP, Data: []byte("x")})
			return err
		})
		write(t, h, func(tx store.Tx) error { return a.Erase(tx, ada) })
		write(t, h, func(tx store.Tx) error {
			c, err := a.Load(tx, ada)
			if err != nil {
				return err
			}
			list, err := a.Authenticators(tx, ada)
			if c.Subject != "" || len(list) != 0 {
				t.Errorf("left: %+v, %d authenticators", c, len(list))
			}
			return err
		})
	})
}
