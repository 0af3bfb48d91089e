package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// states are the keys of one algorithm as "state state", oldest first.
func states(p *Provider, alg string) string {
	var list []string
	for _, k := range p.Keys() {
		if k.Alg == alg {
			list = append(list, k.State)
		}
	}
	return strings.Join(list, " ")
}

// published are the kids in the key set.
func (h *house) published() (kids []string) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(h.browser().get("/avengers/keys").body), &set); err != nil {
		h.t.Fatal(err)
	}
	for _, k := range set.Keys {
		kids = append(kids, k.KeyID)
	}
	return kids
}

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	h := newHouse(t)
	first := h.published()
	again := h.provide(issuer, registered())
	h.p = again
	h.mount()
	if got := h.published(); !slices.Equal(got, first) || len(got) != 3 {
		t.Errorf("%v, then %v", first, got)
	}
	if h.stored(`"d"`) {
		t.Error("a private member is on a shelf")
	}
	h.must(func(tx store.Tx) error {
		rows, err := tx.Rows(`SELECT key FROM signing_key WHERE tenant = $1`)
		for err == nil && rows.Next() {
			var sealed []byte
			err = rows.Scan(&sealed)
			if len(sealed) < 50 || strings.Contains(string(sealed), "\x2a\x86\x48") { // the start of an algorithm's object identifier
				t.Error("a key lies open")
			}
		}
		return err
	})
}

func TestTwoNodesThatStartAtOnceEndUpWithOneKey(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		h := newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
		h.must(func(tx store.Tx) error {
			_, err := tx.Exec(`DELETE FROM signing_key WHERE tenant = $1 AND alg <> 'RS256'`)
			return err
		})
		nodes := make([]*Provider, 6)
		var all sync.WaitGroup
		for i := range nodes {
			all.Go(func() { nodes[i] = h.provide(issuer, registered()) })
		}
		all.Wait()
		for _, p := range nodes {
			if len(p.Keys()) != 3 || !slices.Equal(p.Keys(), nodes[0].Keys()) {
				t.Fatalf("%v\n%v", p.Keys(), nodes[0].Keys())
			}
		}
	})
}

func TestAKeyRingThatIsNotTheirsIsRefused(t *testing.T) {
	h := newHouse(t)
	_, err := New(t.Context(), Config{Issuer: issuer, Clients: registered()}, Deps{Store: h.db, Ring: secret.NewRing(), Sessions: h.sessions})
	if err == nil || !strings.Contains(err.Error(), "signing keys") {
		t.Fatal(err)
	}
}

