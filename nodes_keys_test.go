package sparekey_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/provider"
)

// ticking lets the house's clock run, as the background work of the nodes does.
func (h *house) ticking() (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-done:
				return
			case now := <-tick.C:
				h.clock.Advance(now.Sub(last))
				last = now
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// published is the key set of one node.
func (p *pair) published(i int) (set jose.JSONWebKeySet) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, p.issuer+"/keys", nil)
	[]http.Handler{p.p, p.second}[i].ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		p.t.Error(err)
	}
	return set
}

func kidOf(t *testing.T, token string) string {
	parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Error(err)
		return ""
	}
	return parsed.Signatures[0].Header.KeyID
}

// Two nodes sign all the time while an operator's process has the keys replaced, and dies at once: the nodes bring it to its end. At each moment both of them
// publish the key of every token that either signs, and seconds later nothing is left of the old one.
func TestF13_TwoNodesReplaceAKeyThatIsTrustedNoMore(t *testing.T) {
	t.Parallel()
	p := two(t, 1)
	b := p.node(0).browser()
	old := p.node(0).redeem(b.register("ironman"))
	defer p.ticking()()
	var lock sync.Mutex
	signed := map[string][2]time.Time{} // by kid: the first and the last
	var all sync.WaitGroup
	stop := make(chan struct{})
	for i := range 2 {
		h, c := p.node(i), b.moved(p.node(i))
		token := h.redeem(c.authorize("scope", "openid offline_access"))
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				began := time.Now()
				if token = h.refresh(token.Refresh); token.status != http.StatusOK {
					t.Errorf("node %d answers %s", i, token.raw)
					return
				}
				kid := kidOf(t, token.ID)
				for k := range 2 {
					if set := p.published(k); len(set.Key(kid)) != 1 {
						t.Errorf("node %d has signed with %s, and node %d does not publish it", i, kid, k)
					}
				}
				lock.Lock()
				seen := signed[kid]
				if seen[0].IsZero() {
					seen[0] = began
				}
				seen[1] = began
				signed[kid] = seen
				lock.Unlock()
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	operator := p.plugin()
	ordered := time.Now()
	if err := operator.RotateKeys(t.Context(), "avengers", true, "test"); err != nil {
		t.Fatal(err)
	}
	operator.Close()
	before := kidOf(t, old.ID)
	gone := func(i int) bool {
		set := p.published(i)
		return len(set.Key(before)) == 0
	}
	for time.Since(ordered) < 15*time.Second && !(gone(0) && gone(1)) {
		time.Sleep(100 * time.Millisecond)
	}
	if took := time.Since(ordered); took > 12*time.Second {
		t.Errorf("the old key is published for %v", took)
	}
	close(stop)
	all.Wait()
	lock.Lock()
	defer lock.Unlock()
	if len(signed) != 2 {
		t.Fatalf("tokens were signed with %d keys", len(signed))
	}
	if after := signed[before][1].Sub(ordered); after > 7*time.Second {
		t.Errorf("the old key has signed for another %v", after)
	}
	for i, node := range []*sparekey.Plugin{p.p, p.second} {
		c := b.moved(p.node(i))
		if at := c.authorize("prompt", "none", "id_token_hint", old.ID); at.query("error") != "invalid_request" {
			t.Errorf("node %d takes a hint that the old key signed: %q", i, at.location)
		}
		fresh := p.node(i).redeem(c.authorize())
		if at := c.authorize("prompt", "none", "id_token_hint", fresh.ID); at.query("code") == "" {
			t.Errorf("node %d does not take the hint: %q", i, at.location)
		}
		if err := node.AwaitKeys(t.Context(), "avengers"); err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(node.Keys("avengers"), func(k provider.Key) bool { return k.ID == before && k.State == "withdrawn" }) {
			t.Errorf("node %d knows %v", i, node.Keys("avengers"))
		}
	}
}
