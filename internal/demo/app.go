package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// App is a relying party: it knows nothing of Sparekey but an issuer's address, and speaks OpenID Connect to it.
type App struct {
	Address string // its own, without a trailing slash
	Issuers []Issuer
	Logger  *slog.Logger // what went wrong goes there, and never to the browser

	mu    sync.Mutex
	users map[string]user  // by session cookie
	began map[string]begun // by state
}

// Issuer is a provider the app signs people in through.
type Issuer struct {
	Name, Title, URL, Client, Secret string
}

type begun struct {
	issuer          Issuer
	nonce, verifier string
	at              time.Time
}

type user struct {
	Issuer Issuer
	Claims map[string]any
	ID     string // the ID token, for signing out
	Pretty string
}

type metadata struct {
	Authorize string `json:"authorization_endpoint"`
	Token     string `json:"token_endpoint"`
	Keys      string `json:"jwks_uri"`
	UserInfo  string `json:"userinfo_endpoint"`
	Logout    string `json:"end_session_endpoint"`
	Issuer    string `json:"issuer"`
}

const appCookie = "demo-app"

// ServeHTTP answers: the front page, /sign-in/{issuer}, /callback and /sign-out.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.front)
	mux.HandleFunc("GET /sign-in/{issuer}", a.signIn)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("POST /sign-out", a.signOut)
	mux.ServeHTTP(w, r)
}

func (a *App) front(w http.ResponseWriter, r *http.Request) {
	data := struct {
		App  *App
		User *user
	}{App: a}
	if u, ok := a.current(r); ok {
		data.User = &u
	}
	show(w, http.StatusOK, "app.html", data)
}

func (a *App) current(r *http.Request) (user, bool) {
	c, err := r.Cookie(appCookie)
	if err != nil {
		return user{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	u, ok := a.users[c.Value]
	return u, ok
}

func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	for _, is := range a.Issuers {
		if is.Name != r.PathValue("issuer") {
			continue
		}
		m, err := discover(r.Context(), is.URL)
		if err != nil {
			a.fail(w, err)
			return
		}
		state, b := random(), begun{issuer: is, nonce: random(), verifier: random(), at: time.Now()}
		a.mu.Lock()
		if a.began == nil {
			a.began, a.users = map[string]begun{}, map[string]user{}
		}
		for s, old := range a.began {
			if time.Since(old.at) > time.Hour {
				delete(a.began, s)
			}
		}
		a.began[state] = b
		a.mu.Unlock()
		// A cookie for each: a sign-in begun in a second tab leaves the first one alone.
		http.SetCookie(w, &http.Cookie{Name: appCookie + "-" + state, Value: "begun", Path: "/", MaxAge: 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		challenge := sha256.Sum256([]byte(b.verifier))
		q := url.Values{"client_id": {is.Client}, "response_type": {"code"}, "redirect_uri": {a.Address + "/callback"}, "scope": {"openid profile email groups"},
			"state": {state}, "nonce": {b.nonce}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}
		http.Redirect(w, r, m.Authorize+"?"+q.Encode(), http.StatusSeeOther)
		return
	}
	http.NotFound(w, r)
}

func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	state := q.Get("state")
	if _, err := r.Cookie(appCookie + "-" + state); err != nil {
		a.fail(w, errors.New("this sign-in was begun in another browser"))
		return
	}
	http.SetCookie(w, &http.Cookie{Name: appCookie + "-" + state, Path: "/", MaxAge: -1})
	a.mu.Lock()
	b, ok := a.began[state]
	delete(a.began, state)
	a.mu.Unlock()
	switch {
	case !ok || q.Get("iss") != b.issuer.URL:
		a.fail(w, errors.New("no such sign-in"))
		return
	case q.Get("error") != "":
		a.fail(w, fmt.Errorf("the provider says: %s %s", q.Get("error"), q.Get("error_description")))
		return
	}
	u, err := a.redeem(r.Context(), b, q.Get("code"))
	if err != nil {
		a.fail(w, err)
		return
	}
	id := random()
	a.mu.Lock()
	a.users[id] = u
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: appCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// redeem trades the code for an ID token and checks it as a relying party has to (OpenID Connect Core 1.0 §3.1.3.7).
func (a *App) redeem(ctx context.Context, b begun, code string) (user, error) {
	m, err := discover(ctx, b.issuer.URL)
	if err != nil {
		return user{}, err
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.Address + "/callback"}, "code_verifier": {b.verifier}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return user{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(b.issuer.Client), url.QueryEscape(b.issuer.Secret))
	var tokens struct {
		ID     string `json:"id_token"`
		Access string `json:"access_token"`
	}
	if err := fetch(req, &tokens); err != nil {
		return user{}, err
	}
	var set jose.JSONWebKeySet
	if req, err = http.NewRequestWithContext(ctx, http.MethodGet, m.Keys, nil); err == nil {
		err = fetch(req, &set)
	}
	if err != nil {
		return user{}, err
	}
	parsed, err := jwt.ParseSigned(tokens.ID, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	if err != nil {
		return user{}, err
	}
	var standard jwt.Claims
	var claims map[string]any
	if err := parsed.Claims(set, &standard, &claims); err != nil {
		return user{}, err
	}
	if err := standard.Validate(jwt.Expected{Issuer: m.Issuer, AnyAudience: jwt.Audience{b.issuer.Client}, Time: time.Now()}); err != nil {
		return user{}, err
	}
	if claims["nonce"] != b.nonce {
		return user{}, errors.New("the ID token is for another sign-in")
	}
	var more map[string]any
	if req, err = http.NewRequestWithContext(ctx, http.MethodGet, m.UserInfo, nil); err != nil {
		return user{}, err
	}
	req.Header.Set("Authorization", "Bearer "+tokens.Access)
	if err := fetch(req, &more); err != nil {
		return user{}, err
	}
	for k, v := range more {
		claims[k] = v
	}
	pretty, err := json.MarshalIndent(claims, "", "  ")
	return user{Issuer: b.issuer, Claims: claims, ID: tokens.ID, Pretty: string(pretty)}, err
}

func (a *App) signOut(w http.ResponseWriter, r *http.Request) {
	u, ok := a.current(r)
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	c, _ := r.Cookie(appCookie)
	a.mu.Lock()
	delete(a.users, c.Value)
	a.mu.Unlock()
	m, err := discover(r.Context(), u.Issuer.URL)
	if err != nil {
		a.fail(w, err)
		return
	}
	q := url.Values{"id_token_hint": {u.ID}, "post_logout_redirect_uri": {a.Address + "/"}, "client_id": {u.Issuer.Client}}
	http.Redirect(w, r, m.Logout+"?"+q.Encode(), http.StatusSeeOther)
}

func (a *App) fail(w http.ResponseWriter, err error) {
	a.Logger.Warn("app", "error", err)
	show(w, http.StatusBadGateway, "fault.html", nil)
}

func discover(ctx context.Context, issuer string) (m metadata, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return m, err
	}
	if err = fetch(req, &m); err == nil && m.Issuer != issuer {
		err = fmt.Errorf("%s says it is %s", issuer, m.Issuer)
	}
	return m, err
}

var client = &http.Client{Timeout: 10 * time.Second}

func fetch(req *http.Request, into any) error {
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", req.URL.Path, res.Status, body)
	}
	return json.Unmarshal(body, into)
}

func random() string { return rand.Text() + rand.Text() }

// Name is what the app calls its user.
func (u user) Name() string {
	for _, k := range []string{"name", "preferred_username", "sub"} {
		if s, ok := u.Claims[k].(string); ok && s != "" {
			return s
		}
	}
	return "somebody"
}
