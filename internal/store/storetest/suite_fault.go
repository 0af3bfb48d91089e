package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// faults lets the n-th storage call fail, for every n (SECURITY A47, F-15).
func (s suite) faults(t *testing.T) {
	var calls, failing atomic.Int64
	broken := errors.New("the disk is broken")
	url, clock := s.fresh(t), NewClock()
	db := Open(t, url, store.Options{Now: clock.Now, Fault: func(op string) error {
		switch op {
		case "begin", "exec", "query", "commit":
		default:
			t.Errorf("unknown call %q", op)
		}
		if calls.Add(1) == failing.Load() {
			return broken
		}
		return nil
	}})
	d := desk{t, db.Tenant("avengers"), clock}
	work := func(round int) func(tx store.Tx) error {
		return func(tx store.Tx) error {
			key, until := fmt.Sprint(round), d.hour()
			if err := gadgets.Add(tx, key, "tony", until, gadget{}); err != nil {
				return err
			}
			r, err := gadgets.Get(tx, key)
			if err != nil {
				return err
			}
			if err := gadgets.Save(tx, &r); err != nil {
				return err
			}
			if err := gadgets.Change(tx, key, "", func(v *gadget, _ bool) (time.Time, error) { v.Count++; return until, nil }); err != nil {
				return err
			}
			_, err = gadgets.Owned(tx, "tony")
			return err
		}
	}
	// attempt runs f with its n-th call failing; false when f makes fewer calls.
	attempt := func(n int64, f func() error) (bool, error) {
		calls.Store(0)
		failing.Store(n)
		err := f()
		failing.Store(0)
		return calls.Load() >= n, err
	}
	t.Run("A47 a write of which any call fails is an outage and leaves nothing", func(t *testing.T) {
		n := 1
		for ; ; n++ {
			failed, err := attempt(int64(n), func() error { return d.h.Write(t.Context(), work(n)) })
			if !failed {
				must(t, err)
				break
			}
			wants(t, err, store.ErrUnavailable)
			wants(t, err, broken)
			d.gone(fmt.Sprint(n))
		}
		equal(t, "the number of calls", n-1, 8) // begin, 6 statements, commit
		equal(t, "the count", d.get(fmt.Sprint(n)).Value.Count, 1)
	})
	t.Run("A47 a function that goes on after a failing call does not succeed", func(t *testing.T) {
		for n := int64(2); n <= 3; n++ {
			_, err := attempt(n, func() error {
				return d.h.Write(t.Context(), func(tx store.Tx) error {
					gadgets.Add(tx, "swallowed", "", d.hour(), gadget{})
					gadgets.Add(tx, "swallowed too", "", d.hour(), gadget{})
					return nil
				})
			})
			wants(t, err, broken)
			d.gone("swallowed")
			d.gone("swallowed too")
		}
	})
	t.Run("A47 a read of which any call fails is an outage", func(t *testing.T) {
		d.add("there", "", d.hour(), gadget{})
		for n := int64(1); ; n++ {
			failed, err := attempt(n, func() error {
				return d.h.Read(t.Context(), func(tx store.Tx) error { _, err := gadgets.Get(tx, "there"); return err })
			})
			if !failed {
				must(t, err)
				break
			}
			wants(t, err, store.ErrUnavailable)
		}
	})
	t.Run("A47 a sweep that fails says so", func(t *testing.T) {
		for n := int64(1); n <= 3; n++ {
			_, err := attempt(n, func() error { _, err := db.Sweep(t.Context()); return err })
			wants(t, err, broken)
		}
	})
	if db.Stats()["failures"] == 0 {
		t.Fatal("no failure was counted")
	}
}
