// Package policy holds pure decisions: what must be proven, what must be registered, whether that may be put off,
// and whether a password is acceptable. It reads the facts it is given and nothing else: no I/O, no clock of its own.
package policy

import (
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
)

// Policy is what one tenant's operator decided.
type Policy struct {
	Rules          []Rule   // the first that matches a user applies
	Administrators []string // groups whose members get the administrators' floor
	Never          []string // groups whose members are never reset here
	ProofAge       time.Duration
	Traits         map[identity.Kind]identity.Traits // of every method there is
	Passwords      Passwords
}

// Rule is one entry of the tenant's `policies`.
type Rule struct {
	Everyone         bool
	Groups           []string
	Except           []string
	Reset            bool
	Required         int // methods required to reset, 1 to 3
	DifferentFactors bool
	Methods          map[identity.Kind][]identity.Use // enabled methods; an empty list is all the method's uses
	Registration     Registration
	SecondFactor     SecondFactor
	Unlock           bool
	Notify           bool
	DeadEnd          DeadEnd
	Help             string
}

// Registration says when security info is asked for at sign-in.
type Registration struct {
	AtSignIn  bool
	From      time.Time // not before; zero: at once
	SkipTimes int       // how often it may be skipped; 0: not by count
	SkipUntil time.Time // until when it may be skipped; zero: not by date
	Snooze    time.Duration
	Needs     Needs
}

// Needs says what the first registration takes (SECURITY EN-02).
type Needs string

const (
	NeedsPassword Needs = "password" // the password alone
	NeedsEmail    Needs = "email"    // and a code sent to the directory's own address
)

// SecondFactor says when sign-in asks for more than the password.
type SecondFactor string

const (
	Never          SecondFactor = "never"
	WhenRegistered SecondFactor = "when_registered"
	Required       SecondFactor = "required"
)

// DeadEnd says what somebody meets who cannot reset.
type DeadEnd string

const (
	Neutral DeadEnd = "neutral" // the same verify page as everybody, with choices that never verify
	Direct  DeadEnd = "direct"  // "Ask your administrator" at once; it reveals accounts
)

// Purpose is what a flow is for.
type Purpose string

const (
	SignIn Purpose = "sign_in"
	Reset  Purpose = "reset"
	Unlock Purpose = "unlock"
	Manage Purpose = "manage"
)

// Facts are what a decision rests on.
type Facts struct {
	Now       time.Time
	For       Purpose
	User      directory.User
	Held      []identity.Authenticator // all of the user's, suspended ones too
	Address   identity.Authenticator   // the directory's own e-mail address, as one could prove it; zero: there is none
	Proofs    []identity.Proof
	Asked     Asked
	CanSet    bool      // the directory can set a forgotten password
	CanOpen   bool      // an unlock is possible
	Due       bool      // sign-in: the directory took the password and wants another, whatever the user's state says
	Hot       bool      // resets are under attack in the whole tenant: a reset by one proof waits
	HeldUntil time.Time // the reset was made to wait, and its owner was told until when; zero: it was not
	Under     *Rule     // decide under this rule, whatever the user's groups say: for a decoy; nil: hers
}

// HotWait is how long a reset by one proof waits, from that proof on, while resets are under attack in the whole tenant.
const HotWait = 30 * time.Minute

// Asked is what the account remembers of earlier askings.
type Asked struct {
	Skips         int
	SnoozedUntil  time.Time
	RequiredAgain time.Time // an operator asked for registration anew: older authenticators do not count
	FrozenUntil   time.Time
	FrozenSince   time.Time // the change that "This wasn't me" was about: authenticators bound before lift the freeze; zero: none does
	Doubted       bool      // "This wasn't me" was pressed about the password: it proves nothing until an operator says otherwise
}

// Refusal says why something is not possible here; empty: it is.
type Refusal string

const (
	Barred     Refusal = "barred"       // disabled or locked by an operator
	NeverHere  Refusal = "never_here"   // privileged, or in a group that is never reset here
	OutOfScope Refusal = "out_of_scope" // no rule lets this user do it
	TooFew     Refusal = "too_few"      // fewer usable methods than required
	Frozen     Refusal = "frozen"       // "This wasn't me" was pressed
	Doubted    Refusal = "doubted"      // "This wasn't me" was pressed about the password
	NoSetter   Refusal = "no_setter"    // the directory cannot do it
	NoAddress  Refusal = "no_address"   // the first registration needs a mail code, and the directory has no address
)

