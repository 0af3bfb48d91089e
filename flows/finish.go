package flows

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// advance commits a change and, where nothing is left to do, ends the flow in the same transaction.
func (t *turn) advance(deed func(store.Tx) error) error {
	if t.decide(); t.decision.Thaws {
		deed = t.thaw(deed)
	}
	switch t.step {
	case Finish:
		return t.finish(deed)
	case Hold:
		deed = t.holdBack(deed)
	case Prove:
		if !t.decision.Password && t.flow.hidden.Asking == nil {
			t.askOnly()
		}
	case Register:
		// At sign-in the strongest method comes first; by her own wish she chooses, where there is a choice.
		if offers := t.offers(); t.flow.hidden.Setup == nil && len(offers) > 0 && (t.flow.Introduced || t.flow.Kind == Manage && len(offers) == 1) {
			messages, err := t.setUp(offers[0])
			if err != nil {
				return err
			}
			if queue := t.queue(messages); queue != nil {
				return t.commit(func(tx store.Tx) error {
					if deed != nil {
						if err := deed(tx); err != nil {
							return err
						}
					}
					return queue(tx)
				})
			}
		}
	}
	return t.commit(deed)
}

// thaw ends the freeze of changes: what the user had before the change in question has just been proven.
func (t *turn) thaw(deed func(store.Tx) error) func(store.Tx) error {
	t.account.FrozenUntil = time.Time{}
	t.decide()
	return func(tx store.Tx) error {
		if deed != nil {
			if err := deed(tx); err != nil {
				return err
			}
		}
		if err := t.Accounts.Thaw(tx, t.flow.User); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.Thawed, nil))
	}
}

// askOnly puts the question at once where there is only one way to prove and asking sends nothing.
func (t *turn) askOnly() {
	choices := t.choices()
	if len(choices) != 1 {
		return
	}
	m, ok := t.Methods[choices[0].Kind]
	if !ok {
		return
	}
	prompt, state, messages, err := m.Challenge(t.ctx, t.claimant(choices[0].ID))
	if err != nil || len(messages) > 0 || !prompt.Resend.IsZero() {
		return
	}
	t.flow.hidden.Asking = &Asking{Kind: m.Kind(), Choice: choices[0].ID, Prompt: prompt, State: state}
}

// finish ends a flow at which nothing is left to do.
func (t *turn) finish(deed func(store.Tx) error) error {
	if deed == nil {
		deed = func(store.Tx) error { return nil }
	}
	switch t.flow.Kind {
	case SignIn:
		return t.signIn(deed)
	case Reset:
		// The proof is spent first: a code that was used already opens nothing.
		if err := t.commit(deed); err != nil {
			return err
		}
		if err := t.situate(); err != nil || t.step != Finish {
			return err
		}
		return t.unlock()
	case Manage:
		return t.manage(deed)
	}
	return fmt.Errorf("a flow of kind %q cannot finish", t.flow.Kind)
}

// signIn begins the session.
func (t *turn) signIn(deed func(store.Tx) error) error {
	return t.commit(func(tx store.Tx) error {
		if err := deed(tx); err != nil {
			return err
		}
		return t.enter(tx)
	})
}

// enter begins the session within a transaction. What policy says is asked once more in it, so that nothing that
// changed meanwhile (a registration required again, an end of all sessions, a reset under way) is passed by.
func (t *turn) enter(tx store.Tx) error {
	seen, err := t.meanwhile(tx, t.flow)
	if err != nil {
		return err
	}
	now := seen.account
	if t.flow.Session != "" && seen.session.Key == "" {
		return errAgain
	}
	if seen.decide(); seen.step != Finish {
		return errAgain
	}
	old, err := t.Sessions.Current(tx, t.r)
	if err != nil && !errors.Is(err, session.ErrNone) {
		return err
	}
	cookie, s, err := t.Sessions.Begin(tx, session.Session{User: string(t.flow.User), Subject: now.Subject, Login: t.user.Login, Epoch: now.Epoch,
		At: provenAt(t.flow.Proofs), Proofs: t.flow.Proofs, AMR: t.amr(t.flow.Proofs), Agent: agent(t.r), Network: t.network()}, old.Key)
	if err != nil {
		return err
	}
	known, err := t.Guard.Know(tx, t.r, string(t.flow.User))
	if err != nil {
		return err
	}
	t.cookies = append(t.cookies, cookie)
	if known != nil {
		t.cookies = append(t.cookies, known)
	}
	t.flow.Done, t.flow.hidden = true, hidden{}
	t.flow.Outcome = &identity.Authentication{Session: s.ID, User: s.User, Subject: s.Subject, Epoch: s.Epoch, At: s.At, Proofs: s.Proofs, AMR: s.AMR, Request: t.flow.Request}
	t.again = true
	return t.Journal.Record(tx, t.event(audit.SignInOK, map[string]string{"kinds": strings.Join(s.AMR, ",")}))
}

