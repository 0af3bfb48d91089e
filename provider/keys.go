package provider

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// The life of a signing key: published as next, signing as active, published still as retired until the last token it signed has ended.
const (
	next    = "next"
	active  = "active"
	retired = "retired"
)

// hintsFor is how long a retired key, published no more, still reads the id_token_hint of a relying party that has been away.
const hintsFor = 400 * 24 * time.Hour

// Key is a signing key as an operator sees it.
type Key struct {
	ID      string    `json:"id"`
	Alg     string    `json:"alg"`
	State   string    `json:"state"` // next, active, retired
	Created time.Time `json:"created"`
	Active  time.Time `json:"active,omitzero"`
	Retired time.Time `json:"retired,omitzero"`
}

// key is one signing key, opened.
type key struct {
	Key
	private crypto.Signer
	public  jose.JSONWebKey
	head    string // of every token it signs, with the dot behind
}

// keys are the tenant's, as last read. The value is never changed, only replaced.
type keys struct {
	all    map[string]*key // by kid
	active map[string]*key // by algorithm
	set    *document       // the JWK set
	look   uint64          // a look that began later has seen more
}

// needed are the algorithms there has to be a key for: RS256 always, since discovery has to list it (OpenID Connect Discovery §3).
func (p *Provider) needed() []string {
	return slices.DeleteFunc(slices.Clone(algorithms), func(alg string) bool {
		if alg == "RS256" {
			return false
		}
		for _, c := range p.clients {
			if c.IDTokenAlg == alg {
				return false
			}
		}
		return true
	})
}

// openKeys reads the keys and makes an active one for each algorithm that has none. Two nodes that start at once end up with one.
func (p *Provider) openKeys(ctx context.Context) error {
	if err := p.readKeys(ctx); err != nil {
		return err
	}
	for _, alg := range p.needed() {
		if p.keys.Load().active[alg] != nil {
			continue
		}
		if err := p.makeKey(ctx, alg, active); err != nil {
			return err
		}
	}
	return nil
}

