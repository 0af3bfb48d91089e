package provider

import (
	"errors"
	"net/http"
	"slices"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// revoke ends a token for the client it was issued to (RFC 7009): an access token alone, a refresh token, even one that was rotated already,
// with all of its grant. token_type_hint says nothing we need. A token that is unknown, or over, is ended (§2.2).
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
	key, whole := p.keyOfRefresh(token)
	if !whole {
		var ok bool
		if key, ok = keyOfAccess(token); !ok {
			return nil
		}
	}
	g, err := p.grant(r.Context(), key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, living := g.Value.holds(token, p.d.Now()); !whole && !living {
		return nil
	}
	if g.Value.Client != c.ID {
		return invalidGrant("this token is another client's") // §2.1
	}
	return p.d.Store.Write(r.Context(), func(tx store.Tx) error {
		if whole {
			return p.kill(tx, r, g, audit.GrantRevoked)
		}
		for held := g; ; {
			digest := secret.Digest(token)
			held.Value.Access = slices.DeleteFunc(slices.Clone(held.Value.Access), func(a access) bool { return a.Digest == digest })
			err := p.grants.Save(tx, &held)
			if !errors.Is(err, store.ErrChanged) {
				return err
			}
			if held, err = p.grants.Get(tx, key); errors.Is(err, store.ErrNotFound) { // it has ended meanwhile
				return nil
			} else if err != nil {
				return err
			}
		}
	})
}
