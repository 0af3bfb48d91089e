package sparekey_test

import (
	"bytes"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// through lets something see every request a browser sends and every answer it gets.
type through struct {
	next http.RoundTripper
	see  func(r *http.Request, body []byte, send func(*http.Request) *http.Response) *http.Response
}

func (x through) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	r = again(r, body)
	var failed error
	res := x.see(r, body, func(r *http.Request) *http.Response {
		res, err := x.next.RoundTrip(r)
		if err != nil {
			failed = err
			return &http.Response{Body: io.NopCloser(strings.NewReader("")), Request: r}
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		res.Body = io.NopCloser(bytes.NewReader(text))
		return res
	})
	return res, failed
}

// again is the same request with another body.
func again(r *http.Request, body []byte) *http.Request {
	c := r.Clone(r.Context())
	if r.Body != nil {
		c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return c
}

// watch makes f see what the browser does.
func (b *browser) watch(f func(r *http.Request, body []byte, send func(*http.Request) *http.Response) *http.Response) {
	next := b.client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	b.client.Transport = through{next, f}
}

// text reads an answer's body, and leaves it to be read again.
func text(res *http.Response) string {
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	return string(body)
}

// served answers a browser's requests by a handler, without a network.
type served struct{ handler http.Handler }

func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr, in.Host = r.URL.RequestURI(), "198.51.100.9:4711", r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, in)
	res := w.Result()
	res.Request = r
	return res, nil
}

// cookie is the value of one of the browser's cookies; empty: none.
func (b *browser) cookie(name string) string {
	at, _ := url.Parse(b.h.issuer)
	for _, c := range b.jar.Cookies(at) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// withSession is another browser that brings this one's session cookie and nothing else: somebody who stole it.
func (b *browser) withSession() *browser {
	thief := b.h.browser()
	at, _ := url.Parse(b.h.issuer)
	thief.jar.SetCookies(at, []*http.Cookie{{Name: sessionCookie, Value: b.cookie(sessionCookie), Path: "/"}})
	return thief
}

const (
	sessionCookie = "sparekey-avengers-session"
	browserCookie = "sparekey-avengers-browser"
)

// ids are the authenticators on the security-info page, by the order they were added.
func (b *browser) ids(kind string) []string {
	b.h.t.Helper()
	list, err := b.h.admin(b.h.tenant).Methods(b.h.t.Context(), b.h.user("ironman"))
	if err != nil {
		b.h.t.Fatal(err)
	}
	var ids []string
	for _, m := range list {
		if string(m.Kind) == kind {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// inDatabase reports whether the bytes are anywhere in the SQLite files of the house.
func (h *house) inDatabase(what string) bool {
	h.t.Helper()
	path := strings.TrimPrefix(h.cfg.Database, "sqlite:")
	path, _, _ = strings.Cut(path, "?")
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		h.t.Fatalf("no database at %s", path)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "keyring") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			h.t.Fatal(err)
		}
		if bytes.Contains(b, []byte(what)) {
			return true
		}
	}
	return false
}

// mailedTo counts the mails to an address whose subject has the words.
func (h *house) mailedTo(to, words string) (n int) {
	for _, m := range h.mails.all() {
		if m.to == to && strings.Contains(m.subject, words) {
			n++
		}
	}
	return n
}

// to matches a mail by address and words of the subject.
func to(address, words string) func(mail) bool {
	return func(m mail) bool { return m.to == address && strings.Contains(m.subject, words) }
}

var notMeLink = regexp.MustCompile(`http://\S+/not-me/[\w-]+`)

// plainly is a body without what is new each time: tokens, ids, nonces, times.
func plainly(body string) string {
	for _, p := range []string{`value="[^"]*"`, `/flow/\w+`, `nonce="[^"]*"`, `from=\w+`, `data-captcha='[^']*'`, `data-captcha="[^"]*"`} {
		body = regexp.MustCompile(p).ReplaceAllString(body, "~")
	}
	return body
}

// manage signs ironman's browser in, if need be, and starts a change with all the proofs it wants.
func (b *browser) manage(pairs ...string) page {
	b.h.t.Helper()
	b.get(b.h.issuer + "/security-info")
	b.want("Security info")
	b.post(pairs...)
	b.proveAll()
	return b.last
}

// proveAll answers whatever a manage flow asks: the password, then the app.
func (b *browser) proveAll() {
	b.h.t.Helper()
	for range 3 {
		switch {
		case strings.Contains(b.last.body, `autocomplete="current-password"`) && !strings.Contains(b.last.body, `name="new"`):
			b.post("password", password, "action", "sign_in")
		case strings.Contains(b.last.body, `value="verify"`) && strings.Contains(b.last.body, `name="code"`) && !strings.Contains(b.last.body, "Keep your account secure"):
			b.h.clock.Advance(30e9)
			b.post("code", b.h.totp(b.key, 0), "action", "verify")
		default:
			return
		}
	}
}

// addEmail registers a further address from the security-info page; n counts the code mails to it.
func (b *browser) addEmail(address string, n int) page {
	b.h.t.Helper()
	b.manage("action", "add")
	if strings.Contains(b.last.body, `name="choose"`) {
		b.post("choose", "email", "action", "next")
	}
	b.post("email", address, "action", "next")
	return b.post("code", b.h.code(n, address), "action", "verify")
}

// houseNamed is the same house under another address, for browsers that are served without a network.
func (h *house) named(origin string) *house {
	return &house{t: h.t, p: h.p, tenant: h.tenant, origin: origin, issuer: origin + "/avengers", clock: h.clock, mails: h.mails, cfg: h.cfg, client: h.client}
}

// at is the same house for browsers that go to another tenant.
func (h *house) at(tenant string) *house {
	issuer := h.cfg.Tenants[tenant].Issuer
	at, _ := url.Parse(issuer)
	there := h.named(at.Scheme + "://" + at.Host)
	there.tenant, there.issuer = tenant, issuer
	return there
}

func mustNot(t *testing.T, bad bool, format string, args ...any) {
	t.Helper()
	if bad {
		t.Errorf(format, args...)
	}
}

// dot is a small picture.
func dot(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// drained waits until nothing waits in the outboxes: whatever was going to be mailed has been.
func (h *house) drained() {
	h.t.Helper()
	h.outbox(`state = 'waiting'`)
}

// outbox waits until no mail is in such a state.
func (h *house) outbox(state string) {
	h.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var left int
		for _, tenant := range h.p.Tenants() {
			h.write(tenant, func(tx store.Tx) error {
				var n int
				err := tx.Row(`SELECT count(*) FROM outbox WHERE tenant = $1 AND (` + state + `)`).Scan(&n)
				left += n
				return err
			})
		}
		if left == 0 {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("%d mails stay where %s", left, state)
		}
	}
}
