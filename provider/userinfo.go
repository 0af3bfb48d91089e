package provider

import (
	"errors"
	"net/http"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/internal/web"
)

// userinfo tells what the scopes of an access token cover (OpenID Connect Core §5.3), of the user as her directory knows her now.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	token, err := bearer(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	h, err := p.accessed(r.Context(), token)
	if h.client != nil {
		web.Note(r, "client", h.client.ID)
	}
	if err == nil && h.grant.User == "" { // there is nobody to tell of
		err = errDead
	}
	if errors.Is(err, errDead) {
		err = &failure{http.StatusUnauthorized, invalidToken, "unknown or expired access token"}
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	claims := make(map[string]any, 16)
	h.client.about(h.user, h.scopes, h.grant.Wants.UserInfo, claims)
	claims["sub"] = h.grant.Subject
	write(w, http.StatusOK, claims)
}

// bearer is the access token of a request: in the header, or in the form of a POST (RFC 6750 §2.1, §2.2); never in the query.
func bearer(r *http.Request) (string, error) {
	headers := r.Header["Authorization"]
	if len(headers) > 1 {
		return "", invalidRequest("there are two Authorization headers")
	}
	token := ""
	if len(headers) == 1 {
		scheme, value, ok := strings.Cut(headers[0], " ")
		if !ok || !strings.EqualFold(scheme, oidc.BearerToken) {
			return "", &failure{http.StatusUnauthorized, string(oidc.InvalidRequest), "a bearer token is needed"}
		}
		token = strings.TrimLeft(value, " ") // 1*SP, RFC 6750 §2.1
	}
	if r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := web.Form(r)
		if err != nil {
			return "", invalidRequest("the body must be a form, each field once")
		}
		if posted := form.Get("access_token"); posted != "" {
			if token != "" {
				return "", invalidRequest("the access token is there twice")
			}
			token = posted
		}
	}
	if token == "" {
		return "", &failure{http.StatusUnauthorized, string(oidc.InvalidRequest), "a bearer token is needed"}
	}
	return token, nil
}
