package guard

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

func TestARightAnswerIsGivenBack(t *testing.T) {
	each(t, Options{}, func(h *house) {
		reset := Trial{For: Reset, User: "u1", Network: "192.0.2.1"}
		password := Trial{For: SignIn, User: "u1", Network: "192.0.2.1"}
		code := Trial{For: Code, User: "u1", Authenticator: "a1"}

		h.Run("A16 a right proof in a reset clears no wrong one", func(*testing.T) {
			h.many(4, reset)
			for range 10 {
				h.right(reset)
			}
			if n := h.failures(reset); n != 4 {
				h.Errorf("%d wrong proofs count, want 4", n)
			}
		})
		h.Run("A16 a right password clears no code and no proof", func(*testing.T) {
			h.many(5, code)
			h.many(9, password)
			h.right(password)
			if n := h.failures(password); n != 0 {
				h.Errorf("%d wrong passwords count after a right one", n)
			}
			if n := h.failures(code); n != 5 || h.wrong(code) {
				h.Errorf("%d wrong codes count, want 5 and a wait", n)
			}
			if n := h.failures(reset); n != 4 {
				h.Errorf("%d wrong proofs count, want 4", n)
			}
		})
		h.Run("a right code clears the codes of its authenticator", func(*testing.T) {
			h.clock.Advance(time.Minute)
			h.many(5, Trial{For: Code, User: "u1", Authenticator: "a2"})
			h.right(code)
			if n := h.failures(code); n != 0 {
				h.Errorf("%d wrong codes count after a right one", n)
			}
			if n := h.failures(Trial{For: Code, User: "u1", Authenticator: "a2"}); n != 5 {
				h.Errorf("%d wrong codes of the other authenticator count, want 5", n)
			}
		})
		h.Run("RS-05 a right password in one class of browsers clears nothing in the other", func(*testing.T) {
			known := password
			known.Known = true
			h.many(3, known)
			h.many(4, password)
			h.right(known)
			if n := h.failures(password); n != 4 {
				h.Errorf("%d wrong passwords from unknown browsers count, want 4", n)
			}
		})
		h.Run("many right answers at once leave nothing behind", func(*testing.T) {
			parallel(30, func(i int) bool {
				a, err := h.nodes[i%2].Try(h.Context(), Trial{For: SignIn, User: fmt.Sprint("v", i/8), Network: "198.51.100.1"})
				if err != nil {
					h.Error(err)
					return false
				}
				err = h.nodes[i%2].db.Write(h.Context(), a.Right)
				if err != nil {
					h.Error(err)
				}
				return err == nil
			})
			err := h.g().db.Read(h.Context(), func(tx store.Tx) error {
				crowd, err := h.g().crowd(tx, networkKey(Trial{For: SignIn, Network: "198.51.100.1"}), h.clock.Now())
				if crowd.sum() != 0 {
					h.Errorf("%d wrong passwords count for the network", crowd.sum())
				}
				return err
			})
			if err != nil {
				h.Error(err)
			}
		})
	})
}

func TestF06ADirectoryThatIsDownNeverCounts(t *testing.T) {
	each(t, Options{}, func(h *house) {
		for _, trial := range []Trial{{For: SignIn, User: "u1", Network: "n"}, {For: Reset, User: "u1", Network: "n"}, {For: Code, User: "u1"}} {
			for range 60 {
				a := h.try(trial)
				if a == nil {
					h.Fatalf("%s: has to wait", trial.For)
				}
				if err := errors.Join(a.GiveBack(h.Context()), a.GiveBack(h.Context()), a.Wrong(h.Context())); err != nil {
					h.Fatal(err)
				}
			}
			if n := h.failures(trial); n != 0 {
				h.Errorf("%s: %d count", trial.For, n)
			}
		}
		if h.hot() {
			h.Error("the brake is on")
		}
	})
}

