package sparekey_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"math/bits"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/admin"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// house is a whole plugin on a loopback port, with a clock of its own and a mailbox.
type house struct {
	t       *testing.T
	p       *sparekey.Plugin
	srv     *http.Server
	origin  string // http://localhost:PORT
	tenant  string // the one its browsers go to
	issuer  string // of that tenant
	clock   *storetest.Clock
	mails   *mails
	cfg     *sparekey.Config
	log     *bytes.Buffer
	logLock sync.Mutex
	fault   func(string) error
	stop    context.CancelFunc
	brought map[string]directory.Directory // by tenant, of type program
	client  *http.Client                   // of whoever is no browser; reaches every issuer
	quiet   bool                           // nothing is done beside the requests
	stopped chan struct{}
}

const (
	password = "jarvis-suits-up"
	renewed  = "a-brand-new-suit-42"
	callback = "http://localhost:9/callback"
)

type setting func(*house)

// with changes the tenant avengers before the house opens.
func with(f func(*sparekey.Tenant)) setting {
	return func(h *house) {
		t := h.cfg.Tenants["avengers"]
		f(&t)
		h.cfg.Tenants["avengers"] = t
	}
}

// bring gives avengers a directory of the test's own; no users are made there.
func bring(d directory.Directory) setting { return bringTo("avengers", d) }

// bringTo gives a tenant a directory of the test's own.
func bringTo(tenant string, d directory.Directory) setting {
	return func(h *house) {
		t := h.cfg.Tenants[tenant]
		t.Directories = map[string]sparekey.Directory{"staff": {Type: "program"}}
		h.cfg.Tenants[tenant], h.brought[tenant] = t, d
	}
}

// hosts gives each tenant a host of its own, with TLS, which its browsers reach without a network.
func hosts(h *house) {
	for name, t := range h.cfg.Tenants {
		t.Issuer = "https://" + name + ".example"
		h.cfg.Tenants[name] = t
	}
	h.origin = "https://avengers.example"
	h.issuer = h.origin
	h.client = &http.Client{Transport: served{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.p.ServeHTTP(w, r) })}}
}

// quietly keeps the house from doing anything beside the requests, so that every storage call is one of theirs; deliver sends the mails.
func quietly(h *house) { h.quiet = true }

// rule changes the first policy of avengers.
func rule(f func(*sparekey.Policy)) setting {
	return with(func(t *sparekey.Tenant) {
		t.Policies = append([]sparekey.Policy{}, t.Policies...)
		f(&t.Policies[0])
	})
}

// open opens a house on SQLite.
func open(t *testing.T, settings ...setting) *house {
	t.Helper()
	return openAt(t, storetest.SQLiteURL(t), settings...)
}

// each runs a test in a house on every engine.
func each(t *testing.T, f func(t *testing.T, h *house), settings ...setting) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) { f(t, openAt(t, url, settings...)) })
}

func openAt(t *testing.T, database string, settings ...setting) *house {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, tenant: "avengers", clock: storetest.NewClock(), mails: &mails{}, log: &bytes.Buffer{}, brought: map[string]directory.Directory{}, client: &http.Client{}}
	h.origin = fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	h.issuer = h.origin + "/avengers"
	h.cfg = &sparekey.Config{Database: database, Keyring: "file:" + filepath.Join(t.TempDir(), "keyring"), Tenants: map[string]sparekey.Tenant{
		"avengers": tenantConfig(h.origin+"/avengers", "The Avengers"), "wakanda": tenantConfig(h.origin+"/wakanda", "Wakanda")}}
	for _, s := range settings {
		s(h)
	}
	h.boot(l)
	t.Cleanup(h.close)
	for _, tenant := range []string{"avengers", "wakanda"} {
		if h.brought[tenant] != nil {
			continue
		}
		h.addUser(tenant, "ironman", "Tony Stark", "tony@stark.example", "Avengers")
	}
	if h.brought["avengers"] != nil {
		return h
	}
	h.addUser("avengers", "pepper", "Pepper Potts", "pepper@stark.example", "Avengers", "IT")
	h.addUser("avengers", "fury", "Nick Fury", "fury@shield.example", "IT")
	h.addUser("avengers", "hulk", "Bruce Banner", "bruce@banner.example")
	return h
}

