package flows

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

func (t *turn) showProve() (templates.Page, error) {
	if t.decision.Password {
		return t.showPassword()
	}
	if err := t.over(); err != nil {
		return t.showWait(err)
	}
	asking := t.flow.hidden.Asking
	if asking == nil || !t.offered(asking.Choice) {
		page := templates.Choose{Frame: t.proving(), Purpose: string(t.flow.purpose()), None: true, Back: t.hasBack(nil), Account: t.flow.Kind == SignIn}
		for _, c := range t.choices() {
			label := c.Label
			if t.flow.Kind == Reset && c.Kind == identity.Email {
				label = "" // the address has to be typed: a stranger learns nothing of it
			}
			page.Choices = append(page.Choices, templates.Choice{Value: t.alias(c.ID), Kind: string(c.Kind), Label: label})
		}
		return page, nil
	}
	return templates.Prove{Frame: t.proving(), Purpose: string(t.flow.purpose()), Prompt: asking.Prompt,
		Other: len(t.choices()) > 1, None: true, Back: t.hasBack(asking), Account: t.flow.Kind == SignIn}, nil
}

// hasBack reports whether Back leads anywhere from the question that stands; nil: from the choice of one.
func (t *turn) hasBack(asking *Asking) bool {
	switch {
	case t.flow.Kind != Reset:
		return t.flow.Kind == Manage
	case asking != nil && (asking.Address != "" || len(t.choices()) > 1):
		return true
	}
	return len(t.flow.Proofs) == 0
}

// proving is the frame of a page that asks for a proof. It says which of how many this is, where there are more than one.
func (t *turn) proving() templates.Frame {
	fr := t.frame()
	if at, of := t.proofs(); of > 1 {
		fr.At, fr.Of = at, of
	}
	return fr
}

// proofs is which of how many proofs is asked for. Before the first proof of a reset that is told only where every rule asks for as many,
// or a stranger would know whose name this is (SECURITY RS-01).
func (t *turn) proofs() (at, of int) {
	f, d := t.flow, t.decision
	switch f.Kind {
	case Reset:
		var given []identity.Kind
		for _, p := range f.Proofs {
			if !slices.Contains(given, p.Kind) {
				given = append(given, p.Kind)
			}
		}
		if len(given) == 0 && slices.ContainsFunc(t.Policy.Resetting(), func(r policy.Rule) bool { return r.Required != d.Required }) {
			return 0, 0
		}
		at, of = len(given)+1, d.Required
	case Manage:
		at, of = 1, 1
		for _, p := range f.Proofs {
			if !p.At.Before(f.Began) {
				at, of = at+1, of+1
			}
		}
		if d.Password {
			next, open := *t, *f
			open.Proofs = append(slices.Clone(f.Proofs), identity.Proof{Kind: identity.Password, At: t.Now()})
			next.flow = &open
			if next.decide(); len(next.decision.Choices) > 0 {
				of++
			}
		}
	case SignIn:
		if !d.Enough && !d.Password {
			at, of = 2, d.Required
		}
	}
	return at, of
}

// oneMore announces that another proof is asked for, after one that was right.
func (t *turn) oneMore() {
	if t.decide(); t.step == Prove && !t.decision.Password {
		t.flow.Notice = "one_more"
	}
}

// alike reports whether one choice stands for both authenticators. In a reset labels are not shown, and one entry stands for all of a kind:
// how many addresses somebody has is nobody's business (SECURITY RS-01).
func (t *turn) alike(a, b identity.Authenticator) bool {
	return a.Kind == b.Kind && (a.Label == b.Label || t.flow.Kind == Reset)
}

// choices are the ways to prove, one entry for authenticators that look alike (two authenticator apps share one code field).
func (t *turn) choices() []identity.Authenticator {
	var list []identity.Authenticator
	for _, c := range t.decision.Choices {
		if !slices.ContainsFunc(list, func(x identity.Authenticator) bool { return t.alike(x, c) }) {
			list = append(list, c)
		}
	}
	return list
}

func (t *turn) offered(id string) bool {
	return slices.ContainsFunc(t.choices(), func(a identity.Authenticator) bool { return a.ID == id })
}

