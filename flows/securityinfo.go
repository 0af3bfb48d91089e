package flows

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
	"github.com/sparekey-id/sparekey/templates"
)

// visit is one request of somebody signed in to the security-info page.
type visit struct {
	session session.Session
	user    directory.User
	turn    *turn // her facts, without a flow
}

// errSignIn says that nobody is signed in, or that what is due at sign-in comes first.
var errSignIn = errors.New("sign in first")

// signedIn is the browser's session and what it counts for; session.ErrNone: it has none.
func (f *Flows) signedIn(r *http.Request) (s session.Session, _ identity.Standing, _ error) {
	_, standing, err := f.Standing(r.Context(), func(tx store.Tx) (_ identity.Authentication, err error) {
		s, err = f.Sessions.Current(tx, r)
		return identity.Authentication{User: s.User, Epoch: s.Epoch, At: s.At, Proofs: s.Proofs}, err
	})
	return s, standing, err
}

// visitor finds out who is signed in in this browser, by the same rules by which tokens are made.
func (f *Flows) visitor(w http.ResponseWriter, r *http.Request) (*visit, error) {
	s, standing, err := f.signedIn(r)
	switch {
	case errors.Is(err, session.ErrNone):
		return nil, errSignIn
	case err != nil:
		return nil, err
	case standing != identity.Good:
		return nil, f.whyNot(r.Context(), s)
	}
	v := &visit{session: s}
	flow := &Flow{Kind: Manage, User: directory.UserID(s.User), Login: s.Login, Named: true, Session: s.Key, Proofs: s.Proofs, Epoch: s.Epoch, Lang: f.language(r), Browser: f.browser(r)}
	v.turn = &turn{Flows: f, w: w, r: r, ctx: r.Context(), flow: flow}
	if err := v.turn.situate(); err != nil {
		return nil, err
	}
	v.user = v.turn.user
	return v, nil
}

// whyNot says what to do about a session that does not count now: wait while a password is being set, or sign in.
func (f *Flows) whyNot(ctx context.Context, s session.Session) error {
	return f.Store.Read(ctx, func(tx store.Tx) error {
		acc, err := f.Accounts.Load(tx, directory.UserID(s.User))
		switch {
		case err != nil:
			return err
		case acc.Intent != "" && acc.Epoch == s.Epoch:
			return errBusy
		}
		return errSignIn
	})
}

