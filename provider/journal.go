package provider

import (
	"net/http"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

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
