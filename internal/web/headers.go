package web

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// guarded are the headers of every answer, those that are the same for all. The policy is that of an answer without a page; CSP replaces it.
var guarded = http.Header{
	"X-Content-Type-Options":     {"nosniff"},
	"X-Frame-Options":            {"DENY"},
	"Referrer-Policy":            {"no-referrer"},
	"Cross-Origin-Opener-Policy": {"same-origin"},
	"Permissions-Policy":         {"accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=(), publickey-credentials-get=(self), publickey-credentials-create=(self)"},
	"Content-Security-Policy":    {"default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"},
}

// guardHeaders sets the headers of every answer. Their values are shared: whoever sets one anew, or adds to it, gets a list of its own.
func guardHeaders(h http.Header, id string, https bool) {
	maps.Copy(h, guarded)
	h.Set("X-Request-Id", id)
	if https {
		h.Set("Strict-Transport-Security", "max-age=63072000")
	}
}

// CSP sets the policy of a page: its own styles, its scripts by Nonce, no frame around it, and forms that post to our own origin and
// to the given addresses, of which only the origin is named (for a scheme of a native app, the scheme).
// Browsers apply form-action to every redirect after the post, so the relying party's origin has to be among them.
// An address that is no absolute URL is left out.
func CSP(w http.ResponseWriter, r *http.Request, formAction ...string) {
	forms := "form-action 'self'"
	for _, address := range formAction {
		if source := source(address); source != "" && !strings.Contains(forms+" ", " "+source+" ") {
			forms += " " + source
		}
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src 'self' data:; media-src data:; style-src 'self'; "+
		"script-src 'self' 'nonce-"+Nonce(r)+"'; connect-src 'self'; worker-src 'self' blob:; "+forms+"; frame-ancestors 'none'; base-uri 'none'")
}

var (
	schemeSource = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
	hostSource   = regexp.MustCompile(`^([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$`)
)

func source(address string) string {
	u, err := url.Parse(address)
	if err != nil || !schemeSource.MatchString(u.Scheme) {
		return ""
	}
	switch u.Scheme {
	case "https", "http":
		if host := strings.ToLower(u.Host); hostSource.MatchString(host) {
			return u.Scheme + "://" + host
		}
		return ""
	case "javascript", "data", "blob", "filesystem", "about", "file", "vbscript":
		return ""
	}
	return u.Scheme + ":"
}

// NoStore keeps an answer out of every cache, the browser's back button included.
func NoStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

// forwarding are the headers by which a request can claim another host, scheme, address, path or method than it has.
var forwarding = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Protocol", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Server", "X-Forwarded-Uri", "X-Forwarded-By", "X-Original-Url", "X-Original-Host", "X-Rewrite-Url",
	"X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Cluster-Client-Ip", "Client-Ip", "X-Host", "X-Http-Host-Override",
	"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Scheme", "X-Url-Scheme", "Front-End-Https",
}

// withoutForwarding leaves the given headers as they are, since a host program may still want them.
func withoutForwarding(given http.Header) http.Header {
	copied := false
	for _, name := range forwarding {
		if _, ok := given[name]; !ok {
			continue
		}
		if !copied {
			given, copied = given.Clone(), true
		}
		delete(given, name)
	}
	return given
}

func size(h http.Header) int {
	n := 0
	for name, lines := range h {
		for _, line := range lines {
			n += len(name) + len(line) + 4 // ": " and the line's end
		}
	}
	return n
}
