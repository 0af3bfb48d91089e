package sparekey_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/admin"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// house is a whole plugin on a loopback port, with a clock of its own and a mailbox.
type house struct {
	t       *testing.T
	p       *sparekey.Plugin
	srv     *http.Server
	origin  string // http://localhost:PORT
	tenant  string // the one its browsers go to
	issuer  string // of that tenant
	clock   *storetest.Clock
	mails   *mails
	cfg     *sparekey.Config
	log     *bytes.Buffer
	logLock sync.Mutex
	fault   func(string) error
	stop    context.CancelFunc
	brought map[string]directory.Directory  // by tenant, of type program
	client  *http.Client                    // of whoever is no browser; reaches every issuer
	quiet   bool                            // nothing is done beside the requests
	front   func(http.Handler) http.Handler // what stands before the plugin; nil: nothing
	stopped chan struct{}
}

const (
	password = "jarvis-suits-up"
	renewed  = "a-brand-new-suit-42"
	callback = "http://localhost:9/callback"
)

type setting func(*house)

// with changes the tenant avengers before the house opens.
func with(f func(*sparekey.Tenant)) setting {
	return func(h *house) {
		t := h.cfg.Tenants["avengers"]
		f(&t)
		h.cfg.Tenants["avengers"] = t
	}
}

// bring gives avengers a directory of the test's own; no users are made there.
func bring(d directory.Directory) setting { return bringTo("avengers", d) }

// bringTo gives a tenant a directory of the test's own.
func bringTo(tenant string, d directory.Directory) setting {
	return func(h *house) {
		t := h.cfg.Tenants[tenant]
		t.Directories = map[string]sparekey.Directory{"staff": {Type: "program"}}
		h.cfg.Tenants[tenant], h.brought[tenant] = t, d
	}
}

// hosts gives each tenant a host of its own, with TLS, which its browsers reach without a network.
func hosts(h *house) {
	for name, t := range h.cfg.Tenants {
		t.Issuer = "https://" + name + ".example"
		h.cfg.Tenants[name] = t
	}
	h.origin = "https://avengers.example"
	h.issuer = h.origin
	h.client = &http.Client{Transport: served{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.p.ServeHTTP(w, r) })}}
}

// quietly keeps the house from doing anything beside the requests, so that every storage call is one of theirs; deliver sends the mails.
func quietly(h *house) { h.quiet = true }

// rule changes the first policy of avengers.
func rule(f func(*sparekey.Policy)) setting {
	return with(func(t *sparekey.Tenant) {
		t.Policies = append([]sparekey.Policy{}, t.Policies...)
		f(&t.Policies[0])
	})
}

// open opens a house on SQLite.
func open(t *testing.T, settings ...setting) *house {
	t.Helper()
	return openAt(t, storetest.SQLiteURL(t), settings...)
}

// each runs a test in a house on every engine.
func each(t *testing.T, f func(t *testing.T, h *house), settings ...setting) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) { f(t, openAt(t, url, settings...)) })
}

func openAt(t *testing.T, database string, settings ...setting) *house {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, tenant: "avengers", clock: storetest.NewClock(), mails: &mails{}, log: &bytes.Buffer{}, brought: map[string]directory.Directory{}, client: &http.Client{}}
	h.origin = fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	h.issuer = h.origin + "/avengers"
	h.cfg = &sparekey.Config{Database: database, Keyring: "file:" + filepath.Join(t.TempDir(), "keyring"), Tenants: map[string]sparekey.Tenant{
		"avengers": tenantConfig(h.origin+"/avengers", "The Avengers"), "wakanda": tenantConfig(h.origin+"/wakanda", "Wakanda")}}
	for _, s := range settings {
		s(h)
	}
	h.boot(l)
	t.Cleanup(h.close)
	for _, tenant := range []string{"avengers", "wakanda"} {
		if h.brought[tenant] != nil {
			continue
		}
		h.addUser(tenant, "ironman", "Tony Stark", "tony@stark.example", "Avengers")
	}
	if h.brought["avengers"] != nil {
		return h
	}
	h.addUser("avengers", "pepper", "Pepper Potts", "pepper@stark.example", "Avengers", "IT")
	h.addUser("avengers", "fury", "Nick Fury", "fury@shield.example", "IT")
	h.addUser("avengers", "hulk", "Bruce Banner", "bruce@banner.example")
	return h
}

