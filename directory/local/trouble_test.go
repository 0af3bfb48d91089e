package local

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// faults counts storage calls and fails the one it is told to, and all after it.
type faults struct {
	calls, fail atomic.Int64 // fail 0: none
}

func (f *faults) call(string) error {
	if n, fail := f.calls.Add(1), f.fail.Load(); fail > 0 && n >= fail {
		return errors.New("the disk is full")
	}
	return nil
}

// from lets the nth call from now fail; 0 for none.
func (f *faults) from(n int64) {
	f.fail.Store(n)
	f.calls.Store(0)
}

func eachFaulty(t *testing.T, f func(t *testing.T, b bench, faults *faults)) {
	hashed := hashes()
	storetest.EachURL(t, func(t *testing.T, url string) {
		var faults faults
		db := storetest.Open(t, url, store.Options{Fault: faults.call})
		f(t, bench{t, Open(db.Tenant("avengers"), "staff", secret.NewHasher(0), Options{History: 1}), hashed}, &faults)
		faults.from(0)
	})
}

func TestRS02_AMissAsksTheStoreAsOftenAsAHit(t *testing.T) {
	eachFaulty(t, func(t *testing.T, b bench, faults *faults) {
		hit := b.add(NewUser{Login: "ironman", Email: "tony@stark.example", Groups: []string{"Avengers", "Staff"}, Password: first})
		bare := b.add(NewUser{Login: "vision", Email: "office@stark.example"})
		b.add(NewUser{Login: "happy", Email: "office@stark.example"})
		calls := func(f func()) int64 {
			faults.from(0)
			f()
			return faults.calls.Load()
		}
		want := calls(func() { b.Find(t.Context(), "ironman") })
		if want < 2 {
			t.Fatalf("a hit makes %d calls", want)
		}
		for _, name := range []string{"TONY@stark.example", "vision", "office@stark.example", "nobody", "", " ", "\x00", "\xff", "*", strings.Repeat("x", 100_000)} {
			if got := calls(func() { b.Find(t.Context(), name) }); got != want {
				t.Errorf("Find(%.20q) makes %d calls, a hit %d", name, got, want)
			}
		}
		want = calls(func() { b.VerifyPassword(t.Context(), hit, second) })
		for _, u := range []directory.User{{}, bare, {ID: "nobody"}, {ID: "\x00"}} {
			for _, password := range []string{second, ""} {
				if got := calls(func() { b.VerifyPassword(t.Context(), u, password) }); got != want {
					t.Errorf("the password %q of %q makes %d calls, a wrong one %d", password, u.Login, got, want)
				}
			}
		}
	})
}

