package method

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// Email sends a code to an address and asks for it: six digits, five minutes, once (NIST SP 800-63B §3.1.3.1). It serves resets and
// changes of security info, never sign-in. The authenticator's Data is the address as Mailbox gives it.
type Email struct {
	MAC secret.MAC // of a label of its own, naming the tenant: what codes are remembered by
}

const (
	codeLasts  = 5 * time.Minute
	resendFrom = 10 * time.Second
)

// FromDirectory is the id of the authenticator that stands for the directory's own address. It has no row.
const FromDirectory = "directory"

// Kind is identity.Email.
func (Email) Kind() identity.Kind { return identity.Email }

// Traits: something held. There is no amr for it (RFC 8176).
func (Email) Traits() identity.Traits {
	return identity.Traits{Factors: []identity.Factor{identity.Have}, Uses: []identity.Use{identity.Reset, identity.Manage}, Strength: 20}
}

// Address is where an authenticator of this kind sends to; empty for any other.
func (Email) Address(a identity.Authenticator) string {
	if a.Kind != identity.Email {
		return ""
	}
	return string(a.Data)
}

// FromDirectory is the directory's own address as an authenticator, for a policy that trusts it. False: there is none, or none that can be trusted with a code.
func (Email) FromDirectory(u directory.User) (identity.Authenticator, bool) {
	address, err := Mailbox(u.Email)
	if err != nil || u.ID == "" {
		return identity.Authenticator{}, false
	}
	return identity.Authenticator{ID: FromDirectory, Kind: identity.Email, Label: Mask(address), Data: []byte(address)}, true
}

// mailed is a code that was sent, without the code.
type mailed struct {
	ID      string    `json:"id,omitempty"` // the code's own, spent with it
	Sum     string    `json:"sum,omitempty"`
	To      string    `json:"to,omitempty"` // the authenticator it went to
	At      time.Time `json:"at"`
	Until   time.Time `json:"until"`
	Address string    `json:"address,omitempty"` // binding: the address to be proven
	Binding string    `json:"binding,omitempty"` // binding: the id its authenticator will have
}

// register is the purpose of a code that binds.
const register = "register"

// sum binds a code to itself, the flow, the user, the purpose and the address it went to (SECURITY RS-06, A31).
func (m Email) sum(code, id string, who Claimant, purpose, address string) []string {
	return []string{code, id, who.Flow, string(who.User.ID), purpose, address}
}

// issue draws a code. It is good in the State that comes with it alone, of which the flow asks one at a time.
func (m Email) issue(who Claimant, purpose, to, address string) (mailed, string) {
	code, id := secret.Digits(6), secret.ID()
	return mailed{ID: id, Sum: m.MAC.Sum(m.sum(code, id, who, purpose, address)...), To: to, At: who.Now.UTC(), Until: who.Now.Add(codeLasts).UTC()}, code
}

func (m Email) letter(who Claimant, purpose, address, code string) []notify.Message {
	return []notify.Message{{User: string(who.User.ID), To: address, Lang: who.Lang, Until: who.Now.Add(codeLasts),
		Mail: templates.CodeMail{Letter: who.Letter, Code: code, Minutes: int(codeLasts / time.Minute), Purpose: purpose}}}
}

func askMailed(who Claimant, hint string) templates.Prompt {
	return templates.Prompt{Shape: templates.AskCode, Kind: string(identity.Email), Hint: hint, Resend: who.Now.Add(resendFrom), Expires: who.Now.Add(codeLasts)}
}

// Challenge sends a code to the claimant's address. In a reset it asks for the field email first, and then, whether what was typed
// is the address or not, and for a decoy as well, for a code with the same words: only the address' owner learns more (SECURITY RS-01).
// The hint is then what was typed.
// The recipient is the stored address, never the typed one (A11).
func (m Email) Challenge(_ context.Context, who Claimant) (templates.Prompt, State, []notify.Message, error) {
	if who.Flow == "" {
		return templates.Prompt{}, nil, nil, errors.New("send a code: no flow to bind it to")
	}
	if err := serves(m, who.For); err != nil {
		return templates.Prompt{}, nil, nil, err
	}
	typed, hint := "", ""
	if who.For == identity.Reset {
		if who.Address == "" {
			return templates.Prompt{Shape: templates.AskAddress, Kind: string(identity.Email)}, nil, nil, nil
		}
		typed, _ = Mailbox(who.Address)
		hint = typed // so that she sees what she mistyped
	}
	var to identity.Authenticator
	for _, a := range who.Authenticators {
		address, err := Mailbox(string(a.Data))
		if a.Kind != identity.Email || a.Suspended || a.ID == "" || err != nil || to.ID != "" || who.User.ID == "" {
			continue
		}
		if who.For != identity.Reset || SameMailbox(address, typed) {
			a.Data, to = []byte(address), a
		}
	}
	if who.For != identity.Reset {
		hint = to.Label
	}
	issued, code := m.issue(who, string(who.For), to.ID, string(to.Data))
	s, err := json.Marshal(issued)
	if err != nil {
		return templates.Prompt{}, nil, nil, err
	}
	messages := m.letter(who, string(who.For), string(to.Data), code)
	if to.ID == "" {
		messages = nil
	}
	return askMailed(who, hint), s, messages, nil
}

