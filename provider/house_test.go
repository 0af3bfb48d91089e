package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

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
	all := []Client{
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
	for i := range all {
		all[i].Claims = map[string]string{"given_name": "givenName", "address.locality": "l", "team": "team"}
	}
	return all
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
	now      func() time.Time // of the next provider; nil: the store's
	shared   bool             // the next provider is one of several nodes
	pages    []string         // reasons of the error pages shown
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
	return h.provideFor(issuer, clients, 0)
}

// provideFor has ID tokens that live so long; 0: as usual.
func (h *house) provideFor(issuer string, clients []Client, life time.Duration) *Provider {
	h.t.Helper()
	p, err := New(context.Background(), Config{Issuer: issuer, Clients: clients, ID: life, Languages: []string{"en", "de"}}, Deps{
		Store: h.db, Ring: h.ring, Sessions: h.sessions, Interaction: h.guide, Now: h.now, Shared: h.shared,
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
