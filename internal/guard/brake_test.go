package guard

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// assault fails one proof for each of n users, from networks of their own, gap apart.
func (h *house) assault(from, n int, gap time.Duration) {
	h.Helper()
	for i := range n {
		h.wrong(Trial{For: Reset, User: fmt.Sprint("u", from+i), Network: fmt.Sprint("n", from+i)})
		h.clock.Advance(gap)
	}
}

func TestRS04ATenantUnderAttackBecomesHotAndCoolsDown(t *testing.T) {
	each(t, Options{Captcha: ProofOfWork{Bits: 10}}, func(h *house) {
		bits := func() (n int) {
			err := h.g().db.Read(h.Context(), func(tx store.Tx) error {
				c, err := h.g().Offer(tx, "flow")
				n = c.Bits
				return err
			})
			if err != nil {
				h.Fatal(err)
			}
			return n
		}
		h.Run("by fifty in ten minutes", func(*testing.T) {
			h.assault(0, 49, 10*time.Second)
			if h.hot() || bits() != 10 {
				h.Error("hot after 49")
			}
			h.assault(49, 1, 0)
			if !h.hot() || bits() != 16 {
				h.Errorf("not hot after 50, or the puzzle of %d bits is not 64 times harder", bits())
			}
			h.right(Trial{For: SignIn, User: "u1", Network: "n1"})
			h.clock.Advance(11 * time.Minute)
			if h.hot() {
				h.Error("still hot when the ten minutes are over")
			}
		})
		h.Run("by five hundred in a day", func(*testing.T) {
			h.assault(50, 449, 2*time.Minute)
			if h.hot() {
				h.Error("hot after 499")
			}
			h.assault(499, 1, 0)
			if !h.hot() {
				h.Error("not hot after 500")
			}
			h.clock.Advance(20 * time.Hour)
			if h.hot() {
				h.Error("still hot when the first have left the day")
			}
		})
		h.Run("until an operator lifts it", func(*testing.T) {
			h.assault(1000, 60, 0)
			if !h.hot() {
				h.Fatal("not hot")
			}
			h.write(h.g().LiftTenant)
			if h.hot() {
				h.Error("still hot")
			}
		})
	})
}

func TestA47ABrakeThatCannotBeReadIsOn(t *testing.T) {
	var broken atomic.Bool
	db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{Fault: func(op string) error {
		if broken.Load() && op == "query" {
			return errors.New("disk failed")
		}
		return nil
	}})
	g := New(db.Tenant("avengers"), Options{Ring: secret.NewRing()})
	for _, want := range []bool{false, true} {
		broken.Store(want)
		_ = g.db.Read(t.Context(), func(tx store.Tx) error {
			if got := g.Hot(tx); got != want {
				t.Errorf("hot: %v, want %v", got, want)
			}
			return nil
		})
	}
}

func TestRightProofsHeatNothing(t *testing.T) {
	each(t, Options{}, func(h *house) {
		for i := range 60 {
			h.right(Trial{For: Reset, User: fmt.Sprint("u", i), Network: fmt.Sprint("n", i)})
		}
		if h.hot() {
			h.Error("sixty right proofs made the tenant hot")
		}
	})
}

func TestRS05FiveMessagesInTenMinutesThenSilence(t *testing.T) {
	each(t, Options{}, func(h *house) {
		send := func(user, network string) (ok bool) {
			h.write(func(tx store.Tx) (err error) {
				ok, err = h.g().Sent(tx, Trial{For: Reset, User: user, Network: network})
				return err
			})
			return ok
		}
		h.Run("A16 exactly five of fifty at once on two nodes", func(*testing.T) {
			got := parallel(50, func(i int) (ok bool) {
				g := h.nodes[i%2]
				err := g.db.Write(h.Context(), func(tx store.Tx) (err error) {
					ok, err = g.Sent(tx, Trial{For: Reset, User: "u1", Network: fmt.Sprint("n", i)})
					return err
				})
				if err != nil {
					h.Error(err)
				}
				return ok
			})
			if got != 5 {
				h.Errorf("%d were sent, want 5", got)
			}
		})
		h.Run("a silent one does not make the silence longer", func(*testing.T) {
			h.clock.Advance(10*time.Minute - time.Second)
			if send("u1", "n") {
				h.Error("sent too early")
			}
			h.clock.Advance(time.Second)
			if !send("u1", "n") {
				h.Error("still silent after ten minutes")
			}
		})
		h.Run("a network has thirty, whosever, and what it refuses counts for nobody", func(*testing.T) {
			sent := 0
			for i := range 40 {
				if send(fmt.Sprint("v", i), "net") {
					sent++
				}
			}
			if sent != 30 {
				h.Errorf("%d were sent, want 30", sent)
			}
			for i := range 5 {
				if !send("v39", fmt.Sprint("m", i)) {
					h.Error("the refused ones were counted")
				}
			}
		})
	})
}