func (f *Flows) signInFirst(w http.ResponseWriter, r *http.Request) {
	to, err := f.Begin(w, r, identity.SignInRequest{Return: "/security-info"}, nil)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (f *Flows) securityInfo(w http.ResponseWriter, r *http.Request) {
	v, err := f.visitor(w, r)
	if errors.Is(err, errSignIn) {
		f.signInFirst(w, r)
		return
	}
	if err != nil {
		f.fail(w, r, err)
		return
	}
	t := v.turn
	page := templates.SecurityInfo{Frame: f.frame(r, f.bind(w, r)), Name: v.user.Name, Login: v.user.Login, HasPassword: f.can().change,
		PasswordChangedAt: v.user.PasswordChangedAt, Methods: t.rows(), Frozen: t.decision.Refuse == policy.Frozen, Thawing: t.decision.Refuse == "" && t.Now().Before(t.account.FrozenUntil),
		Addable: len(t.addable()) > 0}
	page.Who = v.user.Login
	page.Notice = noticeOf(r)
	err = f.Store.Read(r.Context(), func(tx store.Tx) error {
		list, err := f.Sessions.List(tx, v.session.User)
		if err != nil {
			return err
		}
		for _, s := range list {
			page.Devices = append(page.Devices, templates.Device{ID: s.ID, Agent: s.Agent, Network: s.Network, Seen: s.Seen, This: s.ID == v.session.ID})
		}
		recent, err := f.Journal.Recent(tx, v.session.User, 8)
		for _, e := range recent {
			page.Activity = append(page.Activity, templates.Activity{At: e.At, Event: e.Event, Network: e.Network})
		}
		return err
	})
	if err != nil {
		f.fail(w, r, err)
		return
	}
	f.render(w, r, page, http.StatusOK)
}

// noticeOf is what the flow the browser comes from has done: the word is one of ours or it is nothing.
func noticeOf(r *http.Request) string {
	n := r.URL.Query().Get("done")
	if n == "signed_out" {
		return n
	}
	for _, said := range doneBy {
		if n == said {
			return n
		}
	}
	return ""
}

// securityInfoPost starts a change as a flow of its own, or ends sessions at once.
func (f *Flows) securityInfoPost(w http.ResponseWriter, r *http.Request) {
	form, err := web.Form(r)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	browser := f.browser(r)
	if browser == "" || !secret.Equal(form.Get("csrf"), f.csrf(browser)) {
		f.Oops(w, r, "foreign", http.StatusForbidden)
		return
	}
	v, err := f.visitor(w, r)
	if errors.Is(err, errSignIn) {
		http.Redirect(w, r, f.Prefix+"/security-info", http.StatusSeeOther)
		return
	}
	if err != nil {
		f.fail(w, r, err)
		return
	}
	switch do := form.Get("action"); do {
	case "add", "change", "delete", "default", "password":
		to, err := f.task(w, r, v, Task{Do: do, ID: form.Get("id")})
		if err != nil {
			f.fail(w, r, err)
			return
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	case "sign_out_everywhere", "sign_out":
		here, err := f.endSessions(r.Context(), r, v, do, form.Get("id"))
		if err != nil {
			f.fail(w, r, err)
			return
		}
		if here {
			f.Sessions.Expire(w)
			http.Redirect(w, r, f.Prefix+"/signed-out", http.StatusSeeOther)
			return
		}
		http.Redirect(w, r, f.Prefix+"/security-info?done=signed_out", http.StatusSeeOther)
	default:
		http.Redirect(w, r, f.Prefix+"/security-info", http.StatusSeeOther)
	}
}

// task begins the flow of a change. An authenticator that is not hers is not found, and one that is suspended can only be deleted.
func (f *Flows) task(w http.ResponseWriter, r *http.Request, v *visit, t Task) (string, error) {
	switch t.Do {
	case "change", "delete", "default":
		if a, ok := v.turn.holds(t.ID); !ok || a.Suspended && t.Do != "delete" {
			return "", store.ErrNotFound
		}
	case "add":
		t.ID = ""
		if len(v.turn.addable()) == 0 {
			return "", store.ErrNotFound
		}
	}
	x := *v.turn.flow
	x.Task = t
	id, err := f.begin(w, r, &x, nil)
	if err != nil {
		return "", err
	}
	n, err := f.open(w, r, id)
	if err != nil {
		return "", err
	}
	n.form = map[string][]string{}
	if err := n.advance(nil); err != nil {
		return "", err
	}
	return n.where(), nil
}

func (t *turn) holds(id string) (identity.Authenticator, bool) {
	for _, a := range t.held {
		if a.ID == id {
			return a, true
		}
	}
	return identity.Authenticator{}, false
}

// endSessions signs out here, elsewhere or everywhere. It takes no proof: ending is always safe.
func (f *Flows) endSessions(ctx context.Context, r *http.Request, v *visit, do, id string) (here bool, err error) {
	err = f.Store.Write(ctx, func(tx store.Tx) error {
		name := audit.SessionEnded
		if do == "sign_out_everywhere" {
			here, name = true, audit.SessionsEnded
			if err := f.Accounts.End(tx, v.user.ID); err != nil {
				return err
			}
		} else {
			s, err := f.Sessions.Find(tx, id, v.session.User)
			if errors.Is(err, session.ErrNone) {
				return store.ErrNotFound
			}
			if err != nil {
				return err
			}
			here = s.ID == v.session.ID
			if err := f.Sessions.End(tx, s.Key); err != nil {
				return err
			}
			if here {
				if err := f.Left(tx, r, v.session.User); err != nil {
					return err
				}
			}
		}
		return f.Journal.Record(tx, audit.Event{Name: name, User: v.session.User, Network: web.Network(r)})
	})
	if err != nil {
		return false, fmt.Errorf("end sessions: %w", err)
	}
	return here, nil
}
