package sparekey_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/directory/local"
)

// changed is the house's configuration with something else in it.
func (h *house) changed(f func(c *sparekey.Config)) *sparekey.Config {
	c := *h.cfg
	c.Tenants = maps.Clone(c.Tenants)
	f(&c)
	return &c
}

// reload has to work; browsers know the new tenants from then on.
func (h *house) reload(f func(c *sparekey.Config)) {
	h.t.Helper()
	c := h.changed(f)
	if err := h.p.Reload(h.t.Context(), c); err != nil {
		h.t.Fatal(err)
	}
	h.cfg = c
}

// client gives the wiki of avengers these redirect URIs.
func client(uris ...string) func(c *sparekey.Config) {
	return func(c *sparekey.Config) {
		t := c.Tenants["avengers"]
		t.Clients = append([]sparekey.Client{}, t.Clients...)
		t.Clients[0].RedirectURIs = uris
		c.Tenants["avengers"] = t
	}
}

// hammer asks for discovery from twenty callers until stopped, and gives what was no good answer.
func (h *house) hammer() (stop func() (asked int, faults []string)) {
	var lock sync.Mutex
	var all sync.WaitGroup
	asked, faults, end := 0, []string{}, make(chan struct{})
	issuers := []string{h.cfg.Tenants["avengers"].Issuer, h.cfg.Tenants["wakanda"].Issuer}
	for i := range 20 {
		all.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				fault := ""
				if res, err := h.client.Get(issuers[i%2] + "/.well-known/openid-configuration"); err != nil {
					fault = err.Error()
				} else if res.Body.Close(); res.StatusCode != http.StatusOK {
					fault = res.Status
				}
				lock.Lock()
				if asked++; fault != "" {
					faults = append(faults, fault)
				}
				lock.Unlock()
			}
		})
	}
	return func() (int, []string) { close(end); all.Wait(); return asked, faults }
}

