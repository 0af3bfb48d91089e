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
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

func (t *turn) showRegister() (templates.Page, error) {
	setup := t.flow.hidden.Setup
	switch {
	case t.flow.Kind == SignIn && !t.flow.Introduced:
		page := templates.MoreInformation{Frame: t.frame(), Missing: t.decision.Missing, MaySkip: t.decision.MaySkip, SkipLeft: t.decision.SkipsLeft, SkipUntil: t.decision.SkipUntil}
		for _, k := range t.decision.Register {
			page.Needs = append(page.Needs, string(k))
		}
		return page, nil
	case setup == nil || !slices.Contains(t.offers(), setup.Kind):
		page := templates.RegisterChoose{Frame: t.frame()}
		for _, k := range t.offers() {
			page.Choices = append(page.Choices, templates.Choice{Value: string(k), Kind: string(k)})
		}
		return page, nil
	}
	other, change := len(t.offers()) > 1, t.flow.Task.Do == "change"
	fr := t.frame()
	switch prompt := setup.Prompt; {
	case setup.At == 0:
		fr.At, fr.Of = 1, 3
		return templates.RegisterIntro{Frame: fr, Kind: string(setup.Kind), Other: other}, nil
	case setup.Intro:
		fr.At, fr.Of = setup.At+1, 3
		return templates.Register{Frame: fr, Prompt: prompt, Other: other, Change: change}, nil
	default:
		fr.At, fr.Of = setup.At, 2
		return templates.Register{Frame: fr, Prompt: prompt, Other: other, Change: change}, nil
	}
}

// offers are the kinds that can be set up now, strongest first.
func (t *turn) offers() []identity.Kind {
	switch {
	case t.flow.Kind == Manage && t.flow.Task.Do == "change":
		for _, a := range t.held {
			if a.ID == t.flow.Task.ID {
				return []identity.Kind{a.Kind}
			}
		}
		return nil
	case t.flow.Kind == Manage:
		return t.addable()
	}
	return slices.DeleteFunc(slices.Clone(t.decision.Register), func(k identity.Kind) bool { return t.binder(k) == nil })
}

// replaces is the authenticator that goes when the new one is bound: it is being changed, or deleting it would leave too little. Empty: none.
func (t *turn) replaces() string {
	if t.flow.Kind == Manage {
		return t.flow.Task.ID
	}
	return ""
}

// addable are the kinds the user may add by her own wish.
func (t *turn) addable() []identity.Kind {
	_, rule := t.Policy.Effective(t.user)
	var kinds []identity.Kind
	for _, use := range []identity.Use{identity.Reset, identity.SignIn} {
		for _, k := range t.Policy.Kinds(rule, use) {
			if !slices.Contains(kinds, k) && t.binder(k) != nil && t.count(k) < t.most(k) && !t.below(t.replaces(), identity.Authenticator{Kind: k, BoundAt: t.Now()}) {
				kinds = append(kinds, k)
			}
		}
	}
	return kinds
}

func (t *turn) count(k identity.Kind) (n int) {
	for _, a := range t.held {
		if a.Kind == k && !t.void(a) && a.ID != t.replaces() {
			n++
		}
	}
	return n
}

// void reports whether an operator has required registration again since the authenticator was bound.
func (t *turn) void(a identity.Authenticator) bool {
	return !a.BoundAt.IsZero() && a.BoundAt.Before(t.account.RequireAgainAt)
}

// most is how many authenticators of a kind one user may have.
func (t *turn) most(k identity.Kind) int {
	if m, ok := t.Methods[k].(interface{ Most() int }); ok {
		return m.Most()
	}
	return 5
}

func (t *turn) binder(k identity.Kind) method.Binder {
	b, _ := t.Methods[k].(method.Binder)
	return b
}

