package sparekey_test

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
)

// kills is how often the server is killed: 200 times where all is required, ten times otherwise.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("SPAREKEY_KILLS")); err == nil {
		return n
	}
	if os.Getenv("SPAREKEY_REQUIRE") == "1" {
		return 200
	}
	return 10
}

// TestF03_AKilledResetLeavesOnePasswordAndNoOldSession kills the real server with SIGKILL while a reset is under way.
func TestF03_AKilledResetLeavesOnePasswordAndNoOldSession(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "sparekey")
	if out, err := exec.Command("go", "build", "-o", bin, "./cmd/sparekey").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, origin: fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port), clock: realClock(), tenant: "avengers", client: &http.Client{}}
	h.issuer = h.origin + "/avengers"
	h.cfg = &sparekey.Config{Tenants: map[string]sparekey.Tenant{"avengers": {Issuer: h.issuer}}}
	l.Close()
	file := filepath.Join(dir, "sparekey.yaml")
	text := fmt.Sprintf(`
listen: %s
database: sqlite:sparekey.db
trusted_proxies: [127.0.0.0/8, "::1/128"]
tenants:
  avengers:
    issuer: %s
    directories: {staff: {type: local}}
    policies: [{for: {everyone: true}, reset: true, methods: {totp: {}, email: {}}}]
    passwords: {min_length: 12}
    captcha: {bits: 4}
    clients: [{id: wiki, secret: file:secret, redirect_uris: ["%s"]}]
`, strings.TrimPrefix(h.origin, "http://"), h.issuer, callback)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("wiki-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := seed(t, file, kills())

	newWorks, oldWorks := 0, 0
	server := startServer(t, bin, file, h)
	for i, key := range keys {
		login := fmt.Sprintf("user%d", i)
		address := fmt.Sprintf("198.51.%d.%d", i/250, i%250+1)
		owner, thief := h.browserFrom(address), h.browserFrom(address)
		if owner.signIn(login, password).query("code") == "" {
			t.Fatalf("%s cannot sign in: %d %s %s", login, owner.last.status, owner.last.h1(), owner.last.error())
		}
		thief.beginReset(login)
		catchUp(h)
		thief.post("code", h.totp(key, 0), "action", "verify")
		thief.want("Choose a new password")

		// The kill falls anywhere in the last step: from before the intent to after the answer.
		delay, err := rand.Int(rand.Reader, big.NewInt(int64(120*time.Millisecond)))
		if err != nil {
			t.Fatal(err)
		}
		killed := make(chan struct{})
		go func() {
			time.Sleep(time.Duration(delay.Int64()))
			server.Process.Kill()
			server.Wait()
			close(killed)
		}()
		thief.try("new", renewed, "confirm", renewed, "action", "next")
		<-killed
		server = startServer(t, bin, file, h)

		check := h.browserFrom(address)
		isNew := check.signIn(login, renewed).query("code") != ""
		check = h.browserFrom(address)
		isOld := check.signIn(login, password).query("code") != ""
		if isNew == isOld {
			t.Fatalf("kill %d after %v: the new password works: %v, the old one: %v", i, time.Duration(delay.Int64()), isNew, isOld)
		}
		if isNew {
			newWorks++
			if p := owner.authorize("prompt", "none"); p.query("error") != "login_required" {
				t.Fatalf("kill %d after %v: the old session outlived the reset: %q", i, time.Duration(delay.Int64()), p.location)
			}
		} else {
			oldWorks++
		}
	}
	server.Process.Kill()
	server.Wait()
	t.Logf("%d kills: the new password worked %d times, the old one %d times, both never", len(keys), newWorks, oldWorks)
}

// seed makes users with an authenticator app each, and gives the apps' keys.
func seed(t *testing.T, file string, n int) []string {
	t.Helper()
	cfg, err := sparekey.LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := sparekey.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	a := p.Admin("avengers")
	var keys []string
	for i := range n {
		login := fmt.Sprintf("user%d", i)
		if err := a.AddUser(t.Context(), local.NewUser{Login: login, Password: password}, "test"); err != nil {
			t.Fatal(err)
		}
		u, err := a.Find(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		secret := make([]byte, 20)
		rand.Read(secret)
		err = a.Store.Write(t.Context(), func(tx store.Tx) error {
			_, err := a.Accounts.Bind(tx, u.ID, identity.Authenticator{Kind: identity.TOTP, Label: "Authenticator app", Data: secret})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, base32.StdEncoding.EncodeToString(secret))
	}
	return keys
}

func startServer(t *testing.T, bin, file string, h *house) *exec.Cmd {
	t.Helper()
	c := exec.Command(bin, "serve", "--config", file)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		res, err := http.Get(h.origin + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return c
			}
		}
	}
	t.Fatal("the server did not start")
	return nil
}
