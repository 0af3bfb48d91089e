package guard

import (
	"fmt"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Sent counts a message with a code that is about to be queued in the same transaction. False: there have been too many for this user or from this
// network; nothing must be sent, nothing was counted, and nobody must be told. A name that is nobody is counted like any other.
// Purposes and known browsers are counted apart, so that a stranger who asks for codes in a reset cannot silence their owner's registration.
func (g *Guard) Sent(tx store.Tx, t Trial) (allowed bool, err error) {
	now, id := g.now(tx), secret.ID()[:10]
	count := func(key, owner string, r rule) (ok bool, err error) {
		err = g.tallies.Change(tx, key, owner, func(v *tally, _ bool) (time.Time, error) {
			until, _ := v.raise(r, now, id, "")
			ok = until.IsZero()
			return v.until(r), nil
		})
		return ok, err
	}
	account := "send/" + t.For + t.class() + t.User
	if allowed, err = count(account, t.User, g.rules.sends); err == nil && allowed {
		if allowed, err = count(sendNetworkKey(t.Network), "", g.rules.sendsNetwork); err == nil && !allowed {
			err = g.tallies.Change(tx, account, t.User, func(v *tally, _ bool) (time.Time, error) {
				v.drop(g.rules.sends, id)
				return v.until(g.rules.sends), nil
			})
		}
	}
	if err != nil {
		return false, fmt.Errorf("count a message: %w", err)
	}
	return allowed, nil
}

func sendNetworkKey(network string) string { return "send/network/" + network }
