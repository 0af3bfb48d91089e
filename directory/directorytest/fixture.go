package directorytest

import (
	"context"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
)

// Person is one account a Fixture holds. The zero Person says that the directory cannot hold such an account, and skips what needs it.
type Person struct {
	Login    string   // as the directory stores it: at least four letters or digits, a letter among them
	Password string   // the right one; empty for an account without a password
	Aliases  []string // what else finds her: an e-mail address, a user principal name
	Name     string   // compared when not empty
	Email    string   // compared when not empty
	Groups   []string // she is in all of these; she may be in more
}

// Refusal is a password that the directory's own rules refuse for Ada.
type Refusal struct {
	Password string
	Reason   directory.Reason
}

// Fixture is one freshly filled directory. Every rule of the suite asks for a new one and may leave it in any state.
//
// The directory may lock an account after three wrong passwords or more: no rule types more than two in a row.
// A minimum age of passwords must be off, and so must any period in which an old password still opens the account.
type Fixture struct {
	Directory directory.Directory

	Ada, Bob Person // two usable accounts with passwords; required

	Disabled, AdminLocked, TempLocked, Expired, MustChange Person // each in that one state, with its right password
	Privileged                                             Person // a usable account that is never to be reset here
	Passwordless                                           Person // an account without a password

	Ambiguous string    // a name that two accounts share; empty where that cannot happen
	Refused   []Refusal // what a PasswordSetter refuses

	// Add, Remove and Rename change the directory behind the adapter's back. A nil one skips what needs it.
	Add    func(Person) error
	Remove func(login string) error
	Rename func(login, next string) error

	// Break makes the backend fail from now on: a stopped server, a closed connection. Only a directory that has no backend to lose
	// may go without, and says so by Unbreakable.
	Break       func()
	Unbreakable bool

	// Verifier tells whether a password is good now, for a directory that is no PasswordVerifier itself.
	Verifier directory.PasswordVerifier

	// Cost counts what makes checking a password dear, such as hashes computed or binds sent. Without it the suite uses the clock,
	// coarsely.
	Cost func() int64
}

// scene is a Fixture in use by one rule.
type scene struct {
	Fixture
	t   *testing.T
	ctx context.Context
}

func set(t *testing.T, f Fixture) *scene {
	t.Helper()
	if f.Directory == nil || f.Ada.Login == "" || f.Ada.Password == "" || f.Bob.Login == "" || f.Bob.Password == "" {
		t.Fatal("directorytest: a Fixture needs a Directory, and Ada and Bob with their passwords")
	}
	if f.Break == nil && !f.Unbreakable {
		t.Fatal("directorytest: a Fixture needs Break, so that an outage can be told from a wrong password")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return &scene{f, t, ctx}
}

// find looks up somebody who must be there.
func (s *scene) find(name string) directory.User {
	s.t.Helper()
	u, err := s.Directory.Find(s.ctx, name)
	if err != nil {
		s.t.Fatalf("Find(%q): %v", name, err)
	}
	return u
}

// get reads somebody who must be there.
func (s *scene) get(id directory.UserID) directory.User {
	s.t.Helper()
	u, err := s.Directory.Get(s.ctx, id)
	if err != nil {
		s.t.Fatalf("Get(%q): %v", id, err)
	}
	return u
}

// person finds an account of the fixture, or skips when it holds none such.
func (s *scene) person(p Person, what string) directory.User {
	s.t.Helper()
	if p.Login == "" {
		s.t.Skipf("the fixture holds no %s account", what)
	}
	return s.find(p.Login)
}

// able gives a capability of the directory, or skips.
func able[T any](s *scene) T {
	s.t.Helper()
	c, ok := directory.As[T](s.Directory)
	if !ok {
		s.t.Skipf("the directory is no %T", (*T)(nil))
	}
	return c
}

// verifier is the directory's, or the one the fixture lends; nil when nobody can tell.
func (s *scene) verifier() directory.PasswordVerifier {
	if v, ok := directory.As[directory.PasswordVerifier](s.Directory); ok {
		return v
	}
	return s.Verifier
}

// verdict asks about a password.
func (s *scene) verdict(u directory.User, password string) directory.Verdict {
	s.t.Helper()
	v, err := s.verifier().VerifyPassword(s.ctx, u, password)
	if err != nil {
		s.t.Fatalf("VerifyPassword(%q, %q): %v", u.Login, password, err)
	}
	return v
}

// expect asks about a password where somebody can tell.
func (s *scene) expect(u directory.User, password string, want directory.Verdict) {
	s.t.Helper()
	if s.verifier() == nil {
		return
	}
	if got := s.verdict(u, password); got != want {
		s.t.Errorf("the password %q of %q is %s, want %s", password, u.Login, word(got), word(want))
	}
}

// closed demands that a password does not open an account. Whether an adapter can say "right, but barred" depends on its backend;
// that it must not say "right" does not.
func (s *scene) closed(u directory.User, password string) {
	s.t.Helper()
	if s.verifier() == nil {
		return
	}
	if got := s.verdict(u, password); got != directory.Wrong && got != directory.RightButBarred {
		s.t.Errorf("the password %q of %q is %s, want %s or %s", password, u.Login, word(got), word(directory.RightButBarred), word(directory.Wrong))
	}
}

func word(v directory.Verdict) string {
	switch v {
	case directory.Wrong:
		return "Wrong"
	case directory.Right:
		return "Right"
	case directory.RightButDue:
		return "RightButDue"
	case directory.RightButBarred:
		return "RightButBarred"
	}
	return "no verdict at all"
}
