package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
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
