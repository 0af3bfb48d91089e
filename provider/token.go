package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// token is the token endpoint (RFC 6749 §3.2): POST alone, the query is never looked at.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	form, c, err := p.called(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	var t issued
	switch kind := form.Get("grant_type"); {
	case kind == "":
		err = invalidRequest("grant_type is missing")
	case !slices.Contains(grantTypes, kind):
		err = &failure{http.StatusBadRequest, string(oidc.UnsupportedGrantType), "use " + strings.Join(grantTypes, ", ")}
	case !slices.Contains(c.Grants, kind):
		err = &failure{http.StatusBadRequest, string(oidc.UnauthorizedClient), "this client may not use this grant_type"}
	case kind == string(oidc.GrantTypeClientCredentials):
		t, err = p.grantClient(r, form, c)
	default:
		if _, err = p.lately(r.Context()); err != nil { // nothing is used up while there is nothing to sign with
			break
		}
		if kind == string(oidc.GrantTypeCode) {
			t, err = p.redeem(r, form, c)
		} else {
			t, err = p.refresh(r, form, c)
		}
	}
	if err == nil && t.grant.Value.User != "" {
		t.id, err = p.sign(r.Context(), &t, c)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	write(w, http.StatusOK, oidc.AccessTokenResponse{AccessToken: t.access, TokenType: oidc.BearerToken, RefreshToken: t.refresh,
		ExpiresIn: uint64(p.c.Access / time.Second), IDToken: t.id, Scope: t.scopes})
}

// called reads the form of an endpoint for relying parties and finds out which of them sent it.
func (p *Provider) called(r *http.Request) (url.Values, *client, error) {
	form, err := web.Form(r)
	if errors.Is(err, web.ErrTooLarge) {
		return nil, nil, &failure{http.StatusRequestEntityTooLarge, string(oidc.InvalidRequest), "the body is too large"}
	}
	if err != nil {
		return nil, nil, invalidRequest("the body must be a form, each field once")
	}
	c, err := p.authenticate(r, form)
	if err == nil {
		web.Note(r, "client", c.ID)
	}
	return form, c, err
}

// issued is what one token request leads to: committed already, but for the ID token, which is signed from it.
type issued struct {
	grant               store.Record[grant]
	user                directory.User
	nonce               string
	scopes              []string
	access, refresh, id string
	at                  time.Time
}

// errRedeemed says that a code was redeemed before.
var errRedeemed = errors.New("redeemed before")

// redeem turns a code into tokens, once (RFC 6749 §4.1.3). Everything that can be known before is checked before; then one transaction
// swaps the code for its tokens. Whoever comes second ends what the first one began (§4.1.2).
func (p *Provider) redeem(r *http.Request, form url.Values, c *client) (issued, error) {
	value := form.Get("code")
	if value == "" {
		return issued{}, invalidRequest("code is missing")
	}
	unknown := invalidGrant("unknown or expired code")
	t := issued{at: p.d.Now()}
	g := &t.grant.Value
	user, err := p.recheck(r.Context(), c, func(tx store.Tx) (a identity.Authentication, err error) {
		if t.grant, err = p.grants.Get(tx, secret.Digest(value)); err != nil {
			return a, err
		}
		switch {
		case g.Client != c.ID: // another client's request ends nothing
			return a, unknown
		case g.Code == nil:
			return a, errRedeemed
		}
		if _, err = p.d.Sessions.Living(tx, g.Held, g.User); err == nil {
			err = g.Code.fits(form, c)
		}
		return g.authentication(), err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return issued{}, unknown
	case errors.Is(err, session.ErrNone):
		return issued{}, invalidGrant("the session has ended")
	case errors.Is(err, errRedeemed):
		err := p.d.Store.Write(r.Context(), func(tx store.Tx) error { return p.kill(tx, r, t.grant, audit.CodeReused) })
		if err != nil {
			return issued{}, err
		}
		return issued{}, unknown // the deed is committed although its answer is a refusal
	case err != nil:
		return issued{}, err
	}
	t.user = user
	t.nonce, t.scopes = g.Code.Nonce, c.kept(g.Scopes)
	t.access = t.grant.Key + secret.Token()
	g.Code = nil
	g.admit(t.access, t.scopes, t.at, t.at.Add(p.c.Access))
	if g.Offline {
		t.refresh = p.newRefresh(t.grant.Key)
		g.Refresh, g.Rotated = secret.Digest(t.refresh), t.at
	}
	t.grant.Until = p.until(g)
	first := false
	err = p.d.Store.Write(r.Context(), func(tx store.Tx) error {
		held := t.grant
		err := p.grants.Save(tx, &held)
		if first = err == nil; errors.Is(err, store.ErrChanged) { // somebody was, just now
			return p.kill(tx, r, held, audit.CodeReused)
		}
		return err
	})
	if errors.Is(err, store.ErrUnknown) && p.committed(r.Context(), &t) {
		return t, nil
	}
	if err == nil && !first {
		err = unknown
	}
	return t, err
}

// fits compares a code with the request that brings it: redirect URI (RFC 6749 §4.1.3) and PKCE (RFC 7636 §4.6).
func (k *code) fits(form url.Values, c *client) error {
	verifier := form.Get("code_verifier")
	switch {
	case form.Get("redirect_uri") != k.Redirect:
		return invalidGrant("redirect_uri is not the one of the authorization request")
	case k.Challenge == "" && verifier != "":
		return invalidGrant("there was no code_challenge") // RFC 9700 §4.8.2
	case k.Challenge == "" && (c.Public || c.PKCERequired):
		return invalidGrant("this client needs PKCE")
	case k.Challenge == "":
		return nil
	case len(verifier) < 43 || len(verifier) > 128 || !unreserved(verifier),
		!oidc.VerifyCodeChallenge(&oidc.CodeChallenge{Challenge: k.Challenge, Method: oidc.CodeChallengeMethodS256}, verifier):
		return invalidGrant("code_verifier does not fit code_challenge")
	}
	return nil
}

// recheck asks, before a token is made, whether what the grant rests on still counts: account, registration duty, client
// (SECURITY EN-06, OA-04), and gives the user. What cannot be asked is an error, never a yes.
func (p *Provider) recheck(ctx context.Context, c *client, look func(store.Tx) (identity.Authentication, error)) (directory.User, error) {
	u, standing, err := p.standing(ctx, look)
	if err != nil {
		return u, err
	}
	if standing != identity.Good {
		return u, invalidGrant("the end-user has to sign in again")
	}
	if !c.admits(u) {
		return u, invalidGrant("the end-user may not use this client")
	}
	return u, nil
}

// sign makes the ID token of what has been committed. When that fails, what was committed ends: nobody has it yet.
func (p *Provider) sign(ctx context.Context, t *issued, c *client) (string, error) {
	token, err := p.idToken(ctx, &t.grant.Value, c, t.user, t.nonce, t.access, t.at)
	if err != nil {
		drop := p.d.Store.Write(context.WithoutCancel(ctx), func(tx store.Tx) error { return p.grants.Drop(tx, t.grant.Key) })
		return "", errors.Join(store.ErrUnavailable, err, drop)
	}
	return token, nil
}