func tenantConfig(issuer, name string) sparekey.Tenant {
	twelve := 12
	return sparekey.Tenant{Issuer: issuer, Name: name, Directories: map[string]sparekey.Directory{"staff": {Type: "local"}},
		Administrators: sparekey.Groups{Groups: []string{"IT"}}, Passwords: sparekey.Passwords{MinLength: &twelve},
		Captcha:  sparekey.Captcha{Bits: 4},
		Policies: []sparekey.Policy{{For: sparekey.For{Groups: []string{"Avengers"}}, Reset: true, Methods: map[string]sparekey.MethodUse{"totp": {}, "email": {}}}},
		Clients: []sparekey.Client{
			{ID: "wiki", Name: "Mission Wiki", Secret: config.NewSecret("wiki-secret"), RedirectURIs: []string{callback}, PostLogoutURIs: []string{"http://localhost:9/"}, Grants: []string{"authorization_code", "refresh_token"}},
			{ID: "phone", Name: "Phone", Public: true, RedirectURIs: []string{callback}, Grants: []string{"authorization_code", "refresh_token"}},
		}}
}

func (h *house) boot(l net.Listener) {
	h.t.Helper()
	h.p = h.plugin(sparekey.WithLogger(slog.New(slog.NewTextHandler(h, nil))),
		sparekey.WithFault(func(op string) error {
			h.logLock.Lock()
			f := h.fault
			h.logLock.Unlock()
			if f != nil {
				return f(op)
			}
			return nil
		}))
	p := h.p
	h.srv = &http.Server{Handler: p}
	go h.srv.Serve(l)
	ctx, cancel := context.WithCancel(context.Background())
	h.stop, h.stopped = cancel, make(chan struct{})
	go func(done chan struct{}) {
		if !h.quiet {
			p.Run(ctx)
		}
		close(done)
	}(h.stopped)
}

