package method

import (
	"context"
	"errors"
	"net/url"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// Password is checked by the user's home directory. It serves sign-in and changes of security info, never a reset.
type Password struct {
	Directory directory.PasswordVerifier
}

// Kind is identity.Password.
func (Password) Kind() identity.Kind { return identity.Password }

// Traits: something known, amr pwd.
func (Password) Traits() identity.Traits {
	return identity.Traits{Factors: []identity.Factor{identity.Know}, Uses: []identity.Use{identity.SignIn, identity.Manage}, AMR: []string{"pwd"}, Strength: 10}
}

// Challenge asks for the field password.
func (m Password) Challenge(_ context.Context, who Claimant) (templates.Prompt, State, []notify.Message, error) {
	return templates.Prompt{Shape: templates.AskSecret, Kind: string(identity.Password)}, nil, nil, serves(m, who.For)
}

// Verify asks the directory, for a decoy too, so that it costs the same. An empty password is never handed on: an LDAP server
// takes it for an anonymous bind and says yes (RFC 4513 §5.1.2). A right password of a barred account is rejected like a wrong one.
func (m Password) Verify(ctx context.Context, who Claimant, _ State, answer url.Values) (Result, error) {
	if err := serves(m, who.For); err != nil {
		return Result{}, err
	}
	typed := one(answer, "password")
	if typed == "" || len(typed) > 4096 {
		return Result{}, reject("wrong_password")
	}
	if m.Directory == nil {
		return Result{}, errors.New("verify password: the directory cannot")
	}
	verdict, err := m.Directory.VerifyPassword(ctx, who.User, typed)
	if err != nil {
		return Result{}, err
	}
	switch {
	case who.User.ID == "":
	case verdict == directory.Right, verdict == directory.RightButDue:
		return Result{Due: verdict == directory.RightButDue, Spend: func(store.Tx) error { return nil }}, nil
	}
	return Result{}, reject("wrong_password")
}