// provenAt is auth_time: when the first factor was proven last.
func provenAt(proofs []identity.Proof) time.Time {
	var at time.Time
	for _, p := range proofs {
		if p.Authenticator == "" && p.At.After(at) {
			at = p.At
		}
	}
	for _, p := range proofs {
		if at.IsZero() {
			at = p.At
		}
	}
	return at
}

// amr lists the methods proven, as RFC 8176 names them; "mfa" where two kinds of factor were.
func (f *Flows) amr(proofs []identity.Proof) []string {
	var amr []string
	var factors []identity.Factor
	for _, p := range proofs {
		traits := f.Policy.Traits[p.Kind]
		amr, factors = append(amr, traits.AMR...), append(factors, traits.Factors...)
	}
	slices.Sort(factors)
	if len(slices.Compact(factors)) > 1 {
		amr = append(amr, "mfa")
	}
	slices.Sort(amr)
	return slices.Compact(amr)
}

// agent is the browser's own description of itself, for its owner's eyes.
func agent(r *http.Request) string { return Agent(r.UserAgent()) }

func (t *turn) showFinish() (templates.Page, error) {
	// Nothing is left to do, yet the flow has not ended: what was missing has come to be met elsewhere, or an unlock could not be done.
	// A page with one button ends it by POST, since a GET writes nothing.
	if t.flow.Kind == Reset {
		return templates.Unlock{Frame: t.frame()}, nil
	}
	return t.allSet(), nil
}

// allSet lists what counts. What was suspended is shown where it can be deleted.
func (t *turn) allSet() templates.Page {
	return templates.AllSet{Frame: t.frame(), Methods: slices.DeleteFunc(t.rows(), func(r templates.MethodRow) bool { return r.Suspended })}
}

func (t *turn) actFinish() error { return t.advance(nil) }

func (t *turn) showFinished() (templates.Page, error) {
	switch {
	case t.flow.Kind == Reset && t.flow.What == Locked:
		return templates.UnlockDone{Frame: t.frame(), SignIn: t.back()}, nil
	case t.flow.Kind == Reset:
		return templates.ResetDone{Frame: t.frame(), SignIn: t.back()}, nil
	}
	http.Redirect(t.w, t.r, t.where(), http.StatusSeeOther)
	return nil, nil
}

func (t *turn) actFinished() error { return nil }

// onward is the address a finished sign-in leads to.
func (t *turn) onward() string {
	to := t.flow.Request.Return
	if t.flow.Request.Client == "" && !t.flow.Request.SignOut {
		return t.Prefix + to
	}
	sep := "?"
	if strings.Contains(to, "?") {
		sep = "&"
	}
	return t.Prefix + to + sep + "flow=" + url.QueryEscape(t.flow.ID)
}

// unlock opens the account and keeps the password.
func (t *turn) unlock() error {
	if u, ok := directory.As[directory.Unlocker](t.Directory); ok && t.user.State.Has(directory.TempLocked) {
		if err := u.Unlock(t.ctx, t.user); err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
	}
	t.flow.Done = true
	return t.commit(func(tx store.Tx) error {
		if err := t.Guard.Lift(tx, string(t.flow.User), guard.SignIn, guard.Reset); err != nil {
			return err
		}
		if err := t.tell(tx, "account_unlocked", func(l templates.Letter) templates.Mail { return templates.AccountUnlocked{Letter: l} }); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.UnlockDone, nil))
	})
}

// renewSession gives a manage flow's session the new proof, under a new cookie value (SECURITY SE-02).
func (t *turn) renewSession(tx store.Tx) error {
	if t.flow.Kind != Manage {
		return nil
	}
	s, err := t.Sessions.Current(tx, t.r)
	if errors.Is(err, session.ErrNone) || err == nil && (s.User != string(t.flow.User) || s.Key != t.session.Key) {
		return errForeign
	}
	if err != nil {
		return err
	}
	s.Proofs, s.AMR, s.At = t.flow.Proofs, t.amr(t.flow.Proofs), provenAt(t.flow.Proofs)
	cookie, s, err := t.Sessions.Begin(tx, s, s.Key)
	if err != nil {
		return err
	}
	t.cookies = append(t.cookies, cookie)
	t.flow.Session, t.again = s.Key, true
	return nil
}

// rows are the user's authenticators as she sees them, staged ones included.
func (t *turn) rows() []templates.MethodRow {
	var rows []templates.MethodRow
	_, rule := t.Policy.Effective(t.user)
	for _, a := range append(slices.Clone(t.held), t.flow.hidden.Staged...) {
		rows = append(rows, row(t.Policy, rule, a))
	}
	return rows
}

func row(p *policy.Policy, rule policy.Rule, a identity.Authenticator) templates.MethodRow {
	return templates.MethodRow{ID: a.ID, Kind: string(a.Kind), Label: a.Label, Added: a.BoundAt, Used: a.UsedAt, Default: a.Default,
		ResetOnly: !p.Traits[a.Kind].For(identity.SignIn), Suspended: a.Suspended}
}