func (t *turn) actRegister() error {
	f := t.flow
	if f.Kind == SignIn && !f.Introduced {
		return t.actMoreInformation()
	}
	setup := f.hidden.Setup
	if setup == nil || !slices.Contains(t.offers(), setup.Kind) {
		if t.action() == "back" {
			if f.Kind == Manage {
				return t.leave()
			}
			f.Introduced, f.hidden.Setup = false, nil
			return t.commit(nil)
		}
		return t.offer(identity.Kind(t.field("choose")))
	}
	switch t.action() {
	case "other":
		f.hidden.Setup = nil
		return t.commit(nil)
	case "back":
		return t.registerBack(setup)
	case "resend":
		if t.Now().Before(setup.Prompt.Resend) {
			return t.problemUntil("code", "resend_soon", setup.Prompt.Resend)
		}
		return t.bindAnswer(setup)
	}
	if setup.At == 0 {
		if t.action() != "next" {
			return errAgain
		}
		setup.At = 1
		return t.commit(nil)
	}
	return t.bindAnswer(setup)
}

func (t *turn) actMoreInformation() error {
	f := t.flow
	switch t.action() {
	case "next":
		f.Introduced = true
		t.decide()
		if t.step != Register {
			return t.advance(nil) // a fresh proof comes first
		}
		if offers := t.offers(); len(offers) > 0 {
			return t.offer(offers[0])
		}
		return t.commit(nil)
	case "skip":
		if !t.decision.MaySkip {
			return errAgain
		}
		f.Skipped = true
		return t.advance(func(tx store.Tx) error {
			if err := t.Accounts.Skip(tx, f.User, t.decision.Snooze); err != nil {
				return err
			}
			return t.Journal.Record(tx, t.event("registration.skipped", nil))
		})
	case "different_account":
		t.forgetUser()
		return t.commit(nil)
	}
	return errAgain
}

// registerBack goes one screen back without losing what was set up: the same key is shown again.
func (t *turn) registerBack(setup *Setup) error {
	switch {
	case setup.Intro && setup.At > 1:
		setup.At = 1
		setup.Prompt, setup.State = setup.First, setup.Start
	case setup.Intro && setup.At == 1:
		setup.At = 0
	case len(t.offers()) > 1:
		t.flow.hidden.Setup = nil
	case t.flow.Kind == Manage:
		return t.leave()
	default:
		t.flow.Introduced, t.flow.hidden.Setup = false, nil
	}
	return t.commit(nil)
}

// registrant is who binds.
func (t *turn) registrant(k identity.Kind) method.Claimant {
	c := method.Claimant{Tenant: t.Brand.Name, Issuer: t.Issuer, User: t.user, For: t.use(), Flow: t.flow.ID, Lang: t.flow.Lang, Now: t.Now(), Letter: t.letter()}
	for _, a := range append(slices.Clone(t.held), t.flow.hidden.Staged...) {
		// What was declared void, and what is being replaced, stands in nobody's way.
		if a.Kind == k && !t.void(a) && a.ID != t.replaces() {
			c.Authenticators = append(c.Authenticators, a)
		}
	}
	return c
}

// offer begins to set up one kind.
func (t *turn) offer(k identity.Kind) error {
	messages, err := t.setUp(k)
	if err != nil {
		return err
	}
	return t.commit(t.queue(messages))
}

// setUp puts the first question of a registration, and gives what has to be sent for it.
func (t *turn) setUp(k identity.Kind) ([]notify.Message, error) {
	b := t.binder(k)
	if b == nil || !slices.Contains(t.offers(), k) {
		return nil, errAgain
	}
	ctx, cancel := context.WithTimeout(t.ctx, askTimeout)
	defer cancel()
	prompt, state, messages, err := b.Offer(ctx, t.registrant(k), nil)
	var why *method.Rejection
	if errors.As(err, &why) {
		t.flow.hidden.Setup, t.flow.Problem = nil, templates.Problem{Key: why.Key}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("offer %s: %w", k, err)
	}
	setup := &Setup{Kind: k, At: 1, Prompt: prompt, State: state}
	if prompt.Shape == templates.ShowSecret {
		// What the secret goes into has to be got first.
		setup.Intro, setup.At, setup.First, setup.Start = true, 0, prompt, state
	}
	t.flow.hidden.Setup = setup
	return messages, nil
}