// Verify checks the field code against the one that was sent to the address as it is now: an address changed since, or
// one that was deleted or suspended, proves nothing (SECURITY A31, A33). Spend makes the code good for one transaction in all.
func (m Email) Verify(_ context.Context, who Claimant, s State, answer url.Values) (Result, error) {
	if err := serves(m, who.For); err != nil {
		return Result{}, err
	}
	issued := readMailed(s)
	to, owned := who.owns(identity.Email, issued.To)
	address, err := Mailbox(string(to.Data))
	owned = owned && err == nil && who.User.ID != ""
	if err := m.check(issued, who, string(who.For), address, answer, owned); err != nil {
		return Result{}, err
	}
	user := string(who.User.ID)
	return Result{Authenticator: to.ID, Spend: func(tx store.Tx) error {
		if err := spend(tx, issued.ID, issued.Until); err != nil || to.ID == FromDirectory {
			return err
		}
		n, err := tx.Exec(`UPDATE authenticator SET used_at = $4 WHERE tenant = $1 AND id = $2 AND user_id = $3 AND suspended_at = 0`, to.ID, user, store.Micros(tx.Now()))
		if err != nil {
			return fmt.Errorf("spend code: %w", err)
		}
		if n == 0 {
			return store.ErrChanged
		}
		return nil
	}}, nil
}

// check compares the code. A time before the code was sent counts as too late: the clock was set back, and nobody knows how old the code is.
func (m Email) check(issued mailed, who Claimant, purpose, address string, answer url.Values, owned bool) error {
	typed, ok := digits(one(answer, "code"), 6)
	if !ok {
		return reject("code_form")
	}
	right := m.MAC.Check(issued.Sum, m.sum(typed, issued.ID, who, purpose, address)...)
	switch {
	case !who.Now.Before(issued.Until) || who.Now.Before(issued.At.Add(-time.Minute)):
		return reject("expired_code")
	case !right || !owned:
		return reject("wrong_code")
	}
	return nil
}

func readMailed(s State) mailed {
	var x mailed
	if json.Unmarshal(s, &x) != nil {
		return mailed{}
	}
	return x
}

// Offer asks for the field email. With the State of a code that was sent it sends another one, and the older is void.
func (m Email) Offer(_ context.Context, who Claimant, s State) (templates.Prompt, State, []notify.Message, error) {
	if len(who.Authenticators) >= Most {
		return templates.Prompt{}, nil, nil, reject("limit")
	}
	if pending := readMailed(s); pending.Address != "" {
		b, err := m.send(who, pending.Address, pending.Binding)
		return b.Prompt, b.State, b.Messages, err
	}
	return templates.Prompt{Shape: templates.AskAddress, Kind: string(identity.Email)}, State(`{}`), nil, nil
}

// Bind takes the field email, sends a code there, and takes the field code. A field resend sends another code.
// What is bound is the address the code went to, whatever else is posted beside the code.
func (m Email) Bind(_ context.Context, who Claimant, s State, answer url.Values) (Bound, error) {
	pending := readMailed(s)
	if len(who.Authenticators) >= Most {
		return Bound{}, reject("limit")
	}
	if pending.Address == "" {
		address, err := Mailbox(one(answer, "email"))
		if err != nil {
			return Bound{}, reject("email_form")
		}
		if m.taken(who, address) {
			return Bound{}, reject("email_taken")
		}
		return m.send(who, address, secret.ID())
	}
	if one(answer, "resend") != "" {
		return m.send(who, pending.Address, pending.Binding)
	}
	if err := m.check(pending, who, register, pending.Address, answer, true); err != nil {
		return Bound{}, err
	}
	if m.taken(who, pending.Address) {
		return Bound{}, reject("email_taken")
	}
	return Bound{Done: true, Authenticator: identity.Authenticator{ID: pending.Binding, Kind: identity.Email, Label: Mask(pending.Address), Data: []byte(pending.Address), BoundAt: who.Now}}, nil
}

// taken reports whether the user has the address already.
func (Email) taken(who Claimant, address string) bool {
	for _, a := range who.Authenticators {
		if a.Kind == identity.Email && SameMailbox(string(a.Data), address) {
			return true
		}
	}
	return false
}

// send issues the code that binds an address. She typed the address herself, so the hint is all of it.
func (m Email) send(who Claimant, address, binding string) (Bound, error) {
	if who.Flow == "" || who.User.ID == "" {
		return Bound{}, errors.New("bind an address: no flow or no user to bind it to")
	}
	issued, code := m.issue(who, register, "", address)
	issued.Address, issued.Binding = address, binding
	s, err := json.Marshal(issued)
	return Bound{State: s, Prompt: askMailed(who, address), Messages: m.letter(who, register, address, code)}, err
}
