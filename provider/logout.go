package provider

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// departure is where a browser goes once its session has ended; parked while the end-user is asked whether it shall.
type departure struct {
	Redirect string `json:"redirect,omitempty"` // registered by the client; empty: our own page
	State    string `json:"state,omitempty"`
}

// departing are the parameters that mean something to logout.
var departing = map[string]bool{"id_token_hint": true, "client_id": true, "post_logout_redirect_uri": true, "state": true}

// logout ends the browser's session (OpenID Connect RP-Initiated Logout). With an ID token of the end-user who is signed in, and an address
// its client registered, or none, it does so at once. Anything else only asks her, on a page; a hint or an address that is not right is
// never redirected to. Access tokens end with the session, those for offline access do not.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) {
	v, ok := p.values(w, r)
	if !ok {
		return
	}
	token, clientID, to := one(v, "id_token_hint"), one(v, "client_id"), one(v, "post_logout_redirect_uri")
	target := departure{State: one(v, "state")}
	h, hinted := hint{}, false
	if token != "" {
		if h, hinted = p.readHint(r.Context(), token, clientID); hinted && clientID == "" {
			clientID = h.Audience[0]
		}
	}
	c := p.clients[clientID]
	registered := c != nil && c.leavesTo(to) && len(target.State) <= longest
	if registered && (hinted || token == "") {
		target.Redirect = to
	}
	if r.Method == http.MethodPost {
		p.park(w, r, v, departing)
		return
	}
	s, err := p.current(r)
	if err != nil && !errors.Is(err, session.ErrNone) {
		p.broken(w, r, err)
		return
	}
	sure := hinted && c != nil && (registered || !v.Has("post_logout_redirect_uri"))
	switch {
	case err != nil && sure:
		p.d.Sessions.Expire(w)
		p.depart(w, target)
	case err != nil:
		p.depart(w, departure{})
	case sure && h.Subject == s.Subject:
		if err := p.endSession(r, s, clientID); err != nil {
			p.broken(w, r, err)
			return
		}
		p.d.Sessions.Expire(w)
		p.depart(w, target)
	default:
		p.askToLeave(w, r, c, target)
	}
}

func (p *Provider) endSession(r *http.Request, s session.Session, client string) error {
	return p.d.Store.Write(r.Context(), func(tx store.Tx) error {
		if err := p.d.Sessions.End(tx, s.Key); err != nil {
			return err
		}
		if err := p.d.Interaction.Left(tx, r, s.User); err != nil {
			return err
		}
		return p.d.Journal.Record(tx, audit.Event{Name: audit.SignOut, User: s.User, Client: client, Network: web.Network(r), Detail: map[string]string{"session": s.ID}})
	})
}

// askToLeave has the other wing ask.
func (p *Provider) askToLeave(w http.ResponseWriter, r *http.Request, c *client, target departure) {
	id := secret.ID()
	ask := identity.SignInRequest{SignOut: true, Return: leavePath + "?request=" + id, Context: id}
	if c != nil {
		ask.Client, ask.ClientName = c.ID, c.Name
	}
	if target.Redirect != "" {
		ask.Origin = originOf(target.Redirect)
	}
	to, err := p.d.Interaction.Begin(w, r, ask, func(tx store.Tx) error {
		return p.logouts.Add(tx, id, "", tx.Now().Add(requestFor), target)
	})
	if err != nil {
		p.broken(w, r, err)
		return
	}
	seeOther(w, to)
}

// leave is where the browser comes when the end-user has said yes: the other wing has ended the session.
func (p *Provider) leave(w http.ResponseWriter, r *http.Request) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	id, flow := one(v, "request"), one(v, "flow")
	if err != nil || id == "" || flow == "" {
		p.page(w, r, "bad_request", http.StatusBadRequest)
		return
	}
	var target store.Record[departure]
	err = p.d.Store.Write(r.Context(), func(tx store.Tx) error {
		a, err := p.d.Interaction.Outcome(tx, r, flow)
		if err == nil && (a.Request.Context != id || !a.Request.SignOut) {
			err = store.ErrNotFound
		}
		if err == nil {
			err = p.d.Interaction.Over(tx, flow)
		}
		if err == nil {
			target, err = p.logouts.Take(tx, id)
		}
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		p.page(w, r, "expired", http.StatusBadRequest)
	case err != nil:
		p.broken(w, r, err)
	default:
		p.depart(w, target.Value)
	}
}

// depart sends the browser where it goes after the end of a session.
func (p *Provider) depart(w http.ResponseWriter, to departure) {
	if to.Redirect == "" {
		seeOther(w, p.path+signedOutPath)
		return
	}
	address := to.Redirect
	if to.State != "" {
		sep := "?"
		if strings.Contains(address, "?") {
			sep = "&"
		}
		address += sep + "state=" + url.QueryEscape(to.State)
	}
	seeOther(w, address)
}
