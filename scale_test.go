package sparekey_test

import (
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/crowd"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// crowded opens a house on a store that was filled.
func crowded(t *testing.T, database string, size crowd.Size) *house {
	t.Helper()
	keyring := t.TempDir() + "/keyring"
	ring, err := secret.CreateRing(keyring)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), database, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := crowd.Fill(t.Context(), db, ring, size, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return openAt(t, database, func(h *house) {
		h.cfg.Keyring = "file:" + keyring
		h.clock.Advance(time.Since(h.clock.Now()))
		for i := 1; i < size.Tenants; i++ {
			name := crowd.Tenant(i)
			h.cfg.Tenants[name] = tenantConfig(h.origin+"/"+name, name)
		}
	}, rule(func(p *sparekey.Policy) { p.For = sparekey.For{Everyone: true} }))
}

// What .ci/deep measures with a million users holds here in small: users who were there before sign in and reset, the journal is whole,
// an operator's questions are answered at once, and a request costs about what it costs on a store without anybody.
func TestAFullStoreServesLikeAnEmptyOne(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, database string) {
		size := crowd.Size{Tenants: 50, Users: 20_000, Rows: 100_000, Live: 5_000, Expired: 5_000}
		full := crowded(t, database, size)
		empty := open(t, rule(func(p *sparekey.Policy) { p.For = sparekey.For{Everyone: true}; p.Registration.AtSignIn = new(bool) }))

		a := full.admin("avengers")
		v, err := a.Journal.Verify(t.Context())
		if err != nil || !v.OK() || v.Linked < int64(size.Rows/2) {
			t.Errorf("the journal: %+v, %v", v, err)
		}
		login := crowd.Login(7_777)
		b := full.browser()
		tokens := full.redeem(b.signIn(login, crowd.Password))
		if tokens.Access == "" {
			t.Fatalf("%s does not get in: %s", login, tokens.raw)
		}
		key := base32.StdEncoding.EncodeToString([]byte(crowd.Seed))
		elsewhere := full.browser()
		elsewhere.reset(login, key, renewed)
		elsewhere.want("Your password has been reset")
		if p := full.at(crowd.Tenant(7)).browser().signIn(crowd.Login(77), crowd.Password); p.query("code") == "" {
			t.Errorf("nobody gets in at %s: %s", crowd.Tenant(7), p.h1())
		}

		u, err := a.Find(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		for what, ask := range map[string]func() error{
			"why":  func() error { _, err := a.Why(t.Context(), u); return err },
			"tail": func() error { _, err := a.Journal.Tail(t.Context(), -1, 50); return err },
			"find": func() error { _, err := a.Journal.Find(t.Context(), "abcdefgh"); return err },
			"group": func() error {
				list, err := a.In(t.Context(), "IT")
				if err == nil && len(list) != 2 {
					err = fmt.Errorf("%d members", len(list))
				}
				return err
			},
		} {
			began := time.Now()
			if err := ask(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s took %v", what, took)
			}
		}

		small := empty.redeem(empty.browser().signIn("ironman", password))
		large := full.redeem(full.browser().signIn(login, renewed))
		one := func(h *house, access string) time.Duration {
			began := time.Now()
			for range 50 {
				if h.userinfo(access) != 200 {
					t.Fatal("no userinfo")
				}
			}
			return time.Since(began)
		}
		var ratios []float64
		for range 5 {
			ratios = append(ratios, one(full, large.Access).Seconds()/one(empty, small.Access).Seconds())
		}
		slices.Sort(ratios)
		// PostgreSQL answers over a socket, and the store beside it is SQLite's.
		if limit := map[bool]float64{true: 3, false: 12}[strings.HasPrefix(database, "sqlite")]; ratios[2] > limit {
			t.Errorf("userinfo takes %.1f times what it takes on an empty store", ratios[2])
		}
	})
}
