package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/crowd"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

const (
	callback = "http://localhost:9/callback"
	password = crowd.Password
	verifier = "a-verifier-that-is-long-enough-for-anybody-0123456789"
)

// world is the server under load, what is compared with it, and the callers.
type world struct {
	bin, config, origin string
	serve, bare, free   *exec.Cmd
	bareURL             string
	meta, freeMeta      map[string]any
	people, guests      []*person // the guests sign in at free
	idle, size          float64
	filled              time.Duration // it took to fill the store
	next                atomic.Int64  // user to be reset
	store               crowd.Size
}

// newWorld fills a store, starts the server on it, and signs the callers in. What is compared with the server is started apart. The lines
// stand in the configuration besides.
func newWorld(dir, name, database, binary string, callers int, size crowd.Size, lines ...string) (w *world, err error) {
	w = &world{bin: binary, store: size}
	if info, err := os.Stat(w.bin); err == nil {
		w.size = float64(info.Size()) / 1e6
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	w.origin = fmt.Sprintf("http://localhost:%d", port)
	if w.config, err = configuration(dir, name, database, port, "local", size.Tenants, lines...); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := fill(w.config, size); err != nil {
		return nil, err
	}
	w.filled = time.Since(began)
	if _, err := w.start(); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second) // idle is after the start has settled
	w.idle = resident(w.serve.Process.Pid)
	if w.meta, err = w.discover(w.origin); err != nil {
		return nil, err
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	for i := range callers {
		w.people = append(w.people, &person{w: w, meta: w.meta, login: crowd.Login(i)})
		if err := w.people[i].signIn("es"); err != nil {
			return nil, fmt.Errorf("first sign-in: %w", err)
		}
	}
	w.next.Store(int64(callers))
	return w, nil
}

// startBeside starts what is compared with the server: the floor, and a provider whose users' passwords cost nothing to check.
func (w *world) startBeside(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	w.bareURL = fmt.Sprintf("http://localhost:%d/", port)
	w.bare = exec.Command(self, "-bare", fmt.Sprintf("localhost:%d", port))
	if err := w.bare.Start(); err != nil {
		return err
	}
	if port, err = freePort(); err != nil {
		return err
	}
	config, err := configuration(dir, "free", "sqlite:free.db", port, "program", 1)
	if err != nil {
		return err
	}
	w.free = exec.Command(self, "-free", config)
	if err := w.free.Start(); err != nil {
		return err
	}
	origin := fmt.Sprintf("http://localhost:%d", port)
	if err := ready(origin); err != nil {
		return err
	}
	if w.freeMeta, err = w.discover(origin); err != nil {
		return err
	}
	for i, p := range w.people {
		w.guests = append(w.guests, &person{w: w, meta: w.freeMeta, login: p.login})
		if err := w.guests[i].signIn("es"); err != nil {
			return fmt.Errorf("first sign-in: %w", err)
		}
	}
	return nil
}

func (w *world) discover(origin string) (meta map[string]any, err error) {
	return meta, w.fetch(http.DefaultClient, "GET", origin+"/avengers/.well-known/openid-configuration", nil, &meta)
}

// configuration writes the file of a provider with so many tenants, whose directories are of that type.
func configuration(dir, name, database string, port int, kind string, tenants int, lines ...string) (path string, err error) {
	path = filepath.Join(dir, name+".yaml")
	var text strings.Builder
	for _, l := range lines {
		fmt.Fprintln(&text, l)
	}
	fmt.Fprintf(&text, "listen: localhost:%d\ndatabase: %q\nkeyring: file:%s.keyring\ntenants:\n", port, database, name)
	for i := range tenants {
		fmt.Fprintf(&text, `  %[1]s:
    issuer: http://localhost:%[2]d/%[1]s
    directories: {staff: {type: %[3]s}}
    policies: [{for: {everyone: true}, reset: true, methods: {totp: {for: [reset]}}, registration: {at_sign_in: false}}]
    captcha: {bits: 1}
    clients:
      - {id: rs, secret: file:secret, redirect_uris: [%[4]q]}
      - {id: es, secret: file:secret, redirect_uris: [%[4]q], id_token_alg: ES256}
      - {id: job, secret: file:secret, grants: [client_credentials], scopes: [work], resource_server: true}
`, crowd.Tenant(i), port, kind, callback)
	}
	return path, errors.Join(os.WriteFile(path, []byte(text.String()), 0o600), os.WriteFile(filepath.Join(dir, "secret"), []byte("load-secret"), 0o600))
}

// fill makes the store of a configuration, and its keyring, before the server runs.
func fill(config string, size crowd.Size) error {
	cfg, err := sparekey.LoadConfig(config)
	if err != nil {
		return err
	}
	ctx := context.Background()
	db, err := store.Open(ctx, cfg.Database, store.Options{})
	if err != nil {
		return err
	}
	ring, err := secret.CreateRing(strings.TrimPrefix(cfg.Keyring, "file:"))
	if err == nil {
		err = crowd.Fill(ctx, db, ring, size, progress("filling"))
	}
	return errors.Join(err, db.Close())
}

// progress tells on standard error how far something is.
func progress(what string) func(done, all int64) {
	began := time.Now()
	return func(done, all int64) {
		fmt.Fprintf(os.Stderr, "\r%s: %d of %d rows, %.0f s ", what, done, all, time.Since(began).Seconds())
	}
}

// operations are those whose names match.
func (w *world) operations(wanted *regexp.Regexp) []operation {
	pid := w.serve.Process.Pid
	get := func(address string) func(int) error {
		return func(int) error { return w.fetch(http.DefaultClient, "GET", address, nil, nil) }
	}
	return slices.DeleteFunc([]operation{
		{"floor: a bare net/http answer", w.bare.Process.Pid, get(w.bareURL), nil},
		{"discovery", pid, get(w.origin + "/avengers/.well-known/openid-configuration"), nil},
		{"keys", pid, get(w.meta["jwks_uri"].(string)), nil},
		{"authorize, code, token, userinfo with a live session, RS256", pid, func(i int) error { return w.people[i].flow("rs") }, nil},
		{"authorize, code, token, userinfo with a live session, ES256", pid, func(i int) error { return w.people[i].flow("es") }, nil},
		{"userinfo", pid, func(i int) error { return w.people[i].userinfo() }, nil},
		{"introspection", pid, func(i int) error { return w.people[i].introspect() }, nil},
		{"client credentials", pid, func(i int) error {
			return w.fetch(http.DefaultClient, "POST", w.meta["token_endpoint"].(string), url.Values{"client": {"job"}, "grant_type": {"client_credentials"}}, nil)
		}, nil},
		{"refresh, ES256", pid, func(i int) error { return w.people[i].renew("es") }, nil},
		{"sign-in with user name and password, code, token, ES256", pid, func(i int) error { return w.people[i].signIn("es") },
			&operation{name: "the password hash in it: a bare net/http answer that hashes, at the same time", pid: w.bare.Process.Pid, one: get(w.bareURL + "hash")}},
		{"the same sign-in at a program whose own directory checks passwords at no cost", w.free.Process.Pid, func(i int) error { return w.guests[i].signIn("es") }, nil},
	}, func(o operation) bool { return !wanted.MatchString(o.name) })
}
