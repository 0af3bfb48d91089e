package sparekey_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/backup"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/reseal"
	"github.com/sparekey-id/sparekey/internal/store"
)

// bindSeeds binds n authenticator apps to users of their own and gives the seeds by user.
func bindSeeds(t *testing.T, p *sparekey.Plugin, prefix string, n int) map[directory.UserID][]byte {
	t.Helper()
	a, seeds := p.Admin("avengers"), map[directory.UserID][]byte{}
	for from := 0; from < n; from += 100 {
		err := a.Store.Write(t.Context(), func(tx store.Tx) error {
			for i := from; i < min(n, from+100); i++ {
				user := directory.UserID(fmt.Sprintf("%s%05d", prefix, i))
				seeds[user] = []byte(fmt.Sprintf("seed of %s....", user))
				if _, err := a.Accounts.Bind(tx, user, identity.Authenticator{Kind: identity.TOTP, Data: seeds[user]}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return seeds
}

// sameSeeds opens every authenticator and compares it with what was bound.
func sameSeeds(t *testing.T, p *sparekey.Plugin, seeds map[directory.UserID][]byte) {
	t.Helper()
	a := p.Admin("avengers")
	err := a.Store.Read(t.Context(), func(tx store.Tx) error {
		for user, seed := range seeds {
			list, err := a.Accounts.Authenticators(tx, user)
			if err != nil || len(list) != 1 || !bytes.Equal(list[0].Data, seed) {
				return fmt.Errorf("%s has %d authenticators, or another seed: %v", user, len(list), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// keepKeys leaves in the keyring's file the last n seal keys.
func (h *house) keepKeys(n int) {
	h.t.Helper()
	path := strings.TrimPrefix(h.cfg.Keyring, "file:")
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	seals := 0
	for _, line := range lines {
		if strings.HasPrefix(line, "seal ") {
			seals++
		}
	}
	var kept []string
	for _, line := range lines {
		if strings.HasPrefix(line, "seal ") {
			if seals--; seals >= n {
				continue
			}
		}
		kept = append(kept, line)
	}
	if err := os.WriteFile(path, []byte(strings.Join(kept, "\n")+"\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// A second process adds a key and seals everything anew, while the server, which was not told, goes on serving and writing.
func TestF13_EverythingIsSealedAnewWhileOthersWrite(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		h.redeem(b.register("ironman"))
		waiting := h.browser()
		waiting.beginReset("ironman")
		seeds := bindSeeds(t, h.p, "still", 300)

		operator := h.plugin()
		defer operator.Close()
		if _, err := operator.AddKey(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
		var writers sync.WaitGroup
		var stop atomic.Bool
		var lock sync.Mutex
		a := h.admin("avengers")
		for w := range 3 {
			writers.Go(func() {
				for i := 0; !stop.Load(); i++ {
					user := directory.UserID(fmt.Sprintf("busy%d-%d", w, i))
					seed := []byte(user)
					err := a.Store.Write(t.Context(), func(tx store.Tx) error {
						_, err := a.Accounts.Bind(tx, user, identity.Authenticator{Kind: identity.TOTP, Data: seed})
						return err
					})
					if err == nil && i%3 == 0 { // of every third nothing may be left
						err = a.Store.Write(t.Context(), func(tx store.Tx) error {
							list, err := a.Accounts.Authenticators(tx, user)
							if err != nil {
								return err
							}
							return a.Accounts.Unbind(tx, user, list[0].ID)
						})
					} else if err == nil {
						lock.Lock()
						seeds[user] = seed
						lock.Unlock()
					}
					if err != nil {
						t.Errorf("a writer met %v", err)
						return
					}
				}
			})
		}
		done, _, err := operator.Reseal(t.Context(), "test", nil)
		if err != nil || done < 300 {
			t.Errorf("%d values done: %v", done, err)
		}
		stop.Store(true)
		writers.Wait()

		// The server may have sealed with the key it knew; now it knows the other, and a second time leaves nothing.
		sameSeeds(t, h.p, seeds)
		_, left, err := operator.Reseal(t.Context(), "test", nil)
		if n := reseal.Stale(left); err != nil || n != 0 {
			t.Fatalf("%d values hang on the older key: %v", n, err)
		}
		h.clock.Advance(60e9)
		waiting.post("code", h.totp(b.key, 0), "action", "verify")
		waiting.want("Choose a new password")

		h.keepKeys(1)
		h.restart()
		sameSeeds(t, h.p, seeds)
		if n := h.redeem(h.browser().signIn("ironman", password)).status; n != 200 {
			t.Errorf("with the older key gone a sign-in answers %d", n)
		}
		h.clock.Advance(60e9)
		again := h.browser()
		again.beginReset("ironman")
		again.post("code", h.totp(b.key, 0), "action", "verify")
		again.want("Choose a new password")
		for _, event := range []string{"operator.keyring_added", "operator.keyring_resealed"} {
			var key string
			if keys := left; len(keys) > 0 {
				key = keys[len(keys)-1].ID
			}
			if n := h.journalled(event, "key", key); n == 0 {
				t.Errorf("the journal does not tell of %s", event)
			}
		}
	})
}

// A key that something hangs on is missed at the start, by its id and by what hangs on it; once it is back nothing is lost.
func TestF13_AKeyringThatLacksAKeyInUseIsRefused(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		seeds := bindSeeds(t, h.p, "user", 3)
		file := h.backup()
		old, err := h.p.Keyring(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.p.AddKey(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
		h.close()
		path := strings.TrimPrefix(h.cfg.Keyring, "file:")
		both, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h.keepKeys(1)
		p, err := sparekey.Open(t.Context(), h.cfg)
		if err == nil {
			p.Close()
			t.Fatal("it opens")
		}
		for _, want := range []string{old[0].ID, "authenticator: 3", "signing key: ", "put it back"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		cfg := *h.cfg
		cfg.Database = "sqlite:" + t.TempDir() + "/new.db"
		if _, err := sparekey.Restore(t.Context(), &cfg, bytes.NewReader(file), nil); !errors.Is(err, backup.ErrKey) || !strings.Contains(err.Error(), old[0].ID) {
			t.Errorf("a backup that needs the key is restored: %v", err)
		}
		if err := os.WriteFile(path, both, 0o600); err != nil {
			t.Fatal(err)
		}
		h.restart()
		sameSeeds(t, h.p, seeds)
	})
}
