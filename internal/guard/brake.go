package guard

import (
	"errors"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// brake counts the wrong proofs in resets of the whole tenant, over a short and a long time. It bars nobody: it makes puzzles harder
// and lets risky resets wait.
type brake struct {
	Rush  tide `json:"rush,omitempty"`
	Siege tide `json:"siege,omitempty"`
}

const brakeKey = "reset"

func (g *Guard) changeBrake(tx store.Tx, f func(*brake)) error {
	return g.brakes.Change(tx, brakeKey, "", func(b *brake, _ bool) (time.Time, error) {
		f(b)
		rush, siege := b.Rush.until(g.rules.rush), b.Siege.until(g.rules.siege)
		if rush.After(siege) {
			return rush, nil
		}
		return siege, nil
	})
}

// Hot reports whether so many proofs in resets have failed in the whole tenant that it is under attack: puzzles are 64 times harder, and a
// reset by one proof should wait half an hour. It falls by itself. When the counter cannot be read it is hot.
func (g *Guard) Hot(tx store.Tx) bool {
	r, err := g.brakes.Get(tx, brakeKey)
	if err != nil {
		return !errors.Is(err, store.ErrNotFound)
	}
	b, now := r.Value, g.now(tx)
	b.Rush.settle(g.rules.rush, now)
	b.Siege.settle(g.rules.siege, now)
	return b.Rush.sum() >= g.rules.rush.count || b.Siege.sum() >= g.rules.siege.count
}
