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
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// The life of a signing key: published as next, signing as active, published still as retired until the last token it signed has ended.
// One that is trusted no more takes another way, which turn.go walks: it signs, distrusted, until its successor is published everywhere; it signs no
// more, leaving, and is published for as long as another node may still hand out what it signed; and it is withdrawn.
const (
	next       = "next"
	active     = "active"
	retired    = "retired"
	distrusted = "distrusted"
	leaving    = "leaving"
	withdrawn  = "withdrawn"
)

// fresh is for how long a node goes by what it has read of the keys, in what it publishes and in what it signs with.
const fresh = time.Second

// hintsFor is how long a retired key, published no more, still reads the id_token_hint of a relying party that has been away.
const hintsFor = 400 * 24 * time.Hour

// Key is a signing key as an operator sees it.
type Key struct {
	ID      string    `json:"id"`
	Alg     string    `json:"alg"`
	State   string    `json:"state"` // next, active, retired, distrusted, leaving, withdrawn
	Created time.Time `json:"created"`
	Active  time.Time `json:"active,omitzero"`
	Retired time.Time `json:"retired,omitzero"`
}

// key is one signing key, opened.
type key struct {
	Key
	private crypto.Signer
	public  jose.JSONWebKey
	head    string        // of every token it signs, with the dot behind
	life    time.Duration // of the longest token that it may have signed, on any node and by any configuration
	seen    time.Time     // by this process in this state, for the first time
}

// signs reports whether tokens are signed with it.
func (k *key) signs() bool { return k.State == active || k.State == distrusted }

// vouches reports whether what it has signed is believed when it comes back.
func (k *key) vouches() bool { return k.signs() || k.State == retired }

// keys are the tenant's, as last read. The value is never changed, only replaced.
type keys struct {
	all     map[string]*key // by kid
	signing map[string]*key // by algorithm
	set     *document       // the JWK set
	look    uint64          // a look that began later has seen more
	began   time.Time       // when the look did
}