func TestA47_AFailingStoreIsNeverAnAnswerAndNothingIsHalfDone(t *testing.T) {
	eachFaulty(t, func(t *testing.T, b bench, faults *faults) {
		u := b.add(NewUser{Login: "ironman", Groups: []string{"Avengers"}, Password: first})
		lock := func(tx store.Tx) error { return b.SetState(tx, u.ID, directory.TempLocked|directory.MustChange, true) }
		b.ok(b.deed(lock))
		before, hash := b.get(u.ID), b.stored(u.ID)
		ctx := t.Context()
		for what, call := range map[string]func() error{
			"Find":           func() error { _, err := b.Find(ctx, "ironman"); return err },
			"Find of nobody": func() error { _, err := b.Find(ctx, "nobody"); return err },
			"Get":            func() error { _, err := b.Get(ctx, u.ID); return err },
			"List":           func() error { _, err := b.List(ctx); return err },
			"VerifyPassword": func() error {
				v, err := b.VerifyPassword(ctx, u, first)
				if err != nil && v != directory.Wrong {
					t.Errorf("verdict %d beside %v", v, err)
				}
				return err
			},
			"VerifyPassword of nobody": func() error { _, err := b.VerifyPassword(ctx, directory.User{}, first); return err },
			"SetPassword":              func() error { return b.SetPassword(ctx, u, second, directory.SetOptions{}) },
			"SetPasswordAnd": func() error {
				return b.SetPasswordAnd(ctx, u, second, directory.SetOptions{}, func(tx store.Tx) error { return b.SetGroups(tx, u.ID, nil) })
			},
			"Unlock": func() error { return b.Unlock(ctx, u) },
			"Add": func() error {
				_, err := b.Add(ctx, NewUser{Login: "pepper", Email: "pepper@stark.example", Groups: []string{"A", "B"}})
				return err
			},
			"SetGroups": func() error {
				return b.deed(func(tx store.Tx) error { return b.SetGroups(tx, u.ID, []string{"A", "B"}) })
			},
			"SetState": func() error { return b.deed(func(tx store.Tx) error { return b.Disable(tx, u.ID) }) },
			"SetLogin": func() error { return b.deed(func(tx store.Tx) error { return b.SetLogin(tx, u.ID, "other") }) },
			"SetEmail": func() error {
				return b.deed(func(tx store.Tx) error { return b.SetEmail(tx, u.ID, "x@stark.example", true) })
			},
			"Remove": func() error { return b.deed(func(tx store.Tx) error { return b.Remove(tx, u.ID) }) },
		} {
			for n := int64(1); ; n++ {
				faults.from(n)
				err := call()
				reached := faults.calls.Load() >= n
				faults.from(0)
				if !reached {
					if n == 1 {
						t.Errorf("%s never asks the store", what)
					}
					break // every call of it has failed once
				}
				if err == nil {
					t.Errorf("%s succeeds although storage call %d fails", what, n)
				} else if !errors.Is(err, directory.ErrUnavailable) && !errors.Is(err, directory.ErrOutcomeUnknown) && !errors.Is(err, store.ErrUnavailable) ||
					errors.Is(err, directory.ErrNotFound) {
					t.Errorf("%s with storage call %d failing: %v, want ErrUnavailable", what, n, err)
				}
				if after := b.get(u.ID); fmt.Sprint(after) != fmt.Sprint(before) || b.stored(u.ID) != hash {
					t.Fatalf("%s with storage call %d failing left %+v, want %+v", what, n, after, before)
				}
				if all, err := b.List(ctx); err != nil || len(all) != 1 {
					t.Fatalf("%s with storage call %d failing left %d users, %v", what, n, len(all), err)
				}
			}
			// The last round went through: put things back.
			b.restore(u, before, hash)
			before = b.get(u.ID)
		}
	})
}

// restore makes the one user what she was.
func (b bench) restore(u, before directory.User, hash string) {
	b.t.Helper()
	all, err := b.List(b.t.Context())
	b.ok(err)
	for _, other := range all {
		if other.ID != u.ID {
			b.ok(b.deed(func(tx store.Tx) error { return b.Remove(tx, other.ID) }))
		}
	}
	if len(all) == 0 {
		b.ok(b.deed(func(tx store.Tx) error {
			_, err := tx.Exec(addUser, b.name, u.ID, u.Login, "ironman", "", "", "", false, "", "", 0, false, false, 0)
			return err
		}))
	}
	b.plant(u.ID, hash)
	b.ok(b.deed(func(tx store.Tx) error {
		return errors.Join(b.SetLogin(tx, u.ID, before.Login), b.SetEmail(tx, u.ID, before.Email, before.EmailVerified), b.SetGroups(tx, u.ID, before.Groups),
			b.SetState(tx, u.ID, ^before.State, false), b.SetState(tx, u.ID, before.State, true))
	}))
}

func TestAnUpgradeThatFailsDoesNotHinderTheSignIn(t *testing.T) {
	eachFaulty(t, func(t *testing.T, b bench, faults *faults) {
		u := b.add(NewUser{Login: "ironman"})
		b.plant(u.ID, cheap(first))
		faults.from(0)
		b.verdict(u, second, directory.Wrong)
		reading := faults.calls.Load()
		faults.from(reading + 1)
		b.verdict(u, first, directory.Right)
		faults.from(0)
		if b.stored(u.ID) != cheap(first) {
			t.Error("the hash was upgraded although the store failed")
		}
		b.verdict(u, first, directory.Right)
		if b.stored(u.ID) == cheap(first) {
			t.Error("the next sign-in did not upgrade the hash")
		}
	})
}

