package local

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

const (
	first  = "The-First-Password-1"
	second = "The-Second-Password-2"
	third  = "The-Third-Password-3"
	fourth = "The-Fourth-Password-4"
)

func TestARightPasswordOfABarredAccountIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		for i, state := range []directory.State{directory.Disabled, directory.AdminLocked, directory.TempLocked, directory.Disabled | directory.MustChange} {
			u := b.add(NewUser{Login: fmt.Sprint("user", i), Password: first})
			b.ok(b.deed(func(tx store.Tx) error { return b.SetState(tx, u.ID, state, true) }))
			if got := b.get(u.ID).State; got != state {
				t.Errorf("the state is %05b, want %05b", got, state)
			}
			b.verdict(u, first, directory.RightButBarred)
			b.verdict(u, second, directory.Wrong)
			if err := b.ChangePassword(t.Context(), u, first, second); !errors.Is(err, directory.ErrNotAllowed) {
				t.Errorf("changing the password in state %05b: %v, want ErrNotAllowed", state, err)
			}
			if err := b.ChangePassword(t.Context(), u, second, third); !errors.Is(err, directory.ErrWrongPassword) {
				t.Errorf("changing with a wrong password in state %05b: %v, want ErrWrongPassword", state, err)
			}
			b.ok(b.deed(func(tx store.Tx) error { return b.SetState(tx, u.ID, state, false) }))
			b.verdict(u, first, directory.Right)
		}
	})
}

func TestATemporaryLockEndsByItself(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		b := newBench(t, db, Options{})
		u := b.add(NewUser{Login: "hulk", Password: first})
		until := clock.Now().Add(1_000_000_000)
		b.ok(b.deed(func(tx store.Tx) error { return b.Lock(tx, u.ID, until) }))
		b.verdict(u, first, directory.RightButBarred)
		clock.Set(until.Add(-1_000))
		b.verdict(u, first, directory.RightButBarred)
		clock.Set(until)
		b.verdict(u, first, directory.Right)
		if got := b.get(u.ID).State; got != 0 {
			t.Errorf("the state is %05b", got)
		}
	})
}

func TestPW07_OneSpellingOfAPasswordIsAsGoodAsTheOther(t *testing.T) {
	b := newBench(t, storetest.SQLite(t), Options{})
	u := b.add(NewUser{Login: "ironman"})
	password := "Ünïcødé-Pässwörd-Å"
	b.ok(b.SetPassword(t.Context(), u, norm.NFD.String(password), directory.SetOptions{}))
	b.verdict(u, norm.NFC.String(password), directory.Right)
	b.verdict(u, norm.NFD.String(password), directory.Right)
	b.verdict(u, strings.Replace(password, "Å", "A", 1), directory.Wrong)
}

func TestAPasswordIsStoredAsArgon2id(t *testing.T) {
	b := newBench(t, storetest.SQLite(t), Options{})
	u, err := b.Add(t.Context(), NewUser{Login: "ironman", Password: first})
	b.ok(err)
	if hash := b.stored(u.ID); !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("stored as %q", hash)
	}
	b.verdict(u, first, directory.Right)
	b.ok(b.SetPassword(t.Context(), u, second, directory.SetOptions{}))
	if hash := b.stored(u.ID); !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("stored as %q", hash)
	}
}

// cheap is a hash as an older version might have made it.
func cheap(password string) string {
	salt := []byte("0123456789abcdef")
	return fmt.Sprintf("$argon2id$v=19$m=8192,t=1,p=1$%s$%s", base64.RawStdEncoding.EncodeToString(salt),
		base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 8192, 1, 32)))
}

func TestASignInUpgradesAnOldHash(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		b := newBench(t, db, Options{})
		u := b.add(NewUser{Login: "ironman"})
		b.plant(u.ID, cheap(first))
		before := b.get(u.ID)
		clock.Advance(1_000_000_000)
		b.verdict(u, second, directory.Wrong)
		if b.stored(u.ID) != cheap(first) {
			t.Fatal("a wrong password changed the hash")
		}
		b.verdict(u, first, directory.Right)
		upgraded := b.stored(u.ID)
		if !strings.HasPrefix(upgraded, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Fatalf("the hash is %q after a sign-in", upgraded)
		}
		b.verdict(u, first, directory.Right)
		b.verdict(u, second, directory.Wrong)
		if b.stored(u.ID) != upgraded {
			t.Error("a hash of today was hashed again")
		}
		if after := b.get(u.ID); !after.PasswordChangedAt.Equal(before.PasswordChangedAt) {
			t.Error("an upgrade counts as a change of password")
		}
	})
}

func TestAnUpgradeNeverUndoesAChange(t *testing.T) {
	b := newBench(t, storetest.SQLite(t), Options{})
	u := b.add(NewUser{Login: "ironman"})
	b.plant(u.ID, cheap(first))
	b.ok(b.SetPassword(t.Context(), u, second, directory.SetOptions{}))
	b.upgrade(t.Context(), u.ID, cheap(first), first) // as a sign-in that began before
	b.verdict(u, first, directory.Wrong)
	b.verdict(u, second, directory.Right)
}

