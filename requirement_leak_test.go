package sparekey_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// paths are the addresses of all routes of the inventory, with something in place of what varies. Those of a tenant are below it.
func paths(t *testing.T) (list []string) {
	t.Helper()
	for _, line := range inventory(t) {
		wing, route, _ := strings.Cut(line[0], " ")
		if _, path, ok := strings.Cut(route, " "); ok {
			route = path
		}
		if !strings.HasPrefix(route, "/") {
			continue // a maker, or the logo of a tenant that has none
		}
		route = regexp.MustCompile(`\{\$\}`).ReplaceAllString(route, "")
		route = regexp.MustCompile(`\{\w+\}`).ReplaceAllString(route, "abcdefghijklmnopqrstuvwxyz")
		switch {
		case wing == ".":
		case route == "/.well-known/oauth-authorization-server":
			route += "/avengers"
		default:
			route = "/avengers" + route
		}
		if !slices.Contains(list, route) {
			list = append(list, route)
		}
	}
	if len(list) < 20 {
		t.Fatalf("only %d addresses: %q", len(list), list)
	}
	return list
}

// Scripts of other origins read what needs no cookie, and nothing else of the product: neither by a plain request nor after a preflight,
// whatever origin they say they are of, and never with credentials.
func TestA51_NoScriptOfAnotherOriginReadsWhatACookieOpens(t *testing.T) {
	shared := []string{"/avengers/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/avengers", "/avengers/keys", "/avengers/token", "/avengers/userinfo", "/avengers/revoke", "/avengers/par"}
	h := open(t)
	b := h.browser()
	b.register("ironman")
	seen := 0
	for _, path := range paths(t) {
		for _, origin := range []string{"https://evil.example", "null", "http://localhost:9", h.origin, strings.ToUpper(h.origin), "http://localhost.evil.example", "*", "https://evil.example\thttps://x"} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions, http.MethodHead, http.MethodPut, http.MethodDelete, "PROPFIND"} {
				r, err := http.NewRequest(method, h.origin+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header["Origin"] = []string{origin}
				r.Header.Set("Access-Control-Request-Method", "POST")
				r.Header.Set("Access-Control-Request-Headers", "authorization, content-type, cookie")
				r.Header.Set("Access-Control-Request-Private-Network", "true")
				for _, c := range b.jar.Cookies(r.URL) {
					r.AddCookie(c)
				}
				res, err := served{h.p}.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				for name := range res.Header {
					allowed := name == "Access-Control-Allow-Origin" || name == "Access-Control-Allow-Methods" || name == "Access-Control-Allow-Headers" || name == "Access-Control-Expose-Headers" || name == "Access-Control-Max-Age"
					if strings.HasPrefix(name, "Access-Control-") && (!allowed || !slices.Contains(shared, path)) {
						t.Errorf("%s %s for %q: %s: %q", method, path, origin, name, res.Header[name])
					}
				}
				if got := res.Header.Get("Access-Control-Allow-Origin"); got != "" && got != "*" {
					t.Errorf("%s %s lets %q in by name", method, path, got)
				} else if got == "*" {
					seen++
				}
				if res.Header.Get("Cross-Origin-Resource-Policy") == "cross-origin" || strings.Contains(strings.ToLower(res.Header.Get("Access-Control-Allow-Headers")), "cookie") {
					t.Errorf("%s %s: %v", method, path, res.Header)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("nothing is shared, and an app in a browser cannot redeem its code")
	}
}

// gossip is a directory that is away and says where it would be.
type gossip struct {
	*directorytest.Memory
	mu  sync.Mutex
	err error
}

func (g *gossip) trouble() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *gossip) Find(ctx context.Context, login string) (directory.User, error) {
	if err := g.trouble(); err != nil {
		return directory.User{}, err
	}
	return g.Memory.Find(ctx, login)
}

func (g *gossip) Get(ctx context.Context, id directory.UserID) (directory.User, error) {
	if err := g.trouble(); err != nil {
		return directory.User{}, err
	}
	return g.Memory.Get(ctx, id)
}

func (g *gossip) VerifyPassword(ctx context.Context, u directory.User, password string) (directory.Verdict, error) {
	if err := g.trouble(); err != nil {
		return directory.Wrong, err
	}
	return g.Memory.VerifyPassword(ctx, u, password)
}

// inside are words of the house's own network, in errors of databases, directories and mail servers.
var inside = []string{"db7.internal", "10.20.30.40", "sparekey_owner", "payroll", "hunter2", "dc=stark", "FATAL", "SQLSTATE", "pgconn", "dial tcp", "goroutine ", ".go:", "near \"", "disk I/O", "/var/lib", "syntax error"}

// troubled reports every word of inside, and every more one, that an answer tells.
func troubled(t *testing.T, what string, res *http.Response, more ...string) {
	t.Helper()
	all := text(res)
	for name, lines := range res.Header {
		all += "\n" + name + ": " + strings.Join(lines, "\n")
	}
	for _, word := range append(slices.Clone(inside), more...) {
		if strings.Contains(strings.ToLower(all), strings.ToLower(word)) {
			t.Errorf("%s tells of %q: %d %s", what, word, res.StatusCode, all)
		}
	}
}

// everywhere asks every route, by every way that may reach the store or the directory, with the cookies and tokens of somebody signed in.
func everywhere(t *testing.T, h *house, b *browser, held tokens, told func(what string, res *http.Response)) (failed int) {
	t.Helper()
	form := url.Values{"csrf": {b.token()}, "username": {"ironman"}, "password": {password}, "code": {"000000"}, "action": {"next"}, "client_id": {"wiki"}, "client_secret": {"wiki-secret"}, "redirect_uri": {callback},
		"response_type": {"code"}, "scope": {"openid offline_access"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "token": {held.Access}, "refresh_token": {held.Refresh}, "id_token_hint": {held.ID}}
	_, flow, _ := strings.Cut(b.last.url.Path, "/flow/")
	for _, path := range append(paths(t), "/avengers/flow/"+flow) {
		for _, how := range []string{"GET", "POST", "GET with parameters", "POST refresh_token", "POST authorization_code"} {
			method, kind, _ := strings.Cut(how, " ")
			address, body := h.origin+path, ""
			form.Set("grant_type", kind)
			if method == "POST" {
				body = form.Encode()
			} else if kind != "" {
				address += "?" + form.Encode() + "&request=abc&flow=" + flow + "&from=" + flow
			}
			r, err := http.NewRequest(method, address, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if method == "POST" {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set("Origin", h.origin)
			}
			if strings.HasSuffix(path, "/userinfo") {
				r.Header.Set("Authorization", "Bearer "+held.Access)
			}
			for _, c := range b.jar.Cookies(r.URL) {
				r.AddCookie(c)
			}
			res, err := served{h.p}.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode >= 500 || strings.Contains(res.Header.Get("Location"), "error=temporarily_unavailable") || strings.Contains(res.Header.Get("Location"), "error=server_error") {
				failed++
			}
			told(how+" "+path, res)
		}
	}
	return failed
}

// Whatever fails inside, no answer to anybody tells where a database, a directory or a mail server is, who signs in there, or what the
// machine said; the log does.
func TestA52_NoAnswerTellsWhatIsInside(t *testing.T) {
	trouble := errors.New(`failed to connect to "user=sparekey_owner database=payroll password=hunter2": db7.internal (10.20.30.40:5432): FATAL: no pg_hba.conf entry (SQLSTATE 28000)`)
	ready := func(h *house) (*browser, tokens) {
		b := h.browser()
		held := h.redeem(b.register("ironman"))
		b.authorize("prompt", "login")
		b.post("username", "ironman", "action", "next")
		h.meta("avengers")
		return b, held
	}
	t.Run("a store whose every call fails", func(t *testing.T) {
		each(t, func(t *testing.T, h *house) {
			b, held := ready(h)
			for name, err := range map[string]error{"unreachable": trouble, "broken": errors.New("near \"payroll\": syntax error at /var/lib/sparekey/db7.internal")} {
				h.failing(func(string) error { return err })
				if n := everywhere(t, h, b, held, func(what string, res *http.Response) { troubled(t, name+": "+what, res) }); n < 25 {
					t.Errorf("%s: only %d answers say that something failed", name, n)
				}
				h.failing(nil)
			}
			if log := h.logged(); !strings.Contains(log, "db7.internal") {
				t.Error("the operator is not told either")
			}
		}, quietly)
	})
	t.Run("a directory that is away", func(t *testing.T) {
		g := &gossip{Memory: &directorytest.Memory{}}
		g.Add(directorytest.Account{User: directory.User{Login: "ironman", Email: "tony@stark.example", Groups: []string{"Avengers"}}, Password: password})
		h := open(t, bring(g), quietly)
		b, held := ready(h)
		for name, err := range map[string]error{"unavailable": fmt.Errorf("bind cn=sparekey_owner,dc=stark at ldaps://db7.internal: dial tcp 10.20.30.40:636: %w", directory.ErrUnavailable), "odd": errors.New("LDAP Result Code 49 \"Invalid Credentials\": cn=sparekey_owner,dc=stark")} {
			g.mu.Lock()
			g.err = err
			g.mu.Unlock()
			if n := everywhere(t, h, b, held, func(what string, res *http.Response) { troubled(t, name+": "+what, res) }); n < 6 {
				t.Errorf("%s: only %d answers say that something failed", name, n)
			}
		}
	})
	t.Run("a mail server that refuses", func(t *testing.T) {
		h := open(t, quietly)
		b, held := ready(h)
		h.mails.failing(func(context.Context) error {
			return errors.New("535 5.7.8 sparekey_owner at db7.internal: hunter2 is wrong")
		})
		everywhere(t, h, b, held, func(what string, res *http.Response) { troubled(t, what, res) })
	})
	t.Run("a PostgreSQL that is gone", func(t *testing.T) {
		wall, address := cable(t, storetest.PostgresURL(t))
		h := openAt(t, address, quietly)
		b, held := ready(h)
		wall()
		u, _ := url.Parse(address)
		if n := everywhere(t, h, b, held, func(what string, res *http.Response) {
			troubled(t, what, res, u.Host, u.Port(), u.Query().Get("search_path"), "user=", "connection refused")
		}); n < 25 {
			t.Errorf("only %d answers say that something failed", n)
		}
		if _, err := sparekey.Open(t.Context(), h.cfg); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("opening it: %v", err)
		}
	})
}

// cable is a way to the PostgreSQL of the URL, which has a password, until it is cut for good.
func cable(t *testing.T, server string) (cut func(), address string) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	network, back := "tcp", u.Host
	if folder := q.Get("host"); folder != "" {
		network, back = "unix", folder+"/.s.PGSQL."+q.Get("port")
	}
	q.Del("host")
	q.Del("port")
	q.Set("sslmode", "disable")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var lines []net.Conn
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial(network, back)
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			lines = append(lines, in, out)
			mu.Unlock()
			go func() { _, _ = io.Copy(in, out) }()
			go func() { _, _ = io.Copy(out, in) }()
		}
	}()
	cut = sync.OnceFunc(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range lines {
			c.Close()
		}
	})
	t.Cleanup(cut)
	u.User, u.Host, u.RawQuery = url.UserPassword(u.User.Username(), "hunter2"), l.Addr().String(), q.Encode()
	return cut, u.String()
}
