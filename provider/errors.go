package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/internal/web"
)

// Error codes the library has no name for.
const (
	unavailable       = "temporarily_unavailable"           // RFC 6749 §4.1.2.1
	unmetRequirements = "unmet_authentication_requirements" // OpenID Connect Core Unmet Authentication Requirements 1.0
	noRequestURI      = "request_uri_not_supported"         // OpenID Connect Core §3.1.2.6
	noRegistration    = "registration_not_supported"        // the same
	badResponseType   = "unsupported_response_type"         // RFC 6749 §4.1.2.1
	invalidToken      = "invalid_token"                     // RFC 6750 §3.1
)

// failure is an error in the words of RFC 6749 §5.2. Text is ours alone: it never repeats what was sent,
// and holds no quote, backslash or non-ASCII character.
type failure struct {
	Status int
	Code   string
	Text   string
}

func (f *failure) Error() string { return f.Code + ": " + f.Text }

func invalidRequest(text string) *failure {
	return &failure{http.StatusBadRequest, string(oidc.InvalidRequest), text}
}

func invalidGrant(text string) *failure {
	return &failure{http.StatusBadRequest, string(oidc.InvalidGrant), text}
}

// invalidClient never says what was wrong with the credentials.
func invalidClient() *failure {
	return &failure{http.StatusUnauthorized, string(oidc.InvalidClient), "client authentication failed"}
}

// fail is the one place where an error of a JSON endpoint becomes an answer. What is not a failure stays here: it is logged,
// and the relying party learns only whether to come again.
func (p *Provider) fail(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := err.(*failure)
	if !ok {
		if f = (&failure{http.StatusServiceUnavailable, unavailable, "try again later"}); !temporary(err) {
			f = &failure{http.StatusInternalServerError, string(oidc.ServerError), "internal error"}
		} else if hungUp(err) {
			f.Status = statusHungUp
		}
		p.log(r, err)
	}
	web.Note(r, "error", f.Code)
	h := w.Header()
	switch {
	case f.Code == string(oidc.InvalidClient):
		h.Set("WWW-Authenticate", `Basic realm="`+p.c.Issuer+`"`)
	case f.Code == invalidToken:
		h.Set("WWW-Authenticate", `Bearer realm="`+p.c.Issuer+`", error="`+invalidToken+`", error_description="`+f.Text+`"`)
	case f.Status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="`+p.c.Issuer+`"`)
	case f.Status == http.StatusServiceUnavailable:
		h.Set("Retry-After", "5")
	}
	write(w, f.Status, map[string]string{"error": f.Code, "error_description": f.Text})
}

// page shows an error where nothing may be redirected, because the address to redirect to is not trusted or the
// browser is not the one that asked.
func (p *Provider) page(w http.ResponseWriter, r *http.Request, reason string, status int) {
	web.NoStore(w)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	web.Note(r, "refused", reason)
	p.d.Error(w, r, reason, web.RequestID(r), status)
}

// broken shows the page for an error that is not the end-user's.
func (p *Provider) broken(w http.ResponseWriter, r *http.Request, err error) {
	p.log(r, err)
	switch {
	case hungUp(err):
		p.page(w, r, "unavailable", statusHungUp)
		return
	case temporary(err):
		p.page(w, r, "unavailable", http.StatusServiceUnavailable)
		return
	}
	p.page(w, r, "internal", http.StatusInternalServerError)
}

// statusHungUp is what is recorded of an answer that nobody waited for.
const statusHungUp = 499

// hungUp reports whether it went wrong because whoever asked has gone. That is no trouble of ours: strangers could fill the log with it.
func hungUp(err error) bool { return errors.Is(err, context.Canceled) }

func (p *Provider) log(r *http.Request, err error) {
	level := slog.LevelError
	if hungUp(err) {
		level = slog.LevelInfo
	}
	p.d.Logger.Log(r.Context(), level, "provider", "tenant", p.d.Store.Name(), "path", r.URL.Path, "request", web.RequestID(r), "error", err)
}

// write sends JSON that no cache may keep (RFC 6749 §5.1).
func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // maps and structs of strings and numbers always encode
		panic(fmt.Sprintf("provider: encode %T: %v", v, err))
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

func refuseMethod(w http.ResponseWriter, methods []string) {
	w.Header().Set("Allow", strings.Join(methods, ", "))
	write(w, http.StatusMethodNotAllowed, map[string]string{"error": string(oidc.InvalidRequest), "error_description": "method not allowed"})
}

// Lists that the headers of many answers share, and nobody changes.
var anybody, challenges = []string{"*"}, []string{"WWW-Authenticate"}

// shared serves the methods named to scripts of every origin, without credentials (RFC 9700 §4.16): what it serves never looks at a cookie.
func shared(h http.HandlerFunc, methods ...string) http.Handler {
	allowed := strings.Join(methods, ", ")
	inner := only(h, methods...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Access-Control-Allow-Origin"] = anybody
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", allowed)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h["Access-Control-Expose-Headers"] = challenges
		inner.ServeHTTP(w, r)
	})
}
