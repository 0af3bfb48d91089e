package flows

import (
	"encoding/json"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// Flow is what an end-user is in the middle of: the one record behind sign-in, interrupt mode, reset, unlock,
// manage mode and sign-out. The step she is at is computed from it by Next and stored nowhere.
type Flow struct {
	ID      string                 `json:"id"`
	Kind    Kind                   `json:"kind"`
	Browser string                 `json:"browser"` // digest of the browser's cookie: the id alone opens nothing
	Began   time.Time              `json:"began"`
	Until   time.Time              `json:"until"`
	Lang    string                 `json:"lang"`
	Request identity.SignInRequest `json:"request"`
	Parent  string                 `json:"parent,omitempty"` // the sign-in that a reset was opened from

	Ticket  string           `json:"ticket,omitempty"`  // of a puzzle that is being waited for
	Named   bool             `json:"named,omitempty"`   // somebody typed a user name and passed the puzzle
	Login   string           `json:"login,omitempty"`   // as typed
	User    directory.UserID `json:"user,omitempty"`    // empty for a decoy
	Decoy   bool             `json:"decoy,omitempty"`   // walks the same steps and never verifies
	Refused policy.Refusal   `json:"refused,omitempty"` // why a real user walks as a decoy: for the journal alone
	Epoch   int64            `json:"epoch,omitempty"`   // the account's, when the first proof was given
	Due     bool             `json:"due,omitempty"`     // the directory took the password and wants another
	Session string           `json:"session,omitempty"` // shelf key of the session this flow goes on from
	What    What             `json:"what,omitempty"`    // reset: forgot or locked
	Task    Task             `json:"task"`              // manage: what is to be done

	Proofs     []identity.Proof `json:"proofs,omitempty"`     // each written by a method's Verify, in its transaction
	Introduced bool             `json:"introduced,omitempty"` // "More information required" was answered with Next
	Skipped    bool             `json:"skipped,omitempty"`
	Renewed    bool             `json:"renewed,omitempty"`    // the password was set
	Registered bool             `json:"registered,omitempty"` // security info was committed in this flow
	HeldUntil  time.Time        `json:"held_until,omitzero"`  // reset: the end of the wait, as its mail named it
	Dead       bool             `json:"dead,omitempty"`       // "I can’t use any of these"
	Told       bool             `json:"told,omitempty"`       // the journal knows of the dead end
	Done       bool             `json:"done,omitempty"`

	Outcome *identity.Authentication `json:"outcome,omitempty"`
	Problem templates.Problem        `json:"problem"`
	Notice  string                   `json:"notice,omitempty"`
	Sealed  []byte                   `json:"sealed,omitempty"` // hidden, sealed

	hidden hidden
}

// hidden is what the record keeps from whoever reads the database.
type hidden struct {
	Asking *Asking                  `json:"asking,omitempty"`
	Setup  *Setup                   `json:"setup,omitempty"`
	Staged []identity.Authenticator `json:"staged,omitempty"` // proven, not yet committed
	Posted []Posted                 `json:"posted,omitempty"` // whose codes were sent only just now
}

// Kind is what a flow is for.
type Kind string

const (
	SignIn  Kind = "sign_in"
	Reset   Kind = "reset"
	Manage  Kind = "manage"
	SignOut Kind = "sign_out"
)

// What is wrong, in a reset.
type What string

const (
	Forgot What = "forgot"
	Locked What = "locked"
)

// Task is a change of security info.
type Task struct {
	Do string `json:"do,omitempty"` // add | change | delete | password | default
	ID string `json:"id,omitempty"` // authenticator
}

// Asking is the challenge that stands.
type Asking struct {
	Kind    identity.Kind    `json:"kind"`
	Choice  string           `json:"choice"` // authenticator chosen
	Address string           `json:"address,omitempty"`
	Prompt  templates.Prompt `json:"prompt"`
	State   method.State     `json:"state,omitempty"`
}

// Setup is the registration of one method under way.
type Setup struct {
	Kind    identity.Kind    `json:"kind"`
	Address string           `json:"address,omitempty"` // typed
	Intro   bool             `json:"intro,omitempty"`   // it has an introduction: screen 0
	At      int              `json:"at"`                // which screen
	Prompt  templates.Prompt `json:"prompt"`
	State   method.State     `json:"state,omitempty"`
	First   templates.Prompt `json:"first"` // where Back leads
	Start   method.State     `json:"start,omitempty"`
}

// purpose is the question this flow puts to policy.
func (f *Flow) purpose() policy.Purpose {
	switch {
	case f.Kind == Reset && f.What == Locked:
		return policy.Unlock
	case f.Kind == Reset:
		return policy.Reset
	case f.Kind == Manage:
		return policy.Manage
	}
	return policy.SignIn
}

// prove adds a proof, in the place of an older one by the same authenticator.
func (f *Flow) prove(p identity.Proof) {
	kept := f.Proofs[:0:0]
	for _, old := range f.Proofs {
		if old.Kind != p.Kind || old.Authenticator != p.Authenticator {
			kept = append(kept, old)
		}
	}
	f.Proofs, f.hidden.Asking, f.hidden.Posted = append(kept, p), nil, nil
}

// unproven reports whether this is a sign-in at which nothing has been proven yet.
func (f *Flow) unproven() bool { return f.Kind == SignIn && len(f.Proofs) == 0 }

// owner is the user whose sessions' end ends this flow too. A sign-in that proved nothing yet belongs to nobody:
// a reset leaves it standing, and "Sign in" goes on with it.
func (f *Flow) owner() string {
	switch {
	case f.unproven():
		return ""
	case f.Named && f.User == "":
		return string(nobody) // a record without an owner is written faster (SECURITY RS-02)
	}
	return string(f.User)
}

func (f *Flows) seal(x *Flow) error {
	plain, err := json.Marshal(x.hidden)
	if err != nil {
		return err
	}
	if len(plain) == len(`{}`) {
		x.Sealed = nil
		return nil
	}
	x.Sealed = f.box.Seal(x.ID, plain)
	return nil
}

func (f *Flows) unseal(x *Flow) error {
	x.hidden = hidden{}
	if len(x.Sealed) == 0 {
		return nil
	}
	plain, err := f.box.Open(x.ID, x.Sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, &x.hidden)
}

// Sealed is what the flows of a tenant hide.
func Sealed(tenant string, ring *secret.Ring) store.Column {
	box := ring.Box("flow/" + tenant)
	return store.Column{What: "flow", Table: "shelf", Shelf: "flow", Name: "sealed", Renew: func(id, _ string, hidden []byte) ([]byte, error) { return box.Reseal(id, hidden) }}
}
