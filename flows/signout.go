package flows

import (
	"net/http"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
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
		if err != nil {
			return nil // there is none to end
		}
		if err := t.Sessions.End(tx, s.Key); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.SessionEnded, nil))
	})
	if err == nil {
		t.Sessions.Expire(t.w)
	}
	return err
}

func (f *Flows) signedOut(w http.ResponseWriter, r *http.Request) {
	f.render(w, r, templates.SignedOut{Frame: f.frame(r, f.bind(w, r)), SignIn: f.Prefix + "/security-info"}, http.StatusOK)
}
