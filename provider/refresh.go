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

// A refresh token is the key of its grant, which opens nothing, and 256 random bits. Only the digest of the one that is good now is kept:
// any other that names a living grant was good before, so that its coming back means that two hold the family.
const keyLength = 43

// refresh rotates a refresh token (RFC 6749 §6, RFC 9700 §4.14.2).
func (p *Provider) refresh(r *http.Request, form url.Values, c *client) (issued, error) {
	token := form.Get("refresh_token")
	if token == "" {
		return issued{}, invalidRequest("refresh_token is missing")
	}
	unknown := invalidGrant("unknown or expired refresh token")
	if len(token) != 2*keyLength || !unreserved(token) {
		return issued{}, unknown
	}
	t := issued{key: token[:keyLength], at: p.d.Now()}
	var family store.Record[grant]
	err := p.d.Store.Read(r.Context(), func(tx store.Tx) (err error) {
		family, err = p.grants.Get(tx, t.key)
		return err
	})
	g := &family.Value
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (g.Client != c.ID || !g.Offline):
		return issued{}, unknown
	case err != nil:
		return issued{}, err
	}
	use := p.judgeRefresh(g, token, c)
	switch {
	case use == reuse:
		return issued{}, p.killed(r, family, unknown)
	case !t.at.Before(p.refreshable(g)):
		return issued{}, unknown
	}
	if t.scopes, err = narrow(g.Scopes, form.Get("scope")); err != nil {
		return issued{}, err
	}
	if t.user, err = p.recheck(r.Context(), g, c); err != nil {
		return issued{}, err
	}
	t.access = secret.Token()
	fresh := t.key + secret.Token()
	before := secret.Digest(token)
	err = p.write(r.Context(), func(tx store.Tx) error {
		held := family
		if use == again {
			return p.addAgain(tx, &t, token, c)
		}
		held.Value.Refresh, held.Value.Before, held.Value.Rotated, held.Value.Sealed = secret.Digest(fresh), "", t.at, nil
		if c.RefreshGrace > 0 {
			held.Value.Before, held.Value.Sealed = before, p.successors().Seal(t.key, []byte(fresh))
		}
		held.Until = p.until(&held.Value, t.at)
		if err := p.grants.Save(tx, &held); err != nil {
			return err
		}
		t.grant, t.refresh = held.Value, fresh
		return p.addAccess(tx, &t)
	}, p.hasAccess(&t))
	if errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrNotFound) {
		return p.overtaken(r, &t, token, c, unknown)
	}
	return t, err
}

// use is what a refresh token does at this moment.
type use int

const (
	reuse  use = iota // it was good before: the family dies
	again             // it was good until a moment ago, and the client has a grace: the same successor, never a second
	rotate            // it is the one
)

func (p *Provider) judgeRefresh(g *grant, token string, c *client) use {
	digest := secret.Digest(token)
	switch {
	case secret.Equal(digest, g.Refresh):
		return rotate
	case c.RefreshGrace > 0 && g.Before != "" && secret.Equal(digest, g.Before) && p.d.Now().Before(g.Rotated.Add(c.RefreshGrace)):
		return again
	}
	return reuse
}

// addAgain gives the successor that was given before, with an access token of its own.
func (p *Provider) addAgain(tx store.Tx, t *issued, token string, c *client) error {
	held, err := p.grants.Get(tx, t.key)
	if err != nil {
		return err
	}
	if p.judgeRefresh(&held.Value, token, c) != again {
		return store.ErrChanged
	}
	successor, err := p.successors().Open(t.key, held.Value.Sealed)
	if err != nil {
		return err
	}
	t.grant, t.refresh = held.Value, string(successor)
	return p.addAccess(tx, t)
}

func (p *Provider) successors() secret.Box { return p.d.Ring.Box("refresh/" + p.d.Store.Name()) }

// overtaken serves a refresh token that was rotated by somebody else while this request was under way: the same token came twice.
func (p *Provider) overtaken(r *http.Request, t *issued, token string, c *client, unknown error) (issued, error) {
	var family store.Record[grant]
	err := p.d.Store.Read(r.Context(), func(tx store.Tx) (err error) {
		family, err = p.grants.Get(tx, t.key)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return issued{}, unknown
	case err != nil:
		return issued{}, err
	case p.judgeRefresh(&family.Value, token, c) == again:
		err = p.write(r.Context(), func(tx store.Tx) error { return p.addAgain(tx, t, token, c) }, p.hasAccess(t))
		return *t, err
	}
	return issued{}, p.killed(r, family, unknown)
}

// killed ends the family and answers with the refusal.
func (p *Provider) killed(r *http.Request, family store.Record[grant], refusal error) error {
	if err := p.kill(r, family, audit.FamilyKilled); err != nil {
		return err
	}
	return refusal
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
