package provider

import (
	"context"
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

func TestOA02_ACodeIsGoodOnceAndASecondUseEndsWhatTheFirstBegan(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at once": 0, "after 30 s": 30 * time.Second, "after its own end": 2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			b := h.browser()
			b.signedIn(ironman)
			code := b.authorize("scope", "openid offline_access").code()
			tk := b.redeem(code).tokens()
			if b.userinfo(tk.access).StatusCode != 200 {
				t.Fatal("the first token is not good")
			}
			h.clock.Advance(wait)
			b.redeem(code).fails(400, "invalid_grant")
			b.userinfo(tk.access).fails(401, "invalid_token")
			b.refresh(tk.refresh).fails(400, "invalid_grant")
			if h.events("code.reused") != 1 {
				t.Error("not journalled")
			}
			b.redeem(code).fails(400, "invalid_grant")
			if h.events("code.reused") != 1 {
				t.Error("journalled twice")
			}
		})
	}
}

func TestA46_ACodeAndAnAccessTokenEndAtTheSecond(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	for _, c := range []struct {
		age  time.Duration
		good bool
	}{{59 * time.Second, true}, {60 * time.Second, false}, {61 * time.Second, false}, {-10 * time.Minute, true}} {
		code := b.authorize().code()
		h.clock.Advance(c.age)
		if a := b.redeem(code); (a.StatusCode == 200) != c.good {
			t.Errorf("a code after %s: %d %s", c.age, a.StatusCode, a.body)
		}
	}
	for age, good := range map[time.Duration]bool{599 * time.Second: true, 600 * time.Second: false, 601 * time.Second: false} {
		for _, scope := range []string{"openid", "openid offline_access"} {
			tk := b.redeem(b.authorize("scope", scope).code()).tokens()
			h.clock.Advance(age)
			if a := b.userinfo(tk.access); (a.StatusCode == 200) != good {
				t.Errorf("an access token for %s after %s: %d", scope, age, a.StatusCode)
			}
		}
	}
}

func TestA17_ACodeIsBoundToItsClient(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	code := b.authorize().code()
	with := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier}
	b.tokenAs("rsa", "rsa-secret", with...).fails(400, "invalid_grant")
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	b.do("POST", "/avengers/token", form).fails(401, "invalid_client") // no client at all
	form.Set("client_id", "spa")
	b.do("POST", "/avengers/token", form).fails(400, "invalid_grant") // a public one
	form.Set("client_id", "wiki")
	b.do("POST", "/avengers/token", form).fails(401, "invalid_client") // the right one without its secret
	tk := b.redeem(code).tokens()                                      // none of this used it up
	b.tokenAs("rsa", "rsa-secret", with...).fails(400, "invalid_grant")
	if b.userinfo(tk.access).StatusCode != 200 {
		t.Error("another client ended the grant by trying its code")
	}

	spa := b.authorize("client_id", "spa", "redirect_uri", "https://spa.example.com/cb").code()
	b.redeem(spa).fails(400, "invalid_grant")
	b.tokenAs("spa", "", "grant_type", "authorization_code", "code", spa, "redirect_uri", "https://spa.example.com/cb", "code_verifier", verifier).fails(401, "invalid_client")
}

func TestA20_PKCECannotBeDroppedOrSwapped(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	redeem := func(code string, more ...string) answer {
		return b.token(append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback}, more...)...)
	}
	t.Run("OA-05 whoever sent a challenge must send its verifier", func(t *testing.T) {
		code := b.authorize().code()
		redeem(code).fails(400, "invalid_grant")
		redeem(code, "code_verifier", "").fails(400, "invalid_grant")
		redeem(code, "code_verifier", challenge(verifier)).fails(400, "invalid_grant") // plain
		redeem(code, "code_verifier", strings.Repeat("x", 43)).fails(400, "invalid_grant")
		redeem(code, "code_verifier", verifier+strings.Repeat("x", 128)).fails(400, "invalid_grant")
		redeem(code, "code_verifier", verifier).tokens()
	})
	t.Run("OA-05 whoever sent none must not", func(t *testing.T) {
		code := b.authorize("code_challenge", "", "code_challenge_method", "").code()
		redeem(code, "code_verifier", verifier).fails(400, "invalid_grant")
		redeem(code).tokens()
	})
	t.Run("the challenge dropped between authorize and token", func(t *testing.T) {
		// The client becomes one that needs PKCE while its code is under way.
		code := b.authorize("code_challenge", "", "code_challenge_method", "").code()
		h.p.clients["wiki"].PKCERequired = true
		defer func() { h.p.clients["wiki"].PKCERequired = false }()
		redeem(code).fails(400, "invalid_grant")
	})
	t.Run("the redirect URI is the one of the request", func(t *testing.T) {
		code := b.authorize().code()
		b.token("grant_type", "authorization_code", "code", code, "code_verifier", verifier).fails(400, "invalid_grant")
		b.token("grant_type", "authorization_code", "code", code, "code_verifier", verifier, "redirect_uri", "https://wiki.example.com/other?a=b").fails(400, "invalid_grant")
		redeem(code, "code_verifier", verifier).tokens()
	})
	t.Run("a public client", func(t *testing.T) {
		code := b.authorize("client_id", "spa", "redirect_uri", "https://spa.example.com/cb").code()
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"https://spa.example.com/cb"}, "client_id": {"spa"}}
		b.do("POST", "/avengers/token", form).fails(400, "invalid_grant")
		form.Set("code_verifier", verifier)
		b.do("POST", "/avengers/token", form).tokens()
	})
}

func TestA13_ManyWhoBringTheSameCodeAtOnceGetTokensOnce(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		h := newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
		b := h.browser()
		b.signedIn(ironman)
		for range 20 {
			code := b.authorize().code()
			good := together(50, func() answer { return (&browser{h, nil}).redeem(code) })
			if len(good) != 1 {
				t.Fatalf("%d got tokens", len(good))
			}
			b.userinfo(good[0].tokens().access).fails(401, "invalid_token") // and a second use ended them
		}
	})
}

// together runs f n times at once and gives the answers that are 200.
func together(n int, f func() answer) (good []answer) {
	var all sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	for range n {
		all.Go(func() {
			<-start
			if a := f(); a.StatusCode == http.StatusOK {
				mu.Lock()
				good = append(good, a)
				mu.Unlock()
			}
		})
	}
	close(start)
	all.Wait()
	return good
}

func TestACodeOfAnEndedSessionIsNotRedeemed(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	s := b.signedIn(ironman)
	code := b.authorize("scope", "openid offline_access").code()
	if err := h.db.Write(context.Background(), func(tx store.Tx) error { return h.sessions.End(tx, s.Key) }); err != nil {
		t.Fatal(err)
	}
	b.redeem(code).fails(400, "invalid_grant")
}
