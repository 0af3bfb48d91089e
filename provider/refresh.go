package provider

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// refresh rotates a refresh token (RFC 6749 §6, RFC 9700 §4.14.2).
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
	for tries := 0; ; tries++ {
		var err error
		t.grant, err = p.grant(r.Context(), key)
		g := &t.grant.Value
		if errors.Is(err, store.ErrNotFound) || err == nil && g.Client != c.ID {
			return issued{}, unknown
		} else if err != nil {
			return issued{}, err
		}
		use := p.judgeRefresh(g, token, c)
		if use == reuse {
			return issued{}, p.killed(r, t.grant, audit.FamilyKilled, unknown)
		}
		if !t.at.Before(p.refreshable(g)) {
			return issued{}, unknown
		}
		if t.scopes, err = narrow(g.Scopes, form.Get("scope")); err != nil {
			return issued{}, err
		}
		if tries == 0 {
			if t.user, err = p.recheck(r.Context(), g, c); err != nil {
				return issued{}, err
			}
		}
		if t.refresh, err = p.succeed(&t, use, c); err != nil {
			return issued{}, err
		}
		g.admit(t.access, t.scopes, t.at, t.at.Add(p.c.Access))
		err = p.save(r.Context(), t.grant, t.access, t.at)
		if errors.Is(err, store.ErrChanged) && tries < 100 {
			continue // the same token came twice at this moment: look again what it is now
		}
		return t, err
	}
}

// use is what a refresh token does at this moment.
type use int

const (
	reuse  use = iota // it was good before: two hold the family, so it dies
	again             // it was good until a moment ago, and the client has a grace: the same successor, never a second
	rotate            // it is the one
)

func (p *Provider) judgeRefresh(g *grant, token string, c *client) use {
	digest := secret.Digest(token)
	switch {
	case secret.Equal(digest, g.Refresh):
		return rotate
	case c.RefreshGrace > 0 && secret.Equal(digest, g.Before) && p.d.Now().Before(g.Rotated.Add(c.RefreshGrace)):
		return again
	}
	return reuse
}

// succeed gives the refresh token that comes next: a new one, or the one that was given a moment ago.
func (p *Provider) succeed(t *issued, use use, c *client) (string, error) {
	g := &t.grant.Value
	if use == again {
		successor, err := p.successors.Open(t.grant.Key, g.Sealed)
		return string(successor), err
	}
	successor := p.newRefresh(t.grant.Key)
	before := g.Refresh
	g.Refresh, g.Rotated, g.Before, g.Sealed = secret.Digest(successor), t.at, "", nil
	if c.RefreshGrace > 0 {
		g.Before, g.Sealed = before, p.successors.Seal(t.grant.Key, []byte(successor))
	}
	return successor, nil
}

// narrow gives the scopes of one access token: those of the grant, or fewer. The grant keeps its own.
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
