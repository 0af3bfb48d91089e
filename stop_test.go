package sparekey_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// TestF17_ATerminatedServerSaysSoFirstAndFinishesWhatItBegan sends SIGTERM to the real server while eight relying parties redeem codes without
// a pause: readiness is false while the others are still answered, nobody's answer to a code that was redeemed is lost, and it ends by itself.
func TestF17_ATerminatedServerSaysSoFirstAndFinishesWhatItBegan(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		p := newProcess(t, url, 8)
		p.start()
		for _, one := range p.people {
			if one.b.signIn(one.login, password).query("code") == "" {
				t.Fatalf("%s cannot sign in: %s", one.login, one.b.last.h1())
			}
		}
		address := p.authorizeURL("avengers")
		p.client.Transport = &http.Transport{DisableKeepAlives: true}
		var redeemed, late atomic.Int64
		var leaving atomic.Bool
		var all sync.WaitGroup
		for _, one := range p.people {
			all.Go(func() {
				for {
					r, err := http.NewRequest(http.MethodGet, address, nil)
					if err != nil {
						t.Error(err)
						return
					}
					a := one.b.attempt(r)
					if a.status == 0 {
						return
					}
					got := p.trade(a.query("code"))
					switch {
					case got.status == http.StatusOK:
						redeemed.Add(1)
						if leaving.Load() {
							late.Add(1)
						}
					case got.status == 0:
						if p.spent(one.login, a.query("code")) {
							t.Error("a code was redeemed and the answer dropped")
						}
						return
					default:
						t.Errorf("a code met %d %s", got.status, got.raw)
						return
					}
				}
			})
		}
		time.Sleep(time.Second)
		began := time.Now()
		p.terminate()
		for p.ready() {
			time.Sleep(time.Millisecond)
		}
		leaving.Store(true)
		res, err := p.client.Get(p.issuer + "/.well-known/openid-configuration")
		if err != nil || res.StatusCode != http.StatusOK || !res.Close {
			t.Errorf("not ready any more it answers %v %v", res, err)
		}
		select {
		case <-p.gone:
		case <-time.After(15 * time.Second):
			t.Fatal("it does not end")
		}
		spent := time.Since(began)
		all.Wait()
		if !p.running.ProcessState.Success() {
			t.Errorf("it ended with %v", p.running.ProcessState)
		}
		if late.Load() == 0 {
			t.Error("nothing was redeemed once it was not ready")
		}
		t.Logf("%d codes redeemed, %d of them while it was leaving; gone after %v", redeemed.Load(), late.Load(), spent)
	})
}

// spent reports whether a code of hers was redeemed.
func (p *process) spent(login, code string) (yes bool) {
	p.t.Helper()
	err := p.admin("avengers").Store.Read(p.t.Context(), func(tx store.Tx) error {
		g, err := store.NewShelf[struct{ Code json.RawMessage }]("grant").Get(tx, secret.Digest(code))
		yes = err == nil && g.Value.Code == nil
		return err
	})
	if err != nil {
		p.t.Error(err)
	}
	return yes
}
