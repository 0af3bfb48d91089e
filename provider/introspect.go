package provider

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/internal/web"
)

// introspection is what a resource server learns of a token that is good now (RFC 7662 §2.2). Of any other it learns that it is not active.
type introspection struct {
	Active   bool   `json:"active"`
	Scope    string `json:"scope,omitempty"`
	Client   string `json:"client_id,omitempty"`
	Username string `json:"username,omitempty"`
	Type     string `json:"token_type,omitempty"`
	Until    int64  `json:"exp,omitempty"`
	Subject  string `json:"sub,omitempty"`
	Issuer   string `json:"iss,omitempty"`
}

// introspect tells whether a token is good now. A client is told of its own tokens, a resource server of everybody's access tokens: others could
// try out what they found or stole (§4), and a refresh token that is shown to a resource server is nobody's who owns it. A public client cannot say who it is, and is told nothing. token_type_hint says nothing we need.
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) {
	form, c, err := p.called(r)
	token := form.Get("token")
	switch {
	case err != nil:
	case c.Public:
		err = invalidClient()
	case token == "":
		err = invalidRequest("token is missing")
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	h, err := p.accessed(r.Context(), token)
	if errors.Is(err, errDead) {
		h, err = p.refreshed(r.Context(), token)
	}
	switch {
	case errors.Is(err, errDead), err == nil && h.client != c && (!c.ResourceServer || h.refresh):
		write(w, http.StatusOK, introspection{})
	case err != nil:
		p.fail(w, r, err)
	default:
		web.Note(r, "active", true)
		write(w, http.StatusOK, p.introspection(h))
	}
}

func (p *Provider) introspection(h held) introspection {
	told := introspection{Active: true, Scope: strings.Join(h.scopes, " "), Client: h.client.ID,
		Until: h.until.UTC().Truncate(time.Second).Unix(), Subject: h.grant.Subject, Issuer: p.c.Issuer}
	if slices.Contains(h.scopes, oidc.ScopeProfile) {
		told.Username = h.user.Login
	}
	if !h.refresh {
		told.Type = oidc.BearerToken
	}
	return told
}
