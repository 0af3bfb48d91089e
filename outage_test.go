package sparekey_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// fsize bounds how far the running server may write into files; empty: not at all.
func (p *process) fsize(bytes string) {
	p.t.Helper()
	if bytes == "" {
		bytes = "unlimited"
	}
	if out, err := exec.Command("prlimit", "--pid", fmt.Sprint(p.running.Process.Pid), "--fsize="+bytes+":").CombinedOutput(); err != nil {
		p.t.Fatalf("prlimit: %v: %s", err, out)
	}
}

// unread lists what does not go on although it only reads: discovery, keys, userinfo.
func (p *process) unread(access string) (all []string) {
	for _, path := range []string{"/.well-known/openid-configuration", "/keys"} {
		res, err := p.client.Get(p.issuer + path)
		if err != nil {
			return append(all, err.Error())
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			all = append(all, fmt.Sprint(path, " ", res.StatusCode))
		}
	}
	if status := p.userinfo(access); status != http.StatusOK {
		all = append(all, fmt.Sprint("/userinfo ", status))
	}
	return all
}

// out fails unless the page says that nothing works now and when to try again, and gives nothing away.
func (b *browser) out(what string) {
	b.h.t.Helper()
	if b.last.status != http.StatusServiceUnavailable || b.last.header.Get("Retry-After") == "" || b.last.query("code") != "" {
		b.h.t.Errorf("%s: %d %q, Retry-After %q", what, b.last.status, b.last.h1(), b.last.header.Get("Retry-After"))
	}
}

// outage is what every outage of the store has in common: what reads goes on if reads says so, nothing else is answered but with 503 within six
// seconds, and when it has passed everything works within five, without a restart, and nothing has been used up.
func (p *process) outage(begin, end func(), reads bool) {
	p.t.Helper()
	owner, stranger, forgetful := p.people[0], p.people[1], p.people[2]
	p.start()
	got := p.redeem(owner.b.signIn(owner.login, password))
	if got.status != http.StatusOK {
		p.t.Fatalf("no tokens: %s", got.raw)
	}
	stranger.b.authorize()
	stranger.b.post("username", stranger.login, "action", "next")
	forgetful.b.beginReset(forgetful.login)
	catchUp(p.house)
	code := p.totp(forgetful.key, 0)

	begin()
	if left := p.unread(got.Access); reads && left != nil {
		p.t.Errorf("meanwhile: %q", left)
	}
	var all sync.WaitGroup
	for what, deed := range map[string]func(){
		"a sign-in": func() { stranger.b.post("password", password, "action", "sign_in"); stranger.b.out("a sign-in") },
		"a code":    func() { forgetful.b.post("code", code, "action", "verify"); forgetful.b.out("a code") },
		"a refresh token": func() {
			if r := p.refresh(got.Refresh); r.status != http.StatusServiceUnavailable || r.Access != "" {
				p.t.Errorf("a refresh token: %d %s", r.status, r.raw)
			}
		},
		"a live session": func() {
			if q := owner.b.authorize(); q.query("code") != "" || q.status < 300 {
				p.t.Errorf("a live session: %d %q", q.status, q.location)
			}
		},
	} {
		all.Go(func() {
			began := time.Now()
			if deed(); time.Since(began) > 6*time.Second {
				p.t.Errorf("%s waited %v", what, time.Since(began))
			}
		})
	}
	all.Wait()
	end()

	for ended := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if q := owner.b.authorize(); q.query("code") != "" {
			break
		} else if time.Since(ended) > 5*time.Second {
			p.t.Fatalf("five seconds after it has passed: %d %q", q.status, q.h1())
		}
	}
	if left := p.unread(got.Access); left != nil {
		p.t.Errorf("afterwards: %q", left)
	}
	if r := p.refresh(got.Refresh); r.status != http.StatusOK {
		p.t.Errorf("the refresh token was used up: %s", r.raw)
	}
	stranger.b = p.browserFrom(stranger.address)
	if stranger.b.signIn(stranger.login, password).query("code") == "" {
		p.t.Errorf("%s cannot sign in: %q %q", stranger.login, stranger.b.last.h1(), stranger.b.last.error())
	}
	forgetful.b = p.browserFrom(forgetful.address)
	forgetful.b.beginReset(forgetful.login)
	forgetful.b.post("code", code, "action", "verify")
	forgetful.b.want("Choose a new password")
}

// TestF04_AFullDiskIsAnOutageThatPasses keeps the real server from writing another byte into any file.
func TestF04_AFullDiskIsAnOutageThatPasses(t *testing.T) {
	if _, err := exec.LookPath("prlimit"); err != nil && os.Getenv("SPAREKEY_REQUIRE") != "1" {
		t.Skip("there is no prlimit (util-linux)")
	}
	p := newProcess(t, "sqlite:sparekey.db", 3)
	p.outage(func() { p.fsize("0") }, func() { p.fsize("") }, true)
	p.kill()
	db, err := sql.Open("sqlite", filepath.Join(p.dir, "sparekey.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var said string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&said); err != nil || said != "ok" {
		t.Errorf("integrity: %q %v", said, err)
	}
}

// TestF05_ALockedDatabaseIsAnOutageThatPasses holds a lock on the database that the real server needs.
func TestF05_ALockedDatabaseIsAnOutageThatPasses(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		p := newProcess(t, url, 3)
		driver, source, lock := "pgx", url, "LOCK TABLE shelf IN EXCLUSIVE MODE"
		if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
			driver, source, lock = "sqlite", path, "BEGIN IMMEDIATE"
		}
		db, err := sql.Open(driver, source)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		held, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		run := func(query string) {
			if _, err := held.ExecContext(context.Background(), query); err != nil {
				t.Fatal(err)
			}
		}
		p.outage(func() {
			if driver == "pgx" {
				run("BEGIN")
			}
			run(lock)
		}, func() { run("ROLLBACK") }, true)
	})
}

// TestF18_ADamagedDatabaseIsRefusedInClearWords starts the real server on a file whose first page is gone, or one in the middle.
func TestF18_ADamagedDatabaseIsRefusedInClearWords(t *testing.T) {
	p := newProcess(t, "sqlite:sparekey.db", 3)
	p.start()
	p.kill()
	p.p.Close()
	file := filepath.Join(p.dir, "sparekey.db")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"no first page":  func(b []byte) []byte { return append(make([]byte, 4096), b[4096:]...) },
		"cut in half":    func(b []byte) []byte { return b[:len(b)/2/4096*4096] },
		"something else": func([]byte) []byte { return []byte("Not a database at all, and it never was one.\n") },
	} {
		for _, beside := range []string{"-wal", "-shm"} {
			os.Remove(file + beside)
		}
		damaged := damage(bytes.Clone(whole))
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out, err := exec.CommandContext(ctx, p.bin, "serve", "--config", p.file).CombinedOutput()
		cancel()
		if err == nil || ctx.Err() != nil && ctx.Err() != context.Canceled || !strings.Contains(string(out), "damaged") && !strings.Contains(string(out), "not a") {
			t.Errorf("%s: it serves, or says %v %s", name, err, out)
		}
		if left, err := os.ReadFile(file); err != nil || !bytes.Equal(left, damaged) {
			t.Errorf("%s: the file is not as it was", name)
		}
		t.Logf("%s: %s", name, bytes.TrimSpace(out))
	}
}