func TestF13_AKeyIsPublishedBeforeItSignsAndUntilItsLastTokenHasEnded(t *testing.T) {
	h := newHouse(t)
	turn := func() {
		t.Helper()
		if err := h.p.TurnKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const day = 24 * time.Hour
	_, tk := h.granted()
	old := kid(tk.id)

	h.clock.Advance(89*day - time.Second)
	turn()
	if states(h.p, "ES256") != "active" {
		t.Fatal(h.p.Keys())
	}
	h.clock.Advance(time.Second)
	turn()
	if states(h.p, "ES256") != "active next" || len(h.published()) != 6 {
		t.Fatal(h.p.Keys())
	}
	_, tk = h.granted()
	if kid(tk.id) != old {
		t.Error("the successor signs before its time")
	}
	h.clock.Advance(day - time.Second)
	turn()
	_, last := h.granted()
	if kid(last.id) != old {
		t.Error("the successor signs before its time")
	}
	h.clock.Advance(time.Second)
	turn()
	if states(h.p, "ES256") != "retired active" {
		t.Fatal(h.p.Keys())
	}
	_, tk = h.granted()
	if kid(tk.id) == old {
		t.Error("the old key still signs")
	}
	h.verified(tk.id)
	h.clock.Advance(70 * time.Minute)
	turn()
	h.verified(last.id) // the old key is published still
	h.clock.Advance(time.Second)
	turn()
	if slices.Contains(h.published(), old) {
		t.Error("a retired key is published for ever")
	}
	b := h.browser()
	b.signedIn(ironman)
	b.authorize("prompt", "none", "id_token_hint", last.id).code() // and reads hints still
	h.clock.Advance(400 * day)
	turn()
	turn()
	b.signedIn(ironman)
	b.authorize("prompt", "none", "id_token_hint", last.id).refusal("invalid_request")
	if n := strings.Count(states(h.p, "ES256"), "retired"); n > 1 {
		t.Errorf("%d retired keys are kept", n)
	}
}

func TestAnOperatorRotatesKeys(t *testing.T) {
	h := newHouse(t)
	_, before := h.granted()
	if err := h.p.RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if states(h.p, "ES256") != "active next" || states(h.p, "EdDSA") != "active next" {
		t.Fatal(h.p.Keys())
	}
	if err := h.p.RotateKeys(t.Context()); err != nil || states(h.p, "ES256") != "active next" {
		t.Fatal("twice makes two successors", h.p.Keys(), err)
	}
	h.clock.Advance(keyLead - time.Second)
	if err := h.p.TurnKeys(t.Context()); err != nil || states(h.p, "ES256") != "active next" {
		t.Fatal(h.p.Keys(), err)
	}
	h.clock.Advance(time.Second)
	if err := h.p.TurnKeys(t.Context()); err != nil || states(h.p, "ES256") != "retired active" {
		t.Fatal(h.p.Keys(), err)
	}
	_, after := h.granted()
	if kid(after.id) == kid(before.id) {
		t.Error("the key before it signs")
	}
	h.verified(before.id)
	if h.events("keys.rotated") != 3 {
		t.Error("not journalled: ", h.events("keys.rotated"))
	}
}

func TestNodesThatTurnKeysAtOnceAgree(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		h := newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
		nodes := []*Provider{h.p, h.provide(issuer, registered()), h.provide(issuer, registered())}
		for range 4 {
			clock.Advance(45 * 24 * time.Hour)
			for range 2 {
				var all sync.WaitGroup
				for _, p := range nodes {
					all.Go(func() {
						if err := p.TurnKeys(context.Background()); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
			}
			for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
				if err := h.p.TurnKeys(t.Context()); err != nil {
					t.Fatal(err)
				}
				s := states(h.p, alg)
				if strings.Count(s, "active") != 1 || strings.Count(s, "next") > 1 {
					t.Fatalf("%s: %s", alg, s)
				}
			}
		}
	})
}

// kid is what an ID token's header names.
func kid(token string) string {
	var head struct{ Kid string }
	raw, _ := base64.RawURLEncoding.DecodeString(strings.SplitN(token, ".", 2)[0])
	json.Unmarshal(raw, &head)
	return head.Kid
}

// However often keys were replaced, the youngest are those that count.
func TestManyKeysThatSignNoMoreHideNoneThatSigns(t *testing.T) {
	h := newHouse(t)
	long := h.clock.Now().Add(-30 * 24 * time.Hour)
	h.must(func(tx store.Tx) error {
		for i := range 1001 {
			id, at := secret.ID(), store.Micros(long.Add(time.Duration(i)*time.Second))
			_, err := tx.Exec(`INSERT INTO signing_key (tenant, id, alg, state, created_at, active_at, retired_at, key) VALUES ($1, $2, 'RS256', 'withdrawn', $3, $3, $3, $4)`,
				id, at, h.ring.Box("signing/avengers").Seal(id, anRSAKey()))
			if err != nil {
				return err
			}
		}
		return nil
	})
	before := h.published()
	h.p = h.provide(issuer, registered())
	h.mount()
	if got := h.published(); !slices.Equal(got, before) || len(got) != 3 {
		t.Fatalf("published are %v, and were %v", got, before)
	}
	_, tk := h.granted()
	h.verified(tk.id)
}

// Who shortens the lives of tokens has still given out longer ones: the key that signed them is published until the last of those has ended.
func TestF13_AKeyOutlastsItsLongestTokenWhateverTheConfigurationSaysLater(t *testing.T) {
	h := newHouse(t)
	const long = 24 * time.Hour
	h.p = h.provideFor(issuer, registered(), long)
	h.mount()
	other := h.provideFor(issuer, registered(), time.Minute) // another node, whose configuration is the new one already
	if err := other.RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(keyLead - long/2)
	_, last := h.granted()
	h.clock.Advance(long / 2)
	h.p = h.provideFor(issuer, registered(), time.Minute)
	h.mount()
	h.clock.Advance(lead)
	if err := h.p.TurnKeys(t.Context()); err != nil || states(h.p, "ES256") != "retired active" {
		t.Fatal(h.p.Keys(), err)
	}
	h.clock.Advance(long/2 - lead - time.Second)
	if err := h.p.TurnKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.verified(last.id)
	h.clock.Advance(long + time.Hour)
	if slices.Contains(h.published(), kid(last.id)) {
		t.Error("it is published for ever")
	}
}
