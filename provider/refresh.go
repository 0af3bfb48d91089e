package provider

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// errReused says that a refresh token was good before.
var errReused = errors.New("used before")

// refresh rotates a refresh token (RFC 6749 §6, RFC 9700 §4.14.2). What can be asked of others is asked before; what the token does is decided
// in the transaction that does it, since the same token may come twice at one moment.
func (p *Provider) refresh(r *http.Request, form url.Values, c *client) (issued, error) {
	token := form.Get("refresh_token")
	if token == "" {
		return issued{}, invalidRequest("refresh_token is missing")
	}
	unknown := invalidGrant("unknown or expired refresh token")
	key, ours := p.keyOfRefresh(token)
	if !ours {
		return issued{}, unknown
	}
	t := issued{at: p.d.Now(), access: key + secret.Token()}
	var read store.Record[grant]
	user, err := p.recheck(r.Context(), c, func(tx store.Tx) (a identity.Authentication, err error) {
		if read, err = p.grants.Get(tx, key); err != nil {
			return a, err
		}
		g := &read.Value
		switch {
		case g.Client != c.ID:
			return a, unknown
		case judgeRefresh(g, token, c, t.at) == reuse:
			return a, errReused
		case !c.outlives(), !t.at.Before(p.refreshable(g)):
			return a, unknown
		}
		t.scopes, err = narrow(c.kept(g.Scopes), form.Get("scope"))
		return g.authentication(), err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return issued{}, unknown
	case err != nil && !errors.Is(err, errReused): // the transaction below ends the family
		return issued{}, err
	}
	t.user = user
	did, fresh := reuse, p.newRefresh(key)
	sealed := p.successors.Seal(key, []byte(fresh))
	err = p.d.Store.Write(r.Context(), func(tx store.Tx) (err error) {
		held := read
		for {
			now := held.Value // its slices are replaced, not changed
			if did = judgeRefresh(&now, token, c, t.at); did == reuse {
				return p.kill(tx, r, held, audit.FamilyKilled)
			}
			if did == rotate {
				now.Before, now.Refresh, now.Rotated, now.Sealed = now.Refresh, secret.Digest(fresh), t.at, sealed
			}
			if c.RefreshGrace == 0 {
				now.Before, now.Sealed = "", nil
			}
			now.admit(t.access, t.scopes, t.at, t.at.Add(p.c.Access))
			held.Value, held.Until = now, p.until(&now)
			t.grant = held
			if err = p.grants.Save(tx, &held); !errors.Is(err, store.ErrChanged) {
				return err
			}
			if held, err = p.grants.Get(tx, key); err != nil {
				return err
			}
		}
	})
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && did == reuse: // the family is dead, or has just died
		return issued{}, unknown
	case errors.Is(err, store.ErrUnknown) && p.committed(r.Context(), &t):
	case err != nil:
		return issued{}, err
	}
	if t.refresh = fresh; did == again {
		successor, err := p.successors.Open(key, t.grant.Value.Sealed)
		if err != nil {
			return issued{}, err
		}
		t.refresh = string(successor)
	}
	return t, nil
}

// use is what a refresh token does at this moment.
type use int

const (
	reuse  use = iota // it was good before: two hold the family, so it dies
	again             // it was good until a moment ago, and the client has a grace: the same successor, never a second
	rotate            // it is the one
)

func judgeRefresh(g *grant, token string, c *client, now time.Time) use {
	digest := secret.Digest(token)
	switch {
	case secret.Equal(digest, g.Refresh):
		return rotate
	case c.RefreshGrace > 0 && secret.Equal(digest, g.Before) && now.Before(g.Rotated.Add(c.RefreshGrace)):
		return again
	}
	return reuse
}

// narrow gives the scopes of one access token: those granted that the client has still, or fewer. The grant keeps its own.
func narrow(granted []string, asked string) ([]string, error) {
	if asked == "" {
		return granted, nil
	}
	var fewer []string
	for _, s := range strings.Fields(asked) {
		if !slices.Contains(granted, s) {
			return nil, &failure{http.StatusBadRequest, string(oidc.InvalidScope), "a scope goes beyond what was granted"}
		}
		if !slices.Contains(fewer, s) {
			fewer = append(fewer, s)
		}
	}
	return fewer, nil
}
