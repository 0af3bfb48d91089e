// Package provider speaks OpenID Connect to relying parties: discovery, keys, authorize, token, userinfo, revocation and end session.
//
// It owns authorization requests, codes, grants, access and refresh tokens, signing keys and what becomes a claim.
// It never shows a page, never sees a password and never learns how a user proved who she is: it asks an Interaction,
// which leads end-users, and every token waits for that Interaction's Standing.
//
// The endpoints are written by hand on the wire types of github.com/zitadel/oidc/v3/pkg/oidc. The router of that library
// decodes every form twice, answers errors in words of its own and has no way to send WWW-Authenticate.
package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Interaction leads end-users. Its errors are its own, but for two: store.ErrNotFound from Outcome and Over, and whatever is
// temporary, which is answered as such and never as a success.
type Interaction interface {
	// Begin starts a flow for q in this browser, sets what cookies it needs and returns where the browser goes. also is committed with the flow.
	// When the flow is done, the browser comes to the issuer's path + q.Return + "&flow=" and the flow's id.
	Begin(w http.ResponseWriter, r *http.Request, q identity.SignInRequest, also func(store.Tx) error) (redirect string, err error)
	// Outcome gives what a finished flow established, to the browser that walked it; otherwise store.ErrNotFound.
	// A flow that asked about signing out gives its Request back and need not say who was signed in.
	Outcome(tx store.Tx, r *http.Request, flow string) (identity.Authentication, error)
	// Over takes a finished flow away from whoever would use its outcome again; store.ErrNotFound when somebody was first.
	Over(tx store.Tx, flow string) error
	// Left ends what the user has under way in this browser: she has signed out there.
	Left(tx store.Tx, r *http.Request, user string) error
	// Standing says whether the sign-in that look finds still counts now, and gives the user as her directory knows her now. look reads in the
	// transaction in which that is judged; its error ends the matter and comes back. It does not ask whether the browser's session lives: a grant for offline access
	// outlives it, and provider looks itself where it matters.
	Standing(ctx context.Context, look func(store.Tx) (identity.Authentication, error)) (directory.User, identity.Standing, error)
}

// Config is what an operator says. Zero durations are the defaults beside them.
type Config struct {
	Issuer          string // URL without a trailing slash: https, or http on a loopback host
	Clients         []Client
	Access          time.Duration // life of an access token; 10 minutes
	ID              time.Duration // life of an ID token; 10 minutes
	RefreshIdle     time.Duration // a refresh token unused so long is over; 14 days
	RefreshAbsolute time.Duration // so long after sign-in it is over in any case; 90 days
	Languages       []string      // for ui_locales_supported
}

// Deps are the rooms and hooks the wing stands on.
type Deps struct {
	Store       *store.Handle
	Ring        *secret.Ring
	Sessions    *session.Sessions
	Interaction Interaction
	Journal     *audit.Journal
	// Error renders an error page: reason is one of client, redirect_uri, bad_request, expired, denied, unavailable, too_large, internal.
	Error func(w http.ResponseWriter, r *http.Request, reason, reference string, status int)
	// FormPost renders the page that posts fields to target (OAuth 2.0 Form Post Response Mode), with a CSP that lets it.
	FormPost func(w http.ResponseWriter, r *http.Request, target string, fields [][2]string)
	Now      func() time.Time // nil: the store's clock
	Logger   *slog.Logger     // nil: silent
	Shared   bool             // other nodes may be serving from the same store
	Begun    int              // parked requests that nobody came back to, of which no more are kept
}

// Provider is the wing for one tenant. It is safe for concurrent use.
type Provider struct {
	c          Config
	d          Deps
	path       string // the issuer's path: "/avengers" or ""
	origin     string // the issuer without its path
	clients    map[string]*client
	nobody     *client    // what an unknown client's secret is compared with
	sealed     secret.Box // signing keys
	successors secret.Box // refresh tokens inside a grace
	refreshing secret.MAC // refresh tokens
	keys       atomic.Pointer[keys]
	looks      atomic.Uint64 // at the table of keys
	oneLooks   chan struct{} // whoever looks, while others wait for what she finds
	meta       *document

	requests store.Shelf[request]
	posted   store.Shelf[posted]
	pushed   store.Shelf[pushed]
	logouts  store.Shelf[departure]
	grants   store.Shelf[grant]
}

// asking bounds how long a directory is waited for.
const asking = 4 * time.Second

