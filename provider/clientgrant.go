package provider

import (
	"net/http"
	"net/url"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// grantClient gives a client an access token for itself (RFC 6749 §4.4): no end-user, no ID token and no refresh token (§4.4.3).
// Its scopes are names of the resource servers; those of OpenID Connect tell of an end-user, and there is none.
func (p *Provider) grantClient(r *http.Request, form url.Values, c *client) (issued, error) {
	scopes, err := narrow(c.own, form.Get("scope"))
	if err != nil {
		return issued{}, err
	}
	key := secret.Token()
	t := issued{at: p.d.Now(), scopes: scopes, access: key + secret.Token()}
	g := grant{Client: c.ID, Subject: c.ID, Scopes: scopes}
	g.admit(t.access, scopes, t.at, t.at.Add(p.c.Access))
	t.grant = store.Record[grant]{Key: key, Value: g, Until: p.until(&g)}
	err = p.d.Store.Write(r.Context(), func(tx store.Tx) error {
		return p.grants.Add(tx, t.grant.Key, "", t.grant.Until, t.grant.Value)
	})
	return t, err
}
