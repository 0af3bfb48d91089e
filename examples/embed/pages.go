package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Pages are the program's own: a front page that greets who is signed in. Toward Sparekey they are a relying party.
type Pages struct {
	Issuer, Client, Secret, Origin string

	mu    sync.Mutex
	began map[string]string // the PKCE verifier of each sign-in under way, by the state that names a cookie of the browser, too
	names map[string]string // who is signed in, by cookie
}

var front = template.Must(template.New("").Parse(`<!doctype html><title>Engine room</title><h1>Engine room</h1>
{{with .}}<p>Good day, {{.}}.</p><p><a href="/id/security-info">Security info</a></p>{{else}}<p><a href="/sign-in">Sign in</a></p>{{end}}`))

func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		p.mu.Lock()
		name := p.names[cookie(r, "engine")]
		p.mu.Unlock()
		_ = front.Execute(w, name)
	case "/sign-in":
		p.begin(w, r)
	case "/signed-in":
		p.end(w, r)
	default:
		http.NotFound(w, r)
	}
}

// begin sends the browser to the provider.
func (p *Pages) begin(w http.ResponseWriter, r *http.Request) {
	provider, err := p.discover()
	if err != nil {
		http.Error(w, "the provider cannot be reached", http.StatusBadGateway)
		return
	}
	state, verifier := rand.Text(), rand.Text()+rand.Text()
	p.mu.Lock()
	if p.began == nil {
		p.began, p.names = map[string]string{}, map[string]string{}
	}
	p.began[state] = verifier
	p.mu.Unlock()
	challenge := sha256.Sum256([]byte(verifier))
	// A cookie for each: a sign-in begun in a second tab leaves the first one alone.
	http.SetCookie(w, &http.Cookie{Name: "engine-" + state, Value: "begun", Path: "/", MaxAge: 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, provider.Authorize+"?"+url.Values{"response_type": {"code"}, "client_id": {p.Client}, "redirect_uri": {p.Origin + "/signed-in"},
		"scope": {"openid profile"}, "state": {state}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}}.Encode(), http.StatusSeeOther)
}

// end takes the code that the browser brings back and asks the provider who she is.
func (p *Pages) end(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	state := q.Get("state")
	p.mu.Lock()
	verifier, ok := p.began[state]
	delete(p.began, state)
	p.mu.Unlock()
	if !ok || cookie(r, "engine-"+state) == "" || q.Get("iss") != p.Issuer {
		http.Error(w, "this sign-in was not begun here", http.StatusBadRequest)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "engine-" + state, Path: "/", MaxAge: -1})
	name, err := p.redeem(q.Get("code"), verifier)
	if err != nil {
		http.Error(w, "not signed in", http.StatusForbidden)
		return
	}
	session := rand.Text()
	p.mu.Lock()
	p.names[session] = name
	p.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "engine", Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *Pages) redeem(code, verifier string) (string, error) {
	provider, err := p.discover()
	if err != nil {
		return "", err
	}
	r, _ := http.NewRequest(http.MethodPost, provider.Token, strings.NewReader(url.Values{"grant_type": {"authorization_code"}, "code": {code},
		"redirect_uri": {p.Origin + "/signed-in"}, "code_verifier": {verifier}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(p.Client, p.Secret)
	var token struct {
		Access string `json:"access_token"`
	}
	if err := ask(r, &token); err != nil {
		return "", err
	}
	r, _ = http.NewRequest(http.MethodGet, provider.UserInfo, nil)
	r.Header.Set("Authorization", "Bearer "+token.Access)
	var user struct{ Name string }
	err = ask(r, &user)
	return user.Name, err
}

type provider struct {
	Authorize string `json:"authorization_endpoint"`
	Token     string `json:"token_endpoint"`
	UserInfo  string `json:"userinfo_endpoint"`
}

func (p *Pages) discover() (found provider, err error) {
	r, _ := http.NewRequest(http.MethodGet, p.Issuer+"/.well-known/openid-configuration", nil)
	err = ask(r, &found)
	return found, err
}

func ask(r *http.Request, answer any) error {
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", r.URL, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(answer)
}

func cookie(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}
