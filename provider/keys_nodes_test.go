package provider

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// A relying party asks for the keys at whichever node it meets. That may be one that has not taken its turn since another made a key.
func TestF13_AKeyThatOneNodeMakesIsPublishedAndAcceptedByTheOthersAtOnce(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		h := newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
		first, second := h.p, h.provide(issuer, registered())
		use := func(p *Provider) { h.p = p; h.mount() }

		if err := second.RotateKeys(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		successor := second.keys.Load().find("ES256", next)
		if !slices.Contains(h.published(), successor.ID) {
			t.Error("the first node does not publish a successor that the second one made")
		}
		if err := second.RotateKeys(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		use(second)
		_, signed := h.granted()
		if kid(signed.id) != successor.ID {
			t.Fatal("the successor does not sign")
		}
		use(first)
		h.verified(signed.id)
		_, mine := h.granted()
		if kid(mine.id) != successor.ID {
			t.Error("the first node knows of the key, and signs with the one before it")
		}

		third := h.provide(issuer, registered()) // has seen the keys of now, and not the next ones
		use(second)
		if err := second.RotateKeys(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		_, signed = h.granted()
		use(third)
		b := h.browser()
		b.signedIn(ironman)
		b.authorize("prompt", "none", "id_token_hint", signed.id).code()
	})
}

func TestKeysAreShownWhileTheStoreIsAway(t *testing.T) {
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
	away.Store(true)
	if got := h.published(); !slices.Equal(got, want) {
		t.Errorf("%v are published, want %v", got, want)
	}
	away.Store(false)
}
