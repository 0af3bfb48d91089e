package local

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func TestAUserIsAddedAsDescribed(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		b := newBench(t, db, Options{})
		added, err := b.Add(t.Context(), NewUser{Login: " IronMan ", Name: " Tony Stark ", Email: "Tony@Stark.example ", EmailVerified: true, Phone: "+44 1632 960000",
			Groups: []string{"Staff", " Avengers", "Staff"}, Password: first, MustChange: true, Privileged: true})
		b.ok(err)
		want := directory.User{ID: added.ID, Login: "IronMan", Name: "Tony Stark", Email: "Tony@Stark.example", EmailVerified: true, Phone: "+441632960000",
			Groups: []string{"Avengers", "Staff"}, State: directory.MustChange, Privileged: true, PasswordChangedAt: clock.Now()}
		for _, name := range []string{"ironman", "TONY@stark.example"} {
			got, err := b.Find(t.Context(), name)
			b.ok(err)
			for what, u := range map[string]directory.User{"Add": added, "Find": got, "Get": b.get(added.ID)} {
				if fmt.Sprintf("%#v", u) != fmt.Sprintf("%#v", want) {
					t.Errorf("%s gives\n%#v, want\n%#v", what, u, want)
				}
			}
		}
		b.verdict(added, first, directory.RightButDue)
		if strings.Contains(fmt.Sprintf("%#v", added), first) {
			t.Error("the password is shown")
		}
	})
}

func TestWhatCannotBeAUserIsRefused(t *testing.T) {
	b := newBench(t, storetest.SQLite(t), Options{})
	for field, users := range map[string][]NewUser{
		"login": {{}, {Login: " "}, {Login: "iron\x00man"}, {Login: "iron\nman"}, {Login: "iron\u200bman"}, {Login: strings.Repeat("x", 300)}},
		"email": {{Email: "tony"}, {Email: "tony@stark.example, eve@evil.example"}, {Email: "tony@stark.example\r\nBcc: eve@evil.example"}},
		"name":  {{Name: "Tony\r\nBcc: eve@evil.example"}, {Name: "Tony\u202e"}, {Name: "\xff"}, {Name: strings.Repeat("x", 300)}},
		"phone": {{Phone: "1632"}, {Phone: "tel:+441632960000"}},
		"group": {{Groups: []string{""}}, {Groups: []string{"Staff", "a\nb"}}, {Groups: []string{strings.Repeat("x", 300)}}},
	} {
		for _, n := range users {
			if field != "login" {
				n.Login = "ironman"
			}
			var invalid *InvalidError
			if _, err := b.Add(t.Context(), n); !errors.As(err, &invalid) || invalid.Field != field {
				t.Errorf("adding %+v: %v, want a fault of %s", n, err, field)
			}
		}
	}
	if all, err := b.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("there are %d users, %v", len(all), err)
	}
}

func TestA25_OneNameNeverLeadsToTwoUsers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		tony := b.add(NewUser{Login: "ironman", Email: "tony@stark.example"})
		boss := b.add(NewUser{Login: "boss@stark.example", Email: "boss@stark.example"})
		for _, n := range []NewUser{{Login: "IRONMAN"}, {Login: " ｉronman"}, {Login: "Tony@Stark.example"}, {Login: "pepper", Email: "BOSS@stark.example"}} {
			if _, err := b.Add(t.Context(), n); !errors.Is(err, ErrExists) {
				t.Errorf("adding %+v: %v, want ErrExists", n, err)
			}
		}
		pepper := b.add(NewUser{Login: "pepper"})
		for what, f := range map[string]func(store.Tx) error{
			"renaming to another's login":   func(tx store.Tx) error { return b.SetLogin(tx, pepper.ID, "IronMan") },
			"renaming to another's address": func(tx store.Tx) error { return b.SetLogin(tx, pepper.ID, "tony@stark.example") },
			"taking another's login for her address": func(tx store.Tx) error {
				return b.SetEmail(tx, pepper.ID, "boss@Stark.example", true)
			},
		} {
			if err := b.deed(f); !errors.Is(err, ErrExists) {
				t.Errorf("%s: %v, want ErrExists", what, err)
			}
		}
		b.ok(b.deed(func(tx store.Tx) error { return b.SetLogin(tx, tony.ID, "IronMan") }))
		b.ok(b.deed(func(tx store.Tx) error { return b.SetLogin(tx, boss.ID, "Boss@stark.example") }))
		if got := b.get(tony.ID); got.Login != "IronMan" {
			t.Errorf("the login is %q", got.Login)
		}
	})
}

