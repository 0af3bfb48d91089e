// Package directory is the public socket for places where users live.
// A place implements Directory, two methods, and whatever further interface below it is able to;
// directorytest proves an implementation. This package never imports an adapter.
package directory

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"
)

// UserID names a user for ever: objectGUID, entryUUID, a row's key. It is never reused and never a name.
type UserID string

// State is a set of conditions an account can be in. Zero is a usable account.
type State uint8

const (
	Disabled    State = 1 << iota // may do nothing
	AdminLocked                   // an operator locked it for good: no reset undoes that
	TempLocked                    // locked by too many tries: Unlock opens it
	Expired                       // the password is too old: a change is due at sign-in
	MustChange                    // the password was set by somebody else: a change is due at sign-in
)

// Has reports whether every bit of x is set.
func (s State) Has(x State) bool { return s&x == x }

// Barred reports whether the account may neither sign in nor be reset.
func (s State) Barred() bool { return s&(Disabled|AdminLocked) != 0 }

// User is one account as its directory knows it now.
type User struct {
	ID                        UserID
	Ref                       string // the backend's own handle (DN, row); nobody else reads it
	Login, Name, Email, Phone string
	EmailVerified             bool
	Groups                    []string // nested ones included where configured
	State                     State
	Privileged                bool // never reset here: directory administrators, our own service account
	PasswordChangedAt         time.Time
	Attrs                     map[string][]string // only those named in the config
}

// Directory finds users. Both calls are safe for concurrent use and give up when ctx ends.
type Directory interface {
	// Find looks a user up by what she typed. ErrNotFound and ErrAmbiguous cost what a hit costs.
	Find(ctx context.Context, login string) (User, error)
	// Get reads the user again: ErrNotFound when she is gone.
	Get(ctx context.Context, id UserID) (User, error)
}

// Errors a directory answers with, wrapped or bare.
var (
	ErrNotFound       = errors.New("no such user")
	ErrAmbiguous      = errors.New("more than one user has this name")
	ErrUnavailable    = errors.New("directory unavailable") // never "wrong password"
	ErrNotAllowed     = errors.New("the directory does not let us do this")
	ErrOutcomeUnknown = errors.New("outcome unknown: the write may have happened")
	ErrWrongPassword  = errors.New("wrong password") // ChangePassword only
)

// Verdict is the answer to a password.
type Verdict int

const (
	Wrong          Verdict = iota
	Right                  // signs in
	RightButDue            // right, but a change is required first (expired, must change)
	RightButBarred         // right, but the account is disabled or locked: tell the user nothing a stranger could learn
)

// PasswordVerifier checks a password. For the zero User it answers Wrong at the cost of a wrong password.
// ErrUnavailable is an error, never a Verdict.
type PasswordVerifier interface {
	VerifyPassword(ctx context.Context, u User, password string) (Verdict, error)
}

// SetOptions say how a forgotten password is replaced.
type SetOptions struct {
	MustChange bool // good once: the user has to choose her own at the next sign-in
}

// PasswordSetter sets a forgotten password, without the old one. It clears Expired and MustChange unless told otherwise.
// A refusal by the directory's own rules is a *PolicyError; an unanswered write is ErrOutcomeUnknown.
type PasswordSetter interface {
	SetPassword(ctx context.Context, u User, next string, o SetOptions) error
}

// PasswordChanger replaces a known password, expired and must-change ones included.
type PasswordChanger interface {
	ChangePassword(ctx context.Context, u User, old, next string) error
}

// Unlocker clears TempLocked and nothing else.
type Unlocker interface {
	Unlock(ctx context.Context, u User) error
}

// SessionEnder ends the user's sessions at an upstream.
type SessionEnder interface {
	EndSessions(ctx context.Context, u User) error
}

// Policy is what the directory demands of a password, for hints on the page; zero fields are unknown.
type Policy struct {
	MinLength int
	History   int
	MinAge    time.Duration
}

// Policer tells the directory's password policy.
type Policer interface {
	PasswordPolicy(ctx context.Context, u User) (Policy, error)
}

// Lister walks all users: for reports and forecasts. A partial walk ends in an error, never in silence.
type Lister interface {
	Users(ctx context.Context) iter.Seq2[User, error]
}

// MemberLister walks the members of groups, each once, without walking everybody else; a partial walk ends in an error. Where a directory
// lacks it, Lister stands in, and takes as long as there are users.
type MemberLister interface {
	Members(ctx context.Context, groups ...string) iter.Seq2[User, error]
}

// Members walks the members of groups as well as the directory can; false: it can list nobody.
func Members(ctx context.Context, d Directory, groups ...string) (iter.Seq2[User, error], bool) {
	if m, ok := As[MemberLister](d); ok {
		return m.Members(ctx, groups...), true
	}
	l, ok := As[Lister](d)
	if !ok {
		return nil, false
	}
	return func(yield func(User, error) bool) {
		for u, err := range l.Users(ctx) {
			if err == nil && !slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(u.Groups, g) }) {
				continue
			}
			if !yield(u, err) {
				return
			}
		}
	}, true
}

// Finding is one remark of a Checker.
type Finding struct {
	Grave bool // the directory cannot be used as configured
	Text  string
}

// Checker looks at rights, TLS and limits: at start and in `config check`.
type Checker interface {
	Check(ctx context.Context) []Finding
}

// PolicyError is a directory's refusal of a new password by its own rules.
type PolicyError struct {
	Reason Reason
	Text   string // the server's own words, for the journal; never shown
}

func (e *PolicyError) Error() string { return "password refused: " + string(e.Reason) }

// Reason is a rule of the directory that a password failed.
type Reason string

const (
	TooShort  Reason = "too_short"
	InHistory Reason = "in_history"
	TooYoung  Reason = "too_young"
	TooWeak   Reason = "too_weak"
	Refused   Reason = "refused"
)

// As finds capability T in d, looking through wrappers that have an Unwrap() Directory method.
func As[T any](d Directory) (T, bool) {
	for d != nil {
		if t, ok := d.(T); ok {
			return t, true
		}
		w, ok := d.(interface{ Unwrap() Directory })
		if !ok {
			break
		}
		d = w.Unwrap()
	}
	var none T
	return none, false
}