// deliver sends the mails of a quiet house.
func (h *house) deliver() {
	h.t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = h.admin("avengers").Outbox.Deliver(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// plugin opens the house's configuration. Mails go to the house unless it has a mail server.
func (h *house) plugin(options ...sparekey.Option) *sparekey.Plugin {
	h.t.Helper()
	options = append(options, sparekey.WithClock(h.clock.Now))
	if h.cfg.Mail.SMTP == nil {
		options = append(options, sparekey.WithSender(h.mails.send))
	}
	for tenant, d := range h.brought {
		options = append(options, sparekey.WithDirectory(tenant+"/staff", d))
	}
	p, err := sparekey.Open(h.t.Context(), h.cfg, options...)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *house) close() {
	h.failing(nil)
	h.srv.Close()
	h.stop()
	<-h.stopped
	h.p.Close()
}

// restart closes the plugin and opens it anew on the same database and port.
func (h *house) restart(settings ...setting) {
	h.t.Helper()
	h.close()
	for _, s := range settings {
		s(h)
	}
	l, err := net.Listen("tcp", strings.TrimPrefix(h.origin, "http://"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.boot(l)
}

// Write takes the log.
func (h *house) Write(b []byte) (int, error) {
	h.logLock.Lock()
	defer h.logLock.Unlock()
	return h.log.Write(b)
}

func (h *house) logged() string {
	h.logLock.Lock()
	defer h.logLock.Unlock()
	return h.log.String()
}

// failing makes storage calls fail as f says; nil lets them work.
func (h *house) failing(f func(op string) error) {
	h.logLock.Lock()
	defer h.logLock.Unlock()
	h.fault = f
}

func (h *house) admin(tenant string) *admin.Admin { return h.p.Admin(tenant) }

func (h *house) addUser(tenant, login, name, email string, groups ...string) {
	h.t.Helper()
	err := h.admin(tenant).AddUser(h.t.Context(), local.NewUser{Login: login, Name: name, Email: email, Groups: groups, Password: password}, "test")
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) user(login string) directory.User {
	h.t.Helper()
	u, err := h.admin(h.tenant).Find(h.t.Context(), login)
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

// write runs a transaction in the tenant's store.
func (h *house) write(tenant string, f func(store.Tx) error) {
	h.t.Helper()
	if err := h.admin(tenant).Store.Write(h.t.Context(), f); err != nil {
		h.t.Fatal(err)
	}
}

// mails is a mail server that keeps everything.
type mails struct {
	sync.Mutex
	list []mail
	fail func(context.Context) error // the server is down, or slow
}

type mail struct{ to, subject, text, html string }

func (m *mails) send(ctx context.Context, to, subject, text, html string) error {
	m.Lock()
	fail := m.fail
	m.Unlock()
	if fail != nil {
		return fail(ctx)
	}
	m.Lock()
	defer m.Unlock()
	m.list = append(m.list, mail{to, subject, text, html})
	return nil
}

// failing makes every sending go as f says; nil: the server is well.
func (m *mails) failing(f func(context.Context) error) {
	m.Lock()
	defer m.Unlock()
	m.fail = f
}

func (m *mails) all() []mail {
	m.Lock()
	defer m.Unlock()
	return append([]mail{}, m.list...)
}

// await waits for the n-th mail that matches, counted from 1, and gives it.
func (h *house) await(n int, match func(mail) bool) mail {
	h.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		left := n
		for _, m := range h.mails.all() {
			if match(m) {
				if left--; left == 0 {
					return m
				}
			}
		}
	}
	var sent []string
	for _, m := range h.mails.all() {
		sent = append(sent, m.to+": "+m.subject)
	}
	h.t.Fatalf("no such mail; sent were\n%s", strings.Join(sent, "\n"))
	return mail{}
}

func subject(part string) func(mail) bool {
	return func(m mail) bool { return strings.Contains(m.subject, part) }
}

var sixDigits = regexp.MustCompile(`(?m)\b(\d{3}) ?(\d{3})\b`)

// code waits for the n-th mail to the address that carries a code.
func (h *house) code(n int, to string) string {
	h.t.Helper()
	m := h.await(n, func(m mail) bool {
		return m.to == to && sixDigits.MatchString(m.text) && strings.Contains(strings.ToLower(m.subject), "code")
	})
	d := sixDigits.FindStringSubmatch(m.text)
	return d[1] + d[2]
}

// browser is somebody's browser.
type browser struct {
	h      *house
	jar    http.CookieJar
	client *http.Client
	agent  string
	header http.Header
	last   page
	sent   *http.Request // what was answered by it, redirects not counted
	after  func(page)    // called with every page; nil: nobody looks
	key    string        // of the authenticator app it set up
}

func (h *house) browser() *browser {
	jar, _ := cookiejar.New(nil)
	b := &browser{h: h, jar: jar, agent: "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"}
	b.client = &http.Client{Jar: jar, Transport: h.client.Transport, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		for _, t := range h.cfg.Tenants {
			if at, err := url.Parse(t.Issuer); err == nil && r.URL.Host == at.Host {
				return nil
			}
		}
		return http.ErrUseLastResponse // the relying party: its URL is what counts
	}}
	return b
}

// page is what the browser shows.
type page struct {
	status   int
	method   string // of the request it answers, the last one of those that redirects led through
	url      *url.URL
	body     string
	header   http.Header
	location string // of a redirect away from the provider
}

func (p page) h1() string    { return first(p.body, `(?s)<h1[^>]*>(.*?)</h1>`) }
func (p page) error() string { return first(p.body, `(?s)class="error[^"]*"[^>]*>(.*?)</p>`) }
func (p page) query(name string) string {
	u, err := url.Parse(p.location)
	if err != nil {
		return ""
	}
	return u.Query().Get(name)
}

var tags = regexp.MustCompile(`(?s)<[^>]*>`)

func first(body, pattern string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(html.UnescapeString(tags.ReplaceAllString(m[1], "")))
}

func (b *browser) do(r *http.Request) page {
	b.h.t.Helper()
	r.Header.Set("User-Agent", b.agent)
	maps.Copy(r.Header, b.header)
	res, err := b.client.Do(r)
	if err != nil {
		b.h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.h.t.Fatal(err)
	}
	b.sent, b.last = r, page{status: res.StatusCode, method: res.Request.Method, url: res.Request.URL, body: string(body), header: res.Header}
	if to := res.Header.Get("Location"); to != "" {
		b.last.location = to
	}
	if b.after != nil {
		b.after(b.last)
	}
	return b.last
}

func (b *browser) get(address string) page {
	b.h.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.h.origin + address
	}
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		b.h.t.Fatal(err)
	}
	return b.do(r)
}

// post sends the form of the page it is on, with its hidden fields and these pairs.
func (b *browser) post(pairs ...string) page {
	b.h.t.Helper()
	form := url.Values{}
	for _, m := range regexp.MustCompile(`<input[^>]*type="?hidden"?[^>]*>`).FindAllString(b.last.body, -1) {
		name, value := first2(m, "name"), first2(m, "value")
		form.Set(name, value)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.send(b.last.url.String(), form)
}

// try is post for a server that may be gone: whatever comes of it is for the caller to find out.
func (b *browser) try(pairs ...string) {
	form := url.Values{"csrf": {first2(hidden(b.last.body, "csrf"), "value")}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, b.last.url.String(), strings.NewReader(form.Encode()))
	if err != nil {
		b.h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	maps.Copy(r.Header, b.header)
	if res, err := b.client.Do(r); err == nil {
		res.Body.Close()
	}
}

// browserFrom is a browser behind a proxy that names its address.
func (h *house) browserFrom(address string) *browser {
	b := h.browser()
	b.header = http.Header{"X-Forwarded-For": {address}}
	return b
}

// realClock is a clock that was set to now; catchUp sets it again.
func realClock() *storetest.Clock {
	c := storetest.NewClock()
	c.Advance(time.Since(c.Now()))
	return c
}

func catchUp(h *house) { h.clock.Advance(time.Since(h.clock.Now())) }

func (b *browser) send(address string, form url.Values) page {
	b.h.t.Helper()
	r, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r)
}

func first2(tag, attribute string) string {
	m := regexp.MustCompile(attribute + `="([^"]*)"`).FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// want fails unless the page has this heading.
func (b *browser) want(h1 string) page {
	b.h.t.Helper()
	if got := b.last.h1(); got != h1 {
		b.h.t.Fatalf("%s %d shows %q %q, want %q", b.last.url, b.last.status, got, b.last.error(), h1)
	}
	return b.last
}

// authorize opens the provider as a relying party sends her there.
func (b *browser) authorize(pairs ...string) page {
	b.h.t.Helper()
	return b.get(b.h.authorizeURL(b.h.tenant, pairs...))
}

const verifier = "a-verifier-that-is-long-enough-for-anybody-0123456789"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (h *house) authorizeURL(tenant string, pairs ...string) string {
	q := url.Values{"client_id": {"wiki"}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid profile email offline_access"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "prompt": {"consent"}}
	q.Del("prompt")
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return h.meta(tenant)["authorization_endpoint"].(string) + "?" + q.Encode()
}

func (h *house) meta(tenant string) map[string]any {
	h.t.Helper()
	res, err := h.client.Get(h.cfg.Tenants[tenant].Issuer + "/.well-known/openid-configuration")
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	var m map[string]any
	if err := json.NewDecoder(res.Body).Decode(&m); err != nil {
		h.t.Fatal(err)
	}
	return m
}

// password walks sign-in up to what comes after the password.
func (b *browser) password(login, password string) page {
	b.h.t.Helper()
	b.want("Sign in")
	b.post("username", login, "action", "next")
	return b.post("password", password, "action", "sign_in")
}

// app sets an authenticator app up, from "More information required" or from its introduction to what comes after its code.
func (b *browser) app() page {
	b.h.t.Helper()
	if b.last.h1() == "More information required" {
		b.post("action", "next")
	}
	b.want("Keep your account secure")
	b.post("action", "next")
	b.key = first(b.last.body, `(?s)data-secret[^>]*>(.*?)<`)
	if b.key == "" {
		b.h.t.Fatalf("no key shown on %q", b.last.body)
	}
	b.post("action", "next")
	return b.post("code", b.h.totp(b.key, 0), "action", "verify")
}

// signIn signs in with the password alone and gives the redirect to the relying party.
func (b *browser) signIn(login, password string) page {
	b.h.t.Helper()
	b.authorize()
	return b.password(login, password)
}

// register signs in and registers an authenticator app: the story's first half. The redirect to the relying party is given.
func (b *browser) register(login string) page {
	b.h.t.Helper()
	b.authorize()
	b.password(login, password)
	b.want("More information required")
	b.app()
	b.want("All set")
	return b.post("action", "done")
}

// totp is the code of the app with this key, so many steps from now.
func (h *house) totp(key string, steps int) string {
	h.t.Helper()
	seed, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(key, " ", ""))
	if err != nil {
		h.t.Fatal(err)
	}
	mac := hmac.New(sha1.New, seed)
	_ = binary.Write(mac, binary.BigEndian, uint64(h.clock.Now().Unix()/30+int64(steps)))
	sum := mac.Sum(nil)
	o := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[o:o+4])&0x7fffffff)%1_000_000)
}

