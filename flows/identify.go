package flows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

func (t *turn) showIdentify() (templates.Page, error) {
	if t.flow.Kind == Reset {
		captcha, err := t.captcha()
		if err != nil {
			return nil, err
		}
		back := t.Prefix + "/security-info"
		if t.flow.Parent != "" {
			back = t.Prefix + "/flow/" + t.flow.Parent
		}
		return templates.ResetName{Frame: t.frame(), Login: t.flow.Login, Captcha: captcha, Back: back}, nil
	}
	if t.flow.Session != "" && t.flow.Request.Choose {
		return templates.Account{Frame: t.frame(), Login: t.flow.Login, Name: t.user.Name, Client: t.flow.Request.ClientName}, nil
	}
	return templates.SignInName{Frame: t.frame(), Login: t.flow.Login, Client: t.flow.Request.ClientName, Reset: t.resetAddress()}, nil
}

// resetAddress is where "Can’t access your account?" leads: nowhere when the directory cannot set a password.
func (t *turn) resetAddress() string {
	if !t.can().set {
		return ""
	}
	return t.Prefix + "/reset?from=" + t.flow.ID
}

func (t *turn) captcha() (*templates.Captcha, error) {
	var c templates.Captcha
	err := t.Store.Read(t.ctx, func(tx store.Tx) (err error) {
		if t.flow.Ticket != "" {
			c, err = t.Guard.Again(tx, t.flow.ID, t.flow.Ticket) // the waiting goes on where it was
			return err
		}
		c, err = t.Guard.Offer(tx, t.flow.ID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("offer puzzle: %w", err)
	}
	if c.Kind == "none" || c.Kind == "" {
		return nil, nil
	}
	return &c, nil
}

func (t *turn) actIdentify() error {
	if t.flow.Session != "" && t.flow.Request.Choose {
		switch t.action() {
		case "next":
			t.flow.Named, t.flow.Request.Choose = true, false
			return t.advance(nil)
		case "other":
			t.forgetUser()
			return t.commit(nil)
		}
		return errAgain
	}
	if _, sent := t.form["username"]; !sent {
		return errAgain
	}
	login := strings.TrimSpace(t.field("username"))
	if t.flow.Login = login; login == "" || utf8.RuneCountInString(login) > 256 {
		t.flow.Login = ""
		return t.problem("username", "name_missing")
	}
	if t.flow.Kind == Reset {
		// The ticket is spent before anything is looked up; a wrong answer spends it too.
		if err := t.Guard.Redeem(t.ctx, t.flow.ID, t.network(), t.form); err != nil {
			return t.puzzleProblem(err)
		}
		t.flow.Ticket = ""
	}
	ctx, cancel := context.WithTimeout(t.ctx, askTimeout)
	defer cancel()
	user, err := t.Directory.Find(ctx, login)
	switch {
	case errors.Is(err, directory.ErrNotFound), errors.Is(err, directory.ErrAmbiguous):
		t.flow.Decoy = true
	case err != nil:
		return fmt.Errorf("find user: %w", err)
	default:
		t.flow.User, t.user = user.ID, user
	}
	t.flow.Named = true
	if t.flow.Kind == Reset || t.flow.Request.Subject != "" {
		if err := t.Store.Read(t.ctx, t.load); err != nil {
			return err
		}
	}
	if t.flow.Kind == Reset {
		return t.enterReset()
	}
	if t.flow.Request.Subject != "" && t.account.Subject != t.flow.Request.Subject && !t.flow.Decoy {
		// id_token_hint names somebody else: she may not answer this request.
		t.flow.Decoy, t.flow.User = true, ""
	}
	return t.commit(nil)
}

// forgetUser brings a sign-in back to its first question.
func (t *turn) forgetUser() {
	f := t.flow
	f.Named, f.Login, f.User, f.Decoy, f.Session, f.Proofs, f.Epoch, f.Due = false, "", "", false, "", nil, 0, false
	f.Dead, f.Told, f.Refused = false, false, ""
	f.Introduced, f.Skipped, f.Registered, f.Renewed, f.hidden = false, false, false, false, hidden{}
	f.Request.Choose = false
}

func (t *turn) puzzleProblem(err error) error {
	var soon *guard.TooSoonError
	switch {
	case errors.As(err, &soon):
		t.flow.Ticket = t.field("captcha_id")
		return t.problemUntil("captcha", "captcha_soon", soon.Until)
	case errors.Is(err, guard.ErrCaptcha):
		t.flow.Ticket = ""
		t.flow.Problem = templates.Problem{Field: "captcha", Key: "problem.captcha"}
		return t.journalled(audit.CaptchaWrong, map[string]string{"step": string(t.step)})
	}
	return err
}
