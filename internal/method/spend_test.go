package method_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// spendOnce plays what happens between a right answer and its proof, on a real engine.
func spendOnce(t *testing.T, db *store.DB, clock *storetest.Clock, s scene) {
	h := db.Tenant("avengers")
	keep(t, h, s.rows)
	_, state, sent := s.ask(t, s.who)
	right := s.right(t, s.who, sent)
	verify := func() method.Result {
		t.Helper()
		r, err := s.method.Verify(t.Context(), s.who, state, right)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if !s.once {
		if err := h.Write(t.Context(), verify().Spend); err != nil {
			t.Fatal(err)
		}
		if err := h.Write(t.Context(), verify().Spend); err != nil {
			t.Fatalf("a password is good more than once: %v", err)
		}
		return
	}
	// A transaction that fails later gives it back.
	late := errors.New("late")
	if err := h.Write(t.Context(), func(tx store.Tx) error { return errors.Join(verify().Spend(tx), late) }); !errors.Is(err, late) || errors.Is(err, store.ErrChanged) {
		t.Fatal(err)
	}
	// A13: fifty at once, one wins, the others hear that it was used; a few rounds, each with an answer of its own.
	for round := range 10 {
		s.who.Now = noon.Add(time.Duration(round) * 10 * time.Minute)
		_, state, sent = s.ask(t, s.who)
		right = s.right(t, s.who, sent)
		if won, lost := race(t, h, verify()); won != 1 || lost != 49 {
			t.Fatalf("A13 of fifty at once %d spent the answer and %d heard that it was used, want 1 and 49", won, lost)
		}
	}
	// Verify keeps nothing, so it says yes again; spending says no, after the clock was set back too.
	for _, jump := range []time.Duration{0, time.Second, -10 * time.Minute, 30 * time.Minute} {
		clock.Advance(jump)
		if _, err := db.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := h.Write(t.Context(), verify().Spend); !errors.Is(err, store.ErrChanged) {
			t.Errorf("used once more, %v on: %v", jump, err)
		}
	}
	// Another tenant with the same ids has answers of its own, and none of them is spent by this one.
	there := db.Tenant("wakanda")
	if err := there.Write(t.Context(), verify().Spend); !errors.Is(err, store.ErrChanged) {
		t.Errorf("A10 spent at a tenant without such an authenticator: %v", err)
	}
	// A33: the authenticator changes between the answer and the proof.
	for what, statement := range map[string]string{
		"suspended":  `UPDATE authenticator SET suspended_at = 1 WHERE tenant = $1 AND id = $2`,
		"given away": `UPDATE authenticator SET user_id = 'id-hulk' WHERE tenant = $1 AND id = $2`,
		"deleted":    `DELETE FROM authenticator WHERE tenant = $1 AND id = $2`,
	} {
		fresh := s
		fresh.who.Now = s.who.Now.Add(10 * time.Minute)
		_, state, sent := fresh.ask(t, fresh.who)
		r, err := s.method.Verify(t.Context(), fresh.who, state, fresh.right(t, fresh.who, sent))
		if err != nil {
			t.Fatal(err)
		}
		undo := errors.New("undo")
		err = h.Write(t.Context(), func(tx store.Tx) error {
			if n, err := tx.Exec(statement, r.Authenticator); err != nil || n != 1 {
				return fmt.Errorf("%d rows, %w", n, err)
			}
			return errors.Join(undo, r.Spend(tx))
		})
		if !errors.Is(err, undo) || !errors.Is(err, store.ErrChanged) {
			t.Errorf("A33 %s meanwhile: %v, want ErrChanged", what, err)
		}
	}
}

// race spends one answer fifty times at once.
func race(t *testing.T, h *store.Handle, r method.Result) (won, lost int32) {
	t.Helper()
	var w, l atomic.Int32
	var group sync.WaitGroup
	start := make(chan struct{})
	for range 50 {
		group.Go(func() {
			<-start
			switch err := h.Write(t.Context(), r.Spend); {
			case err == nil:
				w.Add(1)
			case errors.Is(err, store.ErrChanged) && errors.Is(err, method.ErrRejected):
				l.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	close(start)
	group.Wait()
	return w.Load(), l.Load()
}

func TestA47_AStorageFaultIsNeverAProof(t *testing.T) {
	for name, build := range scenes() {
		if !build().once {
			continue // it spends nothing
		}
		t.Run(name, func(t *testing.T) {
			s := build()
			calls, failAt := 0, -1
			broken := errors.New("disk gone")
			db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{Fault: func(string) error {
				if calls++; calls == failAt {
					return broken
				}
				return nil
			}})
			h := db.Tenant("avengers")
			keep(t, h, s.rows)
			_, state, sent := s.ask(t, s.who)
			r, err := s.method.Verify(t.Context(), s.who, state, s.right(t, s.who, sent))
			if err != nil {
				t.Fatal(err)
			}
			for n := 1; ; n++ {
				calls, failAt = 0, n
				err := h.Write(t.Context(), r.Spend)
				if calls < n { // there was no n-th call: this one went through
					if err != nil || n < 3 {
						t.Errorf("without a fault: %v after %d calls", err, calls)
					}
					return
				}
				if err == nil || errors.Is(err, method.ErrRejected) {
					t.Fatalf("with call %d failing: %v", n, err)
				}
			}
		})
	}
}
