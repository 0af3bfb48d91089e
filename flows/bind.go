package flows

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// bindAnswer hands the method what was typed. Tries are counted like those of any other code.
func (t *turn) bindAnswer(setup *Setup) error {
	again := t.action() == "resend"
	field, err := t.bindField(setup, again)
	if err != nil {
		return err
	}
	if field == "email" {
		soon, err := t.soon(func(p Posted) bool {
			return p.Setup != nil && p.Setup.Kind == setup.Kind && sameTyped(p.Setup.Address, t.field(field))
		})
		if soon {
			return err
		}
	}
	var attempt *guard.Attempt // nil where nothing can be guessed
	if field == "code" && !again {
		attempt, err = t.Guard.Try(t.ctx, guard.Trial{For: "code", User: t.who(), Known: t.known(), Network: t.network(), Authenticator: "setup/" + t.flow.ID})
		if err != nil {
			return t.throttled(err, "code")
		}
	}
	ctx, cancel := context.WithTimeout(t.ctx, askTimeout)
	defer cancel()
	answer := t.answer()
	if again {
		answer.Set("resend", "1")
	}
	bound, err := t.Methods.Binder(setup.Kind).Bind(ctx, t.registrant(setup.Kind), setup.State, answer)
	switch {
	case errors.Is(err, method.ErrRejected):
		return t.bindRejected(setup, field, attempt, err)
	case err != nil:
		err = fmt.Errorf("bind %s: %w", setup.Kind, err)
		if attempt == nil {
			return err
		}
		return t.uncompared(attempt, err, registering(setup.Kind))
	case !bound.Done:
		next := *setup
		next.At, next.Prompt, next.State = setup.At+1, bound.Prompt, bound.State
		if again {
			next.At = setup.At
			t.flow.Notice = "code_sent"
		}
		t.flow.hidden.Setup = &next
		if field == "email" {
			next.Address = t.field(field)
		}
		if !next.Prompt.Resend.IsZero() {
			t.posted(Posted{Setup: &next})
		}
		return t.commit(t.queue(bound.Messages))
	}
	a := bound.Authenticator
	a.Kind, a.BoundAt, a.BoundFrom = setup.Kind, t.Now(), agent(t.r)+" · "+t.network()
	return t.bound(a, attempt)
}

// bindField names the field of the form that the setup waits for; a button alone has none. A form without it is of another page.
func (t *turn) bindField(setup *Setup, again bool) (string, error) {
	field := "code"
	switch setup.Prompt.Shape {
	case templates.AskAddress:
		field = "email"
	case templates.ShowSecret:
		if t.action() != "next" {
			return "", errAgain
		}
		return "", nil
	}
	if _, sent := t.form[field]; !sent && !again {
		return "", errAgain
	}
	return field, nil
}

// bindRejected says why an answer was not taken. A wrong code is a wrong proof: it is counted and journalled.
func (t *turn) bindRejected(setup *Setup, field string, attempt *guard.Attempt, err error) error {
	t.flow.Problem = templates.Problem{Field: field, Key: rejection(err)}
	if attempt == nil {
		return t.commit(nil)
	}
	return t.missed(attempt, registering(setup.Kind))
}

// registering is the detail of an event about a code that binds.
func registering(k identity.Kind) map[string]string {
	return map[string]string{"kind": string(k), "purpose": "register"}
}

// bound takes an authenticator whose possession is proven.
func (t *turn) bound(a identity.Authenticator, attempt *guard.Attempt) (err error) {
	t.flow.hidden.Setup, t.flow.hidden.Posted = nil, nil
	right := func(tx store.Tx) error {
		if attempt == nil {
			return nil
		}
		return attempt.Right(tx)
	}
	if t.flow.Kind == Manage {
		err = t.bindManaged(a, right)
	} else {
		err = t.stage(a, right)
	}
	if attempt != nil {
		attempt.Undone(t.ctx, err)
	}
	return err
}

// stage keeps a proven authenticator in the flow until policy has all it wants; then all are committed at once.
// A browser closed before leaves no trace.
func (t *turn) stage(a identity.Authenticator, right func(store.Tx) error) error {
	f := t.flow
	stood := *f
	f.hidden.Staged = append(slices.Clone(f.hidden.Staged), a)
	t.decide()
	if t.decision.Missing > 0 {
		if offers := t.offers(); len(offers) > 0 {
			return t.stageNext(offers[0], right)
		}
	}
	staged := f.hidden.Staged
	f.Registered = true
	for _, a := range staged {
		// Possession was proven in this flow: nobody is asked for the same app twice in a row.
		if t.Policy.Traits[a.Kind].For(identity.SignIn) {
			t.proven(identity.Proof{Kind: a.Kind, Authenticator: a.ID, At: t.Now()})
		}
	}
	return t.commit(func(tx store.Tx) error {
		if err := right(tx); err != nil {
			return err
		}
		if err := t.stillAsked(tx, stood, a.Kind, staged); err != nil {
			return err
		}
		for _, a := range staged {
			bound, err := t.Accounts.Bind(tx, f.User, a)
			if err != nil {
				return err
			}
			if err := t.tellChange(tx, "method_added", bound, identity.Authenticator{}); err != nil {
				return err
			}
			if err := t.Journal.Record(tx, t.event(audit.MethodBound, map[string]string{"kind": string(a.Kind)})); err != nil {
				return err
			}
		}
		if err := t.Accounts.Registered(tx, f.User); err != nil {
			return err
		}
		f.hidden.Staged, t.again = nil, true
		return nil
	})
}

// stillAsked asks policy once more within the transaction, of the flow as it stood: it has to ask for the kind still, and for no more than is
// staged. Nothing that changed since the page was made (a freeze, a registration required again, an end of all sessions) is passed by.
func (t *turn) stillAsked(tx store.Tx, stood Flow, k identity.Kind, staged []identity.Authenticator) error {
	seen, err := t.meanwhile(tx, &stood)
	if err != nil {
		return err
	}
	if seen.decide(); seen.step != Register || !slices.Contains(seen.offers(), k) {
		return errAgain
	}
	stood.hidden.Staged = staged
	if seen.decide(); seen.decision.Missing > 0 && len(seen.offers()) > 0 {
		return errAgain
	}
	return nil
}

// stageNext goes straight on to the next method that is missing.
func (t *turn) stageNext(k identity.Kind, right func(store.Tx) error) error {
	messages, err := t.setUp(k)
	if err != nil {
		return err
	}
	queue := t.queue(messages)
	return t.commit(func(tx store.Tx) error {
		if err := right(tx); err != nil || queue == nil {
			return err
		}
		return queue(tx)
	})
}
