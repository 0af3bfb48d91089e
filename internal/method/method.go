// Package method owns the ways an end-user proves who she is: one file a method.
// A method asks (Challenge), checks (Verify) and, where the end-user can bind it herself, sets up (Offer, Bind).
// It keeps nothing: what it has to remember between asking and checking is State, carried and sealed by the flow;
// what lasts is an identity.Authenticator, kept by account; what must be used once is spent by a function that runs in
// the transaction which saves the proof. It never counts tries (guard does, before it asks a method), never sends
// anything itself, and never decides what a proof is good for.
package method

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// Claimant is who a method deals with, and for what.
type Claimant struct {
	Tenant         string                   // the organisation's name, as an authenticator app shows it
	Issuer         string                   // its URL
	User           directory.User           // the zero User for a decoy
	Authenticators []identity.Authenticator // the user's own of this kind; none for a decoy, which is asked alike and never verifies
	For            identity.Use
	Flow           string // id of the flow: an answer counts in the flow that asked, nowhere else
	Lang           string
	Now            time.Time
	Letter         templates.Letter
	Address        string // in a reset: what was typed when asked for the address
}

// State is what a method has to remember between asking and checking, as JSON. It may hold a seed that is not yet bound,
// so it prints nothing; the flow seals it.
type State []byte

func (State) String() string       { return "•••" }
func (State) GoString() string     { return "•••" }
func (State) LogValue() slog.Value { return slog.StringValue("•••") }

// Result is a right answer.
type Result struct {
	Authenticator string               // id of the one proven; empty for a password
	Due           bool                 // a password: right, but to be changed before anything else
	Spend         func(store.Tx) error // never nil; uses up what may be used once, in the transaction that saves the proof. store.ErrChanged: somebody was first
}

// Method is one way to prove. Challenge runs on POST only and gives the messages to queue in the same transaction as the State.
// Verify computes and changes nothing. Both are an error for a purpose outside the method's Traits.
// Verify's error is ErrRejected for an answer that is not right, and anything else when that could not be found out.
type Method interface {
	Kind() identity.Kind
	Traits() identity.Traits
	Challenge(ctx context.Context, who Claimant) (templates.Prompt, State, []notify.Message, error)
	Verify(ctx context.Context, who Claimant, s State, answer url.Values) (Result, error)
}

// Binder is a method that the end-user can bind herself. Offer with a nil State begins; with another it asks that stage's question once more.
// Bind takes the answer to the last question. Nothing counts until possession is proven and Bound is Done (SECURITY EN-03).
type Binder interface {
	Offer(ctx context.Context, who Claimant, s State) (templates.Prompt, State, []notify.Message, error)
	Bind(ctx context.Context, who Claimant, s State, answer url.Values) (Bound, error)
}

// Bound is how far a binding has come. While it is not Done, Prompt, State and Messages are the next question's.
// When it is Done, Authenticator is ready to be kept; its ID is one for the whole binding, so that it can be kept once only.
type Bound struct {
	Done          bool
	State         State
	Prompt        templates.Prompt
	Messages      []notify.Message
	Authenticator identity.Authenticator
}

// Most is how many authenticators of one kind a user may have.
const Most = 5

// ErrRejected says that the answer is not right. The user may try again, as far as guard lets her.
var ErrRejected = errors.New("not the right answer")

// Rejection is an ErrRejected that knows what to tell: Key is in the catalogue of templates ("problem.wrong_code").
type Rejection struct{ Key string }

func (r *Rejection) Error() string        { return "not the right answer: " + r.Key }
func (r *Rejection) Is(target error) bool { return target == ErrRejected }

func reject(key string) error { return &Rejection{"problem." + key} }

// errUsed is both a rejection, for words, and store.ErrChanged, for whoever retries.
func errUsed() error { return fmt.Errorf("%w (%w)", reject("used_code"), store.ErrChanged) }

// spend uses up the one-time value with this id: exactly one caller gets nil, however many try at once.
// The row outlives the value by a day, so that a clock set back does not make it good again.
func spend(tx store.Tx, id string, until time.Time) error {
	if now := tx.Now(); now.After(until) {
		until = now
	}
	err := store.NewShelf[struct{}]("spent").Add(tx, id, "", until.Add(24*time.Hour), struct{}{})
	if errors.Is(err, store.ErrExists) {
		return errUsed()
	}
	return err
}

// serves refuses to ask or check for a purpose that the method is not for: an e-mail code never signs in, a password never resets.
func serves(m Method, use identity.Use) error {
	if !m.Traits().For(use) {
		return fmt.Errorf("%s does not serve %q", m.Kind(), use)
	}
	return nil
}

// owns finds the claimant's usable authenticator of the kind by its id.
func (who Claimant) owns(kind identity.Kind, id string) (identity.Authenticator, bool) {
	for _, a := range who.Authenticators {
		if id != "" && a.ID == id && a.Kind == kind && !a.Suspended {
			return a, true
		}
	}
	return identity.Authenticator{}, false
}
