// Package web is the porch every request passes before it reaches a wing: limits, safe headers, the content security policy,
// the real client address, cross-origin protection, one event a request, strict reading of forms,
// the rule of cookies, metrics and health. It owns no route, no page and no cookie, and never logs a query, a cookie or a body.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
)

const (
	maxBody   = 64 << 10 // bytes
	maxTarget = 16 << 10 // bytes of path and query
	maxHeader = 32 << 10 // bytes of all header lines
)

// Options of a porch. The zero value is safe: no proxy is trusted.
type Options struct {
	Logger  *slog.Logger     // of the request events; nil: none are written
	Trusted []netip.Prefix   // proxies whose X-Forwarded-For, X-Forwarded-Proto and X-Request-Id are believed
	MaxBody int64            // bytes; 0: 64 KiB
	Now     func() time.Time // nil: time.Now
	Metrics *Metrics         // nil: none are kept
}

type visitKey struct{}

// visit is what the porch knows of one request.
type visit struct {
	id     string
	client netip.Addr

	mu    sync.Mutex
	nonce string // made when it is asked for
	notes []slog.Attr
	quiet bool
}

func visitOf(r *http.Request) *visit {
	v, _ := r.Context().Value(visitKey{}).(*visit)
	return v
}

// Porch wraps next. What it sets can be changed by next, save the limits: longer targets get 414, longer headers 431,
// longer bodies fail when read. A panic becomes an empty 500 with nothing of what the handler had set.
// Headers that forward or override host, scheme, address, path or method are removed: nothing behind the porch may believe them.
func Porch(next http.Handler, o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxBody == 0 {
		o.MaxBody = maxBody
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	trusted := trust(o.Trusted)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := o.Now()
		at := peer(r)
		v := &visit{id: secret.ID(), client: trusted.client(at, r)}
		https := r.TLS != nil
		if trusted.has(at) {
			https = https || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
			if id := r.Header.Get("X-Request-Id"); requestID.MatchString(id) {
				v.id = id
			}
		}
		a := &answer{ResponseWriter: w}
		guardHeaders(w.Header(), v.id, https)

		inner := r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
		inner.Header = withoutForwarding(r.Header)
		inner.Body = http.MaxBytesReader(w, r.Body, o.MaxBody)
		defer func() {
			broken := recover()
			if broken != nil && broken != http.ErrAbortHandler {
				o.Logger.Error("panic", "request", v.id, "panic", fmt.Sprint(broken), "stack", string(debug.Stack()))
				if a.status == 0 {
					clear(w.Header())
					guardHeaders(w.Header(), v.id, https)
					NoStore(w)
					a.WriteHeader(http.StatusInternalServerError)
					broken = nil
				}
			}
			if broken != nil && a.status == 0 {
				a.status = 499 // nothing was answered
			}
			o.record(inner, v, a, o.Now().Sub(began))
			if broken != nil { // half an answer is out: cut the connection rather than let it pass for a whole one
				panic(http.ErrAbortHandler)
			}
		}()
		switch {
		case len(r.RequestURI) > maxTarget || len(r.URL.Path)+len(r.URL.RawQuery) > maxTarget:
			a.WriteHeader(http.StatusRequestURITooLong)
		case size(r.Header) > maxHeader:
			a.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
		default:
			next.ServeHTTP(a, inner)
		}
	})
}

// record writes the request's event and counts it. Route is the pattern that matched, never the path.
func (o Options) record(r *http.Request, v *visit, a *answer, took time.Duration) {
	method, status := r.Method, a.status
	if !methods[method] {
		method = "other"
	}
	if status == 0 {
		status = http.StatusOK
	}
	o.Metrics.answer(answered{method, r.Pattern, status}, took.Seconds())
	level := slog.LevelInfo
	switch {
	case status >= 500:
		level = slog.LevelError
	case status < 400 && v.isQuiet():
		level = slog.LevelDebug
	}
	if !o.Logger.Enabled(r.Context(), level) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 16),
		slog.String("method", method), slog.String("route", r.Pattern), slog.Int("status", status),
		slog.Float64("ms", math.Round(float64(took.Microseconds())/100)/10), slog.Int64("bytes", a.bytes),
		slog.String("network", network(v.client)), slog.String("request", v.id),
	)
	v.mu.Lock()
	attrs = append(attrs, v.notes...)
	v.mu.Unlock()
	o.Logger.LogAttrs(r.Context(), level, "request", attrs...)
}

var (
	requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)
	methods   = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true}
)

// RequestID returns the request's random name: it stands in the event, in the answer's X-Request-Id and on error pages.
// It is empty outside a porch.
func RequestID(r *http.Request) string {
	if v := visitOf(r); v != nil {
		return v.id
	}
	return ""
}

// Nonce returns the value by which scripts of this answer are allowed; CSP names it. It is empty outside a porch.
func Nonce(r *http.Request) string {
	v := visitOf(r)
	if v == nil {
		return ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.nonce == "" {
		v.nonce = secret.ID()
	}
	return v.nonce
}

// Note adds a word to the request's event; a key noted twice keeps the last value. It must not be personal or secret.
func Note(r *http.Request, key string, value any) {
	v := visitOf(r)
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.notes {
		if v.notes[i].Key == key {
			v.notes[i] = slog.Any(key, value)
			return
		}
	}
	v.notes = append(v.notes, slog.Any(key, value))
}

// Quiet says that the answer is the same for everybody and changes nothing: unless it is a refusal its event is for debugging alone. It is counted as any other.
func Quiet(r *http.Request) {
	if v := visitOf(r); v != nil {
		v.mu.Lock()
		v.quiet = true
		v.mu.Unlock()
	}
}

func (v *visit) isQuiet() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.quiet
}

// answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}