func TestOperatorsLiftEachLimit(t *testing.T) {
	each(t, Options{}, func(h *house) {
		fill := func() {
			for _, trial := range []Trial{{For: SignIn, User: "u1", Network: "n"}, {For: SignIn, User: "u1", Known: true}, {For: Reset, User: "u1", Network: "n"},
				{For: Reset, User: "u1", Known: true, Network: "m"}, {For: Code, User: "u1", Authenticator: "a1"}, {For: SignIn, User: "u2", Network: "n"}} {
				h.many(12, trial)
			}
			for range 5 {
				h.write(func(tx store.Tx) error {
					_, err := h.g().Sent(tx, Trial{For: Reset, User: "u1", Network: "n"})
					return err
				})
			}
		}
		holds := func() map[string]bool {
			m := map[string]bool{}
			h.write(func(tx store.Tx) error {
				list, err := h.g().Holds(tx, "u1")
				for _, x := range list {
					if x.Failures < 5 || !x.Until.After(h.clock.Now()) {
						h.Errorf("%+v does not bar", x)
					}
					m[fmt.Sprint(x.For, " ", x.Known)] = true
				}
				return err
			})
			return m
		}
		fill()
		if got := fmt.Sprint(holds()); got != "map[code false:true reset false:true reset true:true send false:true sign_in false:true sign_in true:true]" {
			h.Fatalf("what counts: %s", got)
		}
		h.Run("a reset that succeeded lifts resets alone", func(*testing.T) {
			h.write(func(tx store.Tx) error { return h.g().Lift(tx, "u1", Reset) })
			if got := fmt.Sprint(holds()); got != "map[code false:true send false:true sign_in false:true sign_in true:true]" {
				h.Errorf("what counts: %s", got)
			}
			if !h.wrong(Trial{For: Reset, User: "u1", Network: "n"}) {
				h.Error("still barred")
			}
		})
		h.Run("an operator lifts all of a user and nothing of another", func(*testing.T) {
			h.write(func(tx store.Tx) error { return h.g().Lift(tx, "u1") })
			if got := holds(); len(got) != 0 {
				h.Errorf("what counts: %v", got)
			}
			if n := h.failures(Trial{For: SignIn, User: "u2"}); n != 10 {
				h.Errorf("%d of the other user’s count, want 10", n)
			}
		})
		h.Run("an operator lifts a network", func(*testing.T) {
			for i := range 30 {
				h.wrong(Trial{For: Reset, User: fmt.Sprint("w", i), Network: "net"})
			}
			for i := range 310 {
				h.wrong(Trial{For: SignIn, User: fmt.Sprint("w", i), Network: "net", Password: "x"})
			}
			reset, password := Trial{For: Reset, User: "new", Network: "net"}, Trial{For: SignIn, User: "new", Network: "net"}
			if h.wrong(reset) || h.wrong(password) {
				h.Fatal("the network is not full")
			}
			h.write(func(tx store.Tx) error { return h.g().LiftNetwork(tx, "net") })
			if !h.wrong(reset) || !h.wrong(password) {
				h.Error("still barred")
			}
		})
	})
}

func TestPeekTellsTheTruthAndCountsNothing(t *testing.T) {
	each(t, Options{}, func(h *house) {
		trial := Trial{For: Reset, User: "u1", Network: "n"}
		for i := range 5 {
			for range 3 {
				if until, n := h.peek(trial); n != i || !until.IsZero() {
					h.Fatalf("after %d: %d count, until %v", i, n, until)
				}
			}
			h.wrong(trial)
		}
		if until, n := h.peek(trial); n != 5 || !until.Equal(h.clock.Now().Add(24*time.Hour)) {
			h.Errorf("%d count, until %v", n, until)
		}
	})
}
