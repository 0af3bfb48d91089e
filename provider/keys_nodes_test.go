package provider

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// nodes are several providers on one store, whose clocks are apart.
type nodes struct {
	*house
	all []*Provider
}

func newNodes(t *testing.T, db *store.DB, clock *storetest.Clock, apart ...time.Duration) *nodes {
	n := &nodes{house: newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)}
	for _, d := range apart {
		n.now = func() time.Time { return clock.Now().Add(d) }
		n.all = append(n.all, n.provide(issuer, registered()))
	}
	return n
}

// at sends what follows to one of them.
func (n *nodes) at(i int) *house {
	n.p = n.all[i]
	n.mount()
	return n.house
}

// everywhere reports whether all of them publish a key, and anywhere whether one does.
func (n *nodes) publish(kid string) (everywhere, anywhere bool) {
	everywhere = true
	for i := range n.all {
		found := slices.Contains(n.at(i).published(), kid)
		everywhere, anywhere = everywhere && found, anywhere || found
	}
	return everywhere, anywhere
}

// Tokens come from whichever node, at whatever moment of a change of keys, and a relying party asks whichever node for the keys. The clocks of the nodes are half a
// minute apart, and the one that was given the order may have died.
func TestF13_EveryNodePublishesTheKeyOfEveryTokenThatAnyNodeSigns(t *testing.T) {
	for name, order := range map[string]func(*Provider) error{
		"rotated":         func(p *Provider) error { return p.RotateKeys(t.Context()) },
		"trusted no more": func(p *Provider) error { return p.DistrustKeys(t.Context()) },
		"and again meanwhile": func(p *Provider) error {
			return errors.Join(p.DistrustKeys(t.Context()), p.RotateKeys(t.Context()), p.DistrustKeys(t.Context()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, clock := storetest.SQLiteClock(t)
			n := newNodes(t, db, clock, 0, 30*time.Second, -30*time.Second)
			b := n.browser()
			b.signedIn(ironman)
			var signed []string
			var since time.Time // the last of them
			old := n.all[0].keys.Load().signing["ES256"].ID
			for step := range 60 {
				clock.Advance(time.Duration(rand.Int64N(int64(400 * time.Millisecond))))
				if step == 5 {
					n.at(2)
					if err := order(n.all[0]); err != nil {
						t.Fatal(err)
					}
				}
				if name == "rotated" && step == 10 {
					clock.Advance(keyLead - 2*time.Second)
					b.signedIn(ironman)
				}
				if step > 5 && rand.IntN(2) == 0 { // the first one has died
					if err := n.all[1+rand.IntN(2)].TurnKeys(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				n.at(rand.IntN(3))
				id := kid(b.redeem(b.authorize().code()).tokens().id)
				if everywhere, _ := n.publish(id); !everywhere {
					t.Fatalf("step %d: a node does not publish %s, with which another one signed", step, id)
				}
				if !slices.Contains(signed, id) {
					signed, since = append(signed, id), clock.Now()
				} else if signed[len(signed)-1] != id && clock.Now().Sub(since) > fresh {
					t.Errorf("step %d: %s signs still", step, id)
				}
			}
			if len(signed) != 2 || signed[0] != old {
				t.Errorf("signed with %v", signed)
			}
		})
	}
}

// A key that is trusted no more signs nowhere after some seconds. Nobody publishes it then, and nothing that it signed is believed.
func TestF13_AKeyThatIsTrustedNoMoreIsGoneInSeconds(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		n := newNodes(t, db, clock, 0, 30*time.Second)
		_, before := n.at(1).granted()
		_, post := n.at(0).granted()
		old := kid(before.id)
		if err := n.all[0].RotateKeys(t.Context()); err != nil { // an older one, and a successor that lies beside it
			t.Fatal(err)
		}
		clock.Advance(keyLead)
		if err := n.all[0].TurnKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, later := n.at(0).granted()
		if err := n.all[0].RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		waiting := n.all[0].keys.Load().find("ES256", next).ID
		if kid(later.id) == old || !n.all[0].keys.Load().all[old].vouches() {
			t.Fatal("the key was not rotated")
		}

		if err := n.all[0].DistrustKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Advance(fresh + time.Millisecond)
		if _, anywhere := n.publish(waiting); anywhere {
			t.Error("a successor that lay beside a key that was seen is published still")
		}
		for range 40 { // ten seconds
			clock.Advance(250 * time.Millisecond)
			if err := n.all[1].TurnKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n.all {
			b, fresh := n.at(i).granted()
			for _, token := range []tokens{before, post, later} {
				if kid(fresh.id) == kid(token.id) {
					t.Errorf("node %d signs with %s", i, kid(token.id))
				}
				if _, anywhere := n.publish(kid(token.id)); anywhere {
					t.Errorf("%s is published", kid(token.id))
				}
				n.at(i)
				b.authorize("prompt", "none", "id_token_hint", token.id).refusal("invalid_request")
			}
			b.authorize("prompt", "none", "id_token_hint", fresh.id).code()
		}
		if s := states(n.all[1], "ES256"); s != "withdrawn withdrawn active" {
			t.Error(s)
		}
		if s := states(n.all[1], "RS256"); s != "withdrawn withdrawn active" {
			t.Error(s)
		}
	})
}

// The seconds between: the old key signs until its successor is known everywhere, and then for no moment longer than a node goes by what it has read.
func TestF13_WhatSignsWhileAKeyIsReplaced(t *testing.T) {
	db, clock := storetest.SQLiteClock(t)
	n := newNodes(t, db, clock, 0, 30*time.Second)
	_, tk := n.at(1).granted()
	old := kid(tk.id)
	if err := n.all[0].DistrustKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	signs := func(i int) string {
		t.Helper()
		_, tk := n.at(i).granted()
		return kid(tk.id)
	}
	turn := func() {
		t.Helper()
		if err := n.all[0].TurnKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(lead - time.Millisecond)
	turn()
	if signs(0) != old || signs(1) != old {
		t.Error("a successor signs before every node has seen it")
	}
	clock.Advance(time.Millisecond)
	turn()
	if signs(0) == old {
		t.Error("it signs still, though its successor may")
	}
	clock.Advance(fresh)
	if signs(1) == old {
		t.Error("it signs still on the other node")
	}
	if everywhere, _ := n.publish(old); !everywhere {
		t.Error("it is withdrawn while what it signed may be on its way")
	}
	clock.Advance(lead - fresh)
	turn()
	clock.Advance(fresh + time.Millisecond)
	if _, anywhere := n.publish(old); anywhere || n.all[0].Turning() {
		t.Error("it is published still")
	}
}

// A relying party asks for the keys at whichever node it meets. That may be one that has not taken its turn since another made a key.
func TestF13_AKeyThatOneNodeMakesIsPublishedByTheOthersWithinASecond(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		n := newNodes(t, db, clock, 0, -30*time.Second)
		n.at(0).published()
		if err := n.all[1].RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		successor := n.all[1].keys.Load().find("ES256", next).ID
		clock.Advance(fresh + time.Millisecond)
		if !slices.Contains(n.at(0).published(), successor) {
			t.Error("the first node does not publish a successor that the second one made")
		}
	})
}

func TestKeysAreShownWhileTheStoreIsAwayAndNothingIsSigned(t *testing.T) {
	var away atomic.Bool
	clock := storetest.NewClock()
	db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{Now: clock.Now, Fault: func(string) error {
		if away.Load() {
			return errors.New("away")
		}
		return nil
	}})
	h := newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
	want := h.published()
	clock.Advance(time.Minute)
	away.Store(true)
	if got := h.published(); !slices.Equal(got, want) {
		t.Errorf("%v are published, want %v", got, want)
	}
	if _, err := h.p.idToken(t.Context(), &grant{}, h.p.clients["wiki"], h.guide.users[ironman], "", "", clock.Now()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("keys that may be trusted no more sign: %v", err)
	}
	away.Store(false)
}

