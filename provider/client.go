package provider

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/secret"
)

// Client is a relying party's registration.
type Client struct {
	ID, Name               string
	Secret                 secret.Text // confidential clients
	Public                 bool        // no secret: PKCE stands in
	RedirectURIs           []string    // compared whole, character by character
	PostLogoutRedirectURIs []string    // the same
	AuthMethod             string      // client_secret_basic, client_secret_post, none (public); empty for a confidential client: either of the first two
	IDTokenAlg             string      // RS256 (default), ES256, EdDSA
	Grants                 []string    // default authorization_code, refresh_token
	Scopes                 []string    // what it may ask for; default all of OpenID Connect's. Others are names of resource servers, for a client that acts for itself
	PKCERequired           bool
	Groups                 []string          // who may sign in there; empty: everyone
	ClaimsInIDToken        bool              // the claims of its scopes are in the ID token as well
	Claims                 map[string]string // claim ("given_name", "address.locality", "department") to directory attribute: further claims, of their scopes, or of profile
	RefreshGrace           time.Duration     // so long after it was used a refresh token gives the same successor again; at most 60 seconds
	Native                 bool              // RFC 8252: custom schemes, any port on a loopback redirect URI
	ResponseModes          []string          // default query, form_post; fragment on request
	Pushed                 bool              // its authorization requests have to be pushed first (RFC 9126 §6)
	ResourceServer         bool              // it may ask about the tokens of every client (RFC 7662 §4)
}

// scopes are those that mean something here, in the order of discovery.
var scopes = []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopePhone, oidc.ScopeAddress, "groups", oidc.ScopeOfflineAccess}

var (
	algorithms    = []string{"RS256", "ES256", "EdDSA"}
	responseModes = []string{string(oidc.ResponseModeQuery), string(oidc.ResponseModeFormPost), string(oidc.ResponseModeFragment)}
	grantTypes    = []string{string(oidc.GrantTypeCode), string(oidc.GrantTypeRefreshToken), string(oidc.GrantTypeClientCredentials)}
	usualGrants   = grantTypes[:2]
	authMethods   = []string{string(oidc.AuthMethodNone), string(oidc.AuthMethodBasic), string(oidc.AuthMethodPost)}
)

// client is a registration with its defaults filled in and its secret digested: the secret itself is not kept.
// A secret is random, so that SHA-256 is enough for it.
type client struct {
	Client
	digest [sha256.Size]byte
	own    []string // the scopes it has where it acts for itself
}

func newClient(c Client) *client {
	own := &client{Client: c}
	own.digest = sha256.Sum256([]byte(c.Secret.Reveal()))
	own.Secret = ""
	own.Name = cmp.Or(c.Name, c.ID)
	own.IDTokenAlg = cmp.Or(c.IDTokenAlg, "RS256")
	if own.AuthMethod == "" && c.Public {
		own.AuthMethod = string(oidc.AuthMethodNone)
	}
	if len(c.Grants) == 0 {
		own.Grants = usualGrants
	}
	if len(c.Scopes) == 0 {
		own.Scopes = scopes
	}
	if len(c.ResponseModes) == 0 {
		own.ResponseModes = responseModes[:2]
	}
	for _, s := range c.Scopes {
		if !slices.Contains(scopes, s) {
			own.own = append(own.own, s)
		}
	}
	return own
}

// kept are those of the scopes granted to the client that it may have still, as it is registered now.
func (c *client) kept(granted []string) []string {
	lost := func(scope string) bool { return !slices.Contains(c.Scopes, scope) }
	if !slices.ContainsFunc(granted, lost) {
		return granted
	}
	return slices.DeleteFunc(slices.Clone(granted), lost)
}

// outlives reports whether the client may have tokens that outlive the session.
func (c *client) outlives() bool { return slices.Contains(c.Scopes, oidc.ScopeOfflineAccess) }

// forItself reports whether a client may act without an end-user (RFC 6749 §4.4).
func (c Client) forItself() bool {
	return slices.Contains(c.Grants, string(oidc.GrantTypeClientCredentials))
}

// leads reports whether it sends end-users here.
func (c Client) leads() bool {
	return len(c.Grants) == 0 || slices.Contains(c.Grants, string(oidc.GrantTypeCode))
}

// admits reports whether a user may sign in at the client.
func (c *client) admits(u directory.User) bool {
	return len(c.Groups) == 0 || slices.ContainsFunc(c.Groups, func(want string) bool {
		return slices.ContainsFunc(u.Groups, func(has string) bool { return strings.EqualFold(has, want) })
	})
}

// Problem is a fault of the config. Path is below the tenant: "clients[2].redirect_uris[0]".
type Problem struct{ Path, Text string }

// Problems are all faults of a config.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Path + ": " + one.Text
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) add(path, format string, args ...any) {
	*p = append(*p, Problem{path, fmt.Sprintf(format, args...)})
}

// Check finds every fault without touching a store.
func (c Config) Check() (found Problems) {
	if text := issuerFault(c.Issuer); text != "" {
		found.add("issuer", "%s", text)
	}
	for path, d := range map[string]time.Duration{"tokens.access": c.Access, "tokens.id": c.ID, "tokens.refresh_idle": c.RefreshIdle, "tokens.refresh_absolute": c.RefreshAbsolute} {
		if d < 0 {
			found.add(path, "a life is not negative")
		}
	}
	seen := map[string]bool{}
	for i, one := range c.Clients {
		at := fmt.Sprintf("clients[%d]", i)
		if seen[one.ID] && one.ID != "" {
			found.add(at+".id", "%q is there twice", one.ID)
		}
		seen[one.ID] = true
		one.check(at, &found)
	}
	return found
}

