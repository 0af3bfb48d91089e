// Package sparekey is an OpenID Connect provider with self-service password reset and security-info registration,
// as an http.Handler that any Go program can mount.
//
//	cfg, err := sparekey.LoadConfig("sparekey.yaml")
//	p, err := sparekey.Open(ctx, cfg)
//	defer p.Close()
//	go p.Run(ctx)
//	http.Handle("/", p)
package sparekey

//go:generate go run ./internal/picture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/flows"
	"github.com/sparekey-id/sparekey/internal/admin"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/peers"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
	"github.com/sparekey-id/sparekey/templates"
)

// Plugin serves every tenant of one configuration, which Reload replaces. It is safe for concurrent use.
// What is counted in memory stands here, and what a reload replaces in the wiring.
type Plugin struct {
	db        *store.DB
	ring      *secret.Ring
	hasher    *secret.Hasher
	templates *templates.Set
	sender    notify.Sender // the host program's; nil: each configuration has its own
	log       *slog.Logger
	metrics   *web.Metrics
	now       func() time.Time
	fault     func(string) error
	seen      func(string)
	given     map[string]directory.Directory
	alone     bool // SQLite: no other node
	bound     bound
	node      string // this process among the others
	peers     *peers.Peers
	elsewhen  bool // it lives at another time than its database
	wiring    atomic.Pointer[wiring]
	reloading sync.Mutex
	leaving   atomic.Bool
}

// Option changes how a Plugin is opened.
type Option func(*Plugin)

// WithDirectory brings a directory of the host program's own: name is "tenant/directory", and the config says `type: program` there.
func WithDirectory(name string, d directory.Directory) Option {
	return func(p *Plugin) { p.given[name] = d }
}

// WithLogger sends the log there; without it nothing is logged.
func WithLogger(l *slog.Logger) Option { return func(p *Plugin) { p.log = l } }

// WithSender sends mails by the host program instead of SMTP.
func WithSender(f func(ctx context.Context, to, subject, text, html string) error) Option {
	return func(p *Plugin) {
		p.sender = notify.Func(func(ctx context.Context, e notify.Envelope) error { return f(ctx, e.To, e.Subject, e.Text, e.HTML) })
	}
}

// WithClock makes the plugin live at another time: for tests.
func WithClock(now func() time.Time) Option { return func(p *Plugin) { p.now, p.elsewhen = now, true } }

// WithFault makes storage calls fail: for tests. f is asked before each call; its error is the call's.
func WithFault(f func(op string) error) Option { return func(p *Plugin) { p.fault = f } }

// WithStatements tells of the text of every statement before it is run: for tests. Calls come from many goroutines.
func WithStatements(f func(query string)) Option { return func(p *Plugin) { p.seen = f } }

// parsed is every page, mail and word, read once a process; a plugin has a copy with its own clock.
var parsed = sync.OnceValues(templates.New)

// Open checks the configuration, opens database and keyring, and wires every tenant.
// A database without its keyring refuses to open, and so does one with a keyring that lacks a key which something hangs on.
func Open(ctx context.Context, c *Config, options ...Option) (_ *Plugin, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	p := &Plugin{given: map[string]directory.Directory{}, log: slog.New(slog.DiscardHandler), now: time.Now, metrics: web.NewMetrics(), hasher: secret.NewHasher(0), node: secret.ID()}
	for _, o := range options {
		o(p)
	}
	p.now = store.Steady(p.now)
	set, err := parsed()
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	own := *set
	own.Now, p.templates = p.now, &own
	if p.db, err = store.Open(ctx, c.Database, store.Options{Now: p.now, Logger: p.log, Fault: p.fault, Seen: p.seen}); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	defer func() {
		if err != nil {
			p.db.Close()
		}
	}()
	path, err := keyringPath(c)
	if err != nil {
		return nil, err
	}
	if p.ring, err = p.keyring(ctx, path); err != nil {
		return nil, err
	}
	if err := p.opens(ctx, path, slices.Sorted(maps.Keys(c.Tenants))); err != nil {
		return nil, err
	}
	p.peers = peers.New(p.db, p.node, p.log, p.elsewhen)
	p.metrics.Gauge("sparekey_other_nodes", func() float64 { return float64(p.peers.State().Others) })
	p.metrics.Gauge("sparekey_other_nodes_config_differs", func() float64 { return float64(p.peers.State().Different) })
	p.metrics.Gauge("sparekey_clock_ahead_of_database_seconds", func() float64 { return p.peers.State().Ahead.Seconds() })
	p.metrics.Gauge("sparekey_clock_from_other_nodes_seconds", func() float64 { return p.peers.State().Apart.Seconds() })
	p.alone, p.bound = strings.HasPrefix(c.Database, "sqlite:"), boundBy(c)
	w, err := p.wire(ctx, c)
	if err == nil {
		err = p.bind(ctx, path)
	}
	if err != nil {
		return nil, err
	}
	p.wiring.Store(w)
	return p, nil
}

