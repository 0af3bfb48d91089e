package flows

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
	"github.com/sparekey-id/sparekey/templates"
)

func (t *turn) showPassword() (templates.Page, error) {
	page := templates.SignInPassword{Frame: t.proving(), Login: t.flow.Login, Client: t.flow.Request.ClientName, Reset: t.resetAddress()}
	_, puzzle, err := t.signInTrial("")
	if err != nil {
		return nil, err
	}
	if puzzle {
		if page.Captcha, err = t.captcha(); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// signInTrial is an attempt at a password, and whether a puzzle comes before it.
func (t *turn) signInTrial(password string) (trial guard.Trial, puzzle bool, err error) {
	trial = guard.Trial{For: guard.SignIn, User: t.who(), Network: t.network(), Password: password}
	err = t.Store.Read(t.ctx, func(tx store.Tx) (err error) {
		trial.Known = t.knownIn(tx)
		puzzle, err = t.Guard.NeedsPuzzle(tx, trial)
		return err
	})
	return trial, puzzle, err
}

// known reports whether this browser has signed this user in before: strangers' failures do not count against it.
func (t *turn) known() (yes bool) {
	_ = t.Store.Read(t.ctx, func(tx store.Tx) error {
		yes = t.knownIn(tx)
		return nil
	})
	return yes
}

func (t *turn) knownIn(tx store.Tx) bool {
	return t.flow.User != "" && t.Guard.KnownBrowser(tx, t.r, string(t.flow.User))
}

func (t *turn) network() string { return web.Network(t.r) }

func (t *turn) actPassword() error {
	if t.action() == "back" {
		if t.flow.Kind == Manage {
			return t.leave()
		}
		t.forgetUser()
		return t.commit(nil)
	}
	if _, sent := t.form["password"]; !sent {
		return errAgain
	}
	password := secret.Normal(t.field("password"))
	if password == "" {
		return t.problem("password", "password_missing")
	}
	trial, puzzle, err := t.signInTrial(password)
	if err != nil {
		return err
	}
	if puzzle {
		if err := t.Guard.Redeem(t.ctx, t.flow.ID, t.network(), t.form); err != nil {
			return t.puzzleProblem(err)
		}
		t.flow.Ticket = ""
	}
	attempt, err := t.Guard.Try(t.ctx, trial)
	if err != nil {
		return t.throttled(err, "password")
	}
	ctx, cancel := context.WithTimeout(t.ctx, setTimeout)
	defer cancel()
	result, err := t.Methods[identity.Password].Verify(ctx, t.claimant(""), nil, url.Values{"password": {password}})
	if err == nil && t.flow.Decoy {
		err = method.ErrRejected
	}
	detail := map[string]string{"kind": string(identity.Password)}
	switch {
	case errors.Is(err, method.ErrRejected):
		t.flow.Problem = templates.Problem{Field: "password", Key: "problem.wrong_password"}
		if t.flow.Kind == Manage {
			t.flow.Problem.Key = "problem.wrong_current" // she typed no user name
		}
		return t.missed(attempt, detail)
	case err != nil:
		return t.uncompared(attempt, fmt.Errorf("verify password: %w", err), detail)
	}
	t.flow.Due = result.Due
	unread := t.flow.unproven()
	t.proven(identity.Proof{Kind: identity.Password, At: t.Now()})
	if unread {
		if err := t.Store.Read(t.ctx, t.load); err != nil {
			attempt.Undone(t.ctx, err)
			return err
		}
	}
	t.oneMore()
	err = t.advance(func(tx store.Tx) error {
		if _, err := t.current(tx); err != nil {
			return err
		}
		if err := attempt.Right(tx); err != nil {
			return err
		}
		if err := t.renewSession(tx); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.ProofOK, detail))
	})
	attempt.Undone(t.ctx, err)
	return err
}

// throttled turns guard's refusal into words beside the field, and journals the first of each wait; any other error goes up.
func (t *turn) throttled(err error, field string) error {
	var wait *guard.WaitError
	if !errors.As(err, &wait) {
		return err
	}
	t.flow.Problem = templates.Problem{Field: field, Key: "problem.wait", Until: wait.Until}
	return t.noted(func(tx store.Tx) error {
		if first, err := t.Guard.First(tx, wait); err != nil || !first {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.Throttled, map[string]string{"scope": wait.Scope}))
	})
}

// over reports, without counting, whether a reset is blocked for now.
func (t *turn) over() error {
	if t.flow.Kind != Reset {
		return nil
	}
	trial := guard.Trial{For: "reset", User: t.who(), Known: t.known(), Network: t.network()}
	return t.Store.Read(t.ctx, func(tx store.Tx) error {
		until, _, err := t.Guard.Peek(tx, trial)
		if err == nil && t.Now().Before(until) {
			err = &guard.WaitError{Until: until, Scope: "reset"}
		}
		return err
	})
}

func (t *turn) showWait(err error) (templates.Page, error) {
	var wait *guard.WaitError
	if !errors.As(err, &wait) {
		return nil, err
	}
	t.render(templates.Wait{Frame: t.frame(), Reason: string(t.flow.Kind), Until: wait.Until, Back: t.back(), Reference: reference(t.flow.ID)}, http.StatusTooManyRequests)
	return nil, nil
}

// sent asks guard whether one more message may go out; over the limit it goes nowhere, silently.
func (t *turn) sent(tx store.Tx) (bool, error) {
	return t.Guard.Sent(tx, guard.Trial{For: t.counted(), User: t.who(), Known: t.Guard.KnownBrowser(tx, t.r, string(t.flow.User)), Network: t.network()})
}

// counted is the purpose under which guard counts this turn's codes.
func (t *turn) counted() string {
	if t.flow.Kind == Reset {
		return guard.Reset
	}
	return guard.Code
}
