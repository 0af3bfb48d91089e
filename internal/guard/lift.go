package guard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// Peek tells, without counting, until when an attempt would have to wait (zero: not at all) and how many wrong ones count against the user now.
func (g *Guard) Peek(tx store.Tx, t Trial) (until time.Time, failures int, err error) {
	until, failures, _, err = g.peek(tx, t)
	return until, failures, err
}

// peek is Peek, and how many have tried from the network of a stranger who signs in.
func (g *Guard) peek(tx store.Tx, t Trial) (until time.Time, failures, crowd int, err error) {
	now := g.now(tx)
	r, key := g.account(t)
	until, failures, err = g.look(tx, r, key, now)
	var more time.Time
	switch {
	case err != nil:
	case t.For == Reset:
		more, _, err = g.look(tx, g.rules.proofsNetwork, networkKey(t), now)
	case t.For == SignIn && !t.Known:
		var v tide
		v, err = g.crowd(tx, networkKey(t), now)
		more, crowd = v.barred(g.rules.passwordNetwork), v.sum()
	}
	if err != nil {
		return time.Time{}, 0, 0, fmt.Errorf("look at an attempt: %w", err)
	}
	if more.After(until) {
		until = more
	}
	return until, failures, crowd, nil
}

// NeedsPuzzle reports whether a puzzle must be solved before this password is tried: after wrong ones for the user, or many from an unknown
// browser's network. A name that is nobody is treated like any other.
func (g *Guard) NeedsPuzzle(tx store.Tx, t Trial) (bool, error) {
	_, failures, crowd, err := g.peek(tx, t)
	return err != nil || failures >= g.o.Limits.SignIn.Captcha || 4*crowd >= g.rules.passwordNetwork.count, err
}

func (g *Guard) look(tx store.Tx, r rule, key string, now time.Time) (until time.Time, failures int, err error) {
	v, err := g.tallies.Get(tx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return time.Time{}, 0, err
	}
	v.Value.settle(r, now)
	return v.Value.barred(r, now), len(v.Value.Marks), nil
}

func (g *Guard) crowd(tx store.Tx, key string, now time.Time) (tide, error) {
	v, err := g.tides.Get(tx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	v.Value.settle(g.rules.passwordNetwork, now)
	return v.Value, nil
}

// Hold is what counts against a user for one purpose.
type Hold struct {
	For      string    // SignIn, Code, Reset or "send"
	Known    bool      // all but Code: from browsers she is known to use
	Failures int       // wrong ones that count; messages, for "send"
	Until    time.Time // barred until then; zero: not barred
}

// Holds lists what counts against the user now: for operators and for the user's own page. Nothing counts: nothing is listed.
func (g *Guard) Holds(tx store.Tx, user string) ([]Hold, error) {
	all, err := g.tallies.Owned(tx, user)
	if err != nil {
		return nil, fmt.Errorf("list what counts against a user: %w", err)
	}
	var holds []Hold
	for _, v := range all {
		purpose, rest, _ := strings.Cut(v.Key, "/")
		if purpose == "send" {
			_, rest, _ = strings.Cut(rest, "/")
		}
		h := Hold{For: purpose, Known: strings.HasPrefix(rest, "known/")}
		r := g.rules.sends
		switch purpose {
		case SignIn:
			r = g.rules.password
		case Reset:
			r = g.rules.proofs
		case Code:
			r, h.Known = g.rules.codes, false
		}
		v.Value.settle(r, g.now(tx))
		h.Failures, h.Until = len(v.Value.Marks), v.Value.barred(r, g.now(tx))
		if h.Failures > 0 {
			holds = append(holds, h)
		}
	}
	return holds, nil
}

// Lift forgets what counts against a user: for the purposes named (SignIn, Code, Reset, "send"), or for all when none is.
// A reset that succeeded lifts Reset; an operator lifts all.
func (g *Guard) Lift(tx store.Tx, user string, purposes ...string) error {
	all, err := g.tallies.Owned(tx, user)
	if err != nil {
		return fmt.Errorf("lift: %w", err)
	}
	for _, v := range all {
		purpose, _, _ := strings.Cut(v.Key, "/")
		if len(purposes) > 0 && !slices.Contains(purposes, purpose) {
			continue
		}
		if err := g.tallies.Drop(tx, v.Key); err != nil {
			return fmt.Errorf("lift: %w", err)
		}
	}
	return nil
}

// LiftNetwork forgets what counts against a network (an IPv4 address or an IPv6 /64).
func (g *Guard) LiftNetwork(tx store.Tx, network string) error {
	err := g.tides.Drop(tx, networkKey(Trial{For: SignIn, Network: network}))
	for _, key := range []string{networkKey(Trial{For: Reset, Network: network}), sendNetworkKey(network), waitingKey(network)} {
		if err == nil {
			err = g.tallies.Drop(tx, key)
		}
	}
	if err != nil {
		return fmt.Errorf("lift a network: %w", err)
	}
	return nil
}

// LiftTenant lets the tenant's brake off.
func (g *Guard) LiftTenant(tx store.Tx) error {
	if err := g.brakes.Drop(tx, brakeKey); err != nil {
		return fmt.Errorf("lift the tenant's brake: %w", err)
	}
	return nil
}
