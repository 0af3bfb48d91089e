package policy

import (
	"time"

	"github.com/sparekey-id/sparekey/internal/identity"
)

// New is the policy of an operator who has said nothing: no rule, so that nobody is asked anything and nobody resets.
func New() *Policy {
	return &Policy{ProofAge: 10 * time.Minute, Traits: map[identity.Kind]identity.Traits{}, Passwords: Passwords{MinLength: 15, MaxLength: 256}}
}

// NewRule is a rule that says nothing but that it is one.
func NewRule() Rule {
	return Rule{Required: 1, Methods: map[identity.Kind][]identity.Use{identity.TOTP: nil, identity.Email: nil}, SecondFactor: Never, Unlock: true, Notify: true,
		DeadEnd: Neutral, Registration: Registration{AtSignIn: true, Needs: NeedsPassword}}
}
