package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/secret"
)

const (
	callback = "http://localhost:9/callback"
	password = "a-password-for-the-load"
	verifier = "a-verifier-that-is-long-enough-for-anybody-0123456789"
)

// world is the server under load, the floor beside it, and the callers.
type world struct {
	dir, bin, config, origin string
	serve, bare              *exec.Cmd
	bareURL                  string
	meta                     map[string]any
	people                   []*person
	idle, size               float64
	hash                     func() error
}

// person is one caller: her browser and what she holds.
type person struct {
	w               *world
	login           string
	browser         *http.Client
	access, refresh string
}

func newWorld(dir, database string, callers int) (*world, error) {
	w := &world{dir: dir}
	var err error
	if w.bin, err = compile(dir); err != nil {
		return nil, err
	}
	if info, err := os.Stat(w.bin); err == nil {
		w.size = float64(info.Size()) / 1e6
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	w.origin = fmt.Sprintf("http://localhost:%d", port)
	w.config = filepath.Join(dir, "sparekey.yaml")
	text := fmt.Sprintf(`
listen: localhost:%d
database: %q
keyring: file:keyring
tenants:
  avengers:
    issuer: %s/avengers
    directories: {staff: {type: local}}
    clients:
      - {id: rs, secret: file:secret, redirect_uris: [%q]}
      - {id: es, secret: file:secret, redirect_uris: [%q], id_token_alg: ES256}
`, port, database, w.origin, callback, callback)
	if err := errors.Join(os.WriteFile(w.config, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "secret"), []byte("load-secret"), 0o600)); err != nil {
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
	if err := w.fetch(http.DefaultClient, "GET", w.origin+"/avengers/.well-known/openid-configuration", nil, &w.meta); err != nil {
		return nil, err
	}
	if port, err = freePort(); err != nil {
		return nil, err
	}
	w.bareURL = fmt.Sprintf("http://localhost:%d/", port)
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w.bare = exec.Command(self, "-bare", fmt.Sprintf("localhost:%d", port))
	if err := w.bare.Start(); err != nil {
		return nil, err
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	for i := range callers {
		p := &person{w: w, login: fmt.Sprintf("user%d", i)}
		if err := p.signIn("es"); err != nil {
			return nil, fmt.Errorf("first sign-in: %w", err)
		}
		w.people = append(w.people, p)
	}
	h := secret.NewHasher(0)
	w.hash = func() error { _, err := h.Hash(context.Background(), password); return err }
	return w, nil
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

// start starts the server and gives the time until it was ready.
func (w *world) start() (time.Duration, error) {
	began := time.Now()
	w.serve = exec.Command(w.bin, "serve", "--config", w.config)
	if err := w.serve.Start(); err != nil {
		return 0, err
	}
	for time.Since(began) < 20*time.Second {
		if res, err := http.Get(w.origin + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return time.Since(began), nil
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	return 0, errors.New("the server did not become ready")
}

func (w *world) starts(n int) (time.Duration, error) {
	var all []time.Duration
	for range n {
		w.stop()
		d, err := w.start()
		if err != nil {
			return 0, err
		}
		all = append(all, d)
	}
	slices.Sort(all)
	return all[n/2], nil
}

func (w *world) stop() {
	_ = w.serve.Process.Signal(os.Interrupt)
	_ = w.serve.Wait()
}

func (w *world) close() {
	w.stop()
	_ = w.bare.Process.Kill()
	_ = w.bare.Wait()
}

// resident is the memory a process has in use, in MiB.
func resident(pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(raw)
	if m == nil {
		return 0
	}
	kb, _ := strconv.ParseFloat(string(m[1]), 64)
	return kb / 1024
}

func (w *world) operations() []operation {
	pid := w.serve.Process.Pid
	get := func(address string) func(int) error {
		return func(int) error { return w.fetch(http.DefaultClient, "GET", address, nil, nil) }
	}
	return []operation{
		{"floor: a bare net/http answer", w.bare.Process.Pid, get(w.bareURL)},
		{"discovery", pid, get(w.origin + "/avengers/.well-known/openid-configuration")},
		{"keys", pid, get(w.meta["jwks_uri"].(string))},
		{"authorize, code, token, userinfo with a live session, RS256", pid, func(i int) error { return w.people[i].flow("rs") }},
		{"authorize, code, token, userinfo with a live session, ES256", pid, func(i int) error { return w.people[i].flow("es") }},
		{"userinfo", pid, func(i int) error { return w.people[i].userinfo() }},
		{"refresh, ES256", pid, func(i int) error { return w.people[i].renew("es") }},
		{"sign-in with user name and password, code, token, ES256", pid, func(i int) error { return w.people[i].signIn("es") }},
		{"the password hash in it, alone", os.Getpid(), func(int) error { return w.hash() }},
	}
}

func (w *world) fetch(c *http.Client, method, address string, form url.Values, into any) error {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, address, body)
	if err != nil {
		return err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(form.Get("client"), "load-secret")
		form.Del("client")
	}
	return answer(c, r, into)
}

func answer(c *http.Client, r *http.Request, into any) error {
	res, err := c.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d %.200s", r.URL.Path, res.StatusCode, raw)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}

func (p *person) authorizeURL(client string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"client_id": {client}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid profile email offline_access"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	return p.w.meta["authorization_endpoint"].(string) + "?" + q.Encode()
}

// code follows redirects until one leads to the relying party, and gives the code in it; page is what was shown instead.
func (p *person) code(r *http.Request) (code, page string, at *url.URL, err error) {
	res, err := p.browser.Do(r)
	if err != nil {
		return "", "", nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return "", "", nil, err
	}
	if to, err := res.Location(); err == nil {
		return to.Query().Get("code"), "", to, nil
	}
	return "", string(raw), res.Request.URL, nil
}

func (p *person) redeem(client, code string) error {
	var t struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	form := url.Values{"client": {client}, "grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	if err := p.w.fetch(http.DefaultClient, "POST", p.w.meta["token_endpoint"].(string), form, &t); err != nil {
		return err
	}
	p.access, p.refresh = t.Access, t.Refresh
	return nil
}

func (p *person) flow(client string) error {
	r, err := http.NewRequest("GET", p.authorizeURL(client), nil)
	if err != nil {
		return err
	}
	code, page, _, err := p.code(r)
	if err != nil || code == "" {
		return fmt.Errorf("authorize: no code: %w %.300s", err, page)
	}
	if err := p.redeem(client, code); err != nil {
		return err
	}
	return p.userinfo()
}

func (p *person) userinfo() error {
	r, err := http.NewRequest("GET", p.w.meta["userinfo_endpoint"].(string), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+p.access)
	return answer(http.DefaultClient, r, nil)
}

func (p *person) renew(client string) error {
	var t struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if p.refresh == "" {
		return errors.New("no refresh token")
	}
	if err := p.w.fetch(http.DefaultClient, "POST", p.w.meta["token_endpoint"].(string), url.Values{"client": {client}, "grant_type": {"refresh_token"}, "refresh_token": {p.refresh}}, &t); err != nil {
		return err
	}
	p.access, p.refresh = t.Access, t.Refresh
	return nil
}

var csrf = regexp.MustCompile(`name="csrf" value="([^"]*)"`)

// signIn signs in anew, in a browser without cookies.
func (p *person) signIn(client string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	p.browser = &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	r, err := http.NewRequest("GET", p.authorizeURL(client), nil)
	if err != nil {
		return err
	}
	code, page, at, err := p.code(r)
	for _, form := range []url.Values{{"username": {p.login}, "action": {"next"}}, {"password": {password}, "action": {"sign_in"}}} {
		if err != nil {
			return err
		}
		m := csrf.FindStringSubmatch(page)
		if m == nil {
			return fmt.Errorf("no form on %.300s", page)
		}
		form.Set("csrf", m[1])
		if r, err = http.NewRequest("POST", at.String(), strings.NewReader(form.Encode())); err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		code, page, at, err = p.code(r)
	}
	if err != nil || code == "" {
		return fmt.Errorf("sign-in: no code: %w %.300s", err, page)
	}
	return p.redeem(client, code)
}
