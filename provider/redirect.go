package provider

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// sendsTo reports whether the client registered uri for authorization responses: character by character (RFC 9700 §4.1.3).
// For a native client the port of a registered loopback URI is free (RFC 8252 §7.3).
func (c *client) sendsTo(uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	if !c.Native {
		return false
	}
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		host, _, rest, ok := loopbackURI(registered)
		if !ok {
			return false
		}
		otherHost, _, otherRest, ok := loopbackURI(uri)
		return ok && host == otherHost && rest == otherRest
	})
}

// leavesTo reports whether the client registered uri for the end of a session: character by character.
func (c *client) leavesTo(uri string) bool {
	return uri != "" && slices.Contains(c.PostLogoutRedirectURIs, uri)
}

// loopbackURI cuts a loopback URI at its port without interpreting it, so that no two parsers can disagree about its host:
// what follows host and port is empty or starts with a slash or a question mark.
func loopbackURI(uri string) (host, port, rest string, ok bool) {
	for _, host := range [...]string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
		rest, found := strings.CutPrefix(uri, host)
		if !found {
			continue
		}
		if after, has := strings.CutPrefix(rest, ":"); has {
			n := 0
			for n < len(after) && after[n] >= '0' && after[n] <= '9' {
				n++
			}
			if n == 0 || n > 5 {
				return "", "", "", false
			}
			port, rest = after[:n], after[n:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return "", "", "", false
		}
		return host, port, rest, true
	}
	return "", "", "", false
}

var domain = regexp.MustCompile(`^(?i:[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)(\.(?i:[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?))*$`)

// plainHost reports whether a browser reads the same host and port in an address as we do (WHATWG URL Standard, host parsing): a domain in ASCII,
// an IPv4 address with its four numbers, or an IPv6 address as it is shortened, and a port that is one.
func plainHost(u *url.URL) bool {
	host := u.Hostname()
	if port, err := strconv.ParseUint(u.Port(), 10, 16); strings.HasSuffix(u.Host, ":") || u.Port() != "" && (err != nil || strconv.FormatUint(port, 10) != u.Port()) {
		return false
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String() == host && a.Zone() == "" && !a.Is4In6() && a.Is6() == strings.HasPrefix(u.Host, "[")
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if !domain.MatchString(host) || strings.HasPrefix(u.Host, "[") || last[0] >= '0' && last[0] <= '9' { // an address that is none
		return false
	}
	if !strings.Contains(strings.ToLower(host), "xn--") {
		return true
	}
	ascii, err := idna.Lookup.ToASCII(host)
	return err == nil && strings.EqualFold(ascii, host)
}

// originOf is what a Content-Security-Policy has to let a form be redirected to: scheme, host and port, or the scheme of an app.
func originOf(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || scheme != "https" && scheme != "http" {
		scheme, _, _ = strings.Cut(uri, ":")
		return scheme + ":"
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	return scheme + "://" + rest
}