func (c Client) check(at string, found *Problems) {
	if c.ID == "" || strings.ContainsFunc(c.ID, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		found.add(at+".id", "an id is made of visible ASCII characters") // RFC 6749 appendix A.1
	}
	bare := c.Secret.Reveal() == ""
	switch {
	case c.Public && !bare:
		found.add(at+".secret", "a public client has none")
	case !c.Public && bare:
		found.add(at+".secret", "is missing (or say public: true)")
	}
	among := func(name, value string, known []string) {
		if value != "" && !slices.Contains(known, value) {
			found.add(at+"."+name, "%q is not one of %s", value, strings.Join(known, ", "))
		}
	}
	among("auth_method", c.AuthMethod, authMethods)
	if c.AuthMethod != "" && c.Public != (c.AuthMethod == string(oidc.AuthMethodNone)) {
		found.add(at+".auth_method", "none is for public clients, and they have no other")
	}
	among("id_token_alg", c.IDTokenAlg, algorithms)
	for i, g := range c.Grants {
		among(fmt.Sprintf("grants[%d]", i), g, grantTypes)
	}
	for i, s := range c.Scopes {
		path := fmt.Sprintf("scopes[%d]", i)
		switch {
		case !c.forItself():
			among(path, s, scopes)
		case !scopeToken(s):
			found.add(at+"."+path, "a scope is made of visible ASCII characters without quotes and backslashes")
		}
	}
	if c.Public && c.forItself() {
		found.add(at+".grants", "a public client cannot act for itself: it has no secret") // RFC 6749 §4.4
	}
	if c.Public && c.ResourceServer {
		found.add(at+".resource_server", "a public client cannot ask about tokens: it has no secret") // RFC 7662 §2.1
	}
	for i, m := range c.ResponseModes {
		among(fmt.Sprintf("response_modes[%d]", i), m, responseModes)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Claims)) {
		switch part, isPart := strings.CutPrefix(name, "address."); {
		case protocolClaims[name]:
			found.add(at+".claims."+name, "this claim is the protocol's own, or comes from the directory as it is")
		case name == "address" || isPart && part == "" || !isPart && strings.Contains(name, "."):
			found.add(at+".claims."+name, "a claim has no dot, but for a member of address such as address.locality")
		case c.Claims[name] == "":
			found.add(at+".claims."+name, "name the directory's attribute")
		}
	}
	if c.RefreshGrace < 0 || c.RefreshGrace > time.Minute {
		found.add(at+".refresh_grace", "a grace is at most 60s")
	}
	if len(c.RedirectURIs) == 0 && c.leads() {
		found.add(at+".redirect_uris", "at least one is needed")
	}
	for i, uri := range c.RedirectURIs {
		if text := c.uriFault(uri); text != "" {
			found.add(fmt.Sprintf("%s.redirect_uris[%d]", at, i), "%s", text)
		}
	}
	for i, uri := range c.PostLogoutRedirectURIs {
		if text := c.uriFault(uri); text != "" {
			found.add(fmt.Sprintf("%s.post_logout_redirect_uris[%d]", at, i), "%s", text)
		}
	}
}

// scopeToken reports whether s is a scope (RFC 6749 §3.3).
func scopeToken(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e || r == '"' || r == '\\' })
}

// uriFault says why browsers may not be sent to a URI (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §4.1).
func (c Client) uriFault(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil || !u.IsAbs() || strings.ContainsFunc(uri, func(r rune) bool { return r < 0x21 || r > 0x7e || strings.ContainsRune("\"<>\\^`{|}", r) }):
		return "not an absolute URI"
	case strings.Contains(uri, "#"):
		return "a fragment is not allowed"
	case strings.Contains(uri, "*"):
		return "a URI is compared whole: there are no wildcards"
	case u.User != nil:
		return "a user name is not allowed"
	case (u.Scheme == "https" || u.Scheme == "http") && !(strings.HasPrefix(uri, u.Scheme+"://") && plainHost(u)):
		return "a browser would read another host in it, or none"
	case u.Scheme == "https":
		return ""
	case u.Scheme == "http":
		if c.Public && !loopback(u.Hostname()) {
			return "a public client needs https, but for a loopback address"
		}
		return ""
	case c.Native && strings.Contains(strings.Trim(u.Scheme, "."), ".") && strings.HasPrefix(uri, u.Scheme+":") && (u.Host == "" || plainHost(u)):
		return "" // RFC 8252 §7.1: a domain the app's maker owns, reversed
	}
	return "the scheme must be https (native apps: http on a loopback address, or a scheme like com.example.app)"
}

func issuerFault(issuer string) string {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Opaque != "":
		return "not a URL"
	case strings.ContainsAny(issuer, "?#\"\\"):
		return "a query or fragment is not allowed" // OpenID Connect Discovery §3
	case strings.HasSuffix(issuer, "/"):
		return "no slash at the end"
	case u.Path != "" && u.EscapedPath() != u.Path:
		return "the path has characters that need escaping"
	case u.Scheme == "https":
		return ""
	case u.Scheme == "http" && loopback(u.Hostname()):
		return ""
	}
	return "must be https (http on localhost alone)"
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
