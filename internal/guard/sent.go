package guard

import (
	"fmt"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Sent counts a message with a code that is about to be queued in the same transaction. False: there have been too many for this user or from this
// network; nothing must be sent, nothing was counted, and nobody must be told. A name that is nobody is counted like any other.
func (g *Guard) Sent(tx store.Tx, user, network string) (allowed bool, err error) {
	now, id := g.now(tx), secret.ID()[:10]
	count := func(key, owner string, r rule) (ok bool, err error) {
		err = g.tallies.Change(tx, key, owner, func(v *tally, _ bool) (time.Time, error) {
			until, _ := v.raise(r, now, id, "")
			ok = until.IsZero()
			return v.until(r), nil
		})
		return ok, err
	}
	account := "send/user/" + user
	if allowed, err = count(account, user, g.rules.sends); err == nil && allowed {
		if allowed, err = count(sendNetworkKey(network), "", g.rules.sendsNetwork); err == nil && !allowed {
			err = g.tallies.Change(tx, account, user, func(v *tally, _ bool) (time.Time, error) {
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