// readKeys brings p.keys in step with the table. Keys opened before are not opened again.
func (p *Provider) readKeys(ctx context.Context) error {
	now := &keys{all: map[string]*key{}, active: map[string]*key{}, look: p.looks.Add(1)}
	before := p.keys.Load()
	var published jose.JSONWebKeySet
	published.Keys = []jose.JSONWebKey{}
	err := p.d.Store.Read(ctx, func(tx store.Tx) error {
		rows, err := tx.Rows(`SELECT id, alg, state, created_at, active_at, retired_at, key FROM signing_key WHERE tenant = $1 ORDER BY created_at, id LIMIT 1000`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var k key
			var created, since, until int64
			var sealed []byte
			if err := rows.Scan(&k.ID, &k.Alg, &k.State, &created, &since, &until, &sealed); err != nil {
				return err
			}
			k.Created, k.Active, k.Retired = store.Time(created), store.Time(since), store.Time(until)
			if before != nil && before.all[k.ID] != nil {
				k.private, k.public, k.head = before.all[k.ID].private, before.all[k.ID].public, before.all[k.ID].head
			} else if err := p.openKey(&k, sealed); err != nil {
				return fmt.Errorf("key %s: %w", k.ID, err)
			}
			now.all[k.ID] = &k
			switch {
			case k.State == active:
				now.active[k.Alg] = &k
			case k.State == retired && p.d.Now().After(k.Retired.Add(p.keptFor())):
				continue
			}
			published.Keys = append(published.Keys, k.public)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	body, err := json.Marshal(published)
	if err != nil {
		return err
	}
	now.set = newDocument(body)
	for before == nil || before.look < now.look {
		if p.keys.CompareAndSwap(before, now) {
			break
		}
		before = p.keys.Load()
	}
	return nil
}

// looking bounds how long the store is waited for where the keys last read will do.
const looking = time.Second

// lookAgain reads the keys for a relying party that may have met another node's newest: a node writes a key into the table before it signs with it.
// After an error the keys are those last read.
func (p *Provider) lookAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	return p.readKeys(ctx)
}

// keyNamed is the key with that kid, whichever node made it; nil: there is none.
func (p *Provider) keyNamed(ctx context.Context, kid string) *key {
	if k := p.keys.Load().all[kid]; k != nil {
		return k
	}
	if err := p.lookAgain(ctx); err != nil {
		return nil
	}
	return p.keys.Load().all[kid]
}

// keptFor is how long a retired key stays published: until the last token it signed has ended, and an hour for clocks and caches.
func (p *Provider) keptFor() time.Duration { return max(p.c.ID, p.c.Access) + time.Hour }

func (p *Provider) openKey(k *key, sealed []byte) error {
	der, err := p.sealed.Open(k.ID, sealed)
	if err != nil {
		return err
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return fmt.Errorf("a %T cannot sign", private)
	}
	head, err := json.Marshal(map[string]string{"alg": k.Alg, "kid": k.ID, "typ": "JWT"})
	if err != nil {
		return err
	}
	k.private, k.head = signer, base64.RawURLEncoding.EncodeToString(head)+"."
	k.public = jose.JSONWebKey{Key: signer.Public(), KeyID: k.ID, Algorithm: k.Alg, Use: "sig"}
	return nil
}

// makeKey makes a key outside any transaction and keeps it, unless another node has made one in that state meanwhile.
func (p *Provider) makeKey(ctx context.Context, alg, state string) error {
	der, err := generate(alg)
	if err != nil {
		return err
	}
	id := secret.ID()
	sealed := p.sealed.Seal(id, der)
	err = p.d.Store.Write(ctx, func(tx store.Tx) error {
		if err := p.lockKeys(tx); err != nil {
			return err
		}
		var n int64
		if err := tx.Row(`SELECT COUNT(*) FROM signing_key WHERE tenant = $1 AND alg = $2 AND state = $3`, alg, state).Scan(&n); err != nil || n > 0 {
			return err
		}
		now := store.Micros(p.d.Now())
		since := now
		if state == next {
			since = 0
		}
		_, err := tx.Exec(`INSERT INTO signing_key (tenant, id, alg, state, created_at, active_at, retired_at, key) VALUES ($1, $2, $3, $4, $5, $6, 0, $7)`,
			id, alg, state, now, since, sealed)
		return err
	})
	if err != nil {
		return err
	}
	return p.readKeys(ctx)
}

// lockKeys makes other nodes wait until this transaction has ended: each of them looks again before it writes.
func (p *Provider) lockKeys(tx store.Tx) error {
	return store.NewShelf[struct{}]("signing").Change(tx, "turn", "", func(*struct{}, bool) (time.Time, error) { return time.Time{}, nil })
}

// generate makes a private key (PKCS #8): RSA of 2048 bits, P-256 or Ed25519.
func generate(alg string) (der []byte, err error) {
	var private any
	switch alg {
	case "RS256":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, fmt.Errorf("no key for %q", alg)
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(private)
}

// TurnKeys is one round of Run: it reads the keys anew, publishes a successor when the active key nears its end, lets the
// successor sign once it has been published long enough, and forgets what no hint needs any more.
func (p *Provider) TurnKeys(ctx context.Context) error { return p.turn(ctx, false, false) }

// RotateKeys publishes a successor for every algorithm in use; it signs once it has been published for Config.KeyLead,
// or at once when told so, for a key that is no longer trusted.
func (p *Provider) RotateKeys(ctx context.Context, atOnce bool) error {
	return p.turn(ctx, true, atOnce)
}

func (p *Provider) turn(ctx context.Context, asked, atOnce bool) error {
	if err := p.readKeys(ctx); err != nil {
		return err
	}
	for _, alg := range p.needed() {
		now, held := p.d.Now(), p.keys.Load()
		current, successor := held.active[alg], held.find(alg, next)
		if current == nil {
			if err := p.makeKey(ctx, alg, active); err != nil {
				return err
			}
			continue
		}
		if successor == nil && (asked || !now.Before(current.Active.Add(p.c.KeyLife-p.c.KeyLead))) {
			if err := p.makeKey(ctx, alg, next); err != nil {
				return err
			}
			successor = p.keys.Load().find(alg, next)
		}
		if successor != nil && (atOnce || !now.Before(successor.Created.Add(p.c.KeyLead))) {
			if err := p.promote(ctx, successor); err != nil {
				return err
			}
		}
	}
	return p.forgetKeys(ctx)
}

func (k *keys) find(alg, state string) *key {
	for _, one := range k.all {
		if one.Alg == alg && one.State == state {
			return one
		}
	}
	return nil
}

// promote lets a successor sign and retires the key before it. When another node was first, nothing is left to do.
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
		if _, err := tx.Exec(`UPDATE signing_key SET state = $3, retired_at = $4 WHERE tenant = $1 AND alg = $2 AND state = $5`, k.Alg, retired, now, active); err != nil {
			return err
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

func (p *Provider) forgetKeys(ctx context.Context) error {
	before := p.d.Now().Add(-hintsFor)
	held := p.keys.Load()
	old := false
	for _, k := range held.all {
		old = old || k.State == retired && k.Retired.Before(before)
	}
	if !old {
		return nil
	}
	return p.d.Store.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`DELETE FROM signing_key WHERE tenant = $1 AND state = $2 AND retired_at < $3`, retired, store.Micros(before))
		return err
	})
}

// Keys lists the signing keys by algorithm: the retired ones, the active one, its successor.
func (p *Provider) Keys() []Key {
	var list []Key
	for _, k := range p.keys.Load().all {
		list = append(list, k.Key)
	}
	order := map[string]int{retired: 0, active: 1, next: 2}
	slices.SortFunc(list, func(a, b Key) int {
		return cmp.Or(slices.Index(algorithms, a.Alg)-slices.Index(algorithms, b.Alg), order[a.State]-order[b.State], a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Sealed is where the signing keys of a tenant lie, and the successors of refresh tokens.
func Sealed(tenant string, ring *secret.Ring) []store.Column {
	signing, successors := ring.Box("signing/"+tenant), ring.Box("refresh/"+tenant)
	return []store.Column{
		{What: "signing key", Table: "signing_key", Name: "key", Renew: func(id, _ string, key []byte) ([]byte, error) { return signing.Reseal(id, key) }},
		{What: "grant", Table: "shelf", Shelf: "grant", Name: "sealed", Renew: func(key, _ string, token []byte) ([]byte, error) { return successors.Reseal(key, token) }},
	}
}
