package provider

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"github.com/sparekey-id/sparekey/internal/web"
)

const (
	issuer     = "https://login.example.com/avengers"
	callback   = "https://wiki.example.com/callback"
	goodbye    = "https://wiki.example.com/goodbye"
	wikiSecret = "wiki-secret-0123456789-0123456789"
	verifier   = "0123456789-0123456789-0123456789-0123456789.~_"
	ironman    = "id-of-ironman"
	ironmanSub = "subject-of-ironman"
	pepper     = "id-of-pepper"
)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// clients are registered at every house.
func registered() []Client {
	return []Client{
		{ID: "wiki", Name: "The Wiki", Secret: wikiSecret, RedirectURIs: []string{callback, "https://wiki.example.com/other?a=b"}, PostLogoutRedirectURIs: []string{goodbye}, IDTokenAlg: "ES256", AuthMethod: "client_secret_basic"},
		{ID: "post", Secret: "post-secret", RedirectURIs: []string{"https://post.example.com/cb"}, AuthMethod: "client_secret_post", IDTokenAlg: "EdDSA"},
		{ID: "rsa", Secret: "rsa-secret", RedirectURIs: []string{"https://rsa.example.com/cb"}},
		{ID: "spa", Public: true, RedirectURIs: []string{"https://spa.example.com/cb"}, IDTokenAlg: "ES256", ResponseModes: []string{"query", "fragment", "form_post"}},
		{ID: "app", Public: true, Native: true, RedirectURIs: []string{"http://127.0.0.1/cb", "com.example.app:/cb"}, IDTokenAlg: "ES256"},
		{ID: "strict", Secret: "strict-secret", RedirectURIs: []string{"https://strict.example.com/cb"}, PKCERequired: true, IDTokenAlg: "ES256", Scopes: []string{"openid", "email"}, Grants: []string{"authorization_code"}, ResponseModes: []string{"query"}},
		{ID: "lab", Secret: "lab-secret", RedirectURIs: []string{"https://lab.example.com/cb"}, IDTokenAlg: "ES256", Groups: []string{"avengers"}, ClaimsInIDToken: true},
		{ID: "graceful", Secret: "graceful-secret", RedirectURIs: []string{"https://graceful.example.com/cb"}, IDTokenAlg: "ES256", RefreshGrace: 20 * time.Second},
		{ID: "api", Secret: "api-secret", Grants: []string{"client_credentials"}, Scopes: []string{"orders.read", "orders.write"}, ResourceServer: true},
		{ID: "pusher", Secret: "pusher-secret", RedirectURIs: []string{"https://pusher.example.com/cb"}, IDTokenAlg: "ES256", Pushed: true},
	}
}

// house is a provider with everything around it, and a guide in place of the other wing.
type house struct {
	t        testing.TB
	db       *store.Handle
	ring     *secret.Ring
	clock    *storetest.Clock
	sessions *session.Sessions
	guide    *guide
	p        *Provider
	handler  http.Handler
	pages    []string // reasons of the error pages shown
	posts    [][][2]string
	postTo   []string
	mu       sync.Mutex
}

func newHouse(t testing.TB) *house {
	db, clock := storetest.SQLiteClock(t)
	return newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
}

func newHouseIn(t testing.TB, db *store.DB, clock *storetest.Clock, tenant string, ring *secret.Ring, issuer string) *house {
	t.Helper()
	h := &house{t: t, db: db.Tenant(tenant), ring: ring, clock: clock}
	h.sessions = session.New(h.db, session.Options{Cookie: "sparekey-" + tenant, Secure: true})
	h.guide = &guide{h: h, asked: map[string]identity.SignInRequest{}, out: map[string]identity.Authentication{}, standing: identity.Good, epoch: 7, users: map[string]directory.User{
		ironman: {ID: ironman, Login: "ironman", Name: "Tony Stark", Email: "tony@stark.example", EmailVerified: true, Phone: "+15550100", Groups: []string{"Avengers", "Owners"},
			Attrs: map[string][]string{"givenName": {"Tony"}, "l": {"Malibu"}, "team": {"red", "gold"}}},
		pepper: {ID: pepper, Login: "pepper", Name: "Pepper Potts", Email: "pepper@stark.example"},
	}}
	h.must(func(tx store.Tx) error { // making an RSA key is slow: the tests share one
		id := secret.ID()
		_, err := tx.Exec(`INSERT INTO signing_key (tenant, id, alg, state, created_at, active_at, key) VALUES ($1, $2, 'RS256', 'active', $3, $3, $4)`,
			id, store.Micros(clock.Now()), ring.Box("signing/"+tenant).Seal(id, anRSAKey()))
		return err
	})
	h.p = h.provide(issuer, registered())
	h.mount()
	return h
}