// A hint that cannot be looked at now is not said to be a wrong one, which a relying party would never send again.
func TestF05_AHintMeetsAStoreThatIsAwayAsWhatItIs(t *testing.T) {
	var away atomic.Bool
	clock := storetest.NewClock()
	db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{Now: clock.Now, Fault: func(string) error {
		if away.Load() {
			return errors.New("away")
		}
		return nil
	}})
	h := newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
	b, tk := h.granted()
	clock.Advance(time.Minute)
	away.Store(true)
	b.authorize("id_token_hint", tk.id, "prompt", "none").refusal("temporarily_unavailable")
	away.Store(false)
	b.authorize("id_token_hint", tk.id+"x", "prompt", "none").refusal("invalid_request")
	b.authorize("id_token_hint", tk.id, "prompt", "none").code()
}

// The keys are read once a moment, however many ask for them.
func TestTheKeysAreReadOnceASecond(t *testing.T) {
	db, clock := storetest.SQLiteClock(t)
	h := newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
	for range 3 {
		clock.Advance(fresh + time.Millisecond)
		before := db.Stats()["reads"]
		for range 100 {
			h.published()
		}
		if n := db.Stats()["reads"] - before; n != 1 {
			t.Errorf("%d reads", n)
		}
	}
	if c := h.browser().get("/avengers/keys").Header.Get("Cache-Control"); c != "public, max-age=1" {
		t.Errorf("caches keep the keys for %q", c)
	}
}

// A node whose clients need a further algorithm makes its first key, and does not begin before the others have had time to publish it.
func TestF13_TheFirstKeyOfAnAlgorithmIsPublishedBeforeItSigns(t *testing.T) {
	h := newHouse(t)
	h.must(func(tx store.Tx) error {
		_, err := tx.Exec(`DELETE FROM signing_key WHERE tenant = $1 AND alg = 'EdDSA'`)
		return err
	})
	for shared, least := range map[bool]time.Duration{false: 0, true: fresh} {
		h.shared = shared
		began := time.Now()
		h.provide(issuer, registered())
		if took := time.Since(began); took < least || !shared && took > fresh {
			t.Errorf("with other nodes: %v: it begins after %v", shared, took)
		}
		h.must(func(tx store.Tx) error {
			_, err := tx.Exec(`DELETE FROM signing_key WHERE tenant = $1 AND alg = 'EdDSA'`)
			return err
		})
	}
}
