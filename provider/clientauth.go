package provider

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// authenticate finds out which client sent a form, by the one method it is registered with (RFC 6749 §2.3, OpenID Connect Core §9).
// An unknown client costs what a wrong secret costs.
func (p *Provider) authenticate(r *http.Request, form url.Values) (*client, error) {
	id, secrets, method := form.Get("client_id"), []string(nil), oidc.AuthMethodNone
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		return nil, invalidClient()
	}
	if posted := form.Get("client_secret"); posted != "" { // an empty parameter is one left out (§3.2)
		secrets, method = []string{posted}, oidc.AuthMethodPost
	}
	switch headers := r.Header["Authorization"]; {
	case len(headers) > 1:
		return nil, invalidRequest("there are two Authorization headers")
	case len(headers) == 1:
		user, password, ok := r.BasicAuth()
		if !ok {
			return nil, invalidClient()
		}
		if method == oidc.AuthMethodPost {
			return nil, invalidRequest("a client authenticates by one method") // §2.3
		}
		user = unescape(user)
		if id != "" && id != user {
			return nil, invalidClient()
		}
		// Many clients leave out the encoding that §2.3.1 asks for; either reading has to be the whole secret.
		id, secrets, method = user, []string{unescape(password), password}, oidc.AuthMethodBasic
	}
	if id == "" {
		return nil, invalidClient()
	}
	c := p.clients[id]
	known := c != nil
	if !known {
		c = p.nobody
	}
	right := 0
	for _, s := range secrets {
		digest := sha256.Sum256([]byte(s))
		right |= subtle.ConstantTimeCompare(digest[:], c.digest[:])
	}
	if !known || !c.authenticates(method) || method != oidc.AuthMethodNone && right != 1 {
		return nil, invalidClient()
	}
	return c, nil
}

// authenticates reports whether the client may authenticate by the method: the one it is registered with, or, where none is
// named, its secret in either place.
func (c *client) authenticates(m oidc.AuthMethod) bool {
	if c.AuthMethod == "" {
		return m == oidc.AuthMethodBasic || m == oidc.AuthMethodPost
	}
	return c.AuthMethod == string(m)
}

// unescape undoes the encoding of RFC 6749 §2.3.1, where there is one.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}
