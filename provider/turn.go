package provider

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// A key takes each step of its life in a transaction of its own, and a node lets it take the next one only when this process has itself seen the
// last one for as long as lead. By then every node has: it goes by what it read within fresh, and whatever keeps a copy of the JWK set for the
// max-age of its answer has asked again. So no clock is compared with another one. A token is signed with no key that some node does not publish, and a key
// that is trusted no more has stopped signing everywhere after lead and fresh, and is published nowhere after twice that. Whoever gives
// the order may die at any moment: any node goes on with what stands in the table.
const lead = 3 * fresh

// How long a signing key signs, and for how long its successor is published before, since relying parties may keep what they once fetched.
const (
	keyLife = 90 * 24 * time.Hour
	keyLead = 24 * time.Hour
)

// TurnKeys is one round of Run: it reads the keys anew, publishes a successor when the active key nears its end, lets the successor sign once
// it has been published long enough, lets keys that are trusted no more take their next step, and forgets what no hint needs any more.
func (p *Provider) TurnKeys(ctx context.Context) error { return p.turn(ctx, false) }

// RotateKeys publishes a successor for every algorithm in use; it signs once it has been published for a day.
func (p *Provider) RotateKeys(ctx context.Context) error { return p.turn(ctx, true) }

// Turning reports whether keys that are trusted no more wait for their next step, as last read. TurnKeys lets them take it.
func (p *Provider) Turning() bool {
	for _, k := range p.keys.Load().all {
		if k.State == distrusted || k.State == leaving {
			return true
		}
	}
	return false
}

func (p *Provider) turn(ctx context.Context, asked bool) error {
	if err := p.readKeys(ctx); err != nil {
		return err
	}
	if err := p.outlast(ctx); err != nil {
		return err
	}
	needed := p.needed()
	for _, alg := range algorithms {
		now, held := p.d.Now(), p.keys.Load()
		current, successor := held.signing[alg], held.find(alg, next)
		if !slices.Contains(needed, alg) && (current == nil || current.State != distrusted) {
			continue
		}
		if current == nil {
			if err := p.makeKey(ctx, alg, active); err != nil {
				return err
			}
			continue
		}
		hurried := current.State == distrusted
		if successor == nil && !hurried && (asked || !now.Before(current.Active.Add(keyLife-keyLead))) {
			if err := p.makeKey(ctx, alg, next); err != nil {
				return err
			}
			successor = p.keys.Load().find(alg, next)
		}
		if successor != nil && successor.known(now) && (hurried || !now.Before(successor.Created.Add(keyLead))) {
			if err := p.promote(ctx, successor); err != nil {
				return err
			}
		}
	}
	if err := p.withdraw(ctx); err != nil {
		return err
	}
	return p.forgetKeys(ctx)
}

// known reports whether every node has seen the key in its state.
func (k *key) known(now time.Time) bool { return now.Sub(k.seen) >= lead }

func (k *keys) find(alg, state string) *key {
	for _, one := range k.all {
		if one.Alg == alg && one.State == state {
			return one
		}
	}
	return nil
}

// promote lets a successor sign, and no more the key before it. When another node was first, nothing is left to do.
func (p *Provider) promote(ctx context.Context, k *key) error {
	err := p.d.Store.Write(ctx, func(tx store.Tx) error {
		if err := p.lockKeys(tx); err != nil {
			return err
		}
		now := store.Micros(p.d.Now())
		var n int64
		if err := tx.Row(`SELECT COUNT(*) FROM signing_key WHERE tenant = $1 AND id = $2 AND state = $3`, k.ID, next).Scan(&n); err != nil || n == 0 {
			return err
		}
		for from, to := range map[string]string{active: retired, distrusted: leaving} {
			if _, err := tx.Exec(`UPDATE signing_key SET state = $3, retired_at = $4 WHERE tenant = $1 AND alg = $2 AND state = $5`, k.Alg, to, now, from); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`UPDATE signing_key SET state = $3, active_at = $4 WHERE tenant = $1 AND id = $2`, k.ID, active, now); err != nil {
			return err
		}
		return p.d.Journal.Record(tx, audit.Event{Name: audit.KeysRotated, Actor: "system", Detail: map[string]string{"key": k.ID, "kind": strings.ToLower(k.Alg)}})
	})
	if err != nil {
		return err
	}
	return p.readKeys(ctx)
}

// DistrustKeys has every signing key that there is replaced by one that nobody can know yet, as when the old ones have been seen: it publishes new ones, and
// TurnKeys does the rest in some seconds. Until then the old ones sign; then they sign no more, are published no more, and what they signed is
// believed no more. Successors that were published before are dropped, for they lay where the others did. While such a change is under way
// another one is part of it.
func (p *Provider) DistrustKeys(ctx context.Context) error {
	if err := p.readKeys(ctx); err != nil {
		return err
	}
	needed := p.needed()
	for _, alg := range algorithms {
		if p.keys.Load().signing[alg] == nil && !slices.Contains(needed, alg) {
			continue
		}
		if err := p.replace(ctx, alg); err != nil {
			return err
		}
	}
	return p.readKeys(ctx)
}

// replace publishes the successor of a key that is trusted no more. Those that signed before may still do so on another node for a moment, so that they leave
// as the last one will.
func (p *Provider) replace(ctx context.Context, alg string) error {
	der, err := generate(alg)
	if err != nil {
		return err
	}
	id := secret.ID()
	sealed := p.sealed.Seal(id, der)
	return p.d.Store.Write(ctx, func(tx store.Tx) error {
		if err := p.lockKeys(tx); err != nil {
			return err
		}
		var n int64
		if err := tx.Row(`SELECT COUNT(*) FROM signing_key WHERE tenant = $1 AND alg = $2 AND state = $3`, alg, distrusted).Scan(&n); err != nil || n > 0 {
			return err
		}
		now := store.Micros(p.d.Now())
		if _, err := tx.Exec(`DELETE FROM signing_key WHERE tenant = $1 AND alg = $2 AND state = $3`, alg, next); err != nil {
			return err
		}
		for from, to := range map[string]string{active: distrusted, retired: leaving} {
			if _, err := tx.Exec(`UPDATE signing_key SET state = $4 WHERE tenant = $1 AND alg = $2 AND state = $3`, alg, from, to); err != nil {
				return err
			}
		}
		_, err := tx.Exec(insertKey, id, alg, next, now, int64(0), sealed, p.life().Microseconds())
		return err
	})
}

// withdraw publishes no more the keys that no node signs with since a while.
func (p *Provider) withdraw(ctx context.Context) error {
	var over []string
	for id, k := range p.keys.Load().all {
		if k.State == leaving && k.known(p.d.Now()) {
			over = append(over, id)
		}
	}
	if len(over) == 0 {
		return nil
	}
	err := p.d.Store.Write(ctx, func(tx store.Tx) error {
		for _, id := range over {
			if _, err := tx.Exec(`UPDATE signing_key SET state = $3 WHERE tenant = $1 AND id = $2 AND state = $4`, id, withdrawn, leaving); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.readKeys(ctx)
}

func (p *Provider) forgetKeys(ctx context.Context) error {
	before := p.d.Now().Add(-hintsFor)
	old := false
	for _, k := range p.keys.Load().all {
		old = old || (k.State == retired || k.State == withdrawn) && k.Retired.Before(before)
	}
	if !old {
		return nil
	}
	return p.d.Store.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`DELETE FROM signing_key WHERE tenant = $1 AND (state = $2 OR state = $3) AND retired_at < $4`, retired, withdrawn, store.Micros(before))
		return err
	})
}