var anRSAKey = sync.OnceValue(func() []byte {
	der, err := generate("RS256")
	if err != nil {
		panic(err)
	}
	return der
})

// provide makes a provider on the house's store, as a second node or a restart would.
func (h *house) provide(issuer string, clients []Client) *Provider {
	h.t.Helper()
	p, err := New(context.Background(), Config{Issuer: issuer, Clients: clients, Languages: []string{"en", "de"},
		Claims: map[string]string{"given_name": "givenName", "address.locality": "l", "team": "team"}}, Deps{
		Store: h.db, Ring: h.ring, Sessions: h.sessions, Interaction: h.guide,
		Journal: audit.New(h.db, audit.Options{Ring: h.ring}),
		Logger:  slog.New(slog.NewTextHandler(h.t.Output(), nil)),
		Error: func(w http.ResponseWriter, r *http.Request, reason, reference string, status int) {
			h.mu.Lock()
			h.pages = append(h.pages, reason)
			h.mu.Unlock()
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			fmt.Fprintf(w, "<p>%s %s</p>", reason, reference)
		},
		FormPost: func(w http.ResponseWriter, r *http.Request, target string, fields [][2]string) {
			h.mu.Lock()
			h.postTo, h.posts = append(h.postTo, target), append(h.posts, fields)
			h.mu.Unlock()
			w.Header().Set("Content-Type", "text/html")
		},
	})
	if err != nil {
		h.t.Fatalf("make the provider: %v", err)
	}
	return p
}

func (h *house) mount() {
	mux := http.NewServeMux()
	h.p.Mount(mux, h.p.path)
	mux.HandleFunc(h.p.path+"/", http.NotFound)
	h.handler = web.Porch(mux, web.Options{})
}

// guide stands in for the wing that leads end-users.
type guide struct {
	h        *house
	mu       sync.Mutex
	asked    map[string]identity.SignInRequest // by flow
	last     string                            // flow
	out      map[string]identity.Authentication
	standing identity.Standing
	fault    error // of Standing
	users    map[string]directory.User
	epoch    int64 // of every account
}

func (g *guide) Begin(w http.ResponseWriter, r *http.Request, q identity.SignInRequest, also func(store.Tx) error) (string, error) {
	if err := g.h.db.Write(r.Context(), also); err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = secret.ID()
	g.asked[g.last] = q
	return g.h.p.path + "/flow/" + g.last, nil
}

func (g *guide) Outcome(_ store.Tx, r *http.Request, flow string) (identity.Authentication, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, ok := g.out[flow]
	if c, err := r.Cookie("walker"); err != nil || !ok || c.Value != flow {
		return identity.Authentication{}, fmt.Errorf("outcome: %w", store.ErrNotFound)
	}
	return a, nil
}

func (g *guide) Over(_ store.Tx, flow string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.out[flow]; !ok {
		return fmt.Errorf("over: %w", store.ErrNotFound)
	}
	delete(g.out, flow)
	return nil
}

func (g *guide) Left(store.Tx, *http.Request, string) error { return nil }

