package flows

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// asksOld reports whether the old password has to be typed beside the new one (SECURITY PW-06).
func (t *turn) asksOld() bool { return t.flow.Kind != Reset }

func (t *turn) showNewPassword() (templates.Page, error) {
	page := templates.NewPassword{Frame: t.frame(), Login: t.flow.Login, Old: t.asksOld(), Purpose: "reset"}
	switch t.flow.Kind {
	case SignIn:
		page.Purpose = "due"
	case Manage:
		page.Purpose = "change"
	}
	rules, _ := t.Policy.Passwords.Accept("", t.context()...)
	for _, r := range rules {
		r.Fail = t.flow.Problem.Key == "problem."+r.Rule
		page.Rules = append(page.Rules, shown(r))
	}
	return page, nil
}

// context are the words a password must not be built on.
func (t *turn) context() []string {
	local, _, _ := strings.Cut(t.user.Email, "@")
	words := []string{t.flow.Login, t.Brand.Name}
	if !t.flow.Decoy {
		words = append(words, t.user.Login, t.user.Name, local)
	}
	return words
}

func shown(r policy.Broken) templates.Rule {
	rule := templates.Rule{Key: "rule." + r.Rule, Failed: r.Fail}
	switch r.Rule {
	case "min_length", "max_length":
		rule.Args, rule.Check, rule.Value = []any{r.N}, r.Rule, fmt.Sprint(r.N)
	case "contains":
		rule.Check, rule.Value = "not_contain", strings.ToLower(strings.Join(r.Not, "\n"))
	}
	return rule
}

func (t *turn) actNewPassword() error {
	if t.action() == "back" && t.flow.Kind == Manage {
		return t.leave()
	}
	if _, sent := t.form["new"]; !sent {
		return errAgain
	}
	next, old := secret.Normal(t.field("new")), secret.Normal(t.field("old"))
	switch rules, ok := t.Policy.Passwords.Accept(next, t.context()...); {
	case t.asksOld() && old == "":
		return t.problem("old", "password_missing")
	case !ok:
		for _, r := range rules {
			if r.Fail {
				s := shown(r)
				return t.problem("new", r.Rule, s.Args...)
			}
		}
	case next != secret.Normal(t.field("confirm")):
		return t.problem("confirm", "confirm")
	case t.asksOld() && next == old:
		return t.problem("new", "same_password")
	}
	if t.asksOld() {
		return t.change(old, next)
	}
	return t.reset(next)
}

// reset sets a forgotten password. The directory's write cannot share our transaction, so an intent is committed
// first; while it stands no session and no grant of the user counts (HOUSE.md, idea 8).
func (t *turn) reset(next string) error {
	setter, ok := directory.As[directory.PasswordSetter](t.Directory)
	if !ok || t.flow.Decoy || !t.decision.Enough || t.user.ID != t.flow.User {
		return errForeign
	}
	if t.decision.Administrator {
		t.findAdministrators()
	}
	flow, user := t.flow.ID, t.flow.User
	if err := t.commit(t.intend); err != nil {
		return t.unsent(err)
	}
	// From here on the browser may go away, the outcome has to be settled all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), setTimeout)
	defer cancel()
	t.ctx = context.WithoutCancel(t.ctx)
	err := setter.SetPassword(ctx, t.user, next, directory.SetOptions{})
	var refused *directory.PolicyError
	switch {
	case errors.As(err, &refused):
		t.flow.Problem = templates.Problem{Field: "new", Key: "problem.directory_" + string(refused.Reason)}
		return t.withdraw(nil)
	case errors.Is(err, directory.ErrNotAllowed):
		t.flow.Dead = true
		return t.withdraw(func(tx store.Tx) error {
			return t.Journal.Record(tx, t.event(audit.ResetRefused, map[string]string{"reason": "directory"}))
		})
	case err != nil && errors.Is(err, directory.ErrUnavailable) && !errors.Is(err, directory.ErrOutcomeUnknown):
		if err := t.withdraw(nil); err != nil {
			return err
		}
		return err
	case err != nil:
		// It may have happened: everything ends as if it had, and the mail says so.
		if err := t.settle(t.ctx, user, flow); err != nil {
			return err
		}
		return fmt.Errorf("set password: %w: %w", directory.ErrOutcomeUnknown, err)
	}
	if u, ok := directory.As[directory.Unlocker](t.Directory); ok && t.user.State.Has(directory.TempLocked) {
		if err := u.Unlock(ctx, t.user); err != nil {
			t.Logger.Warn("unlock after reset", "tenant", t.Store.Name(), "error", err)
		}
	}
	t.flow.Renewed, t.flow.Done, t.flow.hidden = true, true, hidden{}
	return t.conclude(func(tx store.Tx) error {
		if err := t.Guard.Lift(tx, string(user), guard.SignIn, guard.Reset); err != nil {
			return err
		}
		if err := t.tell(tx, "password_reset", func(l templates.Letter) templates.Mail { return templates.PasswordReset{Letter: l} }); err != nil {
			return err
		}
		if err := t.tellAdministrators(tx); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.ResetDone, nil))
	}, nil)
}

