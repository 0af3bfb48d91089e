package flows

import (
	"errors"
	"net/http"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

func (t *turn) showSignOut() (templates.Page, error) {
	return templates.SignOut{Frame: t.frame(), Login: t.flow.Login, Client: t.flow.Request.ClientName}, nil
}

func (t *turn) actSignOut() error {
	switch t.action() {
	case "sign_out":
	case "back":
		t.flow.Done = true
		t.flow.Kind = Manage // nothing was asked for: back to one's own page
		return t.commit(nil)
	default:
		return errAgain
	}
	t.flow.Done = true
	t.flow.Outcome = &identity.Authentication{User: string(t.flow.User), Request: t.flow.Request}
	err := t.commit(func(tx store.Tx) error {
		s, err := t.Sessions.Current(tx, t.r)
		if errors.Is(err, session.ErrNone) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.Sessions.End(tx, s.Key); err != nil {
			return err
		}
		if err := t.endUnderWay(tx, t.flow.Browser, s.User, t.flow.ID); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.SessionEnded, nil))
	})
	if err == nil {
		t.Sessions.Expire(t.w)
	}
	return err
}

// Left ends what the user has under way in this browser, which she leaves by signing out: what she has proven there is nothing for
// whoever sits down next (SECURITY A58).
func (f *Flows) Left(tx store.Tx, r *http.Request, user string) error {
	return f.endUnderWay(tx, f.browser(r), user, "")
}

// endUnderWay is Left, but for one flow.
func (f *Flows) endUnderWay(tx store.Tx, browser, user, but string) error {
	all, err := f.shelf.Owned(tx, user)
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.Value.Browser != browser || one.Key == but {
			continue
		}
		if err := f.shelf.Drop(tx, one.Key); err != nil {
			return err
		}
	}
	return nil
}

func (f *Flows) signedOut(w http.ResponseWriter, r *http.Request) {
	f.render(w, r, templates.SignedOut{Frame: f.frame(r, f.bind(w, r)), SignIn: f.Prefix + "/security-info"}, http.StatusOK)
}
