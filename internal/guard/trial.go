package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// The purposes of a Trial. Each has counters of its own.
const (
	SignIn = "sign_in" // a password, wherever it is asked for
	Code   = "code"    // a code at sign-in or before security info changes
	Reset  = "reset"   // a proof in a reset or an unlock
)

// Trial is one answer about to be compared.
type Trial struct {
	For           string // SignIn, Code or Reset
	User          string // her id, whichever of her names she typed, or the pseudonym of a name that is nobody: both are counted alike
	Known         bool   // she is known to use this browser
	Network       string // where the answer comes from: an IPv4 address or an IPv6 /64
	Authenticator string // Code: which one; empty: the only one she has
	Password      string // SignIn: the answer itself, so that the same wrong one is counted once
}

// WaitError says that no attempt may be made before Until. Scope is what has had too many: "account" or "network".
type WaitError struct {
	Until time.Time
	Scope string
	key   string // of the counter
	user  string // whose it is; empty: nobody's
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("too many attempts for this %s until %s", e.Scope, e.Until.UTC().Format(time.RFC3339))
}

// First reports that the refusal is the first that this wait causes. One row in the journal tells of all of them: who is refused already could
// else fill the disk with rows at the price of a request each. A wait that begins after another was lifted has an end of its own.
func (g *Guard) First(tx store.Tx, w *WaitError) (bool, error) {
	err := g.refusals.Add(tx, fmt.Sprintf("%s/%d", w.key, store.Micros(w.Until)), w.user, w.Until, struct{}{})
	if errors.Is(err, store.ErrExists) {
		return false, nil
	}
	return err == nil, err
}

// Attempt is a Trial that was counted. Whoever holds one may compare the answer, and then says once how it went:
// Wrong, GiveBack, Right or Undone. One that is never heard of again stays counted.
type Attempt struct {
	g     *Guard
	t     Trial
	id    string
	same  string // keyed sum of the password
	at    time.Time
	twin  bool // the same password was among the last wrong ones
	ended atomic.Bool
}

// Try counts an answer before it is compared; the count is on disk when Try returns. *WaitError: there have been too many, and it must not be compared.
// After any other error it must not be compared either.
func (g *Guard) Try(ctx context.Context, t Trial) (*Attempt, error) {
	a := &Attempt{g: g, t: t, id: secret.ID()[:10]}
	switch {
	case t.For != SignIn && t.For != Code && t.For != Reset:
		return nil, fmt.Errorf("count an attempt: unknown purpose %q", t.For)
	case t.User == "":
		return nil, errors.New("count an attempt: no user named")
	}
	if t.For == SignIn && t.Password != "" {
		a.same = g.sums.Name(t.User, secret.Normal(t.Password))[:22]
	}
	a.t.Password = ""
	if err := g.db.Write(ctx, a.raise); err != nil {
		return nil, fmt.Errorf("count an attempt: %w", err)
	}
	return a, nil
}

// raise locks account, network and tenant in this order, as everything here does.
func (a *Attempt) raise(tx store.Tx) error {
	g, now := a.g, a.g.now(tx)
	var wait *WaitError
	barred := func(until time.Time, scope, key, user string) bool {
		if !until.IsZero() && (wait == nil || until.After(wait.Until)) {
			wait = &WaitError{until, scope, key, user}
		}
		return !until.IsZero()
	}
	a.at = now
	r, key := g.account(a.t)
	err := g.tallies.Change(tx, key, a.t.User, func(v *tally, _ bool) (time.Time, error) {
		var until time.Time
		until, a.twin = v.raise(r, now, a.id, a.same)
		barred(until, "account", key, a.t.User)
		return v.until(r), nil
	})
	if err != nil {
		return err
	}
	switch {
	case a.t.For == Reset:
		r := g.rules.proofsNetwork
		err = g.tallies.Change(tx, networkKey(a.t), "", func(v *tally, _ bool) (time.Time, error) {
			until, _ := v.raise(r, now, a.id, "")
			barred(until, "network", networkKey(a.t), "")
			return v.until(r), nil
		})
		if err == nil && wait == nil {
			err = g.changeBrake(tx, func(b *brake) { b.Rush.raise(g.rules.rush, now); b.Siege.raise(g.rules.siege, now) })
		}
	case a.t.For == SignIn && !a.t.Known:
		s := g.rules.passwordNetwork
		err = g.tides.Change(tx, networkKey(a.t), "", func(v *tide, _ bool) (time.Time, error) {
			v.settle(s, now)
			if !barred(v.barred(s), "network", networkKey(a.t), "") {
				v.raise(s, now)
			}
			return v.until(s), nil
		})
	}
	if err == nil && wait != nil {
		return wait // undoes what was counted before it
	}
	return err
}

