package sparekey_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/store"
)

// reader is a relying party that verifies ID tokens by its own copy of the key set. It keeps the copy for as long as the answer's Cache-Control allows, and asks again then and
// not before: neither for a key it does not know nor for a signature that does not fit. So it believes nothing but what was published before.
type reader struct {
	sync.Mutex
	h       *house // whose key set it reads
	set     jose.JSONWebKeySet
	until   time.Time
	fetches int
}

func (r *reader) keys() (jose.JSONWebKeySet, error) {
	r.Lock()
	defer r.Unlock()
	if time.Now().Before(r.until) {
		return r.set, nil
	}
	asked := time.Now()
	res, err := r.h.client.Get(r.h.issuer + "/keys")
	if err != nil {
		return r.set, err
	}
	defer res.Body.Close()
	var seconds int
	if _, err := fmt.Sscanf(res.Header.Get("Cache-Control"), "public, max-age=%d", &seconds); err != nil || res.StatusCode != http.StatusOK {
		return r.set, fmt.Errorf("the key set: %d, Cache-Control %q", res.StatusCode, res.Header.Get("Cache-Control"))
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		return r.set, err
	}
	r.set, r.until = set, asked.Add(time.Duration(seconds)*time.Second)
	r.fetches++
	return set, nil
}

// verify gives the token's kid.
func (r *reader) verify(token string) (string, error) {
	set, err := r.keys()
	if err != nil {
		return "", err
	}
	parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", err
	}
	kid := parsed.Signatures[0].Header.KeyID
	known := set.Key(kid)
	if len(known) != 1 {
		return kid, fmt.Errorf("of the %d keys it knows %d are named %s", len(set.Keys), len(known), kid)
	}
	text, err := parsed.Verify(known[0])
	if err != nil {
		return kid, err
	}
	var claims struct {
		Iss, Aud string
		Exp      int64
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return kid, err
	}
	if claims.Iss != r.h.issuer || claims.Aud != "wiki" || claims.Exp < r.h.clock.Now().Unix() {
		return kid, fmt.Errorf("it says %s", text)
	}
	return kid, nil
}

// TestF13_RotationEveryFiveSecondsFailsNoRelyingParty rotates the signing keys of two nodes every five seconds, each three seconds after its successor was published, while 200 ID tokens
// a second are signed by both. Relying parties that honour the key set's Cache-Control verify every one of them at once, and some again when it is about to end. It takes some twelve seconds, and
// ten minutes with SPAREKEY_DEEP=1.
func TestF13_RotationEveryFiveSecondsFailsNoRelyingParty(t *testing.T) {
	const every, callers, rate = 5 * time.Second, 16, 200
	rotations, patience := 2, 30*time.Second // a loaded machine rotates later: only the deep run holds it to its pace
	if deep() {
		rotations, patience = 120, every-100*time.Millisecond
	}
	length := time.Duration(rotations) * max(every, patience)
	p := two(t, 1, with(func(t *sparekey.Tenant) { t.Tokens.ID = config.Duration(length + 30*time.Second) }))
	b := p.browser()
	b.register("ironman")
	defer p.ticking()()
	readers := []*reader{{h: p.node(0)}, {h: p.node(1)}, {h: p.house}}
	var lock sync.Mutex
	kids, kept := map[string]int{}, []string{}
	signed, failed := 0, 0
	var done atomic.Bool
	verify := func(token string, keep bool) {
		for i, r := range readers {
			kid, err := r.verify(token)
			lock.Lock()
			if kids[kid]++; err != nil {
				if failed++; failed <= 5 {
					t.Errorf("relying party %d: %v", i, err)
				}
			}
			lock.Unlock()
		}
		if keep {
			lock.Lock()
			kept = append(kept, token)
			lock.Unlock()
		}
	}
	var all sync.WaitGroup
	began := time.Now()
	for i := range callers {
		now := p.redeem(b.authorize("scope", "openid offline_access"))
		all.Go(func() {
			next := began.Add(time.Duration(i) * time.Second / rate)
			for n := 0; !done.Load() && !t.Failed(); n++ {
				time.Sleep(time.Until(next))
				next = next.Add(callers * time.Second / rate)
				got, err := p.renewed(now.Refresh)
				if err != nil || got.status != http.StatusOK {
					t.Errorf("a refresh token: %d %s %v", got.status, got.raw, err)
					return
				}
				now = got
				lock.Lock()
				signed++
				lock.Unlock()
				verify(got.ID, n%10 == 0)
			}
		})
	}
	turned := 0
	at := began
	for i := 0; i < rotations && !t.Failed(); i++ {
		time.Sleep(time.Until(at))
		if p.rotated(i, at.Add(patience)) {
			turned++
		}
		if at = at.Add(every); time.Now().After(at) {
			at = time.Now()
		}
	}
	time.Sleep(2 * time.Second) // in which tokens are signed with the last of them
	done.Store(true)
	all.Wait()
	spent := time.Since(began)
	for _, token := range kept {
		verify(token, false)
	}
	if len(kids) != turned+1 || turned < rotations {
		t.Errorf("of %d rotations %d were made, and tokens were signed with %d keys", rotations, turned, len(kids))
	}
	each := float64(signed) / spent.Seconds()
	if each < rate*0.95 && deep() {
		t.Errorf("%.0f tokens a second were signed, want %d", each, rate)
	}
	fetches := 0
	for _, r := range readers {
		fetches += r.fetches
	}
	t.Logf("%d tokens in %v (%.0f a second), signed with %d keys and verified by %d relying parties that fetched the key set %d times; %d of them verified again at the end; %d failures",
		signed, spent.Round(time.Second), each, len(kids), len(readers), fetches, len(kept), failed)
}

// rotated publishes a successor at one node and asks for it to sign, before the end of its time: that is when every node has seen it. In the table it is made a day
// older, since a day is for how long it would be published.
func (p *pair) rotated(i int, end time.Time) bool {
	node := []*sparekey.Plugin{p.p, p.second}[i%2]
	signs := func() (id string) {
		for _, k := range node.Keys("avengers") {
			if k.State == "active" {
				id = k.ID
			}
		}
		return id
	}
	if err := node.RotateKeys(p.t.Context(), "avengers", false, "test"); err != nil {
		p.t.Error(err)
		return false
	}
	before := signs()
	err := p.admin("avengers").Store.Write(p.t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE signing_key SET created_at = created_at - $2 WHERE tenant = $1 AND state = 'next'`, (24 * time.Hour).Microseconds())
		return err
	})
	if err != nil {
		p.t.Error(err)
		return false
	}
	for ; signs() == before && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := node.AwaitKeys(p.t.Context(), "avengers"); err != nil {
			p.t.Error(err)
			return false
		}
	}
	return signs() != before
}

// renewed rotates a refresh token at whichever node has its turn.
func (p *pair) renewed(token string) (got tokens, err error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	r, err := http.NewRequest(http.MethodPost, p.issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return got, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("wiki", "wiki-secret")
	res, err := p.client.Do(r)
	if err != nil {
		return got, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	got.status, got.raw = res.StatusCode, string(body)
	got.read()
	return got, err
}
