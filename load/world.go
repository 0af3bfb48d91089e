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
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory/local"
)

const (
	callback = "http://localhost:9/callback"
	password = "a-password-for-the-load"
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
}

func newWorld(dir, database, binary string, callers int) (w *world, err error) {
	w = &world{bin: binary}
	if binary == "" {
		if w.bin, err = compile(dir); err != nil {
			return nil, err
		}
	}
	if info, err := os.Stat(w.bin); err == nil {
		w.size = float64(info.Size()) / 1e6
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	w.origin = fmt.Sprintf("http://localhost:%d", port)
	if w.config, err = configuration(dir, "sparekey", database, port, "local"); err != nil {
		return nil, err
	}
	if err := w.seed(callers); err != nil {
		return nil, err
	}
	if _, err := w.start(); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second) // idle is after the start has settled
	w.idle = resident(w.serve.Process.Pid)
	if w.meta, err = w.discover(w.origin); err != nil {
		return nil, err
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	if err := w.startBeside(dir); err != nil {
		return nil, err
	}
	for i := range callers {
		login := fmt.Sprintf("user%d", i)
		w.people = append(w.people, &person{w: w, meta: w.meta, login: login})
		w.guests = append(w.guests, &person{w: w, meta: w.freeMeta, login: login})
		if err := w.people[i].signIn("es"); err != nil {
			return nil, fmt.Errorf("first sign-in: %w", err)
		}
	}
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
	config, err := configuration(dir, "free", "sqlite:free.db", port, "program")
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
	w.freeMeta, err = w.discover(origin)
	return err
}

func (w *world) discover(origin string) (meta map[string]any, err error) {
	return meta, w.fetch(http.DefaultClient, "GET", origin+"/avengers/.well-known/openid-configuration", nil, &meta)
}

// configuration writes the file of a provider whose directory is of that type.
func configuration(dir, name, database string, port int, kind string) (path string, err error) {
	path = filepath.Join(dir, name+".yaml")
	text := fmt.Sprintf(`
listen: localhost:%d
database: %q
keyring: file:keyring
tenants:
  avengers:
    issuer: http://localhost:%d/avengers
    directories: {staff: {type: %s}}
    policies: [{for: {everyone: true}, reset: true, registration: {at_sign_in: false}}]
    clients:
      - {id: rs, secret: file:secret, redirect_uris: [%q]}
      - {id: es, secret: file:secret, redirect_uris: [%q], id_token_alg: ES256}
      - {id: job, secret: file:secret, grants: [client_credentials], scopes: [work], resource_server: true}
`, port, database, port, kind, callback, callback)
	return path, errors.Join(os.WriteFile(path, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "secret"), []byte("load-secret"), 0o600))
}

// seed makes the users in the store, before the server runs.
func (w *world) seed(callers int) error {
	cfg, err := sparekey.LoadConfig(w.config)
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, err := sparekey.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer p.Close()
	for i := range callers {
		err := p.Admin("avengers").AddUser(ctx, local.NewUser{Login: fmt.Sprintf("user%d", i), Name: "A User", Email: fmt.Sprintf("user%d@example.test", i), Groups: []string{"Everybody"}, Password: password}, "load")
		if err != nil {
			return err
		}
	}
	return nil
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