func TestAnAttemptEndsOnceAndOnlyWithItsTransaction(t *testing.T) {
	each(t, Options{}, func(h *house) {
		trial := Trial{For: SignIn, User: "u1", Network: "n", Password: "x"}
		crowd := func() (n int) {
			err := h.g().db.Read(h.Context(), func(tx store.Tx) error {
				v, err := h.g().crowd(tx, networkKey(trial), h.clock.Now())
				n = v.sum()
				return err
			})
			if err != nil {
				h.Fatal(err)
			}
			return n
		}
		h.many(3, Trial{For: SignIn, User: "u2", Network: "n"})
		a := h.try(trial)
		if err := errors.Join(a.GiveBack(h.Context()), a.GiveBack(h.Context())); err != nil {
			h.Fatal(err)
		}
		h.write(a.Right)
		if n := crowd(); n != 3 {
			h.Errorf("%d count for the network, want the three of somebody else", n)
		}
		a = h.try(trial)
		failed := errors.New("the deed failed")
		err := h.g().db.Write(h.Context(), func(tx store.Tx) error { return errors.Join(a.Right(tx), failed) })
		if !errors.Is(err, failed) {
			h.Fatal(err)
		}
		if n, m := h.failures(trial), crowd(); n != 1 || m != 4 {
			h.Errorf("%d and %d count after the deed failed, want 1 and 4", n, m)
		}
		h.write(a.Right)
		if n, m := h.failures(trial), crowd(); n != 0 || m != 3 {
			h.Errorf("%d and %d count after the deed was done, want 0 and 3", n, m)
		}
	})
}

func TestARightAnswerWhoseDeedFailedIsGivenBackAndAWrongOneNever(t *testing.T) {
	each(t, Options{}, func(h *house) {
		lost := fmt.Errorf("the deed: %w", store.ErrUnavailable)
		unsure := fmt.Errorf("the deed: %w: %w", store.ErrUnavailable, store.ErrUnknown)
		gone, leave := context.WithCancel(h.Context())
		leave()
		for _, trial := range []Trial{{For: SignIn, User: "u1", Network: "n", Password: "x"}, {For: Reset, User: "u1", Network: "n"}, {For: Code, User: "u1"}} {
			crowd := func() (n int) {
				h.write(func(tx store.Tx) error {
					v, err := h.g().crowd(tx, networkKey(trial), h.clock.Now())
					if err != nil {
						return err
					}
					b, err := h.g().brakes.Get(tx, brakeKey)
					if n = v.sum(); err == nil && trial.For == Reset {
						n = b.Value.Rush.sum()
					}
					return nil
				})
				return n
			}
			h.many(3, trial)
			before := crowd()
			counts := func(what string, want int) {
				h.Helper()
				if n := h.failures(trial); n != want {
					h.Errorf("%s, %s: %d count, want %d", trial.For, what, n, want)
				}
				if n := crowd(); n > before+want-3 || before > 0 && n != before+want-3 {
					h.Errorf("%s, %s: %d count beyond the account, %d before", trial.For, what, n, before)
				}
			}
			for range 20 {
				h.try(trial).Undone(gone, lost)
			}
			counts("a store that was away", 3)
			a := h.try(trial)
			a.Undone(h.Context(), nil)
			counts("a deed that was done, and says so itself", 4)
			a.Undone(h.Context(), lost)
			a.Undone(h.Context(), lost)
			counts("given back twice", 3)
			a = h.try(trial)
			a.Undone(h.Context(), unsure)
			counts("a commit of which nobody knows", 4)
			if err := a.GiveBack(gone); err == nil {
				h.Errorf("%s: somebody left before the comparison, and it counts for nothing", trial.For)
			}
			counts("somebody left", 4)
			if err := a.Wrong(h.Context()); err != nil {
				h.Fatal(err)
			}
			a.Undone(h.Context(), lost)
			counts("a wrong answer", 4)
		}
	})
}