func (h *house) status(address string) int {
	h.t.Helper()
	res, err := h.client.Get(address)
	if err != nil {
		h.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func TestReloadDisturbsNobody(t *testing.T) {
	h := open(t)
	owner := h.browser()
	code := owner.register("ironman").query("code")
	halfway := h.browser()
	halfway.authorize()
	halfway.post("username", "ironman", "action", "next")
	guesser := h.browser()
	guesser.signIn("ironman", "not-her-password")
	counted := h.counted("ironman")
	stop := h.hammer()

	const other = "http://localhost:9/other"
	for range 5 {
		h.reload(client(callback, other))
		h.reload(func(c *sparekey.Config) { c.Tenants["asgard"] = tenantConfig(h.origin+"/asgard", "Asgard") })
		h.reload(func(c *sparekey.Config) { delete(c.Tenants, "asgard") })
		h.reload(func(c *sparekey.Config) { c.TrustedProxies = []string{"192.0.2.0/24"} })
		h.reload(func(c *sparekey.Config) { c.Tenants["asgard"] = tenantConfig(h.origin+"/asgard", "Asgard") })
	}
	if n := h.counted("ironman"); counted == 0 || n != counted { // the right password takes them back
		t.Errorf("%d wrong answers counted before, %d after", counted, n)
	}
	if p := halfway.post("password", password, "action", "sign_in"); p.query("code") == "" {
		t.Errorf("the sign-in that was halfway shows %d %q %q", p.status, p.h1(), p.error())
	}
	if asked, faults := stop(); asked < 20 || len(faults) > 0 {
		t.Errorf("%d of %d requests were not answered: %.500q", len(faults), asked, faults)
	}
	if got := h.token("avengers", "grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier); got.Access == "" {
		t.Errorf("a code from before: %+v", got)
	}
	if p := owner.authorize("prompt", "none", "redirect_uri", other); p.query("code") == "" || !strings.HasPrefix(p.location, other) {
		t.Errorf("the session from before at the new redirect URI: %q", p.location)
	}

	// The new tenant is whole: it signs in, registers, and its mail goes out.
	h.addUser("asgard", "thor", "Thor", "thor@asgard.example", "Avengers")
	there := h.at("asgard")
	if p := there.browser().register("thor"); p.query("code") == "" {
		t.Errorf("at the new tenant: %d %q", p.status, p.h1())
	}
	h.await(1, func(m mail) bool { return m.to == "thor@asgard.example" })

	// What the new configuration does not let a client do a flow from before cannot do either.
	late := h.browser()
	late.authorize()
	late.post("username", "ironman", "action", "next")
	h.reload(client(other))
	if p := late.post("password", password, "action", "sign_in"); p.location != "" && strings.HasPrefix(p.location, callback) || p.status != http.StatusBadRequest {
		t.Errorf("a redirect URI that was taken away: %d %q", p.status, p.location)
	}
	h.reload(func(c *sparekey.Config) { delete(c.Tenants, "asgard") })
	if s := h.status(h.origin + "/asgard/.well-known/openid-configuration"); s != http.StatusNotFound {
		t.Errorf("a tenant that has gone answers %d", s)
	}
	if got := h.p.Tenants(); len(got) != 2 || !strings.Contains(h.logged(), `msg="config reloaded" tenants="[asgard avengers wakanda]"`) {
		t.Errorf("there is %v, and the log says\n%s", got, h.logged())
	}
}

// A request that is being answered ends with the wiring it began with.
func TestReloadWaitsForNoRequest(t *testing.T) {
	m := &slow{Memory: &directorytest.Memory{}, entered: make(chan bool), leave: make(chan bool)}
	m.Add(directorytest.Account{User: directory.User{ID: "1", Login: "loki"}, Password: password})
	h := open(t, bring(m))
	b := h.browser()
	b.authorize()
	b.post("username", "loki", "action", "next")
	m.hold(true)
	done := make(chan page)
	go func() { done <- b.post("password", password, "action", "sign_in") }()
	<-m.entered
	m.hold(false)
	h.reload(func(c *sparekey.Config) { delete(c.Tenants, "wakanda") })
	if s := h.status(h.origin + "/wakanda/reset"); s != http.StatusNotFound {
		t.Errorf("the tenant that has gone answers %d while a request from before is under way", s)
	}
	close(m.leave)
	if p := <-done; p.query("code") == "" {
		t.Errorf("the request under way shows %d %q", p.status, p.h1())
	}
	if p := h.browser().signIn("loki", password); p.query("code") == "" { // the program's directory is still there
		t.Errorf("after the reload: %d %q", p.status, p.h1())
	}
}

// slow is a directory that can be held while it checks a password.
type slow struct {
	*directorytest.Memory
	lock           sync.Mutex
	held           bool
	entered, leave chan bool
}

func (s *slow) hold(held bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.held = held
}

func (s *slow) VerifyPassword(ctx context.Context, u directory.User, password string) (directory.Verdict, error) {
	s.lock.Lock()
	held := s.held
	s.lock.Unlock()
	if held {
		s.entered <- true
		<-s.leave
	}
	return s.Memory.VerifyPassword(ctx, u, password)
}

func TestF11_AReloadIsRefusedWholeWithEveryKeyThatIsInItsWay(t *testing.T) {
	h := open(t)
	for want, f := range map[string]func(c *sparekey.Config){
		"listen: has changed, and needs a restart":         func(c *sparekey.Config) { c.Listen = "127.0.0.1:9999" },
		"metrics_listen: has changed, and needs a restart": func(c *sparekey.Config) { c.MetricsListen = "127.0.0.1:9998" },
		"database: has changed, and needs a restart":       func(c *sparekey.Config) { c.Database = "sqlite:" + filepath.Join(t.TempDir(), "other.db") },
		"keyring: has changed, and needs a restart":        func(c *sparekey.Config) { c.Keyring = "file:other" },
		"tls: has changed, and needs a restart":            func(c *sparekey.Config) { c.TLS = &sparekey.TLS{Cert: "cert.pem", Key: "key.pem"} },
		"tenants.asgard.directories.staff.type: the host program has not brought this directory": func(c *sparekey.Config) {
			t := c.Tenants["asgard"]
			t.Directories = map[string]sparekey.Directory{"staff": {Type: "program"}}
			c.Tenants["asgard"] = t
		},
		"tenants.avengers.issuer: is the issuer of tenant asgard too": func(c *sparekey.Config) {
			t := c.Tenants["asgard"]
			t.Issuer = h.issuer
			c.Tenants["asgard"] = t
		},
	} {
		err := h.p.Reload(t.Context(), h.changed(func(c *sparekey.Config) {
			c.Tenants["asgard"] = tenantConfig(h.origin+"/asgard", "Asgard") // good, and does not come in alone
			f(c)
		}))
		if err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	// A store that is away while the new tenant's keys are made.
	h.failing(func(string) error { return errors.New("away") })
	err := h.p.Reload(t.Context(), h.changed(func(c *sparekey.Config) { c.Tenants["asgard"] = tenantConfig(h.origin+"/asgard", "Asgard") }))
	h.failing(nil)
	if err == nil {
		t.Error("a tenant came in whose keys could not be read")
	}
	if s := h.status(h.origin + "/asgard/reset"); s != http.StatusNotFound || len(h.p.Tenants()) != 2 {
		t.Errorf("there is %v, and asgard answers %d", h.p.Tenants(), s)
	}
	if p := h.browser().register("ironman"); p.query("code") == "" {
		t.Errorf("afterwards: %d %q", p.status, p.h1())
	}
}

// followed is a plugin that follows a file, and what it logs.
type followed struct {
	t      *testing.T
	p      *sparekey.Plugin
	folder string
	now    chan os.Signal
	mark   int
	lock   sync.Mutex
	log    strings.Builder
}

func (f *followed) Write(b []byte) (int, error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.log.Write(b)
}

func (f *followed) put(name string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.folder, name), text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// says waits until the log has these words, each after the one before.
func (f *followed) says(words ...string) {
	f.t.Helper()
	for _, w := range words {
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			f.lock.Lock()
			text := f.log.String()
			f.lock.Unlock()
			if at := strings.Index(text[f.mark:], w); at >= 0 {
				f.mark += at + len(w)
				break
			}
			if time.Now().After(end) {
				f.t.Fatalf("the log does not say %q:\n%s", w, text)
			}
		}
	}
}

const followedFile = `database: sqlite:sparekey.db
tls: {cert_file: cert.pem, key_file: key.pem}
tenants:
  avengers:
    issuer: http://localhost:8080/avengers
    directories: {staff: {type: local}}
    clients: [{id: wiki, secret: file:wiki.secret, redirect_uris: ["http://localhost:9/"]}]
`

func follow(t *testing.T) *followed {
	f := &followed{t: t, folder: t.TempDir(), now: make(chan os.Signal)}
	cert, key := certificate(t)
	f.put("cert.pem", cert)
	f.put("key.pem", key)
	f.put("wiki.secret", []byte("one\n"))
	f.put("sparekey.yaml", []byte(followedFile))
	file := filepath.Join(f.folder, "sparekey.yaml")
	cfg, err := sparekey.LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	if f.p, err = sparekey.Open(t.Context(), cfg, sparekey.WithLogger(slog.New(slog.NewTextHandler(f, nil)))); err != nil {
		t.Fatal(err)
	}
	over := make(chan bool)
	ctx, stop := context.WithCancel(context.Background())
	go func() { f.p.Follow(ctx, file, f.now); close(over) }()
	t.Cleanup(func() { stop(); <-over; f.p.Close() })
	return f
}

func TestF11_AFileThatIsFollowedIsTakenWholeOrRefusedWithItsPlaces(t *testing.T) {
	t.Parallel()
	f := follow(t)
	before, err := f.p.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{
		followedFile + "    clients: [\n":                                          {"sparekey.yaml:9:1"},
		followedFile + "  wakanda: [" + "\n":                                       {"sparekey.yaml:9:1"},
		strings.Replace(followedFile, "tenants:", "metricslisten: x\ntenants:", 1): {`sparekey.yaml:3:1: metricslisten: unknown key`},
		"listen: 127.0.0.1:1\n" + followedFile:                                     {"sparekey.yaml:1:9: listen: has changed, and needs a restart"},
		strings.Replace(followedFile, "sparekey.db", "other.db\nmetrics_listen: 127.0.0.1:2\nkeyring: file:ring", 1): {
			"sparekey.yaml:1:11: database: has changed", "sparekey.yaml:2:17: metrics_listen: has changed", "sparekey.yaml:3:10: keyring: has changed"},
		strings.Replace(followedFile, "type: local", "type: program", 1): {"sparekey.yaml:6:33: tenants.avengers.directories.staff.type: the host program has not brought"},
	} {
		f.put("sparekey.yaml", []byte(text))
		f.now <- os.Interrupt
		f.says(append(want, "level=WARN msg=\"config not reloaded")...)
		if now, err := f.p.Certificate(nil); err != nil || now != before {
			t.Errorf("%v: something has changed with\n%s", err, text)
		}
	}

	// Found by itself, on disk: the good file, then a certificate whose key comes later, then a secret that is missing for a while.
	f.put("sparekey.yaml", []byte(strings.Replace(followedFile, "  avengers:\n", "  wakanda: {issuer: http://localhost:8080/wakanda, directories: {staff: {type: local}}}\n  avengers:\n", 1)))
	f.says(`config reloaded" tenants="[avengers wakanda]"`)
	cert, key := certificate(t)
	f.put("cert.pem", cert)
	f.says("level=ERROR", "sparekey.yaml:2:1: tls: ", "config not reloaded")
	f.put("key.pem", key)
	f.says("config reloaded")
	if now, err := f.p.Certificate(nil); err != nil || now.Leaf.Equal(before.Leaf) {
		t.Errorf("the certificate was not renewed: %v", err)
	}
	if err := os.Remove(filepath.Join(f.folder, "wiki.secret")); err != nil {
		t.Fatal(err)
	}
	f.says("sparekey.yaml:8:", "there is no file", "config not reloaded")
	f.put("wiki.secret", []byte("another-secret-of-the-wiki\n"))
	f.says("config reloaded")
	if strings.Contains(f.log.String(), "another-secret") {
		t.Error("the log has a secret")
	}
}

func TestReloadsAtOnceAreOneAfterTheOther(t *testing.T) {
	h := open(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := fmt.Sprintf("tenant%d", i)
			err := h.p.Reload(t.Context(), h.changed(func(c *sparekey.Config) {
				c.Tenants[name] = tenantConfig(h.origin+"/"+name, name)
			}))
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := h.p.Tenants(); len(got) != 3 {
		t.Errorf("there is %v: the last one alone is to serve", got)
	}
	if err := h.admin("avengers").AddUser(t.Context(), local.NewUser{Login: "vision", Password: password}, "test"); err != nil {
		t.Error(err)
	}
}