// Wrong says that the answer was wrong: it stays counted, unless it is one of the last three wrong passwords once more.
func (a *Attempt) Wrong(ctx context.Context) error {
	if !a.twin || a.same == "" || a.ended.Load() {
		a.ended.Store(true)
		return nil // it is on disk already
	}
	return a.write(ctx, func(tx store.Tx) error {
		r, key := a.g.account(a.t)
		again := false
		err := a.g.tallies.Change(tx, key, a.t.User, func(v *tally, _ bool) (time.Time, error) {
			// The twin may have been taken back meanwhile; then this one is the first.
			if again = v.holds(a.same, a.id); again {
				v.drop(r, a.id)
			}
			return v.until(r), nil
		})
		if err != nil || !again {
			return err
		}
		return a.lower(tx)
	})
}

// GiveBack says that the answer was never compared, as when the directory was down: it counts for nothing. ctx is that of whoever gave the answer:
// when she has left, it stays counted. Where a wrong answer takes longer than a right one, leaving early would else be a guess for nothing.
func (a *Attempt) GiveBack(ctx context.Context) error {
	if a.ended.Load() {
		return nil
	}
	return a.write(ctx, func(tx store.Tx) error { return a.takeBack(tx, false) })
}

// Right says, in the transaction of the deed, that the answer was right: it is given back. A right password clears the wrong ones from this class
// of browsers, a right code those of its authenticator. A reset's proofs are cleared by Lift when the reset is done, not by one of its gates.
func (a *Attempt) Right(tx store.Tx) error {
	if a.ended.Load() {
		return nil
	}
	if err := a.takeBack(tx, a.t.For != Reset); err != nil {
		return fmt.Errorf("give an attempt back: %w", err)
	}
	tx.After(func() { a.ended.Store(true) })
	return nil
}

// Undone says that the answer was right and that its deed was not done, since its transaction ended with err (nil: it was done). The answer counts
// for nothing: whoever knows the right one learns nothing by giving it again, so a store that is away, or a second tab that was first, makes
// no room for a guess and takes none from its owner. Wrong ones stay counted, as they do after GiveBack. An answer that was used up before is
// no right one. Where nobody knows whether the transaction was committed it may hold Right already: then nothing is taken back, or the
// network's and the tenant's counters, which are mere numbers, would fall by two. When taking back fails as well, the answer stays counted.
func (a *Attempt) Undone(ctx context.Context, err error) {
	if err == nil || errors.Is(err, store.ErrUnknown) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoing)
	defer cancel()
	_ = a.GiveBack(ctx)
}

// undoing is how long taking an answer back may take for one who has left.
const undoing = 5 * time.Second

func (a *Attempt) write(ctx context.Context, f func(store.Tx) error) error {
	if err := a.g.db.Write(ctx, f); err != nil {
		return fmt.Errorf("give an attempt back: %w", err)
	}
	a.ended.Store(true)
	return nil
}

func (a *Attempt) takeBack(tx store.Tx, clear bool) error {
	r, key := a.g.account(a.t)
	var err error
	if clear {
		err = a.g.tallies.Drop(tx, key)
	} else {
		err = a.g.tallies.Change(tx, key, a.t.User, func(v *tally, _ bool) (time.Time, error) {
			v.drop(r, a.id)
			return v.until(r), nil
		})
	}
	if err != nil {
		return err
	}
	return a.lower(tx)
}

// lower takes the attempt out of the counters beyond the account's.
func (a *Attempt) lower(tx store.Tx) error {
	g := a.g
	switch {
	case a.t.For == Reset:
		r := g.rules.proofsNetwork
		err := g.tallies.Change(tx, networkKey(a.t), "", func(v *tally, _ bool) (time.Time, error) {
			v.drop(r, a.id)
			return v.until(r), nil
		})
		if err != nil {
			return err
		}
		return g.changeBrake(tx, func(b *brake) { b.Rush.drop(g.rules.rush, a.at); b.Siege.drop(g.rules.siege, a.at) })
	case a.t.For == SignIn && !a.t.Known:
		s := g.rules.passwordNetwork
		return g.tides.Change(tx, networkKey(a.t), "", func(v *tide, _ bool) (time.Time, error) {
			v.drop(s, a.at)
			return v.until(s), nil
		})
	}
	return nil
}

// account gives the rule and the key of the counter for the user.
func (g *Guard) account(t Trial) (rule, string) {
	switch t.For {
	case SignIn:
		return g.rules.password, SignIn + t.class() + t.User
	case Reset:
		return g.rules.proofs, Reset + t.class() + t.User
	default:
		return g.rules.codes, Code + "/" + cmp.Or(t.Authenticator, t.User)
	}
}

// class parts the browsers a user is known to use from all others.
func (t Trial) class() string {
	if t.Known {
		return "/known/"
	}
	return "/unknown/"
}

func networkKey(t Trial) string { return t.For + "/network/" + t.Network }
