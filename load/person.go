package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math/bits"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/internal/crowd"
)

// person is one caller: her browser and what she holds.
type person struct {
	w               *world
	meta            map[string]any // of the provider that signs her in
	login           string
	browser         *http.Client
	access, refresh string
}

func (w *world) fetch(c *http.Client, method, address string, form url.Values, into any) error {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, address, body)
	if err != nil {
		return err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(form.Get("client"), "load-secret")
		form.Del("client")
	}
	return answer(c, r, into)
}

func answer(c *http.Client, r *http.Request, into any) error {
	res, err := c.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d %.200s", r.URL.Path, res.StatusCode, raw)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}

func (p *person) authorizeURL(client string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"client_id": {client}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid profile email offline_access"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	return p.meta["authorization_endpoint"].(string) + "?" + q.Encode()
}

// code follows redirects until one leads to the relying party, and gives the code in it; page is what was shown instead.
func (p *person) code(r *http.Request) (code, page string, at *url.URL, err error) {
	res, err := p.browser.Do(r)
	if err != nil {
		return "", "", nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return "", "", nil, err
	}
	if to, err := res.Location(); err == nil {
		return to.Query().Get("code"), "", to, nil
	}
	return "", string(raw), res.Request.URL, nil
}

func (p *person) redeem(client, code string) error {
	var t struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	form := url.Values{"client": {client}, "grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	if err := p.w.fetch(http.DefaultClient, "POST", p.meta["token_endpoint"].(string), form, &t); err != nil {
		return err
	}
	p.access, p.refresh = t.Access, t.Refresh
	return nil
}

func (p *person) flow(client string) error {
	r, err := http.NewRequest("GET", p.authorizeURL(client), nil)
	if err != nil {
		return err
	}
	code, page, _, err := p.code(r)
	if err != nil || code == "" {
		return fmt.Errorf("authorize: no code: %w %.300s", err, page)
	}
	if err := p.redeem(client, code); err != nil {
		return err
	}
	return p.userinfo()
}

func (p *person) userinfo() error {
	r, err := http.NewRequest("GET", p.meta["userinfo_endpoint"].(string), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+p.access)
	return answer(http.DefaultClient, r, nil)
}

func (p *person) introspect() error {
	var told struct{ Active bool }
	err := p.w.fetch(http.DefaultClient, "POST", p.meta["introspection_endpoint"].(string), url.Values{"client": {"job"}, "token": {p.access}}, &told)
	if err == nil && !told.Active {
		err = errors.New("the token is not active")
	}
	return err
}

func (p *person) renew(client string) error {
	var t struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if p.refresh == "" {
		return errors.New("no refresh token")
	}
	if err := p.w.fetch(http.DefaultClient, "POST", p.meta["token_endpoint"].(string), url.Values{"client": {client}, "grant_type": {"refresh_token"}, "refresh_token": {p.refresh}}, &t); err != nil {
		return err
	}
	p.access, p.refresh = t.Access, t.Refresh
	return nil
}

var csrf = regexp.MustCompile(`name="csrf" value="([^"]*)"`)

// signIn signs in anew, in a browser without cookies.
func (p *person) signIn(client string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	p.browser = &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	r, err := http.NewRequest("GET", p.authorizeURL(client), nil)
	if err != nil {
		return err
	}
	code, page, at, err := p.code(r)
	for _, form := range []url.Values{{"username": {p.login}, "action": {"next"}}, {"password": {password}, "action": {"sign_in"}}} {
		if err != nil {
			return err
		}
		m := csrf.FindStringSubmatch(page)
		if m == nil {
			return fmt.Errorf("no form on %.300s", page)
		}
		form.Set("csrf", m[1])
		if r, err = http.NewRequest("POST", at.String(), strings.NewReader(form.Encode())); err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		code, page, at, err = p.code(r)
	}
	if err != nil || code == "" {
		return fmt.Errorf("sign-in: no code: %w %.300s", err, page)
	}
	return p.redeem(client, code)
}

// page reads one as she is signed in.
func (p *person) page(path string) error {
	r, err := http.NewRequest("GET", p.w.origin+path, nil)
	if err != nil {
		return err
	}
	return answer(p.browser, r, nil)
}

var puzzle = regexp.MustCompile(`data-captcha=(?:"([^"]*)"|'([^']*)')`)

// reset walks a reset of somebody's up to the answer to her app's code, in a browser without cookies. Nothing is set: the next one finds
// the same password.
func (p *person) reset(login string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Jar: jar}
	res, err := browser.Get(p.w.origin + "/avengers/reset")
	for step := 0; ; step++ {
		if err != nil {
			return err
		}
		raw, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			return err
		}
		page, at := string(raw), res.Request.URL.String()
		m := csrf.FindStringSubmatch(page)
		if m == nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("reset, step %d: %d %.300s", step, res.StatusCode, page)
		}
		form := url.Values{"csrf": {m[1]}, "action": {"next"}}
		switch {
		case strings.Contains(page, `name="captcha_id"`):
			form.Set("username", login)
			if err := solve(page, form); err != nil {
				return err
			}
		case strings.Contains(page, `name="what"`):
			form.Set("what", "forgot")
		case strings.Contains(page, `name="code"`):
			form.Set("code", code(crowd.Seed, time.Now()))
			form.Set("action", "verify")
		case strings.Contains(page, `name="new"`):
			return nil
		default:
			return fmt.Errorf("reset, step %d: %.500s", step, page)
		}
		if step > 5 {
			return fmt.Errorf("reset of %s does not come to its end: %.500s", login, page)
		}
		res, err = browser.PostForm(at, form)
	}
}

// solve answers the puzzle of a page.
func solve(page string, form url.Values) error {
	m := puzzle.FindStringSubmatch(page)
	if m == nil {
		return errors.New("no puzzle")
	}
	var p struct {
		ID, Salt string
		Bits     int
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(m[1]+m[2])), &p); err != nil {
		return err
	}
	for n := 0; ; n++ {
		sum := sha256.Sum256([]byte(p.Salt + strconv.Itoa(n)))
		if bits.LeadingZeros64(binary.BigEndian.Uint64(sum[:8])) >= p.Bits {
			form.Set("captcha_id", p.ID)
			form.Set("captcha", strconv.Itoa(n))
			return nil
		}
	}
}

// code is that of an authenticator app (RFC 6238).
func code(seed string, at time.Time) string {
	mac := hmac.New(sha1.New, []byte(seed))
	_ = binary.Write(mac, binary.BigEndian, uint64(at.Unix()/30))
	sum := mac.Sum(nil)
	o := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[o:o+4])&0x7fffffff)%1_000_000)
}
