package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/account"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Answer explains one user: which policy applies, what is asked, and why.
type Answer struct {
	User       string   `json:"user"`
	Groups     []string `json:"groups"`
	Registered []string `json:"registered"`
	SignIn     []string `json:"sign_in"`
	Reset      []string `json:"reset"`
	Unlock     []string `json:"unlock"`
	Holds      []string `json:"holds"`
}

// Why asks policy the very questions the pages ask, and puts the answers in words.
func (a *Admin) Why(ctx context.Context, u directory.User) (Answer, error) {
	var acc account.Account
	var held []identity.Authenticator
	err := a.Store.Read(ctx, func(tx store.Tx) (err error) {
		acc, held, err = a.Accounts.Known(tx, u.ID)
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	_, set := directory.As[directory.PasswordSetter](a.Directory)
	facts := policy.Facts{Now: a.Store.Now(), User: u, Held: held, CanSet: set, CanOpen: true,
		Asked: acc.Asked(), Address: a.Address(u)}
	w := Answer{User: u.Login, Groups: u.Groups}
	for _, x := range held {
		w.Registered = append(w.Registered, string(x.Kind))
	}

	facts.For = policy.SignIn
	facts.Proofs = []identity.Proof{{Kind: identity.Password, At: facts.Now}}
	d := a.Policy.Decide(facts)
	w.SignIn = d.Why
	switch {
	case d.Refuse != "":
		w.SignIn = append(w.SignIn, "sign-in is refused")
	case !d.Enough:
		w.SignIn = append(w.SignIn, "after the password, a second factor: "+kindsOf(d.Choices))
	case d.Missing > 0 && d.Snoozed:
		w.SignIn = append(w.SignIn, fmt.Sprintf("%d more to register (%s), but she is left alone until the snooze ends", d.Missing, kindNames(d.Register)))
	case d.Missing > 0 && d.MaySkip:
		w.SignIn = append(w.SignIn, fmt.Sprintf("asked for %d more of: %s; she may skip", d.Missing, kindNames(d.Register)))
	case d.Missing > 0:
		w.SignIn = append(w.SignIn, fmt.Sprintf("asked for %d more of: %s, before any token is issued", d.Missing, kindNames(d.Register)))
	default:
		w.SignIn = append(w.SignIn, "the password is enough, nothing more is asked")
	}
	facts.Proofs = nil
	for purpose, into := range map[policy.Purpose]*[]string{policy.Reset: &w.Reset, policy.Unlock: &w.Unlock} {
		facts.For = purpose
		d := a.Policy.Decide(facts)
		*into = d.Why
		if d.Refuse != "" {
			*into = append(*into, fmt.Sprintf("not possible by herself (%s)", strings.ReplaceAll(string(d.Refuse), "_", " ")))
		} else {
			*into = append(*into, fmt.Sprintf("possible: %d of %s", d.Required, kindsOf(d.Choices)))
		}
	}
	w.Holds, err = a.Holds(ctx, u)
	return w, err
}

func kindsOf(list []identity.Authenticator) string {
	var kinds []identity.Kind
	for _, a := range list {
		kinds = append(kinds, a.Kind)
	}
	return kindNames(kinds)
}

func kindNames(kinds []identity.Kind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}
