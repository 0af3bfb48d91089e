package notify

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func TestF03_ACrashBetweenLeaseAndSendingCostsOneDuplicateAtMost(t *testing.T) {
	for name, also := range map[string]bool{"before it was sent": false, "after it was sent": true} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *room) {
				r.queue(code("ironman@stark.example", "482913"))
				crashed := r.other("avengers")
				rows, err := crashed.take(t.Context())
				if err != nil || len(rows) != 1 {
					t.Fatal(rows, err)
				}
				if also {
					e, err := crashed.open(rows[0])
					if err != nil || r.send(t.Context(), e) != nil {
						t.Fatal(err)
					}
				}
				already := len(r.sent())
				r.deliver(0)
				r.clock.Advance(lease - time.Second)
				r.deliver(0)
				r.clock.Advance(time.Second)
				r.deliver(1)
				r.clock.Advance(24 * time.Hour)
				r.deliver(0)
				out := r.sent()
				if len(out) != already+1 || out[0].MessageID != out[len(out)-1].MessageID {
					t.Errorf("sent %d times, want %d with one message id", len(out), already+1)
				}
				r.erased(sent)
			})
		})
	}
}

func TestARoundThatLostItsLeaseNeitherSendsNorSettles(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.queue(code("ironman@stark.example", "482913"))
		slow := r.other("avengers")
		rows, err := slow.take(t.Context())
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		r.clock.Advance(lease - limit + time.Second) // too late to send within the lease
		if ok, err := slow.try(t.Context(), rows[0]); ok || err != nil || len(r.sent()) != 0 {
			t.Fatalf("sent %v, %v", ok, err)
		}
		r.clock.Advance(lease)
		again, err := r.take(t.Context())
		if err != nil || len(again) != 1 {
			t.Fatal(again, err)
		}
		if err := slow.end(t.Context(), rows[0], sent); err != nil {
			t.Fatal(err)
		}
		if got := r.rows(); got[0].state != waiting {
			t.Errorf("a lease that was over made the row %s", got[0].state)
		}
		if ok, err := r.try(t.Context(), again[0]); !ok || err != nil {
			t.Errorf("the holder of the lease: %v, %v", ok, err)
		}
		r.erased(sent)
	})
}

func TestTwoOutboxesOnOneStoreNeverSendARowTwice(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		const n = 60
		var under sync.Map
		r.fail = func(e Envelope) error {
			if _, twice := under.LoadOrStore(e.MessageID, true); twice {
				t.Errorf("%s was sent by two at once", e.MessageID)
			}
			return nil
		}
		for i := range n {
			r.queue(code(fmt.Sprintf("user%d@stark.example", i), "482913"))
		}
		second := r.other("avengers")
		var all sync.WaitGroup
		for _, o := range []*Outbox{r.Outbox, second, r.Outbox, second} {
			all.Go(func() {
				for {
					if _, err := o.Deliver(t.Context()); err != nil {
						t.Error(err)
						return
					}
					if due, err := o.due(t.Context()); err != nil || !due {
						return
					}
				}
			})
		}
		all.Wait()
		to := map[string]int{}
		for _, e := range r.sent() {
			to[e.To]++
		}
		if len(to) != n || len(r.sent()) != n {
			t.Errorf("%d messages to %d recipients, want %d to as many", len(r.sent()), len(to), n)
		}
	})
}

func TestA47_WhatCannotBeNotedIsAnErrorAndSentAgainAfterTheLease(t *testing.T) {
	var failing sync.Map
	clock := storetest.NewClock()
	db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{Now: clock.Now, Fault: func(op string) error {
		if _, ok := failing.Load(op); ok {
			return errors.New("disk full")
		}
		return nil
	}})
	r := open(t, db, clock)
	r.queue(code("ironman@stark.example", "482913"))
	failing.Store("exec", true)
	if n, err := r.Deliver(t.Context()); n != 0 || !errors.Is(err, store.ErrUnavailable) || len(r.sent()) != 0 {
		t.Errorf("without a lease %d were sent, %v", len(r.sent()), err)
	}
	if err := r.Outbox.db.Write(t.Context(), func(tx store.Tx) error { return r.Queue(tx, code("x@y.example", "1")) }); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("queue on a full disk: %v", err)
	}
	failing.Delete("exec")
	r.fail = func(Envelope) error { failing.Store("exec", true); return nil }
	if n, err := r.Deliver(t.Context()); n != 1 || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("sent and not noted: %d, %v", n, err)
	}
	failing.Delete("exec")
	r.fail = nil
	r.deliver(0)
	clock.Advance(lease)
	r.deliver(1)
	r.erased(sent)
}
