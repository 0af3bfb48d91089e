package flows

import (
	"bytes"
	"net/http"

	"golang.org/x/text/language"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/web"
	"github.com/sparekey-id/sparekey/templates"
)

// frame is what surrounds a page of this tenant in this browser.
func (f *Flows) frame(r *http.Request, browser string) templates.Frame {
	return templates.Frame{
		Tenant: f.Brand.Name, Logo: f.logo, Accent: f.Brand.Accent, Help: f.Brand.Help,
		Lang: f.language(r), Base: f.Prefix, Nonce: web.Nonce(r), CSRF: f.csrf(browser), Action: r.URL.EscapedPath(),
	}
}

// frame is what surrounds a page of this flow.
func (t *turn) frame() templates.Frame {
	fr := t.Flows.frame(t.r, t.flow.Browser)
	fr.Lang, fr.Action = t.flow.Lang, t.here()
	fr.Problem, fr.Notice = t.flow.Problem, t.flow.Notice
	if t.flow.Named {
		fr.Who = t.flow.Login
	}
	if t.decision.Help != "" {
		fr.Help = t.decision.Help
	}
	return fr
}

// showLogo serves the tenant's picture. Its address changes with it, so it may be kept for ever.
func (f *Flows) showLogo(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(f.Brand.Logo)
}

// render writes the page; it is rendered whole before a byte is sent.
func (f *Flows) render(w http.ResponseWriter, r *http.Request, p templates.Page, status int, formAction ...string) {
	var b bytes.Buffer
	if err := f.Templates.Page(&b, p); err != nil {
		f.Logger.Error("render page", "error", err)
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	web.CSP(w, r, formAction...)
	web.NoStore(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func (t *turn) render(p templates.Page, status int) {
	var origins []string
	if t.flow.Request.Origin != "" {
		origins = []string{t.flow.Request.Origin}
	}
	t.Flows.render(t.w, t.r, p, status, origins...)
}

// language picks the page's language: what the relying party asked for, then what the browser accepts.
func (f *Flows) language(r *http.Request, wanted ...string) string {
	tags, _, _ := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	for _, t := range tags[:min(len(tags), 10)] {
		wanted = append(wanted, t.String())
	}
	return f.Templates.Match(wanted, f.Brand.Languages)
}

// FormPost answers a relying party by the form_post response mode, for provider.
func (f *Flows) FormPost(w http.ResponseWriter, r *http.Request, target string, fields [][2]string) {
	f.render(w, r, templates.FormPost{Frame: f.frame(r, f.browser(r)), Target: target, Fields: fields}, http.StatusOK, target)
}

func (f *Flows) browserCookie() web.Cookie {
	return web.Cookie{Base: f.Cookie + "-browser", Secure: f.Secure}
}

// browser is the digest of the browser's cookie; empty when it has none, or two different ones.
func (f *Flows) browser(r *http.Request) string {
	value := f.browserCookie().Value(r)
	if value == "" {
		return ""
	}
	return secret.Digest(value)
}

// bind makes sure the browser has its cookie. It proves nothing but "the same browser", and is never promoted to a session.
func (f *Flows) bind(w http.ResponseWriter, r *http.Request) string {
	if b := f.browser(r); b != "" {
		return b
	}
	token := secret.Token()
	http.SetCookie(w, f.browserCookie().Holding(token, 0))
	return secret.Digest(token)
}

// csrf is the value of the hidden field in every form of this browser.
func (f *Flows) csrf(browser string) string { return f.mac.Name("csrf", browser) }
