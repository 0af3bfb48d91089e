package provider

import (
	"errors"
	"net/http"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// revoke ends a token for the client it was issued to (RFC 7009): an access token alone, a refresh token with all of its grant.
// One that was rotated already names its grant as well, and ends it. token_type_hint says nothing we need. A token that is unknown, or ended already, is ended (§2.2).
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	form, c, err := p.called(r)
	if err == nil && form.Get("token") == "" {
		err = invalidRequest("token is missing")
	}
	if err == nil {
		err = p.end(r, form.Get("token"), c)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	web.NoStore(w)
	w.WriteHeader(http.StatusOK)
}

func (p *Provider) end(r *http.Request, token string, c *client) error {
	var g store.Record[grant]
	key, whole := secret.Digest(token), false
	err := p.d.Store.Read(r.Context(), func(tx store.Tx) error {
		a, err := p.access.Get(tx, key)
		switch {
		case err == nil:
			g, err = p.grants.Get(tx, a.Value.Grant)
		case errors.Is(err, store.ErrNotFound) && len(token) == 2*keyLength && unreserved(token):
			whole = true
			g, err = p.grants.Get(tx, token[:keyLength])
		}
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case g.Value.Client != c.ID:
		return invalidGrant("this token is another client's") // §2.1
	case whole:
		return p.kill(r, g, audit.GrantRevoked)
	}
	return p.d.Store.Write(r.Context(), func(tx store.Tx) error { return p.access.Drop(tx, key) })
}