func (g *guide) Standing(ctx context.Context, look func(store.Tx) (identity.Authentication, error)) (u directory.User, _ identity.Standing, err error) {
	var a identity.Authentication
	err = g.h.db.Read(ctx, func(tx store.Tx) (err error) {
		a, err = look(tx)
		return err
	})
	if err != nil {
		return u, identity.Gone, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.Epoch != g.epoch {
		return u, identity.Gone, g.fault
	}
	return g.users[a.User], g.standing, g.fault
}

func (g *guide) say(s identity.Standing, fault error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.standing, g.fault = s, fault
}

// browser keeps cookies, and shows what came back.
type browser struct {
	h       *house
	cookies map[string]string
}

func (h *house) browser() *browser { return &browser{h, map[string]string{}} }

// answer is a response with its body read.
type answer struct {
	t testing.TB
	*http.Response
	body string
}

func (b *browser) do(method, target string, form url.Values, headers ...string) answer {
	b.h.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.h.p.origin + target
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, target, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.h.handler.ServeHTTP(w, r)
	res := w.Result()
	for _, c := range res.Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return answer{b.h.t, res, w.Body.String()}
}

func (b *browser) get(path string) answer { b.h.t.Helper(); return b.do("GET", path, nil) }

// location is where the answer redirects to, which must be a 303.
func (a answer) location() *url.URL {
	a.t.Helper()
	if a.StatusCode != http.StatusSeeOther {
		a.t.Fatalf("want a redirect, got %d %s", a.StatusCode, a.body)
	}
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

// code is the one in the answer.
func (a answer) code() string {
	a.t.Helper()
	u := a.location()
	if u.Query().Get("code") == "" {
		a.t.Fatalf("no code in %s", u)
	}
	return u.Query().Get("code")
}

// refusal is the error code of a redirect.
func (a answer) refusal(want string) {
	a.t.Helper()
	q := a.location().Query()
	if q.Get("error") != want || q.Has("code") {
		a.t.Fatalf("want the error %s, got %s", want, a.Header.Get("Location"))
	}
}

func (a answer) shows(status int, text string) {
	a.t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, text) || a.Header.Get("Location") != "" {
		a.t.Fatalf("want %d %q, got %d %q, Location %q", status, text, a.StatusCode, a.body, a.Header.Get("Location"))
	}
}

func (a answer) json() map[string]any {
	a.t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		a.t.Fatalf("not JSON: %d %q", a.StatusCode, a.body)
	}
	return v
}

// fails checks an error of a JSON endpoint.
func (a answer) fails(status int, code string) {
	a.t.Helper()
	if v := a.json(); a.StatusCode != status || v["error"] != code {
		a.t.Fatalf("want %d %s, got %d %s", status, code, a.StatusCode, a.body)
	}
}

// signedIn begins a session, as the other wing does.
func (b *browser) signedIn(user string) session.Session {
	b.h.t.Helper()
	var s session.Session
	err := b.h.db.Write(context.Background(), func(tx store.Tx) error {
		r := httptest.NewRequest("GET", "/", nil)
		for name, value := range b.cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		old, _ := b.h.sessions.Current(tx, r)
		c, now, err := b.h.sessions.Begin(tx, session.Session{User: user, Subject: "subject-of-" + strings.TrimPrefix(user, "id-of-"), Login: strings.TrimPrefix(user, "id-of-"),
			Epoch: 7, AMR: []string{"pwd"}, Proofs: []identity.Proof{{Kind: identity.Password, At: b.h.clock.Now()}}}, old.Key)
		if err == nil {
			b.cookies[c.Name], s = c.Value, now
		}
		return err
	})
	if err != nil {
		b.h.t.Fatal(err)
	}
	return s
}

// walk signs user in on the flow the guide was last asked for and returns the address the browser is sent to.
func (b *browser) walk(user string) string {
	b.h.t.Helper()
	g := b.h.guide
	flow, q := g.last, g.asked[g.last]
	s := b.signedIn(user)
	b.cookies["walker"] = flow
	a := authentication(s)
	a.Request = q
	g.mu.Lock()
	g.out[flow] = a
	g.mu.Unlock()
	return b.h.p.path + q.Return + "&flow=" + flow
}