// New checks the config, opens the tenant's signing keys and makes those that are missing.
// All faults of the config are in the error, as Problems.
func New(ctx context.Context, c Config, d Deps) (*Provider, error) {
	if p := c.Check(); len(p) > 0 {
		return nil, p
	}
	c.defaults()
	if d.Now == nil {
		d.Now = d.Store.Now
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	u, err := url.Parse(c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	p := &Provider{c: c, d: d, path: u.Path, origin: u.Scheme + "://" + u.Host,
		clients:    map[string]*client{},
		oneLooks:   make(chan struct{}, 1),
		nobody:     newClient(Client{ID: secret.ID(), Secret: secret.Text(secret.Token())}),
		successors: d.Ring.Box("refresh/" + d.Store.Name()),
		refreshing: d.Ring.MAC("refresh/" + d.Store.Name()),
		sealed:     d.Ring.Box("signing/" + d.Store.Name()),
		requests:   store.NewShelf[request]("request"),
		posted:     store.NewShelf[posted]("posted"),
		pushed:     store.NewShelf[pushed]("pushed"),
		logouts:    store.NewShelf[departure]("logout"),
		grants:     store.NewShelf[grant]("grant"),
	}
	for _, one := range c.Clients {
		p.clients[one.ID] = newClient(one)
	}
	if err := p.openKeys(ctx); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	if p.meta, err = p.discovery(); err != nil {
		return nil, err
	}
	return p, nil
}

func (c *Config) defaults() {
	c.Access = cmp.Or(c.Access, 10*time.Minute)
	c.ID = cmp.Or(c.ID, 10*time.Minute)
	c.RefreshIdle = cmp.Or(c.RefreshIdle, 14*24*time.Hour)
	c.RefreshAbsolute = cmp.Or(c.RefreshAbsolute, 90*24*time.Hour)
}

// Paths of the endpoints under the issuer. Relying parties learn them from discovery.
const (
	discoveryPath  = "/.well-known/openid-configuration"
	rfc8414Path    = "/.well-known/oauth-authorization-server"
	keysPath       = "/keys"
	authorizePath  = "/authorize"
	resumePath     = "/authorize/resume"
	tokenPath      = "/token"
	userinfoPath   = "/userinfo"
	revokePath     = "/revoke"
	introspectPath = "/introspect"
	pushPath       = "/par"
	logoutPath     = "/logout"
	leavePath      = "/logout/resume"
	signedOutPath  = "/signed-out" // a page of the other wing
)

// Mount puts every endpoint on the mux under prefix, the issuer's path: this is the whole map. Each pattern is a path, whole and literal.
// What browsers of other origins may read is marked shared; the rest carries no CORS header (RFC 9700 §4.16).
func (p *Provider) Mount(mux interface {
	Handle(pattern string, h http.Handler)
}, prefix string) {
	mux.Handle(prefix+discoveryPath, shared(p.showDiscovery, http.MethodGet, http.MethodHead))
	mux.Handle(rfc8414Path+prefix, shared(p.showDiscovery, http.MethodGet, http.MethodHead))
	mux.Handle(prefix+keysPath, shared(p.showKeys, http.MethodGet, http.MethodHead))
	mux.Handle(prefix+tokenPath, shared(p.token, http.MethodPost))
	mux.Handle(prefix+userinfoPath, shared(p.userinfo, http.MethodGet, http.MethodPost))
	mux.Handle(prefix+revokePath, shared(p.revoke, http.MethodPost))
	mux.Handle(prefix+introspectPath, only(p.introspect, http.MethodPost))
	mux.Handle(prefix+pushPath, shared(p.push, http.MethodPost))
	mux.Handle(prefix+authorizePath, only(p.authorize, http.MethodGet, http.MethodPost))
	mux.Handle(prefix+resumePath, only(p.resume, http.MethodGet))
	mux.Handle(prefix+logoutPath, only(p.logout, http.MethodGet, http.MethodPost))
	mux.Handle(prefix+leavePath, only(p.leave, http.MethodGet))
}

// Run keeps the signing keys of these tenants in step with the other nodes and turns them over when their time has come, until ctx ends:
// one tenant after the other, so that the making of keys leaves a processor to the requests. It looks at them every minute, and every second
// at those of a tenant whose keys are trusted no more and on their way out.
func Run(ctx context.Context, wings ...*Provider) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		due := time.Since(last) >= time.Minute
		if due {
			last = time.Now()
		}
		for _, p := range wings {
			if !due && !p.Turning() {
				continue
			}
			if err := p.TurnKeys(ctx); err != nil && ctx.Err() == nil {
				p.d.Logger.Error("signing keys", "tenant", p.d.Store.Name(), "error", err)
			}
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// Thin keeps what is parked and was never come back to in bounds, the younger ones (SECURITY A50). Of requests there are twice as many, since
// one belongs to a sign-in that is gone on with as well.
func (p *Provider) Thin(ctx context.Context) error {
	now, h, most := p.d.Now(), p.d.Store, p.d.Begun
	_, err := p.requests.Thin(ctx, h, now, now.Add(requestFor), 2*most)
	_, posts := p.posted.Thin(ctx, h, now, now.Add(postedFor), most)
	_, pushes := p.pushed.Thin(ctx, h, now, now.Add(pushedFor+requestFor), most)
	_, leaves := p.logouts.Thin(ctx, h, now, now.Add(requestFor), most)
	return errors.Join(err, posts, pushes, leaves)
}

// EndGrants ends every code, grant, access and refresh token of the user. It is part of the end of all her sessions.
func (p *Provider) EndGrants(tx store.Tx, user string) error {
	_, err := p.grants.DropOwned(tx, user)
	return err
}

// only serves the methods named.
func only(h http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			refuseMethod(w, methods)
			return
		}
		h(w, r)
	})
}

// temporary reports whether trying again later makes sense.
func temporary(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, directory.ErrUnavailable) || errors.Is(err, store.ErrChanged) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
