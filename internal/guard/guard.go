// Package guard owns the question whether an attempt may be made at all: counters of wrong passwords, proofs and codes, of messages sent,
// the brake on a tenant under attack, the browsers a user is known to use, and the puzzle that keeps machines away.
//
// It never decides whether a proof is right and never bars an account for good. Counting is per purpose: a sign-in and a reset never share a counter.
// A counter is raised before the comparison, in a transaction of its own that is on disk before the answer is looked at,
// so parallel tries, crashes and transactions that fail later cannot make room for one more (OWASP ASVS 5.0 §6.3.1, NIST SP 800-63B §3.2.2).
package guard

import (
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// Options of a tenant's guard.
type Options struct {
	Ring    *secret.Ring     // seals tickets and makes the sums by which a wrong password is recognised
	Limits  Limits           // what is zero takes its default
	Captcha Captcha          // nil: ProofOfWork with its defaults
	Cookie  string           // base name of the browser's cookie, with the tenant in it: "sparekey-avengers"
	Secure  bool             // false for an issuer on http://localhost alone
	Now     func() time.Time // nil: the store's clock
}

// Guard counts for one tenant. Several of them may share a store: what one counts all know.
type Guard struct {
	db      *store.Handle
	o       Options
	rules   rules
	tickets secret.Box // the box of the puzzle's answers
	sums    secret.MAC // of wrong passwords

	tallies  store.Shelf[tally]
	tides    store.Shelf[tide]
	brakes   store.Shelf[brake]
	spent    store.Shelf[struct{}]
	browsers store.Shelf[browser]
	refusals store.Shelf[struct{}] // those that the journal tells of
}

// New makes the guard of the tenant h belongs to.
func New(h *store.Handle, o Options) *Guard {
	if o.Captcha == nil {
		o.Captcha = ProofOfWork{}
	}
	o.Limits = o.Limits.filled()
	return &Guard{
		db: h, o: o, rules: o.Limits.rules(),
		tickets:  o.Ring.Box("captcha/" + h.Name()),
		sums:     o.Ring.MAC("wrong password/" + h.Name()),
		tallies:  store.NewShelf[tally]("tally"),
		tides:    store.NewShelf[tide]("tide"),
		brakes:   store.NewShelf[brake]("brake"),
		spent:    store.NewShelf[struct{}]("captcha"),
		browsers: store.NewShelf[browser]("browser"),
		refusals: store.NewShelf[struct{}]("refusal"),
	}
}

// now is the time for all arithmetic within a transaction.
func (g *Guard) now(tx store.Tx) time.Time {
	if g.o.Now != nil {
		return g.o.Now()
	}
	return tx.Now()
}

// clock is the time outside of transactions.
func (g *Guard) clock() time.Time {
	if g.o.Now != nil {
		return g.o.Now()
	}
	return g.db.Now()
}

// cookie is that of a browser somebody has signed in from.
func (g *Guard) cookie() web.Cookie {
	return web.Cookie{Base: g.o.Cookie + "-device", Secure: g.o.Secure}
}
