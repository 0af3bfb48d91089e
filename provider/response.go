package provider

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/internal/web"
)

// answer writes every authorization response, good or bad, in every mode: state as it came, always iss (RFC 9207), 303, no-store.
// q.Redirect has been compared with what the client registered.
func (p *Provider) answer(w http.ResponseWriter, r *http.Request, q *request, fields ...[2]string) {
	if q.State != "" {
		fields = append(fields, [2]string{"state", q.State})
	}
	fields = append(fields, [2]string{"iss", p.c.Issuer})
	web.NoStore(w)
	if q.Mode == string(oidc.ResponseModeFormPost) {
		p.d.FormPost(w, r, q.Redirect, fields)
		return
	}
	var b strings.Builder
	b.WriteString(q.Redirect)
	switch {
	case q.Mode == string(oidc.ResponseModeFragment):
		b.WriteByte('#')
	case !strings.Contains(q.Redirect, "?"):
		b.WriteByte('?')
	case !strings.HasSuffix(q.Redirect, "?"):
		b.WriteByte('&')
	}
	for i, f := range fields {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(f[0])
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(f[1]))
	}
	seeOther(w, b.String())
}

// deny answers with an authorization error (RFC 6749 §4.1.2.1).
func (p *Provider) deny(w http.ResponseWriter, r *http.Request, q *request, code, text string) {
	web.Note(r, "error", code)
	p.answer(w, r, q, [2]string{"error", code}, [2]string{"error_description", text})
}

// unable answers an error that is not the relying party's.
func (p *Provider) unable(w http.ResponseWriter, r *http.Request, q *request, err error) {
	p.log(r, err)
	if temporary(err) {
		p.deny(w, r, q, unavailable, "try again later")
		return
	}
	p.deny(w, r, q, string(oidc.ServerError), "internal error")
}

// seeOther redirects so that a POST is not repeated at the target (RFC 9700 §4.12). The address is ours or a registered one, whole:
// nothing is resolved against the request, so no header of it can change where it leads.
func seeOther(w http.ResponseWriter, address string) {
	web.NoStore(w)
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}