func TestAnUnreadableHashIsAFaultAndAResetMendsIt(t *testing.T) {
	b := newBench(t, storetest.SQLite(t), Options{History: 2})
	u := b.add(NewUser{Login: "ironman"})
	for _, hash := range []string{"plain", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=99999999,t=9,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"} {
		b.plant(u.ID, hash)
		if v, err := b.VerifyPassword(t.Context(), u, hash); v != directory.Wrong || !errors.Is(err, secret.ErrHash) {
			t.Errorf("with %q stored the verdict is %d, %v", hash, v, err)
		}
	}
	b.ok(b.SetPassword(t.Context(), u, first, directory.SetOptions{}))
	b.verdict(u, first, directory.Right)
}

func TestTheCurrentPasswordAndTheHistoryDoNotComeBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		refused := func(b bench, u directory.User, next string) {
			t.Helper()
			for _, must := range []bool{false, true} {
				var refusal *directory.PolicyError
				if err := b.SetPassword(t.Context(), u, next, directory.SetOptions{MustChange: must}); !errors.As(err, &refusal) || refusal.Reason != directory.InHistory {
					t.Errorf("setting %q: %v, want a refusal by history", next, err)
				}
			}
		}
		b := newBench(t, db, Options{History: 2})
		u := b.add(NewUser{Login: "ironman", Password: first})
		for _, next := range []string{second, third} {
			b.ok(b.SetPassword(t.Context(), u, next, directory.SetOptions{}))
			refused(b, u, first)
		}
		refused(b, u, second)
		refused(b, u, third)
		b.ok(b.ChangePassword(t.Context(), u, third, fourth))
		refused(b, u, second)
		b.ok(b.SetPassword(t.Context(), u, first, directory.SetOptions{}))
		if p, err := b.PasswordPolicy(t.Context(), u); err != nil || p.History != 3 {
			t.Errorf("the policy told is %+v, %v", p, err)
		}

		short := bench{t, Open(b.store, "staff", b.hasher, Options{}), b.hashed}
		refused(short, u, first)
		short.ok(short.SetPassword(t.Context(), u, fourth, directory.SetOptions{}))
		refused(b, u, fourth)
		b.ok(b.SetPassword(t.Context(), u, first, directory.SetOptions{})) // the shorter history forgot it
	})
}

func TestPW08_APasswordOfAnOperatorCannotBecomeTheLastingOne(t *testing.T) {
	b := newBench(t, storetest.SQLite(t), Options{})
	u := b.add(NewUser{Login: "ironman", Password: first})
	given := GeneratePassword()
	if len(given) < 26 || given == GeneratePassword() {
		t.Errorf("generated %q", given)
	}
	b.ok(b.SetPassword(t.Context(), u, given, directory.SetOptions{MustChange: true}))
	b.verdict(u, given, directory.RightButDue)
	b.verdict(u, first, directory.Wrong)
	var refusal *directory.PolicyError
	if err := b.ChangePassword(t.Context(), u, given, given); !errors.As(err, &refusal) {
		t.Errorf("keeping the operator's password: %v, want a refusal", err)
	}
	b.verdict(u, given, directory.RightButDue)
	b.ok(b.ChangePassword(t.Context(), u, given, second))
	b.verdict(u, second, directory.Right)
}

func TestADeedOfTheCallersSharesTheTransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		u := b.add(NewUser{Login: "ironman", Password: first})
		for _, mine := range []error{errors.New("mine"), store.ErrChanged, store.ErrNotFound} {
			hashes := b.hasher.Count()
			err := b.SetPasswordAnd(t.Context(), u, second, directory.SetOptions{}, func(store.Tx) error { return mine })
			if err != mine {
				t.Errorf("the caller's error %v comes back as %v", mine, err)
			}
			if n := b.hasher.Count() - hashes; n != 2 {
				t.Errorf("a deed that failed was tried again: %d hashes", n)
			}
			b.verdict(u, first, directory.Right)
		}
		b.ok(b.SetPasswordAnd(t.Context(), u, second, directory.SetOptions{}, func(tx store.Tx) error { return b.SetGroups(tx, u.ID, []string{"Reset"}) }))
		b.verdict(u, second, directory.Right)
		if got := b.get(u.ID).Groups; len(got) != 1 || got[0] != "Reset" {
			t.Errorf("the groups are %q", got)
		}
	})
}

func TestOfManyChangesWithOneOldPasswordOneGoesThrough(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		u := b.add(NewUser{Login: "ironman", Password: first})
		errs := make([]error, 8)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = b.ChangePassword(t.Context(), u, first, fmt.Sprint(second, i)) })
		}
		all.Wait()
		won := -1
		for i, err := range errs {
			switch {
			case err == nil && won >= 0:
				t.Errorf("the changes %d and %d both went through", won, i)
			case err == nil:
				won = i
			case !errors.Is(err, directory.ErrWrongPassword):
				t.Errorf("change %d: %v, want ErrWrongPassword", i, err)
			}
		}
		if won < 0 {
			t.Fatal("no change went through")
		}
		b.verdict(u, fmt.Sprint(second, won), directory.Right)
		b.verdict(u, first, directory.Wrong)
	})
}

func TestA36_AnEmptyPasswordIsWrongEvenWhereItsHashIsStored(t *testing.T) {
	b := newBench(t, storetest.SQLite(t), Options{})
	u := b.add(NewUser{Login: "ironman"})
	b.plant(u.ID, b.hashed(""))
	b.verdict(u, "", directory.Wrong)
	if err := b.ChangePassword(t.Context(), u, "", first); !errors.Is(err, directory.ErrWrongPassword) {
		t.Errorf("changing an empty password: %v, want ErrWrongPassword", err)
	}
}
