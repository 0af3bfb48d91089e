package provider

import (
	"net/http"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func TestOA04_RefreshTokensRotateAndReuseKillsTheFamily(t *testing.T) {
	h := newHouse(t)
	b, first := h.granted("scope", "openid email offline_access")
	h.clock.Advance(time.Minute)
	second := b.refresh(first.refresh).tokens()
	if second.refresh == first.refresh || second.access == first.access || second.refresh == "" {
		t.Fatal("nothing was rotated")
	}
	third := b.refresh(second.refresh).tokens()
	b.refresh(first.refresh).fails(400, "invalid_grant") // long out of use
	if h.events("family.killed") != 1 {
		t.Error("not journalled")
	}
	b.refresh(third.refresh).fails(400, "invalid_grant")
	for _, tk := range []tokens{first, second, third} {
		b.userinfo(tk.access).fails(401, "invalid_token")
	}
}

func TestARefreshedIDTokenSaysTheSameOfTheSameSignIn(t *testing.T) {
	h := newHouse(t)
	b, first := h.granted("scope", "openid offline_access")
	h.clock.Advance(time.Hour)
	before, after := h.verified(first.id), h.verified(b.refresh(first.refresh).tokens().id)
	for _, name := range []string{"iss", "sub", "aud", "auth_time", "sid", "acr"} {
		if before[name] != after[name] {
			t.Errorf("%s: %v, then %v", name, before[name], after[name])
		}
	}
	if after["iat"].(float64) != before["iat"].(float64)+3600 || after["nonce"] != nil || after["at_hash"] == before["at_hash"] {
		t.Error(after)
	}
}

func TestNarrowingTheScopeDoesNotStickAndWideningIsRefused(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted("scope", "openid email offline_access")
	narrow := b.refresh(tk.refresh, "scope", "openid").tokens()
	if narrow.all["scope"] != "openid" {
		t.Error(narrow.all)
	}
	if info := b.userinfo(narrow.access).json(); info["email"] != nil {
		t.Error("a narrow token tells the address")
	}
	b.refresh(narrow.refresh, "scope", "openid profile").fails(400, "invalid_scope")
	wide := b.refresh(narrow.refresh).tokens() // and the refusal used nothing up
	if wide.all["scope"] != "openid email offline_access" {
		t.Error(wide.all)
	}
	if info := b.userinfo(wide.access).json(); info["email"] != "tony@stark.example" {
		t.Error("the narrowing stuck")
	}
}

func TestA46_RefreshTokensEndUnusedAndInAnyCase(t *testing.T) {
	h := newHouse(t)
	const day = 24 * time.Hour
	for wait, good := range map[time.Duration]bool{14*day - time.Second: true, 14 * day: false, 14*day + time.Second: false} {
		b, tk := h.granted("scope", "openid offline_access")
		h.clock.Advance(wait)
		if a := b.refresh(tk.refresh); (a.StatusCode == 200) != good {
			t.Errorf("unused for %s: %d", wait, a.StatusCode)
		}
	}
	for last, good := range map[time.Duration]bool{10*day - time.Second: true, 10 * day: false, 10*day + time.Second: false} {
		b, tk := h.granted("scope", "openid offline_access")
		for range 8 {
			h.clock.Advance(10 * day)
			tk = b.refresh(tk.refresh).tokens()
		}
		h.clock.Advance(last)
		if a := b.refresh(tk.refresh); (a.StatusCode == 200) != good {
			t.Errorf("80 days and %s after sign-in: %d", last, a.StatusCode)
		}
	}
}

func TestA46_TheLastAccessTokenDoesNotStretchTheFamily(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted("scope", "openid offline_access")
	for range 8 {
		h.clock.Advance(11 * 24 * time.Hour)
		tk = b.refresh(tk.refresh).tokens()
	}
	h.clock.Advance(2*24*time.Hour - time.Minute)
	tk = b.refresh(tk.refresh).tokens() // its access token outlives the 90 days by nine minutes
	h.clock.Advance(time.Minute)
	b.refresh(tk.refresh).fails(400, "invalid_grant")
	if b.userinfo(tk.access).StatusCode != 200 {
		t.Error("the access token ended as well")
	}
}

func TestOfflineAccessOutlivesTheSessionAndNothingElseDoes(t *testing.T) {
	h := newHouse(t)
	b, online := h.granted("scope", "openid")
	offline := b.redeem(b.authorize("scope", "openid offline_access").code()).tokens()
	if online.refresh != "" {
		t.Fatal("a refresh token without offline_access")
	}
	b.get("/avengers/logout?id_token_hint=" + online.id).location()
	b.userinfo(online.access).fails(401, "invalid_token")
	if a := b.userinfo(offline.access); a.StatusCode != 200 {
		t.Error(a.StatusCode, a.body)
	}
	b.refresh(offline.refresh).tokens()
}

func TestAClientWithoutTheGrantGetsNoRefreshToken(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	code := b.authorize("client_id", "strict", "redirect_uri", "https://strict.example.com/cb", "scope", "openid offline_access").code()
	tk := b.tokenAs("strict", "strict-secret", "grant_type", "authorization_code", "code", code, "redirect_uri", "https://strict.example.com/cb", "code_verifier", verifier).tokens()
	if tk.refresh != "" {
		t.Error("it got one")
	}
}

func TestInsideAGraceTheSameSuccessorIsReturnedNeverASecond(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	as := func(more ...string) answer { return b.tokenAs("graceful", "graceful-secret", more...) }
	refresh := func(token string) answer { return as("grant_type", "refresh_token", "refresh_token", token) }
	begin := func() tokens {
		code := b.authorize("client_id", "graceful", "redirect_uri", "https://graceful.example.com/cb", "scope", "openid offline_access").code()
		return as("grant_type", "authorization_code", "code", code, "redirect_uri", "https://graceful.example.com/cb", "code_verifier", verifier).tokens()
	}
	first := begin()
	second := refresh(first.refresh).tokens()
	h.clock.Advance(19 * time.Second)
	lost := refresh(first.refresh).tokens()
	if lost.refresh != second.refresh || lost.access == second.access {
		t.Error("another successor")
	}
	if b.userinfo(second.access).StatusCode != 200 || b.userinfo(lost.access).StatusCode != 200 {
		t.Error("an access token is not good")
	}
	third := refresh(second.refresh).tokens()
	refresh(first.refresh).fails(400, "invalid_grant") // two behind: no grace for that
	refresh(third.refresh).fails(400, "invalid_grant")

	first = begin()
	second = refresh(first.refresh).tokens()
	h.clock.Advance(20 * time.Second)
	refresh(first.refresh).fails(400, "invalid_grant") // the grace is over
	refresh(second.refresh).fails(400, "invalid_grant")

	first = begin()
	seen := map[string]bool{}
	good := together(8, func() answer {
		return (&browser{h, nil}).tokenAs("graceful", "graceful-secret", "grant_type", "refresh_token", "refresh_token", first.refresh)
	})
	for _, a := range good {
		seen[a.tokens().refresh] = true
	}
	if len(good) != 8 || len(seen) != 1 {
		t.Errorf("%d answers, %d successors", len(good), len(seen))
	}
}

func TestA13_ManyWhoBringTheSameRefreshTokenAtOnceGetOneSuccessor(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		h := newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
		for range 20 {
			_, tk := h.granted("scope", "openid offline_access")
			good := together(50, func() answer { return (&browser{h, nil}).refresh(tk.refresh) })
			if len(good) != 1 {
				t.Fatalf("%d got successors", len(good))
			}
			(&browser{h, nil}).refresh(good[0].tokens().refresh).fails(400, "invalid_grant")
		}
	})
}