// puzzle solves the page's CAPTCHA and gives the fields to post.
func (b *browser) puzzle() []string {
	b.h.t.Helper()
	m := regexp.MustCompile(`data-captcha=(?:"([^"]*)"|'([^']*)')`).FindStringSubmatch(b.last.body)
	if m == nil {
		return nil
	}
	var p struct {
		ID, Salt string
		Bits     int
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(m[1]+m[2])), &p); err != nil {
		b.h.t.Fatal(err)
	}
	for n := 0; ; n++ {
		sum := sha256.Sum256([]byte(p.Salt + strconv.Itoa(n)))
		if bits.LeadingZeros64(binary.BigEndian.Uint64(sum[:8])) >= p.Bits {
			return []string{"captcha_id", p.ID, "captcha", strconv.Itoa(n)}
		}
	}
}

// beginReset opens a reset and names the user.
func (b *browser) beginReset(login string) page {
	b.h.t.Helper()
	b.get(b.h.issuer + "/reset")
	b.want("Get back into your account")
	b.post(append(b.puzzle(), "username", login, "action", "next")...)
	if strings.Contains(b.last.body, `name="what"`) {
		b.post("what", "forgot", "action", "next")
	}
	return b.last
}

// reset walks a whole reset with the authenticator app.
func (b *browser) reset(login, key, next string) page {
	b.h.t.Helper()
	b.beginReset(login)
	b.proveApp(key)
	b.want("Choose a new password")
	return b.post("new", next, "confirm", next, "action", "next")
}