// alias is what a page calls an authenticator: a word of this flow alone. By an id that stays, a stranger would know a user under any of her
// names, and a decoy by its own (SECURITY RS-01). It changes with the name, which can be changed within a flow.
func (t *turn) alias(id string) string {
	return t.mac.Name("choice", t.flow.ID, t.flow.Login, id)[:22]
}

// chosen is the id of the choice that an alias stands for; empty: it is none of this flow's.
func (t *turn) chosen(alias string) string {
	for _, c := range t.choices() {
		if secret.Equal(alias, t.alias(c.ID)) {
			return c.ID
		}
	}
	return ""
}

func (t *turn) actProve() error {
	if t.decision.Password {
		return t.actPassword()
	}
	if t.action() == "none" {
		return t.dead()
	}
	asking := t.flow.hidden.Asking
	if asking != nil && !t.offered(asking.Choice) {
		asking, t.flow.hidden.Asking = nil, nil
	}
	switch t.action() {
	case "back":
		switch t.flow.Kind {
		case Manage:
			return t.leave()
		case Reset:
			return t.resetBack(asking)
		}
		return errAgain
	case "different_account":
		if t.flow.Kind != SignIn {
			return errAgain
		}
		t.forgetUser()
		return t.commit(nil)
	case "other":
		t.flow.hidden.Asking = nil
		return t.commit(nil)
	case "resend":
		if asking != nil {
			return t.ask(asking.Choice, asking.Address)
		}
		return errAgain
	}
	if asking == nil {
		choice := t.chosen(t.field("choose"))
		if choice == "" {
			return errAgain
		}
		return t.ask(choice, "")
	}
	switch asking.Prompt.Shape {
	case templates.AskAddress:
		address := t.field("email")
		if address == "" {
			return t.problem("email", "address_missing")
		}
		return t.ask(asking.Choice, address)
	case templates.AskCode:
		if _, sent := t.form["code"]; !sent {
			return errAgain
		}
	}
	return t.verify(asking)
}

// claimant is who the method deals with: for a decoy, nobody's authenticators.
func (t *turn) claimant(choice string) method.Claimant {
	c := method.Claimant{Tenant: t.Brand.Name, Issuer: t.Issuer, User: t.user, For: t.use(), Flow: t.flow.ID, Lang: t.flow.Lang, Now: t.Now(), Letter: t.letter()}
	for _, a := range t.decision.Choices {
		if a.ID == choice {
			if a.ID == method.FromDirectory {
				c.Authenticators = append(c.Authenticators, a)
			}
			for _, b := range t.held {
				if t.alike(a, b) && !b.Suspended {
					c.Authenticators = append(c.Authenticators, b)
				}
			}
		}
	}
	if t.flow.Decoy {
		c.Authenticators, c.User = nil, directory.User{}
	}
	return c
}

func (t *turn) kindOf(choice string) identity.Kind {
	for _, a := range t.decision.Choices {
		if a.ID == choice {
			return a.Kind
		}
	}
	return ""
}

// ask puts the method's question; what it sends goes into the outbox in the same transaction.
func (t *turn) ask(choice, address string) error {
	m, ok := t.Methods[t.kindOf(choice)]
	if !ok {
		return errAgain
	}
	soon, err := t.soon(func(p Posted) bool {
		return p.Asking != nil && p.Asking.Choice == choice && sameTyped(p.Asking.Address, address)
	})
	if soon {
		return err
	}
	c := t.claimant(choice)
	c.Address = address
	ctx, cancel := context.WithTimeout(t.ctx, askTimeout)
	defer cancel()
	prompt, state, messages, err := m.Challenge(ctx, c)
	if err != nil {
		return t.rejected(err)
	}
	asking := &Asking{Kind: m.Kind(), Choice: choice, Address: address, Prompt: prompt, State: state}
	was := t.flow.hidden.Asking
	again := was != nil && was.Choice == choice && !was.Prompt.Resend.IsZero()
	t.flow.hidden.Asking = asking
	sends := prompt.Shape == templates.AskCode && !prompt.Resend.IsZero()
	if sends {
		t.posted(Posted{Asking: asking})
		switch {
		case again && t.flow.Kind == Reset:
			t.flow.Notice = "code_perhaps_sent" // whether it was is for the address' owner alone
		case again:
			t.flow.Notice = "code_sent"
		}
		if len(messages) == 0 {
			messages = []notify.Message{t.nobodysCode()}
		}
	}
	return t.commit(func(tx store.Tx) error {
		if !sends {
			return nil
		}
		// Over the limit nothing is sent, and nothing tells so.
		allowed, err := t.sent(tx)
		if err != nil || !allowed {
			return err
		}
		return t.Outbox.Queue(tx, messages...)
	})
}

