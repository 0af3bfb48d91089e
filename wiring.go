package sparekey

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/flows"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
	"github.com/sparekey-id/sparekey/provider"
)

// wiring is what a configuration makes and a reload replaces whole. It is never changed, so that a request sees one configuration from its
// beginning to its end, and it remembers nothing: what has to outlive it stands in the store or in the Plugin.
type wiring struct {
	tenants     []*tenant
	handler     http.Handler
	sender      notify.Sender
	from        string
	authorities []byte // who may vouch for the mail server; nil: whom the system trusts
	certificate *tls.Certificate
	files       *config.Files // that the configuration came from; nil: a program made it
	mark        string        // a keyed sum of the configuration, which nodes compare
	replaced    chan struct{} // closed when another one is in its place
}

func (p *Plugin) wire(ctx context.Context, c *Config) (*wiring, error) {
	w := &wiring{certificate: c.certificate, files: c.files, replaced: make(chan struct{})}
	if err := w.mail(c.Mail, p.sender); err != nil {
		return nil, err
	}
	w.mark = p.mark(c, w.authorities)
	for _, name := range slices.Sorted(maps.Keys(c.Tenants)) {
		t, err := p.open(ctx, w, name, c.Tenants[name])
		if err != nil {
			return nil, fmt.Errorf("tenant %s: %w", name, err)
		}
		w.tenants = append(w.tenants, t)
	}
	// The longest path first, so that an issuer at the root does not hide the others on its host.
	slices.SortStableFunc(w.tenants, func(a, b *tenant) int { return len(b.prefix) - len(a.prefix) })
	w.handler = p.porch(c, w.tenants)
	return w, nil
}

// mark is a sum over what every node should have the same, keyed because there are secrets in it.
func (p *Plugin) mark(c *Config, authorities []byte) string {
	return p.ring.MAC("config").Name(string(config.Canonical(c)), string(authorities))
}

func (w *wiring) mail(m Mail, given notify.Sender) error {
	w.from, w.sender = m.From, given
	if given != nil {
		if w.from == "" {
			w.from = "no-reply@localhost"
		}
		return nil
	}
	if m.SMTP == nil {
		w.from = "no-reply@localhost"
		w.sender = notify.Func(func(context.Context, notify.Envelope) error {
			return errors.New("no mail server is configured")
		})
		return nil
	}
	s := m.SMTP.sender()
	if m.SMTP.CA != "" {
		var err error
		if w.authorities = m.SMTP.authorities; w.authorities == nil { // a program has named the file
			w.authorities, err = os.ReadFile(string(m.SMTP.CA))
		}
		if err == nil {
			s.Roots, err = authorities(w.authorities, m.SMTP.CA)
		}
		if err != nil {
			return fmt.Errorf("mail.smtp.ca_file: %w", err)
		}
	}
	w.sender = s
	return nil
}

func (m *SMTP) sender() *notify.SMTP {
	return &notify.SMTP{Host: m.Host, Port: m.Port, TLS: m.TLS, User: m.User, Password: secret.Text(m.Password.Reveal())}
}

// authorities reads a PEM text of who may vouch for a server.
func authorities(pem []byte, file Path) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return pool, nil
}

func (p *Plugin) porch(c *Config, tenants []*tenant) http.Handler {
	mux := http.NewServeMux()
	healthz, readyz := web.Health(p.ready, p.remark)
	mux.Handle("GET /healthz", healthz)
	mux.Handle("GET /readyz", readyz)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if p.leaving.Load() {
			w.Header().Set("Connection", "close") // the next request of whoever keeps this one goes to another node
		}
		for _, t := range tenants {
			if t.answers(r) {
				web.Note(r, "tenant", t.name)
				t.ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	})
	var trusted []netip.Prefix
	for _, s := range c.TrustedProxies {
		trusted = append(trusted, netip.MustParsePrefix(s))
	}
	return web.Porch(mux, web.Options{Logger: p.log, Trusted: trusted, Now: p.now, Metrics: p.metrics})
}

// run does what has to be done beside the requests, until ctx ends, or from the end of until on no more: mails that are being handed
// over then are, since the next one to try could only send them twice. Each duty is one for all tenants: a thousand of them that have
// nothing to do are asked nothing.
func (w *wiring) run(ctx, until context.Context, db *store.DB, log *slog.Logger) []func() {
	var outboxes []*notify.Outbox
	var journals []*audit.Journal
	var providers []*provider.Provider
	for _, t := range w.tenants {
		outboxes, journals, providers = append(outboxes, t.outbox), append(journals, t.journal), append(providers, t.provider)
	}
	return []func(){
		func() { flows.Run(until, db, w.flows()...) },
		func() { notify.Run(ctx, until.Done(), db, outboxes...) },
		func() { audit.Run(until, db, journals...) },
		func() { provider.Run(until, providers...) },
		func() { every(until, time.Hour, func() { w.sweep(until, log) }) },
	}
}

func (w *wiring) flows() (all []*flows.Flows) {
	for _, t := range w.tenants {
		all = append(all, t.flows)
	}
	return all
}

// sweep drops what is too old of every tenant's journal.
func (w *wiring) sweep(ctx context.Context, log *slog.Logger) {
	for _, t := range w.tenants {
		if _, err := t.journal.Sweep(ctx, t.keep); err != nil && ctx.Err() == nil {
			log.Warn("sweep journal", "tenant", t.name, "error", err)
		}
	}
}
