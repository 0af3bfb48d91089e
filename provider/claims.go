package provider

import (
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/directory"
)

// scopeOf says under which scope a standard claim is given (OpenID Connect Core §5.4).
var scopeOf = map[string]string{
	"name": "profile", "given_name": "profile", "family_name": "profile", "middle_name": "profile", "nickname": "profile",
	"preferred_username": "profile", "profile": "profile", "picture": "profile", "website": "profile", "gender": "profile",
	"birthdate": "profile", "zoneinfo": "profile", "locale": "profile",
	"email": "email", "email_verified": "email", "phone_number": "phone", "phone_number_verified": "phone", "address": "address", "groups": "groups",
}

// protocolClaims are the protocol's own: no mapping may set them.
var protocolClaims = map[string]bool{
	"iss": true, "sub": true, "aud": true, "exp": true, "iat": true, "nbf": true, "jti": true, "auth_time": true, "nonce": true, "acr": true,
	"amr": true, "azp": true, "at_hash": true, "c_hash": true, "sid": true, "events": true, "cnf": true, "scope": true, "client_id": true, "act": true,
	"email": true, "email_verified": true, "phone_number_verified": true, "groups": true, "": true,
}

// about fills what a client may be told of u into claims: what the scopes cover and what was asked for by name, as far as it may ask for
// that now. A claim without a value is left out (OpenID Connect Core §5.3.2).
func (c *client) about(u directory.User, scopes, names []string, claims map[string]any) {
	covered := func(name, scope string) bool {
		return slices.Contains(scopes, scope) || slices.Contains(names, name) && c.mayHave(name)
	}
	set := func(name, scope, value string) {
		if value != "" && covered(name, scope) {
			claims[name] = value
		}
	}
	set("name", oidc.ScopeProfile, u.Name)
	set("preferred_username", oidc.ScopeProfile, u.Login)
	set("email", oidc.ScopeEmail, u.Email)
	set("phone_number", oidc.ScopePhone, u.Phone)
	if u.Email != "" && covered("email_verified", oidc.ScopeEmail) {
		claims["email_verified"] = u.EmailVerified
	}
	if covered("groups", "groups") {
		claims["groups"] = append([]string{}, u.Groups...)
	}
	for name, attribute := range c.Claims {
		values := u.Attrs[attribute]
		if len(values) == 0 {
			continue
		}
		if part, ok := strings.CutPrefix(name, "address."); ok {
			if covered("address", oidc.ScopeAddress) {
				address, _ := claims["address"].(map[string]string)
				if address == nil {
					address = map[string]string{}
					claims["address"] = address
				}
				address[part] = values[0]
			}
			continue
		}
		_, standard := scopeOf[name]
		switch {
		case !covered(name, c.scopeOf(name)):
		case standard || len(values) == 1:
			claims[name] = values[0]
		default:
			claims[name] = values
		}
	}
}

// claimNames are those discovery announces.
func (p *Provider) claimNames() []string {
	names := []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid",
		"name", "preferred_username", "email", "email_verified", "phone_number", "groups"}
	for _, c := range p.clients {
		for name := range c.Claims {
			if strings.HasPrefix(name, "address.") {
				name = "address"
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names[17:])
	return names
}

// Authentication context classes: how many kinds of factor were proven (NIST SP 800-63B §2).
const (
	acrOne = "aal1"
	acrTwo = "aal2"
)

// acr is the class reached with these methods (RFC 8176).
func acr(amr []string) string {
	if slices.Contains(amr, "mfa") {
		return acrTwo
	}
	return acrOne
}
