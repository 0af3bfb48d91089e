package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// house is one tenant guarded on two nodes that share a database, a key ring and a clock.
type house struct {
	*testing.T
	url   string
	clock *storetest.Clock
	ring  *secret.Ring
	nodes [2]*Guard
}

// each runs a test on every engine.
func each(t *testing.T, o Options, f func(h *house)) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		h := &house{T: t, url: url, clock: storetest.NewClock(), ring: secret.NewRing()}
		for i := range h.nodes {
			h.nodes[i] = h.open(o, "avengers")
		}
		f(h)
	})
}

// open is one more node, as after a restart.
func (h *house) open(o Options, tenant string) *Guard {
	h.Helper()
	o.Ring, o.Cookie, o.Secure = h.ring, "sparekey-"+tenant, true
	return New(storetest.Open(h, h.url, store.Options{Now: h.clock.Now}).Tenant(tenant), o)
}

// g is the first node.
func (h *house) g() *Guard { return h.nodes[0] }

func (h *house) write(f func(tx store.Tx) error) {
	h.Helper()
	if err := h.g().db.Write(h.Context(), f); err != nil {
		h.Fatal(err)
	}
}

// wrong tries once and is wrong. It reports whether the try was let through.
func (h *house) wrong(t Trial) bool {
	h.Helper()
	a := h.try(t)
	if a == nil {
		return false
	}
	if err := a.Wrong(h.Context()); err != nil {
		h.Fatal(err)
	}
	return true
}

// try gives nil when the attempt has to wait.
func (h *house) try(t Trial) *Attempt {
	h.Helper()
	a, err := h.g().Try(h.Context(), t)
	var wait *WaitError
	if errors.As(err, &wait) {
		if !wait.Until.After(h.clock.Now()) {
			h.Fatalf("has to wait until %v, which has passed", wait.Until)
		}
		return nil
	}
	if err != nil {
		h.Fatal(err)
	}
	return a
}

func (h *house) right(t Trial) {
	h.Helper()
	a := h.try(t)
	if a == nil {
		h.Fatalf("%+v has to wait", t)
	}
	h.write(a.Right)
}

// many is how many of n different wrong answers are let through, one after another.
func (h *house) many(n int, t Trial) (through int) {
	h.Helper()
	for i := range n {
		t.Password = fmt.Sprintf("%s %d", t.Password, i)
		if h.wrong(t) {
			through++
		}
	}
	return through
}

func (h *house) failures(t Trial) int {
	h.Helper()
	_, n := h.peek(t)
	return n
}

func (h *house) peek(t Trial) (until time.Time, n int) {
	h.Helper()
	err := h.g().db.Read(h.Context(), func(tx store.Tx) (err error) {
		until, n, err = h.g().Peek(tx, t)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return until, n
}

// parallel calls f n times at once and counts how often it reports true.
func parallel(n int, f func(i int) bool) int {
	var start, done sync.WaitGroup
	var count atomic.Int64
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			if f(i) {
				count.Add(1)
			}
		})
	}
	start.Done()
	done.Wait()
	return int(count.Load())
}

func TestA16ExactlyTheLimitIsLetThroughOfFiftyAtOnceOnTwoNodes(t *testing.T) {
	each(t, Options{}, func(h *house) {
		for _, test := range []struct {
			name  string
			trial Trial
			want  int
		}{
			{"proofs in a reset, unknown browsers", Trial{For: Reset, User: "u1", Network: "192.0.2.1"}, 5},
			{"proofs in a reset, known browsers", Trial{For: Reset, User: "u1", Known: true, Network: "192.0.2.2"}, 5},
			{"codes of one authenticator", Trial{For: Code, User: "u1", Authenticator: "a1", Network: "192.0.2.1"}, 5},
			{"codes of another", Trial{For: Code, User: "u1", Authenticator: "a2", Network: "192.0.2.1"}, 5},
			{"passwords, unknown browsers", Trial{For: SignIn, User: "u1", Network: "192.0.2.1"}, 10},
			{"passwords, known browsers", Trial{For: SignIn, User: "u1", Known: true, Network: "192.0.2.1"}, 10},
			{"a name that is nobody", Trial{For: SignIn, User: "unknown:8d2c", Network: "192.0.2.1"}, 10},
		} {
			h.Run(test.name, func(t *testing.T) {
				got := parallel(50, func(i int) bool {
					trial := test.trial
					trial.Password = fmt.Sprint("guess ", i)
					a, err := h.nodes[i%2].Try(t.Context(), trial)
					var wait *WaitError
					if err != nil && !errors.As(err, &wait) {
						t.Error(err)
					}
					return a != nil
				})
				if got != test.want {
					t.Errorf("%d of 50 were let through, want %d", got, test.want)
				}
			})
		}
	})
}

