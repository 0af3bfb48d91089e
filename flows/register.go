package flows

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sparekey-id/sparekey/internal/audit"
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
	return slices.DeleteFunc(slices.Clone(t.decision.Register), func(k identity.Kind) bool { return t.Methods.Binder(k) == nil })
}

// replaces is the authenticator that goes when the new one is bound: it is being changed, or deleting it would leave too little. Empty: none.
func (t *turn) replaces() string {
	if t.flow.Kind == Manage {
		return t.flow.Task.ID
	}
	return ""
}

// addable are the kinds the user may add by her own wish: those she has not got before the others, and the strongest of each first. The first
// is what the page has chosen already.
func (t *turn) addable() []identity.Kind {
	_, rule := t.Policy.Effective(t.user)
	var kinds []identity.Kind
	for _, use := range []identity.Use{identity.Reset, identity.SignIn} {
		for _, k := range t.Policy.Kinds(rule, use) {
			if !slices.Contains(kinds, k) && t.Methods.Binder(k) != nil && t.count(k) < method.Most && !t.below(t.replaces(), identity.Authenticator{Kind: k, BoundAt: t.Now()}) {
				kinds = append(kinds, k)
			}
		}
	}
	had := func(k identity.Kind) int {
		if slices.ContainsFunc(t.held, func(a identity.Authenticator) bool {
			return a.Kind == k && !a.Suspended && !t.void(a) && a.ID != t.replaces()
		}) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(kinds, func(a, b identity.Kind) int { return had(a) - had(b) })
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
		return t.skip()
	case "different_account":
		t.forgetUser()
		return t.commit(nil)
	}
	return errAgain
}

// skip puts the registration off. Whether it may be is asked once more in the transaction that counts it, of the flow as it stood: of many
// tabs that press the last one, one is let through (SECURITY EN-06).
func (t *turn) skip() error {
	stood := *t.flow
	t.flow.Skipped = true
	return t.advance(func(tx store.Tx) error {
		seen, err := t.meanwhile(tx, &stood)
		if err != nil {
			return err
		}
		if seen.decide(); !seen.decision.MaySkip {
			return errAgain
		}
		if err := t.Accounts.Skip(tx, t.flow.User, seen.decision.Snooze); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.Skipped, nil))
	})
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
	b := t.Methods.Binder(k)
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