// intend notes that the flow is about to set the password, where policy, asked once more in the transaction, still leads there.
func (t *turn) intend(tx store.Tx) error {
	if _, err := t.current(tx); err != nil {
		return err
	}
	if err := t.Accounts.Intend(tx, t.flow.User, t.flow.ID); err != nil {
		return err
	}
	seen := *t
	if err := seen.load(tx); err != nil {
		return err
	}
	if seen.decide(); seen.step != NewPassword {
		return errAgain
	}
	return nil
}

// unsent ends an intent of which nobody knows whether it was committed: the directory has not been asked to write anything.
func (t *turn) unsent(err error) error {
	if errors.Is(err, store.ErrUnknown) {
		_ = t.withdraw(nil) // when this fails too, it is settled as any other that nobody waits for
	}
	return err
}

// change replaces a password its owner knows: at sign-in when it is due, or on the security-info page.
// Every other session ends; a manage flow's own goes on under a new cookie.
func (t *turn) change(old, next string) error {
	changer, ok := directory.As[directory.PasswordChanger](t.Directory)
	if !ok || t.flow.Decoy || t.user.ID != t.flow.User {
		return errForeign
	}
	trial, _, err := t.signInTrial(old)
	if err != nil {
		return err
	}
	attempt, err := t.Guard.Try(t.ctx, trial)
	if err != nil {
		return t.throttled(err, "old")
	}
	flow, user := t.flow.ID, t.flow.User
	detail := map[string]string{"kind": string(identity.Password), "purpose": "change"}
	err = t.commit(func(tx store.Tx) error {
		if t.flow.Kind == Manage {
			s, err := t.Sessions.Current(tx, t.r)
			if errors.Is(err, session.ErrNone) || err == nil && s.Key != t.flow.Session {
				return errForeign
			}
			if err != nil {
				return err
			}
		}
		return t.intend(tx)
	})
	if err != nil {
		return t.uncompared(attempt, t.unsent(err), detail)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), setTimeout)
	defer cancel()
	t.ctx = context.WithoutCancel(t.ctx)
	err = changer.ChangePassword(ctx, t.user, old, next)
	var refused *directory.PolicyError
	switch {
	case errors.Is(err, directory.ErrWrongPassword):
		counted := attempt.Wrong(t.ctx) // whatever comes of it, the intent must go
		t.flow.Problem = templates.Problem{Field: "old", Key: "problem.wrong_current"}
		err := t.withdraw(func(tx store.Tx) error { return t.Journal.Record(tx, t.event(audit.ProofWrong, detail)) })
		if errors.Is(err, store.ErrChanged) { // somebody has settled the intent
			err = errors.Join(err, t.journalled(audit.ProofWrong, detail))
		}
		return errors.Join(counted, err)
	case errors.As(err, &refused):
		_ = attempt.GiveBack(t.ctx)
		t.flow.Problem = templates.Problem{Field: "new", Key: "problem.directory_" + string(refused.Reason)}
		return t.withdraw(nil)
	case err != nil && (errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrNotAllowed)) && !errors.Is(err, directory.ErrOutcomeUnknown):
		_ = attempt.GiveBack(t.ctx)
		if err := t.withdraw(nil); err != nil {
			return err
		}
		return fmt.Errorf("change password: %w: %w", directory.ErrUnavailable, err)
	case err != nil:
		if err := t.settle(t.ctx, user, flow); err != nil {
			return err
		}
		return fmt.Errorf("change password: %w: %w", directory.ErrOutcomeUnknown, err)
	}
	t.flow.Renewed, t.flow.Due, t.flow.Done = true, false, t.flow.Kind == Manage
	t.user.State &^= directory.Expired | directory.MustChange
	own := t.session
	err = t.conclude(func(tx store.Tx) error {
		if err := attempt.Right(tx); err != nil {
			return err
		}
		if err := t.tell(tx, "password_changed", func(l templates.Letter) templates.Mail { return templates.PasswordChanged{Letter: l} }); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.PasswordChanged, nil))
	}, func(tx store.Tx) error {
		if t.flow.Kind == Manage {
			return t.continueSession(tx, own)
		}
		t.flow.Session = "" // it has ended with all others, and the sign-in that went on from it begins the next
		seen := *t
		if err := seen.load(tx); err != nil {
			return err
		}
		if seen.decide(); seen.step == Finish {
			return t.enter(tx)
		}
		return nil // something else is due
	})
	attempt.Undone(t.ctx, err)
	return err
}

// continueSession gives this browser a session of the new epoch after all of the user's ended.
func (t *turn) continueSession(tx store.Tx, own session.Session) error {
	now, err := t.Accounts.Load(tx, t.flow.User)
	if err != nil {
		return err
	}
	own.Epoch, own.Proofs, own.AMR = now.Epoch, t.flow.Proofs, t.amr(t.flow.Proofs)
	cookie, _, err := t.Sessions.Begin(tx, own, "")
	if err != nil {
		return err
	}
	t.cookies = append(t.cookies, cookie)
	return nil
}