func TestA16ExactlyTwentyProofsOfANetworkAreLetThroughWhosever(t *testing.T) {
	each(t, Options{}, func(h *house) {
		got := parallel(50, func(i int) bool {
			a, err := h.nodes[i%2].Try(h.Context(), Trial{For: Reset, User: fmt.Sprint("u", i), Network: "192.0.2.1"})
			var wait *WaitError
			if errors.As(err, &wait) {
				if wait.Scope != "network" {
					h.Errorf("the %s is what has had too many", wait.Scope)
				}
			} else if err != nil {
				h.Error(err)
			}
			return a != nil
		})
		if got != 20 {
			h.Errorf("%d of 50 were let through, want 20", got)
		}
		if h.failures(Trial{For: Reset, User: "new", Network: "192.0.2.1"}) != 0 || h.wrong(Trial{For: Reset, User: "new", Network: "192.0.2.1"}) {
			h.Error("the network is full for everybody")
		}
		if h.failures(Trial{For: Reset, User: "new"}) != 0 {
			h.Error("a try that the network refused was counted for the account")
		}
		if !h.wrong(Trial{For: Reset, User: "u1", Network: "192.0.2.99"}) {
			h.Error("another network is not concerned")
		}
	})
}

func TestA16ACountSurvivesARestartAndATransactionThatFails(t *testing.T) {
	each(t, Options{}, func(h *house) {
		trial := Trial{For: Reset, User: "u1", Network: "192.0.2.1"}
		failed := errors.New("somebody was first")
		for range 5 {
			a := h.try(trial)
			err := h.g().db.Write(h.Context(), func(tx store.Tx) error {
				if err := a.Right(tx); err != nil {
					return err
				}
				return failed
			})
			if !errors.Is(err, failed) {
				h.Fatal(err)
			}
		}
		again := h.open(Options{}, "avengers")
		_, err := again.Try(h.Context(), trial)
		var wait *WaitError
		if !errors.As(err, &wait) || wait.Scope != "account" || !wait.Until.Equal(h.clock.Now().Add(24*time.Hour)) {
			h.Fatalf("the sixth proof after a restart: %v, want to wait a day", err)
		}
	})
}

func (h *house) hot() (hot bool) {
	h.Helper()
	err := h.g().db.Read(h.Context(), func(tx store.Tx) error { hot = h.g().Hot(tx); return nil })
	if err != nil {
		h.Fatal(err)
	}
	return hot
}

func TestEN09GuessingCodesSlowlyMeetsTheWaitsToo(t *testing.T) {
	each(t, Options{}, func(h *house) {
		trial := Trial{For: Code, User: "u1", Authenticator: "a1"}
		through := 0
		for h.wrong(trial) && through < 100 {
			through++
			if through < 20 {
				h.clock.Advance(10 * time.Minute)
			}
		}
		if until, _ := h.peek(trial); through != 20 || until.Sub(h.clock.Now()) != time.Minute {
			h.Errorf("%d were let through, then a wait of %v; want 20, then a minute", through, until.Sub(h.clock.Now()))
		}
	})
}

func TestA26AStrangerCannotLockTheOwnerOut(t *testing.T) {
	each(t, Options{}, func(h *house) {
		for i := range 1000 {
			trial := Trial{For: SignIn, User: "owner", Network: fmt.Sprint("203.0.113.", i%250), Password: fmt.Sprint("guess ", i)}
			if i%2 == 1 {
				trial = Trial{For: Reset, User: "owner", Network: trial.Network}
			}
			h.wrong(trial)
		}
		if h.wrong(Trial{For: SignIn, User: "owner", Network: "198.51.100.1", Password: "x"}) {
			h.Error("a stranger has tries left")
		}
		h.right(Trial{For: SignIn, User: "owner", Known: true, Network: "203.0.113.7"})
		h.right(Trial{For: Reset, User: "owner", Known: true, Network: "198.51.100.1"})
		h.right(Trial{For: Code, User: "owner", Authenticator: "a1", Network: "203.0.113.7"})
	})
}

func TestRS04SignInAndResetNeverShareACounter(t *testing.T) {
	each(t, Options{}, func(h *house) {
		if n := h.many(50, Trial{For: Reset, User: "u1", Network: "n"}); n != 5 {
			h.Fatalf("%d proofs were let through", n)
		}
		if n := h.many(50, Trial{For: SignIn, User: "u1", Network: "n"}); n != 10 {
			h.Errorf("%d passwords were let through after the resets, want 10", n)
		}
		if n := h.many(50, Trial{For: Reset, User: "u2", Network: "n"}); n != 5 {
			h.Errorf("%d proofs were let through after the passwords, want 5", n)
		}
	})
}

