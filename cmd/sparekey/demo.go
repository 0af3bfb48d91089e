package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/demo"
	"github.com/sparekey-id/sparekey/internal/secret"
)

// demoUser is somebody who lives in the demo.
type demoUser struct {
	tenant, login, name, email, password string
	groups                               []string
}

var demoUsers = []demoUser{
	{"avengers", "ironman", "Tony Stark", "tony@stark.example", "jarvis-suits-up", []string{"Avengers"}},
	{"avengers", "pepper", "Pepper Potts", "pepper@stark.example", "rescue-me-tomorrow", []string{"Avengers", "IT"}},
	{"avengers", "hulk", "Bruce Banner", "bruce@banner.example", "do-not-make-me-angry", nil},
	{"wakanda", "tchalla", "T’Challa", "tchalla@wakanda.example", "vibranium-for-ever", []string{"Avengers"}},
}

// demoConfig is the demo's configuration: what an operator would write, as a value.
func demoConfig(database, provider, app, wiki, lab string) *sparekey.Config {
	twelve := 12
	one := 1
	tenant := func(name, title, accent, client, secret string) sparekey.Tenant {
		return sparekey.Tenant{
			Issuer: provider + "/" + name, Name: title, Branding: sparekey.Branding{Accent: accent},
			Directories:    map[string]sparekey.Directory{"staff": {Type: "local"}},
			Administrators: sparekey.Groups{Groups: []string{"IT"}},
			Passwords:      sparekey.Passwords{MinLength: &twelve},
			Policies: []sparekey.Policy{{For: sparekey.For{Groups: []string{"Avengers"}}, Reset: true, Required: &one, DeadEnd: "direct",
				Methods: map[string]sparekey.MethodUse{"totp": {}, "email": {}}}},
			Clients: []sparekey.Client{{ID: client, Name: "Mission Wiki", Secret: config.NewSecret(secret),
				RedirectURIs: []string{app + "/callback"}, PostLogoutURIs: []string{app + "/"}}},
		}
	}
	avengers := tenant("avengers", "The Avengers", "#8a1c24", "wiki", wiki)
	avengers.Policies[0].SecondFactor = "never"
	wakanda := tenant("wakanda", "Wakanda", "#5b2a86", "lab", lab)
	wakanda.Policies[0].SecondFactor, wakanda.Policies[0].AcceptSingle = "when_registered", true
	return &sparekey.Config{Database: database, Tenants: map[string]sparekey.Tenant{"avengers": avengers, "wakanda": wakanda}}
}

func demoCommand(c *call) error {
	if err := c.none(); err != nil {
		return err
	}
	listen, dir, verbose := c.flag("listen", "localhost:8080"), c.flag("data", ""), c.has("verbose")
	if dir == "" {
		temp, err := os.MkdirTemp("", "sparekey-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temp)
		dir = temp
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := private(listen); err != nil && !c.has("exposed") {
		return err
	}
	listeners, err := demoListeners(listen)
	if err != nil {
		return err
	}
	address := func(l net.Listener) string {
		return fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	}
	provider, app, box := address(listeners[0]), address(listeners[1]), address(listeners[2])

	mails := &demo.Mailbox{}
	wiki, lab := secret.Token(), secret.Token()
	cfg := demoConfig("sqlite:"+filepath.Join(dir, "sparekey.db"), provider, app, wiki, lab)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if verbose {
		log = slog.New(slog.NewTextHandler(c.errs, nil))
	}
	p, err := sparekey.Open(c.ctx, cfg, sparekey.WithSender(mails.Send), sparekey.WithLogger(log))
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Settle(c.ctx); err != nil {
		return err
	}
	if err := demoPeople(c.ctx, p); err != nil {
		return err
	}
	relying := &demo.App{Address: app, Logger: log, Issuers: []demo.Issuer{
		{Name: "avengers", Title: "The Avengers", URL: provider + "/avengers", Client: "wiki", Secret: wiki},
		{Name: "wakanda", Title: "Wakanda", URL: provider + "/wakanda", Client: "lab", Secret: lab},
	}}
	c.say("Sparekey demo is running. %s\n", map[bool]string{false: "Nothing leaves this machine.", true: "OTHER MACHINES MAY REACH IT, and everybody knows its passwords."}[private(listen) != nil])
	c.say("  app        %s/            open this one first", app)
	c.say("  provider   %s/avengers    second tenant: %s/wakanda", provider, provider)
	c.say("  mailbox    %s/            every mail it sends\n", box)
	c.say("  tenant     user      password")
	for _, u := range demoUsers {
		c.say("  %-10s %-9s %s", u.tenant, u.login, u.password)
	}
	c.say("\nForgotten it? %s/avengers/reset   Security info: %s/avengers/security-info", provider, provider)
	c.say("Ctrl-C stops it.")
	return serve(c.ctx, p, []*http.Server{server(p, log), server(relying, log), server(mails, log)}, listeners)
}

// private refuses an address that other machines may reach.
func private(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return usage("--listen HOST:PORT: %v", err)
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return usage("--listen %s is not for this machine alone, and everybody knows the demo's passwords; say --exposed where that is meant, as in a container", listen)
}

// demoListeners takes the port asked for and the two after it; port 0 takes any three.
func demoListeners(listen string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, usage("--listen HOST:PORT: %v", err)
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return nil, usage("--listen HOST:PORT: %q is no port", port)
	}
	var list []net.Listener
	for i := range 3 {
		at := 0
		if first != 0 {
			at = first + i
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(at)))
		if err != nil {
			for _, l := range list {
				l.Close()
			}
			return nil, fmt.Errorf("%w (the demo takes three ports in a row; --listen localhost:0 takes free ones)", err)
		}
		list = append(list, l)
	}
	return list, nil
}

// demoPeople makes the users that are not there yet.
func demoPeople(ctx context.Context, p *sparekey.Plugin) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, u := range demoUsers {
		a := p.Admin(u.tenant)
		if _, err := a.Find(ctx, u.login); err == nil {
			continue
		}
		err := a.AddUser(ctx, localUser(u), "demo")
		if err != nil {
			return errors.Join(fmt.Errorf("make user %s", u.login), err)
		}
	}
	return nil
}
