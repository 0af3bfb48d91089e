package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// callers is how many try the same thing at once (SECURITY A13).
const callers = 50

// races lets fifty callers do the same at the same moment, for many rounds, on one node and on two.
func (s suite) races(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for _, nodes := range []int{1, 2} {
		t.Run(fmt.Sprintf("A13 on %d nodes", nodes), func(t *testing.T) {
			url, clock := s.fresh(t), NewClock()
			r := race{rounds: rounds, until: clock.Now().Add(time.Hour)}
			for range nodes {
				r.nodes = append(r.nodes, Open(t, url, store.Options{Now: clock.Now}).Tenant("avengers"))
			}
			t.Run("A13 one of fifty adds a key", r.add)
			t.Run("A13 one of fifty takes a record", r.take)
			t.Run("A13 one of fifty saves what all have read", r.save)
			t.Run("A13 one of fifty raises a step", r.step)
			t.Run("A16 fifty changes all count, the first making the record", r.change)
			t.Run("A16 changes and takes of one record are exact", r.changeAndTake)
		})
	}
}

type race struct {
	nodes  []*store.Handle
	rounds int
	until  time.Time
}

// run lets all callers do f at once and returns what each got.
func (r race) run(f func(h *store.Handle) error) []error {
	errs := make([]error, callers)
	start := make(chan bool)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			<-start
			errs[i] = f(r.nodes[i%len(r.nodes)])
		})
	}
	close(start)
	all.Wait()
	return errs
}

// one asserts that exactly one caller succeeded and all others got the error wanted.
func one(t *testing.T, errs []error, want error) {
	t.Helper()
	wins := 0
	for _, err := range errs {
		if err == nil {
			wins++
		} else if !errors.Is(err, want) {
			t.Fatalf("a loser got %v, want %v", err, want)
		}
	}
	equal(t, "the number of winners", wins, 1)
}

func (r race) write(t *testing.T, f func(store.Tx) error) {
	t.Helper()
	must(t, r.nodes[0].Write(t.Context(), f))
}

func (r race) add(t *testing.T) {
	for round := range r.rounds {
		one(t, r.run(func(h *store.Handle) error {
			return h.Write(t.Context(), func(tx store.Tx) error {
				return gadgets.Add(tx, fmt.Sprint("add", round), "tony", r.until, gadget{})
			})
		}), store.ErrExists)
	}
}

func (r race) take(t *testing.T) {
	for range r.rounds {
		r.write(t, func(tx store.Tx) error { return gadgets.Add(tx, "take", "tony", r.until, gadget{}) })
		one(t, r.run(func(h *store.Handle) error {
			return h.Write(t.Context(), func(tx store.Tx) error {
				_, err := gadgets.Take(tx, "take")
				return err
			})
		}), store.ErrNotFound)
	}
}

func (r race) save(t *testing.T) {
	for round := range r.rounds {
		key := fmt.Sprint("save", round)
		r.write(t, func(tx store.Tx) error { return gadgets.Add(tx, key, "", r.until, gadget{}) })
		one(t, r.run(func(h *store.Handle) error {
			var read store.Record[gadget]
			if err := h.Read(t.Context(), func(tx store.Tx) (err error) { read, err = gadgets.Get(tx, key); return err }); err != nil {
				return err
			}
			if read.Version != 1 {
				return store.ErrChanged // too late to have read the first
			}
			read.Value.Count++
			return h.Write(t.Context(), func(tx store.Tx) error { return gadgets.Save(tx, &read) })
		}), store.ErrChanged)
		r.write(t, func(tx store.Tx) error {
			got, err := gadgets.Get(tx, key)
			equal(t, "the count", got.Value.Count, 1)
			return err
		})
	}
}

func (r race) step(t *testing.T) {
	r.write(t, func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO authenticator (tenant, id, user_id, kind, data, bound_at) VALUES ($1, 'app', 'tony', 'totp', $2, 0)`, []byte("seed"))
		return err
	})
	for round := range r.rounds {
		one(t, r.run(func(h *store.Handle) error {
			return h.Write(t.Context(), func(tx store.Tx) error {
				n, err := tx.Exec(`UPDATE authenticator SET step = $2 WHERE tenant = $1 AND id = 'app' AND step < $2`, round+1)
				if err == nil && n == 0 {
					err = store.ErrChanged
				}
				return err
			})
		}), store.ErrChanged)
	}
}

func (r race) change(t *testing.T) {
	for round := range r.rounds {
		key := fmt.Sprint("change", round)
		for _, err := range r.run(func(h *store.Handle) error {
			return h.Write(t.Context(), func(tx store.Tx) error {
				return gadgets.Change(tx, key, "tony", func(v *gadget, _ bool) (time.Time, error) { v.Count++; return r.until, nil })
			})
		}) {
			must(t, err)
		}
		r.write(t, func(tx store.Tx) error {
			got, err := gadgets.Get(tx, key)
			equal(t, "the count", got.Value.Count, callers)
			equal(t, "the version", got.Version, callers)
			return err
		})
	}
}

// changeAndTake counts up while others take the record away: what was taken and what is left make the number of changes.
func (r race) changeAndTake(t *testing.T) {
	for round := range r.rounds {
		key := fmt.Sprint("both", round)
		var turn, changed, taken atomic.Int64
		for _, err := range r.run(func(h *store.Handle) error {
			if turn.Add(1)%5 == 0 {
				var got store.Record[gadget]
				err := h.Write(t.Context(), func(tx store.Tx) (err error) { got, err = gadgets.Take(tx, key); return err })
				if errors.Is(err, store.ErrNotFound) {
					return nil
				}
				taken.Add(int64(got.Value.Count))
				return err
			}
			changed.Add(1)
			return h.Write(t.Context(), func(tx store.Tx) error {
				return gadgets.Change(tx, key, "tony", func(v *gadget, _ bool) (time.Time, error) { v.Count++; return r.until, nil })
			})
		}) {
			must(t, err)
		}
		r.write(t, func(tx store.Tx) error {
			got, err := gadgets.Get(tx, key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			equal(t, "the sum", taken.Load()+int64(got.Value.Count), changed.Load())
			return nil
		})
	}
}
