package directorytest_test

import (
	"errors"
	"testing"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	directorytest.Run(t, func(*testing.T) directorytest.Fixture {
		m, f := filled()
		f.Directory = m
		return f
	})
}

type wrapped struct{ directory.Directory }

func (w wrapped) Unwrap() directory.Directory { return w.Directory }

func TestAWrappedDirectoryKeepsTheContract(t *testing.T) {
	directorytest.Run(t, func(*testing.T) directorytest.Fixture {
		m, f := filled()
		f.Directory = wrapped{wrapped{m}}
		return f
	})
}

// bare has the two methods of a Directory and no more.
type bare struct{ m *directorytest.Memory }

func (b bare) Find(ctx ctx, login string) (directory.User, error)       { return b.m.Find(ctx, login) }
func (b bare) Get(ctx ctx, id directory.UserID) (directory.User, error) { return b.m.Get(ctx, id) }

func TestTwoMethodsAreEnough(t *testing.T) {
	directorytest.Run(t, func(*testing.T) directorytest.Fixture {
		m, f := filled()
		f.Directory = bare{m}
		return f
	})
}

// setter sets passwords and cannot check them, as a provider's admin interface.
type setter struct{ bare }

func (s setter) SetPassword(ctx ctx, u directory.User, next string, o directory.SetOptions) error {
	return s.m.SetPassword(ctx, u, next, o)
}

func TestASetterWithoutAVerifierIsProvenByTheFixtures(t *testing.T) {
	directorytest.Run(t, func(*testing.T) directorytest.Fixture {
		m, f := filled()
		f.Directory, f.Verifier = setter{bare{m}}, m
		return f
	})
}

// filled is a Memory with one account of each sort.
func filled() (*directorytest.Memory, directorytest.Fixture) {
	m := &directorytest.Memory{}
	person := func(login string, u directory.User) directorytest.Person {
		p := directorytest.Person{Login: login, Password: "The-Right-1-" + login, Name: "The User " + login, Email: login + "@stark.example"}
		p.Aliases, p.Groups = []string{p.Email}, []string{"Avengers", "Staff"}
		u.Login, u.Name, u.Email, u.Groups = p.Login, p.Name, p.Email, p.Groups
		u.Attrs = map[string][]string{"department": {"research"}}
		m.Add(directorytest.Account{User: u, Password: p.Password})
		return p
	}
	f := directorytest.Fixture{
		Ada:         person("pepper-okis", directory.User{}),
		Bob:         person("rhodey", directory.User{}),
		Disabled:    person("obadiah", directory.User{State: directory.Disabled}),
		AdminLocked: person("loki", directory.User{State: directory.AdminLocked}),
		TempLocked:  person("hulk", directory.User{State: directory.TempLocked}),
		Expired:     person("rogers", directory.User{State: directory.Expired}),
		MustChange:  person("parker", directory.User{State: directory.MustChange}),
		Privileged:  person("fury", directory.User{Privileged: true}),
		Ambiguous:   "office@stark.example",
		Break:       func() { m.Down(true) },
		Cost:        m.Checked,
		Refused: []directorytest.Refusal{
			{Password: "Short-1", Reason: directory.TooShort},
			{Password: "The-Right-1-pepper-okis", Reason: directory.InHistory},
		},
		Add: func(p directorytest.Person) error {
			m.Add(directorytest.Account{User: directory.User{Login: p.Login, Name: p.Name, Email: p.Email, Groups: p.Groups}, Password: p.Password})
			return nil
		},
		Remove: func(login string) error { return found(m.Remove(login)) },
		Rename: func(login, next string) error {
			return found(m.Change(login, func(a *directorytest.Account) { a.Login = next }))
		},
	}
	m.Add(directorytest.Account{User: directory.User{Login: "vision"}})
	f.Passwordless = directorytest.Person{Login: "vision"}
	for _, login := range []string{"happy", "karen"} {
		m.Add(directorytest.Account{User: directory.User{Login: login, Email: f.Ambiguous}})
	}
	return m, f
}

func found(ok bool) error {
	if !ok {
		return errors.New("nobody has this login")
	}
	return nil
}
