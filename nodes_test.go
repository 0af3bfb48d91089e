package sparekey_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// pair is a house of two nodes, each with a memory, a port and a Run of its own. They share a PostgreSQL schema and the key ring's file.
type pair struct {
	*house
	second *sparekey.Plugin
	inARow int64 // so many requests go to one node before the next ones go to the other
	came   atomic.Int64
	posts  [2]atomic.Int64 // that each node was given
	pages  [2]atomic.Int64 // GETs
}

// two opens a pair behind a proxy that lets the nodes take turns.
func two(t *testing.T, inARow int64, settings ...setting) *pair {
	t.Helper()
	p := &pair{inARow: inARow}
	openAt(t, storetest.PostgresURL(t), append(settings, func(h *house) {
		p.house, h.front = h, p.proxy
		h.cfg.TrustedProxies = []string{"127.0.0.0/8", "::1/128"}
	})...)
	return p
}

// proxy opens the second node beside the first, and stands before both.
func (p *pair) proxy(first http.Handler) http.Handler {
	p.second = p.plugin(sparekey.WithLogger(slog.New(slog.NewTextHandler(p.house, nil)).With("node", "second")))
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		p.second.Run(ctx)
		close(stopped)
	}()
	var at [2]*url.URL
	for i, node := range []http.Handler{first, p.second} {
		server := httptest.NewServer(node)
		p.t.Cleanup(server.Close)
		at[i], _ = url.Parse(server.URL)
	}
	p.t.Cleanup(func() {
		cancel()
		<-stopped
		p.second.Close()
	})
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(at[p.turn(r.In)])
		r.Out.Host = r.In.Host
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
		r.SetXForwarded()
	}}
}

// turn is the node that the request goes to.
func (p *pair) turn(r *http.Request) int {
	i := int((p.came.Add(1) - 1) / p.inARow % 2)
	if r.Method == http.MethodPost {
		p.posts[i].Add(1)
	} else {
		p.pages[i].Add(1)
	}
	return i
}

// node is the house with one node alone, for browsers and relying parties that the proxy always sends there.
func (p *pair) node(i int) *house {
	plugin := []*sparekey.Plugin{p.p, p.second}[i%2]
	h := p.named(p.origin)
	h.p, h.client = plugin, &http.Client{Transport: served{plugin}}
	return h
}

// moved is the same browser, sent to the node from now on.
func (b *browser) moved(to *house) *browser {
	c := b.twin()
	c.h, c.client = to, &http.Client{Jar: b.jar, Transport: to.client.Transport, CheckRedirect: b.client.CheckRedirect}
	return c
}

// unnoticed fails when a node had anything to complain of, did not take its part, or left the journal unlinked or broken.
func (p *pair) unnoticed() {
	p.t.Helper()
	p.drained()
	for line := range strings.Lines(p.logged()) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			p.t.Errorf("logged: %s", line)
		}
	}
	for i := range 2 {
		if p.inARow > 1 && p.posts[i].Load() < 5 || p.posts[i].Load()+p.pages[i].Load() < p.came.Load()/4 {
			p.t.Errorf("node %d was given %d pages and %d posts", i, p.pages[i].Load(), p.posts[i].Load())
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		v, err := p.admin("avengers").Journal.Verify(p.t.Context())
		if err != nil || !v.OK() {
			p.t.Fatalf("the journal: %+v %v", v, err)
		}
		if v.Unlinked == 0 {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%d rows of the journal stay unlinked", v.Unlinked)
		}
	}
}

func TestF09_NobodyNoticesThatTwoNodesTakeTurns(t *testing.T) {
	walks := map[string]func(*testing.T, *house){
		"the story": theStory,
		"a tour":    func(t *testing.T, h *house) { tour(t, h, func(*browser) {}) },
		"two methods, a reset without JavaScript, and out again": outAndIn,
	}
	// A page's form comes back by POST and leads to a GET. One in a row parts these two, two in a row parts one form from the next.
	for name, inARow := range map[string]int64{"with each request": 1, "with each page": 2} {
		t.Run(name, func(t *testing.T) {
			for name, walk := range walks {
				t.Run(name, func(t *testing.T) {
					p := two(t, inARow)
					walk(t, p.house)
					p.unnoticed()
				})
			}
		})
	}
}

// outAndIn is walked by pepper, who needs two methods: she registers them at sign-in, resets her password by waiting instead of solving,
// signs in anew, sees her security info and signs out from the relying party.
func outAndIn(t *testing.T, h *house) {
	const address = "pepper@home.example"
	b := h.browser()
	b.signIn("pepper", password)
	before := h.redeem(b.registerBoth(address))
	if before.status != http.StatusOK || h.userinfo(before.Access) != http.StatusOK {
		t.Fatal(before.raw)
	}
	if again := h.refresh(before.Refresh); again.status != http.StatusOK || h.userinfo(again.Access) != http.StatusOK {
		t.Fatal(again.raw)
	}

	r := h.browser()
	r.get("/avengers/reset")
	ticket := r.puzzle()[1]
	h.clock.Advance(15 * time.Second)
	r.post("captcha_id", ticket, "captcha", "", "username", "pepper", "action", "next")
	r.post("what", "forgot", "action", "next")
	r.chooseEmail(address)
	r.post("code", h.code(2, address), "action", "verify")
	r.proveApp(b.key)
	r.want("Choose a new password")
	r.post("new", renewed, "confirm", renewed, "action", "next")
	r.want("Your password has been reset")
	if n := h.userinfo(before.Access); n != http.StatusUnauthorized {
		t.Errorf("a token of before answers %d", n)
	}

	s := h.browser()
	after := h.redeem(s.signIn("pepper", renewed))
	if after.status != http.StatusOK {
		t.Fatal(after.raw)
	}
	s.get("/avengers/security-info")
	s.want("Security info")
	if !strings.Contains(s.last.body, "@home.example") {
		t.Errorf("her address is not listed: %s", s.last.body)
	}
	p := s.get("/avengers/logout?client_id=wiki&id_token_hint=" + after.ID + "&post_logout_redirect_uri=" + url.QueryEscape("http://localhost:9/"))
	if p.location != "http://localhost:9/" {
		t.Errorf("the relying party signs her out to %q %q", p.location, p.h1())
	}
	if p := s.authorize("prompt", "none"); p.query("error") != "login_required" {
		t.Errorf("she is signed in still: %q", p.location)
	}
}