func TestAllUsersAreWalkedPageByPage(t *testing.T) {
	eachFaulty(t, func(t *testing.T, b bench, faults *faults) {
		const many = 2*pageSize + 3
		want := map[directory.UserID]string{}
		b.ok(b.deed(func(tx store.Tx) error {
			clear(want)
			for i := range many {
				id, login := directory.UserID(secret.ID()), fmt.Sprintf("user%04d", i)
				if _, err := tx.Exec(addUser, b.name, id, login, login, "", "", "", false, "", "", 0, false, false, 0); err != nil {
					return err
				}
				if err := b.join(tx, id, []string{"zeta", "all", login}); err != nil {
					return err
				}
				want[id] = login
			}
			return nil
		}))
		faults.from(0)
		got := map[directory.UserID]string{}
		for u, err := range b.Users(t.Context()) {
			b.ok(err)
			if _, twice := got[u.ID]; twice {
				t.Fatalf("%q is walked twice", u.Login)
			}
			if !slices.Equal(u.Groups, []string{"all", u.Login, "zeta"}) {
				t.Fatalf("%q is in %q", u.Login, u.Groups)
			}
			got[u.ID] = u.Login
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d of %d users are walked", len(got), len(want))
		}
		calls := faults.calls.Load()
		list, err := b.List(t.Context())
		b.ok(err)
		if len(list) != many || !slices.IsSortedFunc(list, func(a, b directory.User) int { return strings.Compare(a.Login, b.Login) }) {
			t.Errorf("%d of %d users are listed, or not in order", len(list), many)
		}

		faults.from(calls)
		n, last := 0, error(nil)
		for _, err := range b.Users(t.Context()) {
			if last = err; err == nil {
				n++
			}
		}
		if n != 2*pageSize || !errors.Is(last, directory.ErrUnavailable) {
			t.Errorf("a walk that fails on its last page gives %d users and ends with %v", n, last)
		}
	})
}

func TestTheCheckSaysWhatAnOperatorMayHaveForgotten(t *testing.T) {
	b := newBench(t, storetest.SQLite(t), Options{})
	for _, want := range []string{"no users yet", "without a password, who cannot sign in: 1 of 1", "1 of 2"} {
		found := b.Check(t.Context())
		if len(found) != 1 || found[0].Grave || !strings.Contains(found[0].Text, want) {
			t.Errorf("the check finds %+v, want %q", found, want)
		}
		if want == "no users yet" {
			b.add(NewUser{Login: "vision"})
		} else {
			b.add(NewUser{Login: "user " + want, Password: first})
		}
	}
}

func TestErrorsOfTheStoreComeInTheDirectorysWords(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{store.ErrNotFound, directory.ErrNotFound}, {store.ErrUnavailable, directory.ErrUnavailable}, {store.ErrDamaged, directory.ErrUnavailable},
		{fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrUnknown), directory.ErrOutcomeUnknown}, {directory.ErrAmbiguous, directory.ErrAmbiguous}, {ErrExists, ErrExists},
	} {
		got := failed("try", fmt.Errorf("within: %w", c.err))
		if !errors.Is(got, c.want) || !strings.HasPrefix(got.Error(), "try: ") {
			t.Errorf("%v becomes %v, want %v", c.err, got, c.want)
		}
		if errors.Is(got, directory.ErrUnavailable) != (c.want == directory.ErrUnavailable) {
			t.Errorf("%v becomes %v, which reads as an outage or does not", c.err, got)
		}
	}
	if failed("try", nil) != nil {
		t.Error("no error becomes one")
	}
}