func (t *turn) queue(messages []notify.Message) func(store.Tx) error {
	if len(messages) == 0 {
		return nil
	}
	return func(tx store.Tx) error {
		allowed, err := t.sent(tx)
		if err != nil || !allowed {
			return err
		}
		return t.Outbox.Queue(tx, messages...)
	}
}

// bindAnswer hands the method what was typed. Tries are counted like those of any other code.
func (t *turn) bindAnswer(setup *Setup) error {
	b := t.binder(setup.Kind)
	field := "code"
	switch setup.Prompt.Shape {
	case templates.AskAddress:
		field = "email"
	case templates.ShowSecret:
		field = ""
		if t.action() != "next" {
			return errAgain
		}
	}
	if _, sent := t.form[field]; field != "" && !sent && t.action() != "resend" {
		return errAgain
	}
	var attempt *guard.Attempt
	if field == "code" && t.action() != "resend" {
		var err error
		attempt, err = t.Guard.Try(t.ctx, guard.Trial{For: "code", User: t.who(), Known: t.known(), Network: t.network(), Authenticator: "setup/" + t.flow.ID})
		if err != nil {
			return t.throttled(err, "code")
		}
	}
	ctx, cancel := context.WithTimeout(t.ctx, askTimeout)
	defer cancel()
	answer := t.answer()
	if t.action() == "resend" {
		answer.Set("resend", "1")
	}
	bound, err := b.Bind(ctx, t.registrant(setup.Kind), setup.State, answer)
	switch {
	case errors.Is(err, method.ErrRejected):
		if attempt != nil {
			if err := attempt.Wrong(t.ctx); err != nil {
				return err
			}
		}
		key := "problem.wrong_code"
		var why *method.Rejection
		if errors.As(err, &why) {
			key = why.Key
		}
		t.flow.Problem = templates.Problem{Field: field, Key: key}
		if attempt == nil {
			return t.commit(nil)
		}
		return t.journalled(audit.ProofWrong, map[string]string{"kind": string(setup.Kind), "purpose": "register"})
	case err != nil:
		if attempt != nil {
			_ = attempt.GiveBack(t.ctx)
		}
		return fmt.Errorf("bind %s: %w", setup.Kind, err)
	case !bound.Done:
		next := *setup
		next.At, next.Prompt, next.State = setup.At+1, bound.Prompt, bound.State
		if t.action() == "resend" {
			next.At = setup.At
			t.flow.Notice = "code_sent"
		}
		t.flow.hidden.Setup = &next
		return t.commit(t.queue(bound.Messages))
	}
	a := bound.Authenticator
	a.Kind, a.BoundAt, a.BoundFrom = setup.Kind, t.Now(), agent(t.r)+" · "+t.network()
	t.flow.hidden.Setup = nil
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
			if err := t.Journal.Record(tx, t.event("method.bound", map[string]string{"kind": string(a.Kind)})); err != nil {
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
	now, err := t.current(tx)
	if err != nil {
		return err
	}
	if now.Intent != "" {
		return errAgain
	}
	seen := *t
	seen.account, seen.flow = now, &stood
	if err := seen.loadRest(tx); err != nil {
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

func (t *turn) showConfirm() (templates.Page, error) {
	if t.flow.Kind == Manage {
		return t.showDelete()
	}
	return t.allSet(), nil
}

func (t *turn) actConfirm() error {
	if t.flow.Kind == Manage {
		return t.actDelete()
	}
	if t.action() != "done" {
		return errAgain
	}
	t.flow.Registered = false
	return t.advance(nil)
}

// below reports whether more would be missing of the policy's minimum without the authenticator and with these instead.
func (t *turn) below(id string, instead ...identity.Authenticator) bool {
	if id == "" {
		return false
	}
	facts := policy.Facts{Now: t.Now(), For: policy.Manage, User: t.user, Proofs: t.flow.Proofs,
		Asked: policy.Asked{RequiredAgain: t.account.RequireAgainAt}}
	with := t.Policy.Decide(func() policy.Facts { f := facts; f.Held = t.held; return f }())
	facts.Held = append(slices.DeleteFunc(slices.Clone(t.held), func(a identity.Authenticator) bool { return a.ID == id }), instead...)
	return t.Policy.Decide(facts).Missing > with.Missing
}
