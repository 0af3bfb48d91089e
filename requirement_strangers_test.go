package sparekey_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"github.com/sparekey-id/sparekey/internal/strangers"
)

// burden counts the goroutines of the running server, which tells its metrics at that address, and its file descriptors, but for those of
// a SQLite database, of which it keeps a few for as long as it is busy.
func (p *process) burden(metrics string) (goroutines, descriptors int) {
	p.t.Helper()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + metrics)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^go_goroutines (\d+)`).FindSubmatch(text)
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.running.Process.Pid))
	if m == nil || err != nil {
		p.t.Fatalf("%v, or no goroutines in %.300s", err, text)
	}
	for _, d := range open {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.running.Process.Pid, d.Name()))
		if file, ok := strings.CutPrefix(p.cfg.Database, "sqlite:"); !ok || !strings.HasPrefix(to, file) {
			descriptors++
		}
	}
	goroutines, _ = strconv.Atoi(string(m[1]))
	return goroutines, descriptors
}

// memory is a line of the status of the running server, in MiB: VmRSS, VmHWM.
func (p *process) memory(line string) int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.running.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	m := regexp.MustCompile(line + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		p.t.Fatalf("no %s", line)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n >> 10
}

// TestF16_AFloodBesideHonestUsersIsNotTheirs floods the real server with wrong passwords and garbage while others refresh tokens, come back
// with a live session and sign in: not one of them meets an error, memory keeps its bound, nothing panics, and when the flood has passed the
// server holds what it held before. How long anybody waits is for a machine at rest: go run ./load -flood.
func TestF16_AFloodBesideHonestUsersIsNotTheirs(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("there is no /proc")
	}
	rises, lasts := 2*time.Second, 5*time.Second
	if deep() {
		rises, lasts = time.Minute, 5*time.Minute
	}
	const most = 300 // MiB
	storetest.EachURL(t, func(t *testing.T, url string) {
		l, err := net.Listen("tcp", "localhost:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		at := l.Addr().String()
		p := newProcess(t, url, 4, "metrics_listen: "+at)
		p.start()
		type held struct{ goroutines, descriptors int }
		hold := func() (h held) {
			p.client.CloseIdleConnections()
			http.DefaultClient.CloseIdleConnections()
			h.goroutines, h.descriptors = p.burden(at)
			return h
		}
		kept := 0
		if strings.HasPrefix(url, "postgres") {
			kept = 16 // connections to the database at most, for as long as it is busy
		}
		flood := strangers.Flood{Authorize: p.authorizeURL("avengers"), Token: p.meta("avengers")["token_endpoint"].(string), Wrong: 200, Garbage: 150, Open: 64} // more passwords than can be hashed, so that as many wait as are let
		come := func(lasts time.Duration) strangers.Told {
			ctx, cancel := context.WithTimeout(t.Context(), lasts)
			defer cancel()
			told, err := flood.Run(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return told
		}
		come(rises) // what is made once is made now
		var before held
		for range 3 {
			time.Sleep(time.Second)
			before = hold()
		}

		var asked atomic.Int64
		over := make(chan struct{})
		pause := func() bool {
			select {
			case <-over:
				return false
			case <-time.After(20 * time.Millisecond):
				return true
			}
		}
		var sizes []int
		var all sync.WaitGroup
		for i, one := range p.people {
			got := p.redeem(one.b.signIn(one.login, password))
			if got.status != http.StatusOK {
				t.Fatalf("%s has no tokens: %d %s", one.login, got.status, got.raw)
			}
			all.Go(func() {
				for n := 1; pause(); n++ {
					asked.Add(1)
					got = p.refresh(got.Refresh)
					if got.status != http.StatusOK {
						t.Errorf("a refresh met %d %s", got.status, got.raw)
						return
					}
					if s := p.userinfo(got.Access); s != http.StatusOK {
						t.Errorf("userinfo met %d", s)
					}
					if one.b.authorize("prompt", "none").query("code") == "" {
						t.Errorf("%s comes back and meets %d %q", one.login, one.b.last.status, one.b.last.h1())
					}
					if i == 0 && n%5 == 0 {
						if b := p.browserFrom(one.address); b.signIn(one.login, password).query("code") == "" {
							t.Errorf("%s signs in and meets %d %q %q", one.login, b.last.status, b.last.h1(), b.last.error())
						}
					}
				}
			})
		}
		all.Go(func() {
			for pause() {
				sizes = append(sizes, p.memory("VmRSS"))
			}
		})
		told := come(lasts)
		close(over)
		all.Wait()

		if told.Passwords < int64(lasts.Seconds())*2 || told.Garbage < int64(lasts.Seconds())*50 || asked.Load() < int64(lasts.Seconds()) {
			t.Errorf("that was no flood, or nobody beside it: %+v, %d", told, asked.Load())
		}
		for _, f := range told.Faults {
			t.Error(f)
		}
		peak := p.memory("VmHWM")
		if peak >= most {
			t.Errorf("the server had %d MiB", peak)
		}
		for line := range strings.Lines(p.logged()) {
			if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "panic") || strings.Contains(line, "goroutine ") {
				t.Errorf("logged: %s", line)
			}
		}
		after := hold()
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && (after.goroutines > before.goroutines || after.descriptors > before.descriptors+kept); after = hold() {
			time.Sleep(100 * time.Millisecond)
		}
		if after.goroutines > before.goroutines || after.descriptors > before.descriptors+kept {
			t.Errorf("it held %+v before, and half a minute after %+v", before, after)
		}
		quarter := len(sizes) / 4
		first, last := sizes[:quarter], sizes[3*quarter:]
		slices.Sort(first)
		slices.Sort(last)
		then, now := first[len(first)/2], last[len(last)/2]
		if deep() && now*100 >= then*105 {
			t.Errorf("it grows: %d MiB in the first quarter, %d in the last", then, now)
		}
		t.Logf("%d rounds beside %d wrong passwords and %d pieces of garbage; at most %d MiB, %d in the first quarter and %d in the last; %+v before, %+v after", asked.Load(), told.Passwords, told.Garbage, peak, then, now, before, after)
	})
}

// Who hangs up is no trouble of the server: no error in its log, nothing in the journal, so that strangers cannot fill them that way.
func TestF16_WhoHangsUpIsNoErrorOfTheServer(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		rows := len(h.records("avengers", true))
		for what, r := range map[string]*http.Request{
			"authorize": httptest.NewRequest(http.MethodGet, h.authorizeURL("avengers"), nil),
			"reset":     httptest.NewRequest(http.MethodGet, h.issuer+"/reset", nil),
			"token":     httptest.NewRequest(http.MethodPost, h.issuer+"/token", strings.NewReader("grant_type=refresh_token&refresh_token=x&client_id=phone")),
			"userinfo":  httptest.NewRequest(http.MethodGet, h.issuer+"/userinfo", nil),
		} {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 43))
			if what == "token" {
				r.Header.Del("Authorization")
			}
			w := httptest.NewRecorder()
			h.p.ServeHTTP(w, r.WithContext(gone))
			if w.Code >= 500 || w.Code < 300 {
				t.Errorf("%s: %d %s", what, w.Code, w.Body)
			}
		}
		if strings.Contains(h.logged(), "level=ERROR") || !strings.Contains(h.logged(), "status=499") {
			t.Errorf("logged: %s", h.logged())
		}
		if n := len(h.records("avengers", true)); n != rows {
			t.Errorf("%d lines in the journal", n-rows)
		}
	}, quietly)
}