// nobodysCode is queued where there is nobody to send a code to: rendered, sealed and stored like any other, and over
// before it could be sent, so that time and writes tell nothing (SECURITY RS-02, RS-03).
func (t *turn) nobodysCode() notify.Message {
	return notify.Message{To: "nobody@invalid.example", Lang: t.flow.Lang, Until: t.Now().Add(-time.Minute),
		Mail: templates.CodeMail{Letter: t.letter(), Code: secret.Digits(6), Minutes: 5, Purpose: string(t.use())}}
}

// verify checks an answer: counted before it is compared, and proven in one transaction with what it spends.
func (t *turn) verify(asking *Asking) error {
	m, ok := t.Methods[asking.Kind]
	if !ok {
		return errAgain
	}
	trial := guard.Trial{For: t.counted(), User: t.who(), Known: t.known(), Network: t.network(), Authenticator: string(asking.Kind) + "/" + t.who()}
	attempt, err := t.Guard.Try(t.ctx, trial)
	if err != nil {
		return t.throttled(err, "code")
	}
	ctx, cancel := context.WithTimeout(t.ctx, askTimeout)
	defer cancel()
	result, err := m.Verify(ctx, t.claimant(asking.Choice), asking.State, t.answer())
	if err == nil && t.flow.Decoy {
		err = method.ErrRejected
	}
	detail := map[string]string{"kind": string(asking.Kind)}
	switch {
	case errors.Is(err, method.ErrRejected):
		t.flow.Problem = templates.Problem{Field: "code", Key: rejection(err)}
		return t.missed(attempt, detail)
	case err != nil:
		return t.uncompared(attempt, fmt.Errorf("verify %s: %w", asking.Kind, err), detail)
	}
	before := *t.flow
	t.proven(identity.Proof{Kind: asking.Kind, Authenticator: result.Authenticator, At: t.Now()})
	t.oneMore()
	err = t.advance(func(tx store.Tx) error {
		if _, err := t.current(tx); err != nil {
			return err
		}
		if err := result.Spend(tx); err != nil {
			return err
		}
		if err := t.renewSession(tx); err != nil {
			return err
		}
		if err := attempt.Right(tx); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.ProofOK, detail))
	})
	if !errors.Is(err, method.ErrRejected) { // a code that was used already stays counted
		attempt.Undone(t.ctx, err)
	}
	if !errors.Is(err, store.ErrChanged) {
		return err
	}
	// The flow moved on, or the step was spent by somebody else: for this answer both mean "used already".
	*t.flow = before
	if again := t.usedUp(err, detail); again != nil && !errors.Is(again, store.ErrChanged) {
		return again
	}
	return err
}

// usedUp tells that a right code was used already. One that counts as a try is journalled as one.
func (t *turn) usedUp(err error, detail map[string]string) error {
	t.flow.Problem = templates.Problem{Field: "code", Key: "problem.used_code"}
	if !errors.Is(err, method.ErrRejected) {
		return t.note(t.ctx, nil)
	}
	detail["reason"] = "used"
	return t.journalled(audit.ProofWrong, detail)
}

// rejection is the key of what a method says of an answer it did not take.
func rejection(err error) string {
	var why *method.Rejection
	if errors.As(err, &why) {
		return why.Key
	}
	return "problem.wrong_code"
}

// rejected turns a method's refusal of a request into words; any other error goes up.
func (t *turn) rejected(err error) error {
	if !errors.Is(err, method.ErrRejected) {
		return err
	}
	t.flow.Problem = templates.Problem{Field: "email", Key: rejection(err)}
	return t.commit(nil)
}

// answer is the form without what belongs to the page.
func (t *turn) answer() url.Values {
	a := url.Values{}
	for k, v := range t.form {
		switch k {
		case "csrf", "action", "captcha", "captcha_id", "username":
		default:
			a[k] = v
		}
	}
	return a
}
