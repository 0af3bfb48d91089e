package provider

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// code is what an authorization code stands for: a grant that begins when it is redeemed.
// It lies on its shelf under its digest for Config.Code, and is taken once.
type code struct {
	Grant     grant  `json:"grant"`
	Redirect  string `json:"redirect"`
	Challenge string `json:"challenge,omitempty"`
	Nonce     string `json:"nonce,omitempty"`
}

// grant is what one end-user lets one client do, from one code. Its key is the digest of that code, so that a code which comes
// a second time finds what the first one began, for as long as that lives. It is the family of its refresh tokens as well:
// of those only the digest of the one that is good now is kept.
type grant struct {
	Client  string           `json:"client"`
	User    string           `json:"user"`
	Subject string           `json:"subject"`
	Epoch   int64            `json:"epoch"`
	Session string           `json:"session"` // the public id, sid
	At      time.Time        `json:"at"`      // auth_time; the absolute limit of refreshing counts from here
	Proofs  []identity.Proof `json:"proofs,omitempty"`
	AMR     []string         `json:"amr,omitempty"`
	Scopes  []string         `json:"scopes"`
	Wants   wants            `json:"wants,omitzero"`
	Offline bool             `json:"offline,omitempty"` // it outlives the session, and has a refresh token

	Refresh string    `json:"refresh,omitempty"` // digest of the refresh token that is good now
	Before  string    `json:"before,omitempty"`  // digest of the one before it; for a client with a grace
	Rotated time.Time `json:"rotated,omitzero"`
	Sealed  []byte    `json:"sealed,omitempty"` // the one that is good now, sealed; for a client with a grace
}

// access is an access token, on its shelf under its digest. It counts as long as its grant lives.
type access struct {
	Grant  string   `json:"grant"`
	Scopes []string `json:"scopes"` // those of the grant, or fewer
}

// authentication is what the grant rests on.
func (g *grant) authentication() identity.Authentication {
	return identity.Authentication{Session: g.Session, User: g.User, Subject: g.Subject, Epoch: g.Epoch, At: g.At, Proofs: g.Proofs, AMR: g.AMR}
}

// addCode commits a new code and gives its value. The parked request is used up in the same transaction; store.ErrNotFound when somebody was
// first. session.ErrNone when the session has ended.
func (p *Provider) addCode(ctx context.Context, q *request, c *client, a identity.Authentication, s session.Session, parked string) (string, error) {
	value := secret.Token()
	record := code{Redirect: q.Redirect, Challenge: q.Challenge, Nonce: q.Nonce, Grant: grant{
		Client: c.ID, User: a.User, Subject: a.Subject, Epoch: a.Epoch, Session: a.Session, At: a.At, Proofs: a.Proofs, AMR: a.AMR,
		Scopes: q.Scopes, Wants: q.Wants,
		Offline: slices.Contains(q.Scopes, "offline_access") && slices.Contains(c.Grants, "refresh_token"),
	}}
	err := p.d.Store.Write(ctx, func(tx store.Tx) error {
		if parked != "" {
			if _, err := p.requests.Take(tx, parked); err != nil {
				return err
			}
		}
		if !slices.Contains(s.Clients, c.ID) {
			if err := p.d.Sessions.Signed(tx, s, c.ID); err != nil {
				return err
			}
		}
		return p.codes.Add(tx, secret.Digest(value), a.User, tx.Now().Add(p.c.Code), record)
	})
	return value, err
}

// foreign journals that a flow's return came from a browser, or for a request, that is not the flow's.
func (p *Provider) foreign(r *http.Request, c *client, flow string) {
	p.note(r, audit.Event{Name: audit.Foreign, Actor: "system", Flow: flow[:min(len(flow), 64)], Client: c.ID})
}

// refused journals that an end-user is not among those whom the client is for.
func (p *Provider) refused(r *http.Request, c *client, a identity.Authentication) {
	p.note(r, audit.Event{Name: audit.SignInRefused, User: a.User, Client: c.ID, Detail: map[string]string{"reason": "client_groups"}})
}

// note journals an event that changes nothing else. The answer does not depend on it.
func (p *Provider) note(r *http.Request, e audit.Event) {
	e.Network = web.Network(r)
	err := p.d.Store.Write(r.Context(), func(tx store.Tx) error { return p.d.Journal.Record(tx, e) })
	if err != nil {
		p.log(r, err)
	}
}
