// Package identity holds the nouns the rooms share: who was proven, how, and what a relying party asked for.
// It reads itself and nothing else: no store, no clock, no decision.
package identity

import (
	"slices"
	"time"
)

// Kind is the stored name of one sort of authenticator, such as "totp". Once stored it never changes.
type Kind string

// The kinds built in.
const (
	Password Kind = "password"
	TOTP     Kind = "totp"
	Email    Kind = "email"
)

// Factor says what a proof rests on (NIST SP 800-63B §2).
type Factor string

const (
	Know Factor = "know" // something the end-user knows
	Have Factor = "have" // something she has
	Are  Factor = "are"  // something she is
)

// Use is a purpose a method can serve.
type Use string

const (
	SignIn Use = "sign_in"
	Reset  Use = "reset"
	Manage Use = "manage" // proving herself once more before security info changes: every method serves it
)

// Traits describe a method to policy and to relying parties.
type Traits struct {
	Factors           []Factor
	Uses              []Use
	AMR               []string // RFC 8176 values
	PhishingResistant bool
	Strength          int // among the proofs a user has, the strongest is asked for before security info changes
}

// For reports whether the method can serve the use.
func (t Traits) For(u Use) bool { return slices.Contains(t.Uses, u) }

// Authenticator is a thing bound to a user's account. Secrets inside Data are sealed by the room that keeps it.
type Authenticator struct {
	ID        string // random, unique in the tenant
	Kind      Kind
	Label     string // masked, fit for showing: "i•••@stark.example", "Authenticator app"
	Data      []byte // the method's own record (seed, address); plain in memory, sealed at rest
	BoundAt   time.Time
	UsedAt    time.Time // zero: never
	BoundFrom string    // network address and browser it was bound from, for the end-user's eyes
	Suspended bool      // "This wasn't me" was pressed: it proves nothing until lifted
	Default   bool      // asked first
	Step      int64     // binding only: the last one-time step already used (RFC 6238 §5.2)
}

// Proof says that a verifier saw one authenticator of the user proven.
// A password's proof names no authenticator.
type Proof struct {
	Kind          Kind      `json:"kind"`
	Authenticator string    `json:"authenticator,omitempty"`
	At            time.Time `json:"at"`
}

// Authentication is the sum of proofs, from which amr, acr and auth_time come.
type Authentication struct {
	Session string // the session's public id: the sid claim
	User    string // directory.UserID
	Subject string // the stable identifier from which sub is made
	Epoch   int64  // the account's epoch when the session began; an older one than the account's is void
	At      time.Time
	Proofs  []Proof
	AMR     []string
	Request SignInRequest // what was asked for: provider compares it with what it parked
}

// SignInRequest is what a relying party (or one of our own pages) asks of sign-in.
type SignInRequest struct {
	Client     string        `json:"client,omitempty"`      // client_id; empty when one of our own pages asks
	ClientName string        `json:"client_name,omitempty"` // shown: "to continue to …"
	Return     string        `json:"return"`                // path under the issuer where the browser goes when done, without the flow's id
	LoginHint  string        `json:"login_hint,omitempty"`
	Subject    string        `json:"subject,omitempty"` // id_token_hint: only this subject may answer
	Again      bool          `json:"again,omitempty"`   // prompt=login or max_age passed: the session does not count
	Choose     bool          `json:"choose,omitempty"`  // prompt=select_account
	MaxAge     time.Duration `json:"max_age,omitempty"`
	Languages  []string      `json:"languages,omitempty"` // ui_locales
	Origin     string        `json:"origin,omitempty"`    // validated origin of the redirect URI, for form-action
	Context    string        `json:"context,omitempty"`   // the asker's own handle, given back with the outcome
	SignOut    bool          `json:"sign_out,omitempty"`  // not a sign-in: ask whether to end the session
}

// Standing says whether an Authentication still counts now.
type Standing int

const (
	Gone Standing = iota // ended, disabled, reset, unknown: sign in anew
	Due                  // signed in, but something is required first (registration, a password change): interaction_required
	Good
)

func (s Standing) String() string { return [...]string{"gone", "due", "good"}[s] }
