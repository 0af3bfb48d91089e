package sparekey

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/flows"
	"github.com/sparekey-id/sparekey/internal/account"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/reseal"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/provider"
)

// sealed is where a tenant has something sealed: one line for each room that seals.
func sealed(name string, ring *secret.Ring) []store.Column {
	return slices.Concat(
		[]store.Column{account.Sealed(name, ring), flows.Sealed(name, ring)},
		notify.Sealed(name, ring),
		provider.Sealed(name, ring),
	)
}

func (p *Plugin) sealed() reseal.Store {
	return reseal.Store{DB: p.db, Ring: p.ring, Columns: func(name string) []store.Column { return sealed(name, p.ring) }}
}

// Keyring lists the keys of the keyring that seal, oldest first, and how many values of the database hang on each. One may be taken out of the
// file when none does; a backup that was made before needs it still.
func (p *Plugin) Keyring(ctx context.Context) ([]reseal.Key, error) { return p.sealed().Keys(ctx) }

// AddKey adds a key to the keyring's file, with which this process seals from now on, and others once they have been started again. It returns
// the key's id. by names the operator in the journal of every tenant.
func (p *Plugin) AddKey(ctx context.Context, by string) (string, error) {
	done, id := false, ""
	for i, t := range p.wiring.Load().tenants {
		err := p.db.Tenant(t.name).Write(ctx, func(tx store.Tx) error {
			if i == 0 {
				if err := turn(tx); err != nil {
					return err
				}
				if !done { // the transaction may run again
					if err := p.ring.Rotate(); err != nil {
						return err
					}
					keys := p.ring.Keys()
					done, id = true, keys[len(keys)-1]
				}
			}
			return t.journal.Record(tx, audit.Event{Name: audit.OperatorRingKey, Actor: "operator:" + by, Detail: map[string]string{"key": id}})
		})
		if err != nil && done {
			return id, fmt.Errorf("key %s is in the keyring, but the journal of %s does not say so: %w", id, t.name, err)
		}
		if err != nil {
			return "", err
		}
	}
	return id, nil
}

// turn makes others that would add a key wait until this transaction has ended, so that neither writes the file without the other's key.
func turn(tx store.Tx) error {
	return store.NewShelf[struct{}]("keyring").Change(tx, "turn", "", func(*struct{}, bool) (time.Time, error) { return tx.Now().Add(time.Minute), nil })
}

// Reseal seals anew, with the newest key of the keyring, all that hangs on an older one, while servers go on, and returns how many values it
// did and what hangs on each key then. It may be cut short at any moment and begun again. progress may be nil; it is called with the number of
// values done. by names the operator in the journal of every tenant.
func (p *Plugin) Reseal(ctx context.Context, by string, progress func(done int64)) (done int64, left []reseal.Key, err error) {
	s := p.sealed()
	before, err := s.Keys(ctx)
	if err != nil || reseal.Stale(before) == 0 {
		return 0, before, err
	}
	for _, t := range p.wiring.Load().tenants {
		err := p.db.Tenant(t.name).Write(ctx, func(tx store.Tx) error {
			return t.journal.Record(tx, audit.Event{Name: audit.OperatorResealed, Actor: "operator:" + by, Detail: map[string]string{"key": before[len(before)-1].ID}})
		})
		if err != nil {
			return 0, before, err
		}
	}
	if done, err = s.Run(ctx, progress); err != nil {
		return done, before, err
	}
	left, err = s.Keys(ctx)
	return done, left, err
}

// opens refuses a keyring that lacks a key which something that lasts hangs on, and logs the older ones on which something does.
func (p *Plugin) opens(ctx context.Context, path string, tenants []string) error {
	keys, older, err := p.sealed().Lasting(ctx, tenants...)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	if k := keys[0]; k.Missing {
		return fmt.Errorf("keyring %s lacks the key %s, on which hang %s: put it back; sparekey keyring list tells when nothing hangs on it any more", path, k.ID, words(k.Kinds))
	}
	if len(older) > 0 {
		p.log.Warn("keyring: values are sealed with an older key; sparekey keyring reseal seals them anew", "keys", older)
	}
	return nil
}

// words counts values by what they are.
func words(kinds map[string]int64) string {
	var list []string
	for kind, n := range kinds {
		list = append(list, fmt.Sprintf("%s: %d", kind, n))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