func tenantConfig(issuer, name string) sparekey.Tenant {
	twelve := 12
	return sparekey.Tenant{Issuer: issuer, Name: name, Directories: map[string]sparekey.Directory{"staff": {Type: "local"}},
		Administrators: sparekey.Groups{Groups: []string{"IT"}}, Passwords: sparekey.Passwords{MinLength: &twelve},
		Captcha:  sparekey.Captcha{Bits: 4},
		Policies: []sparekey.Policy{{For: sparekey.For{Groups: []string{"Avengers"}}, Reset: true, Methods: map[string]sparekey.MethodUse{"totp": {}, "email": {}}}},
		Clients: []sparekey.Client{
			{ID: "wiki", Name: "Mission Wiki", Secret: config.NewSecret("wiki-secret"), RedirectURIs: []string{callback}, PostLogoutURIs: []string{"http://localhost:9/"}, Grants: []string{"authorization_code", "refresh_token"}},
			{ID: "phone", Name: "Phone", Public: true, RedirectURIs: []string{callback}, Grants: []string{"authorization_code", "refresh_token"}},
		}}
}

func (h *house) boot(l net.Listener) {
	h.t.Helper()
	h.p = h.plugin(sparekey.WithLogger(slog.New(slog.NewTextHandler(h, nil))),
		sparekey.WithFault(func(op string) error {
			h.logLock.Lock()
			f := h.fault
			h.logLock.Unlock()
			if f != nil {
				return f(op)
			}
			return nil
		}))
	p, handler := h.p, http.Handler(h.p)
	if h.front != nil {
		handler = h.front(handler)
	}
	h.srv = &http.Server{Handler: handler}
	go h.srv.Serve(l)
	ctx, cancel := context.WithCancel(context.Background())
	h.stop, h.stopped = cancel, make(chan struct{})
	go func(done chan struct{}) {
		if !h.quiet {
			p.Run(ctx)
		}
		close(done)
	}(h.stopped)
}

// deliver sends the mails of a quiet house.
func (h *house) deliver() {
	h.t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = h.admin("avengers").Outbox.Deliver(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// plugin opens the house's configuration. Mails go to the house unless it has a mail server.
func (h *house) plugin(options ...sparekey.Option) *sparekey.Plugin {
	h.t.Helper()
	options = append(options, sparekey.WithClock(h.clock.Now), sparekey.WithStatements(say))
	if h.cfg.Mail.SMTP == nil {
		options = append(options, sparekey.WithSender(h.mails.send))
	}
	for tenant, d := range h.brought {
		options = append(options, sparekey.WithDirectory(tenant+"/staff", d))
	}
	p, err := sparekey.Open(h.t.Context(), h.cfg, options...)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *house) close() {
	h.failing(nil)
	h.srv.Close()
	h.stop()
	<-h.stopped
	h.p.Close()
}

// restart closes the plugin and opens it anew on the same database and port.
func (h *house) restart(settings ...setting) {
	h.t.Helper()
	h.close()
	for _, s := range settings {
		s(h)
	}
	l, err := net.Listen("tcp", strings.TrimPrefix(h.origin, "http://"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.boot(l)
}

// Write takes the log.
func (h *house) Write(b []byte) (int, error) {
	h.logLock.Lock()
	defer h.logLock.Unlock()
	return h.log.Write(b)
}

func (h *house) logged() string {
	h.logLock.Lock()
	defer h.logLock.Unlock()
	return h.log.String()
}

// failing makes storage calls fail as f says; nil lets them work.
func (h *house) failing(f func(op string) error) {
	h.logLock.Lock()
	defer h.logLock.Unlock()
	h.fault = f
}

func (h *house) admin(tenant string) *admin.Admin { return h.p.Admin(tenant) }

func (h *house) addUser(tenant, login, name, email string, groups ...string) {
	h.t.Helper()
	err := h.admin(tenant).AddUser(h.t.Context(), local.NewUser{Login: login, Name: name, Email: email, Groups: groups, Password: password}, "test")
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) user(login string) directory.User {
	h.t.Helper()
	u, err := h.admin(h.tenant).Find(h.t.Context(), login)
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

// write runs a transaction in the tenant's store.
func (h *house) write(tenant string, f func(store.Tx) error) {
	h.t.Helper()
	if err := h.admin(tenant).Store.Write(h.t.Context(), f); err != nil {
		h.t.Fatal(err)
	}
}
