package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// Run proves an engine. fresh names a new, empty database each time it is called and sees to its removal.
func Run(t *testing.T, fresh func(t testing.TB) string) {
	s := suite{fresh}
	t.Run("shelves", s.shelves)
	t.Run("ends", s.ends)
	t.Run("changes", s.changes)
	t.Run("owners", s.owners)
	t.Run("sweeping", s.sweeping)
	t.Run("transactions", s.transactions)
	t.Run("failures", s.failures)
	t.Run("values", s.values)
	t.Run("statements", s.statements)
	t.Run("tenants", s.tenants)
	t.Run("thinning", s.thinning)
	t.Run("keys that are made up", s.madeUp)
	t.Run("faults", s.faults)
	t.Run("races", s.races)
	t.Run("lifetime", s.lifetime)
	t.Run("dumps", s.dumps)
}

type suite struct {
	fresh func(t testing.TB) string
}

// open opens a new store with a clock.
func (s suite) open(t testing.TB) (*store.DB, *Clock) {
	t.Helper()
	clock := NewClock()
	return Open(t, s.fresh(t), store.Options{Now: clock.Now}), clock
}

// desk is one tenant of a new store, with short words for what tests do all the time.
type desk struct {
	*testing.T
	h     *store.Handle
	clock *Clock
}

func (s suite) desk(t *testing.T) desk {
	t.Helper()
	db, clock := s.open(t)
	return desk{t, db.Tenant("avengers"), clock}
}

// gadget is what lies on the shelf of the tests.
type gadget struct {
	Name  string
	Count int
}

var gadgets = store.NewShelf[gadget]("gadget")

func (d desk) write(f func(tx store.Tx) error) {
	d.Helper()
	must(d, d.h.Write(d.Context(), f))
}

func (d desk) writeWant(want error, f func(tx store.Tx) error) {
	d.Helper()
	wants(d, d.h.Write(d.Context(), f), want)
}

func (d desk) read(f func(tx store.Tx) error) {
	d.Helper()
	must(d, d.h.Read(d.Context(), f))
}

func (d desk) add(key, owner string, until time.Time, v gadget) {
	d.Helper()
	d.write(func(tx store.Tx) error { return gadgets.Add(tx, key, owner, until, v) })
}

func (d desk) get(key string) store.Record[gadget] {
	d.Helper()
	var r store.Record[gadget]
	d.read(func(tx store.Tx) (err error) {
		r, err = gadgets.Get(tx, key)
		return err
	})
	return r
}

// gone asserts that no record of the key is there.
func (d desk) gone(key string) {
	d.Helper()
	wants(d, d.h.Read(d.Context(), func(tx store.Tx) error {
		_, err := gadgets.Get(tx, key)
		return err
	}), store.ErrNotFound)
}

// keys are those of all records of an owner.
func (d desk) keys(owner string) string {
	d.Helper()
	var keys []string
	d.read(func(tx store.Tx) error {
		all, err := gadgets.Owned(tx, owner)
		for _, r := range all {
			keys = append(keys, r.Key)
		}
		return err
	})
	return fmt.Sprint(keys)
}

// hour is an hour from now.
func (d desk) hour() time.Time { return d.clock.Now().Add(time.Hour) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

func equal[V comparable](t testing.TB, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Fatalf("%s is %v, want %v", what, got, want)
	}
}
