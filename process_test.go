package sparekey_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
)

// process is a house whose server is the real binary, in a process that may be killed. The house's own plugin looks into the same store.
type process struct {
	*house
	bin, dir, file string
	running        *exec.Cmd
	slowest        time.Duration // start until ready
	via            []string      // what the server is started by; nil: directly
	gone           chan struct{} // closed when the running one has ended
	people         []*resident
}

// resident is a user of a process, with an authenticator app and a browser.
type resident struct {
	login, address, key string
	b                   *browser
	used                int64 // the last step of her app she gave away
}

// kills is how often the server is killed: as SPAREKEY_KILLS says, or so many times where all is required, or ten times.
func kills(required int) int {
	if n, err := strconv.Atoi(os.Getenv("SPAREKEY_KILLS")); err == nil {
		return n
	}
	if os.Getenv("SPAREKEY_REQUIRE") == "1" {
		return required
	}
	return 10
}

// newProcess builds the binary and writes the file of a tenant avengers, whose lines those given are added to, in a store at database:
// a relative SQLite path is in the folder of the run. So many people are made; the server is not started yet.
func newProcess(t *testing.T, database string, people int, lines ...string) *process {
	t.Helper()
	p := &process{house: &house{t: t, clock: realClock(), tenant: "avengers", mails: &mails{}, log: &bytes.Buffer{}, client: &http.Client{}}, bin: built(t), dir: t.TempDir()}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p.origin = fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	p.issuer = p.origin + "/avengers"
	p.file = filepath.Join(p.dir, "sparekey.yaml")
	text := fmt.Sprintf(`
listen: %s
database: %q
keyring: file:keyring
trusted_proxies: [127.0.0.0/8, "::1/128"]
tenants:
  avengers:
    issuer: %s
    directories: {staff: {type: local}}
    policies: [{for: {everyone: true}, reset: true, methods: {totp: {}, email: {}}}]
    passwords: {min_length: 12}
    captcha: {bits: 4}
    limits: {rush: 5000/10m, siege: 5000/24h} # so many codes are tried twice here that the tenant would count as under attack
    clients: [{id: wiki, secret: file:secret, redirect_uris: ["%s"], grants: [authorization_code, refresh_token]}]
`, strings.TrimPrefix(p.origin, "http://"), database, p.issuer, callback)
	p.put("sparekey.yaml", text+strings.Join(lines, "\n")+"\n")
	p.put("secret", "wiki-secret")
	if p.cfg, err = sparekey.LoadConfig(p.file); err != nil {
		t.Fatal(err)
	}
	if p.p, err = sparekey.Open(context.Background(), p.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.p.Close() })
	t.Cleanup(p.kill)
	for i := range people {
		p.join(i)
	}
	return p
}

func (p *process) put(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// join makes a user with an authenticator app.
func (p *process) join(i int) {
	p.t.Helper()
	one := &resident{login: fmt.Sprintf("user%d", i), address: fmt.Sprintf("198.51.%d.%d", i/250, i%250+1)}
	a := p.admin("avengers")
	if err := a.AddUser(p.t.Context(), local.NewUser{Login: one.login, Email: one.login + "@stark.example", Password: password}, "test"); err != nil {
		p.t.Fatal(err)
	}
	seed := make([]byte, 20)
	rand.Read(seed)
	one.key = base32.StdEncoding.EncodeToString(seed)
	p.bind(one.login, identity.Authenticator{Kind: identity.TOTP, Label: "Authenticator app", Data: seed})
	one.b = p.browserFrom(one.address)
	p.people = append(p.people, one)
}

// bind gives a user a method without a page.
func (p *process) bind(login string, a identity.Authenticator) {
	p.t.Helper()
	adm := p.admin("avengers")
	err := adm.Store.Write(p.t.Context(), func(tx store.Tx) error {
		_, err := adm.Accounts.Bind(tx, p.user(login).ID, a)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// start starts the server and waits until it is ready.
func (p *process) start() {
	p.t.Helper()
	began := time.Now()
	args := append(append([]string{}, p.via...), p.bin, "serve", "--config", p.file)
	p.running = exec.Command(args[0], args[1:]...)
	p.running.Stderr = p
	if err := p.running.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.gone = make(chan struct{})
	go func(c *exec.Cmd, gone chan struct{}) {
		c.Wait()
		close(gone)
	}(p.running, p.gone)
	for time.Since(began) < 20*time.Second {
		if p.ready() {
			p.slowest = max(p.slowest, time.Since(began))
			return
		}
		select {
		case <-p.gone:
			p.t.Fatalf("the server ended: %s", p.logged())
		case <-time.After(5 * time.Millisecond):
		}
	}
	p.t.Fatal("the server did not start")
}

func (p *process) ready() bool {
	res, err := http.Get(p.origin + "/readyz")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// kill ends the server as a power cut does.
func (p *process) kill() {
	if p.running == nil {
		return
	}
	p.running.Process.Kill()
	<-p.gone
	p.running = nil
}

// terminate asks the server to end.
func (p *process) terminate() { p.running.Process.Signal(syscall.SIGTERM) }

// killedWithin does what f does while the server is killed at a moment from now to the longest.
func (p *process) killedWithin(longest time.Duration, f func()) time.Duration {
	p.t.Helper()
	at := anyTime(p.t, longest)
	killed := make(chan struct{})
	go func() {
		time.Sleep(at)
		p.kill()
		close(killed)
	}()
	f()
	<-killed
	return at
}

// holds lists the kinds of the methods she has, in the order of their names.
func (p *process) holds(login string) (kinds []identity.Kind) {
	p.t.Helper()
	for _, m := range p.methods(login) {
		kinds = append(kinds, m.Kind)
	}
	slices.Sort(kinds)
	return kinds
}

func (p *process) methods(login string) []identity.Authenticator {
	p.t.Helper()
	list, err := p.admin("avengers").Methods(p.t.Context(), p.user(login))
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

// notices counts the mails of a kind that were written to her, sent or not.
func (p *process) notices(login, kind string) (n int) {
	p.t.Helper()
	u := p.user(login)
	err := p.admin("avengers").Store.Read(p.t.Context(), func(tx store.Tx) error {
		return tx.Row("SELECT COUNT(*) FROM outbox WHERE tenant = $1 AND user_id = $2 AND kind = $3", u.ID, kind).Scan(&n)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}
