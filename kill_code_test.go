package sparekey_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// TestF01_ACodeIsRedeemedOnceWhateverIsKilled kills the real server with SIGKILL while four relying parties redeem their codes, starts it and
// has each of them ask again: never are two answers given for one code, and where the first one's answer was lost nothing of it is left.
func TestF01_ACodeIsRedeemedOnceWhateverIsKilled(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		p := newProcess(t, url, 4)
		p.start()
		for _, one := range p.people {
			if one.b.signIn(one.login, password).query("code") == "" {
				t.Fatalf("%s cannot sign in: %s %s", one.login, one.b.last.h1(), one.b.last.error())
			}
		}
		var answered, lost, never int
		for range kills(50) {
			codes, first := make([]string, len(p.people)), make([]tokens, len(p.people))
			for i, one := range p.people {
				if codes[i] = one.b.authorize().query("code"); codes[i] == "" {
					t.Fatalf("%s lost her session: %s", one.login, one.b.last.h1())
				}
			}
			at := p.killedWithin(soon(t), func() {
				var all sync.WaitGroup
				for i := range codes {
					all.Go(func() { first[i] = p.trade(codes[i]) })
				}
				all.Wait()
			})
			p.start()
			for i, one := range p.people {
				second := p.trade(codes[i])
				switch {
				case second.status == http.StatusOK && first[i].status == http.StatusOK:
					t.Fatalf("killed after %v: a code was redeemed twice", at)
				case second.status == http.StatusOK && p.userinfo(second.Access) != http.StatusOK:
					t.Fatalf("killed after %v: the tokens of the second try are good for nothing", at)
				case second.status == http.StatusOK:
					never++
				case second.status != http.StatusBadRequest || second.Error != "invalid_grant":
					t.Fatalf("killed after %v: the second try got %d %s", at, second.status, second.raw)
				case first[i].status == http.StatusOK:
					answered++
				default:
					lost++
				}
				if second.status != http.StatusOK {
					if n := p.grantsOf(one.login, codes[i]); n != 0 {
						t.Fatalf("killed after %v: a grant whose code came twice lives on", at)
					}
				}
				if first[i].status == http.StatusOK && (p.userinfo(first[i].Access) == http.StatusOK || p.refresh(first[i].Refresh).status == http.StatusOK) {
					t.Fatalf("killed after %v: the tokens of a code that came twice are still good", at)
				}
			}
		}
		t.Logf("%d kills: of the codes %d were answered before, %d were redeemed but the answer was lost, %d were not redeemed; ready after at most %v",
			kills(50), answered, lost, never, p.slowest)
		if deep() && p.slowest > 2*time.Second {
			t.Errorf("one start took %v", p.slowest)
		}
	})
}

// trade redeems a code at a server that may be gone: status 0.
func (p *process) trade(code string) (out tokens) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	r, err := http.NewRequest(http.MethodPost, p.issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Error(err)
		return out
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("wiki", "wiki-secret")
	res, err := p.client.Do(r)
	if err != nil {
		return out
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&out); err == nil {
		out.status = res.StatusCode
	}
	return out
}

// grantsOf counts the living grants of hers that a code began.
func (p *process) grantsOf(login, code string) (n int) {
	p.t.Helper()
	err := p.admin("avengers").Store.Read(p.t.Context(), func(tx store.Tx) error {
		all, err := store.NewShelf[json.RawMessage]("grant").Owned(tx, string(p.user(login).ID))
		for _, g := range all {
			if g.Key == secret.Digest(code) {
				n++
			}
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}
