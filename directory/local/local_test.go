package local

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func TestTheEmbeddedDirectoryKeepsTheContract(t *testing.T) {
	hashed := hashes()
	storetest.EachURL(t, func(t *testing.T, url string) {
		var down atomic.Bool
		db := storetest.Open(t, url, store.Options{Fault: func(string) error {
			if down.Load() {
				return store.ErrUnavailable
			}
			return nil
		}})
		tenant := 0
		directorytest.Run(t, func(t *testing.T) directorytest.Fixture {
			down.Store(false)
			tenant++
			b := bench{t, Open(db.Tenant(fmt.Sprint("tenant-", tenant)), "staff", secret.NewHasher(0), Options{}), hashed}
			f := b.fill()
			f.Break = func() { down.Store(true) }
			return f
		})
	})
}

// bench is a Local under test. Its passwords are hashed once for all tests.
type bench struct {
	t *testing.T
	*Local
	hashed func(password string) string
}

func newBench(t *testing.T, db *store.DB, o Options) bench {
	return bench{t, Open(db.Tenant("avengers"), "staff", secret.NewHasher(0), o), hashes()}
}

// hashes remembers hashes, for tests that need many users.
func hashes() func(string) string {
	var mu sync.Mutex
	known, hasher := map[string]string{}, secret.NewHasher(0)
	return func(password string) string {
		mu.Lock()
		defer mu.Unlock()
		if known[password] == "" {
			known[password], _ = hasher.Hash(context.Background(), password)
		}
		return known[password]
	}
}

// ok fails the test on an error.
func (b bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// deed runs an operator's deed.
func (b bench) deed(f func(store.Tx) error) error { return b.store.Write(b.t.Context(), f) }

// add puts a user in with a password that is hashed already, or none.
func (b bench) add(n NewUser) directory.User {
	b.t.Helper()
	password := n.Password
	n.Password = ""
	u, err := b.Add(b.t.Context(), n)
	b.ok(err)
	if password != "" {
		b.plant(u.ID, b.hashed(password))
	}
	return b.get(u.ID)
}

// plant writes a hash as it is.
func (b bench) plant(id directory.UserID, hash string) {
	b.t.Helper()
	b.ok(b.deed(func(tx store.Tx) error {
		return found(tx.Exec(`UPDATE local_user SET password = $4, password_at = $5 WHERE tenant = $1 AND directory = $2 AND id = $3`, b.name, id, hash, tx.Now()))
	}))
}

// stored reads a hash as it is.
func (b bench) stored(id directory.UserID) (hash string) {
	b.t.Helper()
	b.ok(b.store.Read(b.t.Context(), func(tx store.Tx) error {
		return tx.Row(`SELECT password FROM local_user WHERE tenant = $1 AND directory = $2 AND id = $3`, b.name, id).Scan(&hash)
	}))
	return hash
}

func (b bench) get(id directory.UserID) directory.User {
	b.t.Helper()
	u, err := b.Get(b.t.Context(), id)
	b.ok(err)
	return u
}

func (b bench) verdict(u directory.User, password string, want directory.Verdict) {
	b.t.Helper()
	got, err := b.VerifyPassword(b.t.Context(), u, password)
	if err != nil || got != want {
		b.t.Errorf("the password %q of %q is verdict %d, %v, want %d", password, u.Login, got, err, want)
	}
}

// fill makes one account of each sort.
func (b bench) fill() directorytest.Fixture {
	person := func(login, password string, n NewUser, state directory.State) directorytest.Person {
		p := directorytest.Person{Login: login, Password: password, Name: "The User " + login, Email: login + "@stark.example"}
		p.Aliases, p.Groups = []string{p.Email}, []string{"Avengers", "Staff"}
		n.Login, n.Password, n.Name, n.Email, n.Groups = p.Login, p.Password, p.Name, p.Email, p.Groups
		u := b.add(n)
		b.ok(b.deed(func(tx store.Tx) error { return b.SetState(tx, u.ID, state, true) }))
		return p
	}
	byLogin := func(login string, f func(tx store.Tx, id directory.UserID) error) error {
		u, err := b.Show(b.t.Context(), login)
		if err != nil {
			return err
		}
		return b.deed(func(tx store.Tx) error { return f(tx, u.ID) })
	}
	const one, other = "The-Right-One-1", "The-Other-One-2"
	f := directorytest.Fixture{
		Directory:    b.Local,
		Ada:          person("pepper-okis", one, NewUser{}, 0),
		Bob:          person("rhodey", other, NewUser{}, 0),
		Disabled:     person("obadiah", one, NewUser{}, directory.Disabled),
		AdminLocked:  person("loki", one, NewUser{}, directory.AdminLocked),
		TempLocked:   person("hulk", one, NewUser{}, directory.TempLocked),
		Expired:      person("rogers", one, NewUser{}, directory.Expired),
		MustChange:   person("parker", one, NewUser{}, directory.MustChange),
		Privileged:   person("fury", one, NewUser{Privileged: true}, 0),
		Passwordless: person("vision", "", NewUser{}, 0),
		Ambiguous:    "office@stark.example",
		Refused:      []directorytest.Refusal{{Password: one, Reason: directory.InHistory}},
		Cost:         b.hasher.Count,
		Add: func(p directorytest.Person) error {
			b.add(NewUser{Login: p.Login, Name: p.Name, Email: p.Email, Groups: p.Groups, Password: p.Password})
			return nil
		},
		Remove: func(login string) error { return byLogin(login, b.Local.Remove) },
		Rename: func(login, next string) error {
			return byLogin(login, func(tx store.Tx, id directory.UserID) error { return b.SetLogin(tx, id, next) })
		},
	}
	for _, login := range []string{"happy", "karen"} {
		b.add(NewUser{Login: login, Email: f.Ambiguous})
	}
	return f
}
