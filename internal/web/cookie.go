package web

import "net/http"

// Cookie is the rule that every cookie of ours follows: bound to this host, to path / and to TLS by the prefix __Host- (RFC 6265bis §4.1.3.2),
// without a Domain, out of scripts' reach, and not sent along with other sites' posts. An issuer on http://localhost has neither
// prefix nor Secure. The tenant is in its name, since tenants may share a host.
type Cookie struct {
	Base   string // "sparekey-avengers-session"
	Secure bool   // the issuer is https
}

// Name is the name in full.
func (c Cookie) Name() string {
	if c.Secure {
		return "__Host-" + c.Base
	}
	return c.Base
}

// Holding is the cookie with a value, kept for so many seconds; 0: until the browser is closed; less: no more.
func (c Cookie) Holding(value string, seconds int) *http.Cookie {
	return &http.Cookie{Name: c.Name(), Value: value, Path: "/", MaxAge: seconds, Secure: c.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// Value is what the browser sent; empty when it sent none. Two different ones mean that somebody planted one: neither counts.
func (c Cookie) Value(r *http.Request) (value string) {
	for _, k := range r.CookiesNamed(c.Name()) {
		if k.Quoted || k.Value == "" || value != "" && value != k.Value {
			return ""
		}
		value = k.Value
	}
	return value
}