// fresh reports whether they may be gone by at a time. Both clocks have to say so, the one that is set and the one that only runs: the first may be put back, and the second stands still
// while a machine sleeps.
func (k *keys) fresh(now time.Time) bool {
	since, set := now.Sub(k.began), now.Round(0).Sub(k.began.Round(0))
	return since >= 0 && since <= fresh && set >= 0 && set <= fresh
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

// openKeys reads the keys and makes an active one for each algorithm that has none. Two nodes that start at once end up with one. Where other
// nodes may be serving the tenant already, it returns when all of them have had time to publish what it made.
func (p *Provider) openKeys(ctx context.Context) error {
	if err := p.readKeys(ctx); err != nil {
		return err
	}
	served, made := len(p.keys.Load().all) > 0, false
	if err := p.outlast(ctx); err != nil {
		return err
	}
	for _, alg := range p.needed() {
		if p.keys.Load().signing[alg] != nil {
			continue
		}
		if err := p.makeKey(ctx, alg, active); err != nil {
			return err
		}
		made = true
	}
	if !p.d.Shared || !served || !made {
		return nil
	}
	select {
	case <-time.After(fresh + fresh/2):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readKeys brings p.keys in step with the table. Keys opened before are not opened again.
func (p *Provider) readKeys(ctx context.Context) error {
	now := &keys{all: map[string]*key{}, signing: map[string]*key{}, look: p.looks.Add(1), began: p.d.Now()}
	before := p.keys.Load()
	var published jose.JSONWebKeySet
	published.Keys = []jose.JSONWebKey{}
	err := p.d.Store.Read(ctx, func(tx store.Tx) error {
		rows, err := tx.Rows(`SELECT id, alg, state, created_at, active_at, retired_at, key, life FROM signing_key WHERE tenant = $1 ORDER BY created_at DESC, id DESC LIMIT 1000`) // the youngest count
		if err != nil {
			return err
		}
		for rows.Next() {
			var k key
			var created, since, until, life int64
			var sealed []byte
			if err := rows.Scan(&k.ID, &k.Alg, &k.State, &created, &since, &until, &sealed, &life); err != nil {
				return err
			}
			k.Created, k.Active, k.Retired = store.Time(created), store.Time(since), store.Time(until)
			k.life = time.Duration(life) * time.Microsecond
			if before != nil && before.all[k.ID] != nil {
				k.private, k.public, k.head = before.all[k.ID].private, before.all[k.ID].public, before.all[k.ID].head
			} else if err := p.openKey(&k, sealed); err != nil {
				return fmt.Errorf("key %s: %w", k.ID, err)
			}
			now.all[k.ID] = &k
			if k.signs() {
				now.signing[k.Alg] = &k
			}
			if k.State != withdrawn && !(k.State == retired && p.d.Now().After(k.Retired.Add(p.keptFor(&k)))) {
				published.Keys = append(published.Keys, k.public)
			}
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	seen := p.d.Now() // and not before: what a look has found may have been written while it went on
	for id, k := range now.all {
		if k.seen = seen; before != nil && before.all[id] != nil && before.all[id].State == k.State {
			k.seen = before.all[id].seen
		}
	}
	slices.Reverse(published.Keys)
	body, err := json.Marshal(published)
	if err != nil {
		return err
	}
	now.set = newDocument(body, fresh)
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

// lately gives the keys as they are now, or were a moment ago, and looks them up when what is known of them is older. After an error they are those last read.
func (p *Provider) lately(ctx context.Context) (*keys, error) {
	if k := p.keys.Load(); k.fresh(p.d.Now()) {
		return k, nil
	}
	ctx, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	select {
	case p.oneLooks <- struct{}{}:
		defer func() { <-p.oneLooks }()
	case <-ctx.Done():
		return p.keys.Load(), ctx.Err()
	}
	if k := p.keys.Load(); k.fresh(p.d.Now()) { // another one has looked meanwhile
		return k, nil
	}
	err := p.readKeys(ctx)
	return p.keys.Load(), err
}

// keyNamed is the key with that kid whose signatures are believed, whichever node made it; nil: there is none.
func (p *Provider) keyNamed(ctx context.Context, kid string) *key {
	held, err := p.lately(ctx)
	if k := held.all[kid]; k != nil && err == nil && k.vouches() {
		return k
	}
	return nil
}

// keptFor is how long a retired key stays published: until the last token it signed has ended, and an hour for clocks and caches.
func (p *Provider) keptFor(k *key) time.Duration { return max(k.life, p.life()) + time.Hour }

// life is how long the longest token lives that this node signs.
func (p *Provider) life() time.Duration { return max(p.c.ID, p.c.Access) }

// outlast notes on each key that signs, or will, how long the tokens of this node live, before it signs one. So a key stays published for as long as its
// tokens last, although a later configuration has shorter ones.
func (p *Provider) outlast(ctx context.Context) error {
	short := false
	for _, k := range p.keys.Load().all {
		short = short || (k.signs() || k.State == next) && k.life < p.life()
	}
	if !short {
		return nil
	}
	err := p.d.Store.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE signing_key SET life = $2 WHERE tenant = $1 AND life < $2 AND (state = $3 OR state = $4 OR state = $5)`, p.life().Microseconds(), active, next, distrusted)
		return err
	})
	if err != nil {
		return err
	}
	return p.readKeys(ctx)
}

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

const insertKey = `INSERT INTO signing_key (tenant, id, alg, state, created_at, active_at, retired_at, key, life) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8)`

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
		now := store.Micros(p.d.Now())
		since, or := now, distrusted
		if state == next {
			since, or = 0, next
		}
		if err := tx.Row(`SELECT COUNT(*) FROM signing_key WHERE tenant = $1 AND alg = $2 AND (state = $3 OR state = $4)`, alg, state, or).Scan(&n); err != nil || n > 0 {
			return err
		}
		_, err := tx.Exec(insertKey, id, alg, state, now, since, sealed, p.life().Microseconds())
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

// Keys lists the signing keys by algorithm: those that sign no more, the one that signs, its successor.
func (p *Provider) Keys() []Key {
	var list []Key
	for _, k := range p.keys.Load().all {
		list = append(list, k.Key)
	}
	order := map[string]int{withdrawn: 0, leaving: 1, retired: 2, distrusted: 3, active: 4, next: 5}
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
