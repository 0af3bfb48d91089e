package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
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
		err = &failure{http.StatusBadRequest, string(oidc.UnsupportedGrantType), "use authorization_code or refresh_token"}
	case !slices.Contains(c.Grants, kind):
		err = &failure{http.StatusBadRequest, string(oidc.UnauthorizedClient), "this client may not use this grant_type"}
	case kind == string(oidc.GrantTypeCode):
		t, err = p.redeem(r, form, c)
	default:
		t, err = p.refresh(r, form, c)
	}
	if err == nil {
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
	key                 string // of the grant
	grant               grant
	user                directory.User
	nonce               string
	scopes              []string
	access, refresh, id string
	at                  time.Time
}

// redeem turns a code into tokens, once (RFC 6749 §4.1.3). Everything that can be known before is checked before; then one transaction
// takes the code and begins the grant. Whoever comes second ends what the first one began (§4.1.2).
func (p *Provider) redeem(r *http.Request, form url.Values, c *client) (issued, error) {
	value := form.Get("code")
	if value == "" {
		return issued{}, invalidRequest("code is missing")
	}
	t := issued{key: secret.Digest(value), at: p.d.Now()}
	var found store.Record[code]
	used := false
	err := p.d.Store.Read(r.Context(), func(tx store.Tx) (err error) {
		if found, err = p.codes.Get(tx, t.key); errors.Is(err, store.ErrNotFound) {
			used = true
			return nil
		} else if err != nil {
			return err
		}
		_, err = p.d.Sessions.Find(tx, found.Value.Grant.Session, found.Value.Grant.User)
		return err
	})
	switch {
	case used:
		return issued{}, p.reused(r, t.key, c)
	case errors.Is(err, session.ErrNone):
		return issued{}, invalidGrant("the session has ended")
	case err != nil:
		return issued{}, err
	}
	if err := found.Value.fits(form, c); err != nil {
		return issued{}, err
	}
	t.grant, t.nonce, t.scopes = found.Value.Grant, found.Value.Nonce, found.Value.Grant.Scopes
	if t.user, err = p.recheck(r.Context(), &t.grant, c); err != nil {
		return issued{}, err
	}
	t.access = secret.Token()
	if t.grant.Offline {
		t.refresh = t.key + secret.Token()
		t.grant.Refresh, t.grant.Rotated = secret.Digest(t.refresh), t.at
	}
	err = p.write(r.Context(), func(tx store.Tx) error {
		used = false
		if _, err := p.codes.Take(tx, t.key); errors.Is(err, store.ErrNotFound) {
			used = true // somebody was first, just now
			return nil
		} else if err != nil {
			return err
		}
		if err := p.grants.Add(tx, t.key, t.grant.User, p.until(&t.grant, t.at), t.grant); err != nil {
			return err
		}
		return p.addAccess(tx, &t)
	}, p.hasAccess(&t))
	if err == nil && used {
		err = p.reused(r, t.key, c)
	}
	return t, err
}

// fits compares a code with the request that brings it: client (SECURITY A17), redirect URI (RFC 6749 §4.1.3) and PKCE (RFC 7636 §4.6).
func (k *code) fits(form url.Values, c *client) error {
	verifier := form.Get("code_verifier")
	switch {
	case k.Grant.Client != c.ID:
		return invalidGrant("unknown or expired code")
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

// reused answers a code that is not there. Where it was good once, what it began ends with it: the deed is committed although the answer
// is a refusal (RFC 6749 §4.1.2). Another client's request ends nothing.
func (p *Provider) reused(r *http.Request, key string, c *client) error {
	var begun store.Record[grant]
	err := p.d.Store.Read(r.Context(), func(tx store.Tx) (err error) {
		begun, err = p.grants.Get(tx, key)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil && begun.Value.Client == c.ID {
		if err := p.kill(r, begun, audit.CodeReused); err != nil {
			return err
		}
	}
	return invalidGrant("unknown or expired code")
}

// kill ends a grant and with it all its tokens, and journals why.
func (p *Provider) kill(r *http.Request, g store.Record[grant], why string) error {
	return p.d.Store.Write(r.Context(), func(tx store.Tx) error {
		if _, err := p.grants.Take(tx, g.Key); errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		return p.d.Journal.Record(tx, audit.Event{Name: why, User: g.Value.User, Actor: "system", Client: g.Value.Client, Network: web.Network(r)})
	})
}

// recheck asks, before a token is made, whether what the grant rests on still counts: account, registration duty, client
// (SECURITY EN-06, OA-04). It gives the user where the ID token is to tell of her. What cannot be asked is an error, never a yes.
func (p *Provider) recheck(ctx context.Context, g *grant, c *client) (u directory.User, err error) {
	standing, err := p.standing(ctx, g.authentication(), c.ID)
	if err != nil {
		return u, err
	}
	if standing != identity.Good {
		return u, invalidGrant("the end-user has to sign in again")
	}
	if !c.ClaimsInIDToken && len(g.Wants.IDToken) == 0 && len(c.Groups) == 0 {
		return u, nil
	}
	u, err = p.user(ctx, g.User)
	if errors.Is(err, directory.ErrNotFound) || err == nil && !c.admits(u) {
		err = invalidGrant("the end-user may not use this client")
	}
	return u, err
}

// until is when nothing of the grant can be good any more.
func (p *Provider) until(g *grant, now time.Time) time.Time {
	end := now.Add(p.c.Access)
	if last := p.refreshable(g); last.After(end) {
		return last
	}
	return end
}

// refreshable is when the grant's refresh token is over: unused too long, or too long after sign-in.
func (p *Provider) refreshable(g *grant) time.Time {
	if !g.Offline {
		return time.Time{}
	}
	idle, absolute := g.Rotated.Add(p.c.RefreshIdle), g.At.Add(p.c.RefreshAbsolute)
	if absolute.Before(idle) {
		return absolute
	}
	return idle
}

func (p *Provider) addAccess(tx store.Tx, t *issued) error {
	return p.access.Add(tx, secret.Digest(t.access), t.grant.User, t.at.Add(p.c.Access), access{t.key, t.scopes})
}

// hasAccess tells whether a transaction that added t's access token was committed.
func (p *Provider) hasAccess(t *issued) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, err := p.access.Get(tx, secret.Digest(t.access))
		return err
	}
}

// write commits f. When the connection was lost at the commit, proof is asked whether it was done (SECURITY F-09).
func (p *Provider) write(ctx context.Context, f, proof func(store.Tx) error) error {
	err := p.d.Store.Write(ctx, f)
	if errors.Is(err, store.ErrUnknown) && p.d.Store.Read(ctx, proof) == nil {
		return nil
	}
	return err
}

// sign makes the ID token of what has been committed. When that fails, what was committed ends: nobody has it yet.
func (p *Provider) sign(ctx context.Context, t *issued, c *client) (string, error) {
	token, err := p.idToken(&t.grant, c, t.user, t.nonce, t.access, t.at)
	if err != nil {
		drop := p.d.Store.Write(context.WithoutCancel(ctx), func(tx store.Tx) error { return p.grants.Drop(tx, t.key) })
		return "", errors.Join(store.ErrUnavailable, err, drop)
	}
	return token, nil
}