func TestA45_WhatWasEndedStaysEndedAfterARestart(t *testing.T) {
	url := storetest.SQLiteURL(t)
	clock, ring := storetest.NewClock(), secret.NewRing()
	open := func() (*house, *store.DB) {
		db, err := store.Open(t.Context(), url, store.Options{Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		return newHouseIn(t, db, clock, "avengers", ring, issuer), db
	}
	h, db := open()
	b, killed := h.granted("scope", "openid offline_access")
	next := b.refresh(killed.refresh).tokens()
	_, revoked := h.granted("scope", "openid offline_access")
	b.revoke("token", revoked.refresh)
	_, good := h.granted("scope", "openid offline_access")
	db.Close()

	h, db = open()
	b = h.browser()
	b.refresh(killed.refresh).fails(400, "invalid_grant") // its family dies only now: what was rotated is known after a restart
	db.Close()

	h, db = open()
	defer db.Close()
	b = h.browser()
	b.refresh(next.refresh).fails(400, "invalid_grant")
	b.refresh(revoked.refresh).fails(400, "invalid_grant")
	b.refresh(good.refresh).tokens()
}

func TestAGrantKeepsOnlyItsLivingAccessTokens(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted("scope", "openid offline_access")
	first := tk
	for range mostAccess {
		tk = b.refresh(tk.refresh).tokens()
	}
	b.userinfo(first.access).fails(401, "invalid_token")
	if b.userinfo(tk.access).StatusCode != http.StatusOK {
		t.Error("the newest is not good")
	}
	h.clock.Advance(time.Hour)
	tk = b.refresh(tk.refresh).tokens()
	g, err := h.p.grant(t.Context(), tk.access[:keyLength])
	if err != nil || len(g.Value.Access) != 1 {
		t.Errorf("%d are kept, %v", len(g.Value.Access), err)
	}
}

func TestTwoClientsRefreshSideBySide(t *testing.T) {
	h := newHouse(t)
	b, wiki := h.granted("scope", "openid offline_access")
	code := b.authorize("client_id", "rsa", "redirect_uri", "https://rsa.example.com/cb", "scope", "openid offline_access").code()
	rsa := b.tokenAs("rsa", "rsa-secret", "grant_type", "authorization_code", "code", code, "redirect_uri", "https://rsa.example.com/cb", "code_verifier", verifier).tokens()
	b.refresh(wiki.refresh).tokens()
	b.tokenAs("rsa", "rsa-secret", "grant_type", "refresh_token", "refresh_token", rsa.refresh).tokens()
	b.refresh(wiki.refresh).fails(400, "invalid_grant") // and one family's death is not the other's
	if b.userinfo(rsa.access).StatusCode != 200 {
		t.Error("the other family died")
	}
}