// ServeHTTP answers every request to every tenant's issuer, and /healthz and /readyz.
// One that began before a Reload ends with what it began with.
func (p *Plugin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.wiring.Load().handler.ServeHTTP(w, r)
}

// Metrics is the handler for Prometheus; it belongs on a listener of its own.
func (p *Plugin) Metrics() http.Handler { return p.metrics }

// Leave makes readiness false, so that a load balancer sends nobody any more; requests are still answered, and their connections closed.
func (p *Plugin) Leave() { p.leaving.Store(true) }

func (p *Plugin) ready(ctx context.Context) error {
	if p.leaving.Load() {
		return errors.New("shutting down")
	}
	return p.db.Ping(ctx)
}

// remark is what readiness says besides: nodes that differ, and clocks that do, serve all the same.
func (p *Plugin) remark() string { return remark(p.peers.State()) }

func remark(s peers.State) string {
	var all []string
	if s.Different > 0 {
		all = append(all, fmt.Sprintf("config: %d of %d other nodes have another one", s.Different, s.Others))
	}
	if s.Ahead > peers.Most {
		all = append(all, fmt.Sprintf("clock: %v ahead of the database's", s.Ahead.Round(time.Second)))
	} else if s.Ahead < -peers.Most {
		all = append(all, fmt.Sprintf("clock: %v behind the database's", -s.Ahead.Round(time.Second)))
	}
	if s.Apart > peers.Most {
		all = append(all, fmt.Sprintf("clock: %v from another node's", s.Apart.Round(time.Second)))
	}
	return strings.Join(all, "\n")
}

// Run does what has to be done beside the requests: sending mail, settling what a crash left open, linking the journal,
// turning keys over, sweeping, telling other nodes that it lives; after a Reload as the new configuration says. It returns when ctx has ended and all of it has stopped.
func (p *Plugin) Run(ctx context.Context) {
	if !p.alone {
		defer func() {
			leaving, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer done()
			_ = p.peers.Leave(leaving) // or it is gone when its lease ends
		}()
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		every(ctx, time.Minute, func() {
			if err := p.Sweep(ctx); err != nil && ctx.Err() == nil {
				p.log.Warn("sweep", "error", err)
			}
		})
	})
	for ctx.Err() == nil {
		w := p.wiring.Load()
		until, stop := context.WithCancel(ctx)
		if !p.alone {
			all.Go(func() { p.peers.Run(until, func() string { return p.wiring.Load().mark }) })
		}
		for _, f := range w.run(ctx, until, p.db, p.log) {
			all.Go(f)
		}
		select {
		case <-ctx.Done():
		case <-w.replaced:
		}
		stop()
	}
}

// Sweep removes what has ended, and, of what was begun and not gone on with, what is more than limits.begun. Run does it every minute.
func (p *Plugin) Sweep(ctx context.Context) error {
	_, err := p.db.Sweep(ctx)
	for _, t := range p.wiring.Load().tenants {
		err = errors.Join(err, t.flows.Thin(ctx), t.provider.Thin(ctx))
	}
	return err
}

// Close closes the database. Requests, Run, Reload and Follow must have ended.
func (p *Plugin) Close() error { return p.db.Close() }

// Admin is what an operator may do at a tenant; nil when there is none of that name.
func (p *Plugin) Admin(name string) *admin.Admin {
	if t := p.tenant(name); t != nil {
		return t.admin
	}
	return nil
}

// tenant is the one of that name; nil when there is none.
func (p *Plugin) tenant(name string) *tenant {
	for _, t := range p.wiring.Load().tenants {
		if t.name == name {
			return t
		}
	}
	return nil
}

// Tenants names the tenants, in order.
func (p *Plugin) Tenants() []string {
	var names []string
	for _, t := range p.wiring.Load().tenants {
		names = append(names, t.name)
	}
	slices.Sort(names)
	return names
}

// Settle ends what resets that were cut short left open. Only a process that is alone on its database may call it, before it serves:
// on PostgreSQL other nodes may be at work, and Run settles what is old enough.
func (p *Plugin) Settle(ctx context.Context) error {
	if !p.alone {
		return nil
	}
	return flows.SettleAll(ctx, p.db, p.wiring.Load().flows()...)
}