func TestA11_AnAddressFindsOnlyWhoAloneHasIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		mike := b.add(NewUser{Login: "mike", Email: "mike@example.org"})
		other := b.add(NewUser{Login: "other", Email: "mıke@example.org"})
		for address, want := range map[string]directory.UserID{"mike@example.org": mike.ID, "MIKE@EXAMPLE.ORG": mike.ID, "mıke@example.org": other.ID} {
			if u, err := b.Find(t.Context(), address); err != nil || u.ID != want {
				t.Errorf("Find(%q) is %q, %v", address, u.Login, err)
			}
		}
		for _, address := range []string{"MıKE@example.com", "ｍike@example.org", "mike@example.org,x@example.org", "mike@exаmple.org"} {
			if u, err := b.Find(t.Context(), address); !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("Find(%q) is %q, %v, want ErrNotFound", address, u.Login, err)
			}
		}
		b.ok(b.deed(func(tx store.Tx) error { return b.SetEmail(tx, other.ID, "Mike@example.org", true) }))
		if _, err := b.Find(t.Context(), "mike@example.org"); !errors.Is(err, directory.ErrAmbiguous) {
			t.Errorf("a shared address: %v, want ErrAmbiguous", err)
		}
		if u, err := b.Show(t.Context(), "mike"); err != nil || u.ID != mike.ID {
			t.Errorf("Show(mike) is %q, %v", u.Login, err)
		}
		if _, err := b.Show(t.Context(), "mike@example.org"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("Show of an address: %v, want ErrNotFound", err)
		}
		b.ok(b.deed(func(tx store.Tx) error { return b.SetEmail(tx, other.ID, "", true) }))
		if u, err := b.Find(t.Context(), "mike@example.org"); err != nil || u.ID != mike.ID {
			t.Errorf("Find is %q, %v", u.Login, err)
		}
		if got := b.get(other.ID); got.Email != "" || got.EmailVerified {
			t.Errorf("a removed address is %q, %v", got.Email, got.EmailVerified)
		}
		b.add(NewUser{Login: "third"}) // a second user without an address is nobody's namesake
		if u, err := b.Find(t.Context(), ""); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("Find of nothing is %q, %v", u.Login, err)
		}
	})
}

func TestOperatorsDeedsOnNobodyAreErrNotFound(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		b.add(NewUser{Login: "ironman"})
		for _, id := range []directory.UserID{"", "nobody", "x\x00", "\xff", directory.UserID(strings.Repeat("x", 1000))} {
			for what, f := range map[string]func(store.Tx) error{
				"Remove":    func(tx store.Tx) error { return b.Remove(tx, id) },
				"Disable":   func(tx store.Tx) error { return b.Disable(tx, id) },
				"Enable":    func(tx store.Tx) error { return b.Enable(tx, id) },
				"Lock":      func(tx store.Tx) error { return b.Lock(tx, id, tx.Now()) },
				"SetGroups": func(tx store.Tx) error { return b.SetGroups(tx, id, []string{"Staff"}) },
				"SetLogin":  func(tx store.Tx) error { return b.SetLogin(tx, id, "other") },
				"SetEmail":  func(tx store.Tx) error { return b.SetEmail(tx, id, "other@stark.example", true) },
			} {
				if err := b.deed(f); !errors.Is(err, directory.ErrNotFound) {
					t.Errorf("%s(%.20q): %v, want ErrNotFound", what, id, err)
				}
			}
		}
	})
}

func TestGroupsAreReplacedAsAWhole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		u := b.add(NewUser{Login: "ironman", Groups: []string{"Avengers", "Staff"}})
		b.ok(b.deed(func(tx store.Tx) error { return b.SetGroups(tx, u.ID, []string{"zeta", "Alpha", "Staff", "alpha"}) }))
		if got, want := b.get(u.ID).Groups, []string{"Alpha", "Staff", "alpha", "zeta"}; !slices.Equal(got, want) {
			t.Errorf("the groups are %q, want %q", got, want)
		}
		if err := b.deed(func(tx store.Tx) error { return b.SetGroups(tx, u.ID, []string{"ok", ""}) }); !errors.As(err, new(*InvalidError)) {
			t.Errorf("an empty group: %v", err)
		}
		b.ok(b.deed(func(tx store.Tx) error { return b.SetGroups(tx, u.ID, nil) }))
		if got := b.get(u.ID).Groups; len(got) != 0 {
			t.Errorf("the groups are %q", got)
		}
	})
}

func TestARemovalLeavesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		u := b.add(NewUser{Login: "ironman", Groups: []string{"Avengers"}, Password: first})
		mine := errors.New("mine")
		if err := b.deed(func(tx store.Tx) error { return errors.Join(b.Remove(tx, u.ID), mine) }); !errors.Is(err, mine) {
			t.Fatal(err)
		}
		b.verdict(u, first, directory.Right) // the caller's deed failed, so she is still there
		b.ok(b.deed(func(tx store.Tx) error { return b.Remove(tx, u.ID) }))
		for _, table := range []string{"local_user", "local_member"} {
			var n int64
			b.ok(b.store.Read(t.Context(), func(tx store.Tx) error {
				return tx.Row(`SELECT COUNT(*) FROM ` + table + ` WHERE tenant = $1`).Scan(&n)
			}))
			if n != 0 {
				t.Errorf("%s holds %d rows", table, n)
			}
		}
		again := b.add(NewUser{Login: "ironman"})
		if again.ID == u.ID || len(again.Groups) != 0 {
			t.Errorf("her namesake is %+v", again)
		}
	})
}

