package sparekey_test

import (
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
	"maps"
	"math/bits"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

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
		if r.URL.Host == strings.TrimPrefix(h.origin, "http://") {
			return nil
		}
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

// try is post for a server that may be gone: the page is empty when no answer came.
func (b *browser) try(pairs ...string) (p page) {
	form := url.Values{"csrf": {first2(hidden(b.last.body, "csrf"), "value")}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, b.last.url.String(), strings.NewReader(form.Encode()))
	if err != nil {
		b.h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.attempt(r)
}

// attempt is do for a server that may be gone: the page is empty when no answer came.
func (b *browser) attempt(r *http.Request) page {
	maps.Copy(r.Header, b.header)
	res, err := b.client.Do(r)
	if err != nil {
		return page{}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return page{}
	}
	return page{status: res.StatusCode, method: res.Request.Method, url: res.Request.URL, body: string(body), header: res.Header, location: res.Header.Get("Location")}
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