// Decision is the answer of Decide.
type Decision struct {
	Refuse        Refusal
	Rule          int // index of the rule that applies; -1: none
	Administrator bool
	Required      int                      // proofs of different methods this purpose takes
	Password      bool                     // the password has to be proven (first)
	Choices       []identity.Authenticator // what may be proven next, strongest first; empty with Password: the password
	Enough        bool
	Fresh         bool      // the proofs allow security info to change
	Thaws         bool      // Fresh, by an authenticator from before what changes are frozen for: the freeze ends
	NotBefore     time.Time // reset: enough is proven, and the password may be set from then on; zero: now
	PasswordDue   bool
	ProveFirst    bool            // PasswordDue: changes are frozen, and a fresh proof that lifts that comes first
	Missing       int             // methods still to be registered
	Register      []identity.Kind // kinds that would fill the gap, strongest first
	MaySkip       bool
	SkipsLeft     int // -1: no limit by count
	SkipUntil     time.Time
	Snooze        time.Duration
	Snoozed       bool
	Notify        bool
	Help          string
	DeadEnd       DeadEnd
	Why           []string // reasons in words, for `sparekey why`
}

// RuleFor finds the rule that applies to the user: its index and itself; -1 and the zero Rule when none does.
func (p *Policy) RuleFor(u directory.User) (int, Rule) {
	for i, r := range p.Rules {
		if (r.Everyone || overlap(r.Groups, u.Groups)) && !overlap(r.Except, u.Groups) {
			return i, r
		}
	}
	return -1, Rule{}
}

// Administrator reports whether the administrators' floor applies.
func (p *Policy) Administrator(u directory.User) bool { return overlap(p.Administrators, u.Groups) }

// NeverHere reports whether the user is never reset here, whatever a rule says.
func (p *Policy) NeverHere(u directory.User) bool { return u.Privileged || overlap(p.Never, u.Groups) }

// Resetting lists the rules under which anybody may reset, the operator's own first; behind them, where there are administrators, the floors
// under which they alone may: of a rule that lets nobody else, and of no rule, for those whom none matches.
func (p *Policy) Resetting() []Rule {
	var list, floors []Rule
	unmatched := true
	for i, r := range p.Rules {
		if r.Reset {
			list = append(list, r)
		} else {
			floors = append(floors, floor(i, r))
		}
		if r.Everyone && len(r.Except) == 0 { // what stands behind it applies to nobody
			unmatched = false
			break
		}
	}
	if unmatched {
		floors = append(floors, floor(-1, Rule{}))
	}
	for _, r := range floors {
		if len(p.Administrators) > 0 && p.possible(r) { // else nobody ever looks like it
			list = append(list, r)
		}
	}
	return list
}

// possible reports whether what rule r enables is enough for a reset.
func (p *Policy) possible(r Rule) bool {
	return p.suffices(r, one(p.Kinds(r, identity.Reset)), r.Required)
}

// Enabled reports whether rule r lets the kind serve the use.
func (p *Policy) Enabled(r Rule, k identity.Kind, use identity.Use) bool {
	uses, ok := r.Methods[k]
	if !ok || !p.Traits[k].For(use) {
		return false
	}
	return len(uses) == 0 || slices.Contains(uses, use)
}

// Kinds lists the kinds rule r enables for the use, strongest first.
func (p *Policy) Kinds(r Rule, use identity.Use) []identity.Kind {
	var kinds []identity.Kind
	for k := range r.Methods {
		if p.Enabled(r, k, use) {
			kinds = append(kinds, k)
		}
	}
	slices.SortFunc(kinds, func(a, b identity.Kind) int {
		if d := p.Traits[b].Strength - p.Traits[a].Strength; d != 0 {
			return d
		}
		if a < b {
			return -1
		}
		return 1
	})
	return kinds
}

// Effective gives the rule for the user with the administrators' floor applied: no setting weakens it.
func (p *Policy) Effective(u directory.User) (int, Rule) {
	i, r := p.RuleFor(u)
	if !p.Administrator(u) {
		return i, r
	}
	return i, floor(i, r)
}

// floor is rule i as it applies to an administrator; i is -1 where none matches.
func floor(i int, r Rule) Rule {
	if i < 0 {
		r = NewRule()
	}
	r.Reset, r.Notify = true, true
	r.Required = max(r.Required, 2)
	return r
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}