func TestTheCallersDeedIsPartOfAdding(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		mine := errors.New("mine")
		if _, err := b.Add(t.Context(), NewUser{Login: "ironman"}, func(store.Tx, directory.User) error { return mine }); err != mine {
			t.Errorf("the caller's error comes back as %v", err)
		}
		if _, err := b.Find(t.Context(), "ironman"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("she is there all the same: %v", err)
		}
		var given directory.User
		u, err := b.Add(t.Context(), NewUser{Login: "ironman"}, func(tx store.Tx, u directory.User) error { given = u; return b.Disable(tx, u.ID) })
		b.ok(err)
		if given.ID != u.ID || b.get(u.ID).State != directory.Disabled {
			t.Errorf("the caller was given %q of %q", given.ID, u.ID)
		}
	})
}

func TestA10_DirectoriesAndTenantsDoNotMeet(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		hasher, hashed := secret.NewHasher(0), hashes()
		var all []bench
		var users []directory.User
		for i, l := range []*Local{
			Open(db.Tenant("avengers"), "staff", hasher, Options{}), Open(db.Tenant("avengers"), "guests", hasher, Options{}), Open(db.Tenant("wakanda"), "staff", hasher, Options{}),
		} {
			b := bench{t, l, hashed}
			all = append(all, b)
			users = append(users, b.add(NewUser{Login: "ironman", Email: "tony@stark.example", Groups: []string{fmt.Sprint("group", i)}, Password: fmt.Sprint(first, i)}))
		}
		for i, b := range all {
			for _, name := range []string{"ironman", "tony@stark.example"} {
				if u, err := b.Find(t.Context(), name); err != nil || u.ID != users[i].ID || len(u.Groups) != 1 {
					t.Errorf("Find(%q) in directory %d is %+v, %v", name, i, u, err)
				}
			}
			if list, err := b.List(t.Context()); err != nil || len(list) != 1 || len(list[0].Groups) != 1 {
				t.Errorf("directory %d lists %+v, %v", i, list, err)
			}
			for j, other := range users {
				if i == j {
					continue
				}
				if _, err := b.Get(t.Context(), other.ID); !errors.Is(err, directory.ErrNotFound) {
					t.Errorf("directory %d knows the user of %d: %v", i, j, err)
				}
				b.verdict(other, fmt.Sprint(first, j), directory.Wrong)
				for what, err := range map[string]error{
					"Unlock":      b.Unlock(t.Context(), other),
					"SetPassword": b.SetPassword(t.Context(), other, second, directory.SetOptions{}),
					"Remove":      b.deed(func(tx store.Tx) error { return b.Remove(tx, other.ID) }),
					"Disable":     b.deed(func(tx store.Tx) error { return b.Disable(tx, other.ID) }),
					"SetGroups":   b.deed(func(tx store.Tx) error { return b.SetGroups(tx, other.ID, nil) }),
				} {
					if !errors.Is(err, directory.ErrNotFound) {
						t.Errorf("%s by directory %d on the user of %d: %v", what, i, j, err)
					}
				}
			}
		}
		for i, b := range all {
			b.verdict(users[i], fmt.Sprint(first, i), directory.Right)
			if got := b.get(users[i].ID); len(got.Groups) != 1 || got.State != 0 {
				t.Errorf("the user of directory %d is %+v", i, got)
			}
		}
	})
}

func TestTwoOperatorsAtOnceDoNotUndoEachOther(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, Options{})
		u := b.add(NewUser{Login: "ironman"})
		for round := range 20 {
			var all sync.WaitGroup
			for _, state := range []directory.State{directory.Disabled, directory.AdminLocked, directory.Expired, directory.MustChange} {
				all.Go(func() {
					if err := b.deed(func(tx store.Tx) error { return b.SetState(tx, u.ID, state, round%2 == 0) }); err != nil {
						t.Error(err)
					}
				})
			}
			for _, names := range [][]string{{"a", "b"}, {"b", "c"}} {
				all.Go(func() {
					if err := b.deed(func(tx store.Tx) error { return b.SetGroups(tx, u.ID, names) }); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			want := directory.State(0)
			if round%2 == 0 {
				want = directory.Disabled | directory.AdminLocked | directory.Expired | directory.MustChange
			}
			got := b.get(u.ID)
			if got.State != want {
				t.Errorf("round %d: the state is %05b, want %05b", round, got.State, want)
			}
			if len(got.Groups) != 2 {
				t.Errorf("round %d: the groups are %q", round, got.Groups)
			}
		}
	})
}