func TestA25AllNamesOfAUserShareOneCounter(t *testing.T) {
	// A trial names the user by her id, so what can differ is only where it comes from and what is asked.
	each(t, Options{}, func(h *house) {
		through := 0
		for i := range 20 {
			if h.wrong(Trial{For: Reset, User: "u1", Network: fmt.Sprint("n", i), Authenticator: fmt.Sprint("a", i)}) {
				through++
			}
		}
		if through != 5 {
			h.Errorf("%d proofs of one user were let through, want 5", through)
		}
		through = 0
		for i := range 20 {
			if h.wrong(Trial{For: SignIn, User: "u1", Network: fmt.Sprint("n", i), Authenticator: fmt.Sprint("a", i), Password: fmt.Sprint("p", i)}) {
				through++
			}
		}
		if through != 10 {
			h.Errorf("%d passwords of one user were let through, want 10", through)
		}
		through = 0
		for i := range 20 {
			if h.wrong(Trial{For: Code, User: "u1", Authenticator: "a1", Known: i%2 == 0, Network: fmt.Sprint("n", i)}) {
				through++
			}
		}
		if through != 5 {
			h.Errorf("%d codes of one authenticator were let through, want 5", through)
		}
	})
}

func TestA10TenantsAreCountedApart(t *testing.T) {
	each(t, Options{}, func(h *house) {
		trial := Trial{For: Reset, User: "u1", Network: "n"}
		h.many(20, trial)
		other := h.open(Options{}, "wakanda")
		for i := range 5 {
			if _, err := other.Try(h.Context(), trial); err != nil {
				h.Fatalf("try %d in the other tenant: %v", i+1, err)
			}
		}
	})
}

func TestATrialMustSayWhoAndWhatFor(t *testing.T) {
	g := New(storetest.SQLite(t).Tenant("avengers"), Options{Ring: secret.NewRing()})
	for _, trial := range []Trial{{}, {For: Reset}, {For: "unlock", User: "u1"}, {User: "u1"}, {For: SignIn, User: "a\x00b"}} {
		if a, err := g.Try(t.Context(), trial); err == nil || a != nil {
			t.Errorf("%+v was let through", trial)
		}
	}
}

func TestA47NoAttemptIsMadeWhoseCountIsNotOnDisk(t *testing.T) {
	broken := errors.New("disk full")
	trials := []Trial{{For: Reset, User: "u1", Network: "n"}, {For: SignIn, User: "u1", Network: "n", Password: "x"}, {For: Code, User: "u1"}}
	storetest.EachURL(t, func(t *testing.T, url string) {
		var calls, failing atomic.Int64
		db := storetest.Open(t, url, store.Options{Fault: func(string) error {
			if n := failing.Load(); n > 0 && calls.Add(1) == n {
				return broken
			}
			return nil
		}})
		g := New(db.Tenant("avengers"), Options{Ring: secret.NewRing()})
		for _, trial := range trials {
			n := int64(1)
			for ; ; n++ {
				calls.Store(0)
				failing.Store(n)
				a, err := g.Try(t.Context(), trial)
				if calls.Load() < n {
					if err != nil {
						t.Fatalf("%s: no call failed, and yet: %v", trial.For, err)
					}
					break
				}
				if err == nil || a != nil || !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("%s: call %d failed, and the attempt may be made (%v)", trial.For, n, err)
				}
			}
			if n < 4 {
				t.Errorf("%s: %d storage calls were seen", trial.For, n-1)
			}
			failing.Store(0)
			err := db.Tenant("avengers").Read(context.Background(), func(tx store.Tx) error {
				_, failures, err := g.Peek(tx, trial)
				if failures != 1 {
					t.Errorf("%s: %d count, want the one that was made", trial.For, failures)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func TestA50EveryCounterIsSweptInTheEnd(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		g := New(db.Tenant("avengers"), Options{Ring: secret.NewRing()})
		h := &house{T: t, clock: clock, nodes: [2]*Guard{g, g}}
		for i := range 30 {
			for _, purpose := range []string{SignIn, Reset, Code} {
				h.wrong(Trial{For: purpose, User: fmt.Sprint("u", i%7), Network: fmt.Sprint("n", i%5), Password: fmt.Sprint(i)})
			}
			h.write(func(tx store.Tx) error {
				_, err := g.Sent(tx, Trial{For: Reset, User: fmt.Sprint("u", i%7), Network: "n"})
				return err
			})
		}
		clock.Advance(49*time.Hour + time.Minute)
		if _, err := db.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left int
		h.write(func(tx store.Tx) error { return tx.Row("SELECT COUNT(*) FROM shelf WHERE tenant = $1").Scan(&left) })
		if left != 0 {
			t.Errorf("%d records are left two days later", left)
		}
	})
}