// ask is an authorization request of the wiki with PKCE; more is name, value, …; an empty value removes.
func (h *house) ask(more ...string) url.Values {
	v := url.Values{"client_id": {"wiki"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"state of wiki"},
		"nonce": {"n0nce"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(more); i += 2 {
		if v.Del(more[i]); more[i+1] != "" {
			v.Set(more[i], more[i+1])
		}
	}
	return v
}

func (b *browser) authorize(more ...string) answer {
	b.h.t.Helper()
	return b.get(b.h.p.path + authorizePath + "?" + b.h.ask(more...).Encode())
}

// at is an endpoint called by the wiki with its secret.
func (b *browser) token(more ...string) answer {
	b.h.t.Helper()
	return b.tokenAs("wiki", wikiSecret, more...)
}

func (b *browser) tokenAs(id, password string, more ...string) answer {
	b.h.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return b.do("POST", b.h.p.path+tokenPath, form, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(password))))
}

func (b *browser) redeem(code string) answer {
	b.h.t.Helper()
	return b.token("grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier)
}

func (b *browser) refresh(token string, more ...string) answer {
	b.h.t.Helper()
	return b.token(append([]string{"grant_type", "refresh_token", "refresh_token", token}, more...)...)
}

func (b *browser) userinfo(token string) answer {
	b.h.t.Helper()
	return b.do("GET", b.h.p.path+userinfoPath, nil, "Authorization", "Bearer "+token)
}

// tokens checks a token response and gives its members.
type tokens struct {
	access, refresh, id string
	claims              map[string]any
	all                 map[string]any
}

func (a answer) tokens() tokens {
	a.t.Helper()
	v := a.json()
	if a.StatusCode != 200 || v["token_type"] != "Bearer" || v["expires_in"] != 600.0 || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
		a.t.Fatalf("not a token response: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	t := tokens{all: v}
	t.access, _ = v["access_token"].(string)
	t.refresh, _ = v["refresh_token"].(string)
	t.id, _ = v["id_token"].(string)
	return t
}

// verified checks an ID token as a relying party does, with the keys that are published.
func (h *house) verified(token string) map[string]any {
	h.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(h.browser().get(h.p.path+keysPath).body), &set); err != nil {
		h.t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{"RS256", "ES256", "EdDSA"})
	if err != nil {
		h.t.Fatal(err)
	}
	found := set.Key(parsed.Signatures[0].Protected.KeyID)
	if len(found) != 1 {
		h.t.Fatalf("the key %q is not published", parsed.Signatures[0].Protected.KeyID)
	}
	payload, err := parsed.Verify(found[0])
	if err != nil {
		h.t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		h.t.Fatal(err)
	}
	return claims
}

// granted walks the whole way and gives the tokens of the wiki for ironman.
func (h *house) granted(more ...string) (*browser, tokens) {
	h.t.Helper()
	b := h.browser()
	b.signedIn(ironman)
	return b, b.redeem(b.authorize(more...).code()).tokens()
}

// events counts what the journal holds of one name.
func (h *house) events(name string) int {
	h.t.Helper()
	all, err := h.p.d.Journal.Tail(context.Background(), 0, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	n := 0
	for _, e := range all {
		if e.Event == name {
			n++
		}
	}
	return n
}

// count is how many records lie on a shelf.
func (h *house) count(shelf string) (n int) {
	h.t.Helper()
	err := h.db.Read(context.Background(), func(tx store.Tx) error {
		return tx.Row(`SELECT COUNT(*) FROM shelf WHERE tenant = $1 AND shelf = $2`, shelf).Scan(&n)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// form is made of names and values.
func form(more ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

// secretHash512 is at_hash for EdDSA: half of a SHA-512.
func secretHash512(s string) string {
	sum := sha512.Sum512([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:32])
}

// stored reports whether a text is anywhere on a shelf or in the journal.
func (h *house) stored(text string) bool {
	h.t.Helper()
	found := false
	err := h.db.Read(context.Background(), func(tx store.Tx) error {
		rows, err := tx.Rows(`SELECT key, value FROM shelf WHERE tenant = $1`)
		for err == nil && rows.Next() {
			var key string
			var value []byte
			err = rows.Scan(&key, &value)
			found = found || strings.Contains(key, text) || strings.Contains(string(value), text)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}