// proveApp picks the authenticator app where there is a choice, and types its code.
func (b *browser) proveApp(key string) page {
	b.h.t.Helper()
	if m := regexp.MustCompile(`<input[^>]*name="choose"[^>]*data-kind="totp"[^>]*>`).FindString(b.last.body); m != "" {
		b.post("choose", first2(m, "value"), "action", "next")
	}
	b.h.clock.Advance(30 * time.Second)
	return b.post("code", b.h.totp(key, 0), "action", "verify")
}

// tokens is a token response.
type tokens struct {
	status  int
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
	raw     string
}

func (h *house) token(tenant string, pairs ...string) tokens {
	h.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, h.meta(tenant)["token_endpoint"].(string), strings.NewReader(form.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if form.Get("client_id") == "" {
		r.SetBasicAuth("wiki", "wiki-secret")
	}
	res, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	out := tokens{status: res.StatusCode, raw: string(body)}
	_ = json.Unmarshal(body, &out)
	return out
}

// redeem trades the code of a redirect for tokens.
func (h *house) redeem(p page) tokens {
	h.t.Helper()
	return h.token(h.tenant, "grant_type", "authorization_code", "code", p.query("code"), "redirect_uri", callback, "code_verifier", verifier)
}

func (h *house) refresh(token string) tokens {
	h.t.Helper()
	return h.token(h.tenant, "grant_type", "refresh_token", "refresh_token", token)
}

func (h *house) userinfo(access string) int {
	h.t.Helper()
	r, _ := http.NewRequest(http.MethodGet, h.meta(h.tenant)["userinfo_endpoint"].(string), nil)
	r.Header.Set("Authorization", "Bearer "+access)
	res, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
