// Package flows leads end-users: sign-in, "more information required", reset, unlock, security info, sign-out.
// A flow is one stored record, one pure function says where it stands, and one dispatcher serves it.
// The package never makes a token, never holds a signing key and speaks no SQL.
package flows

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/account"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
	"github.com/sparekey-id/sparekey/templates"
)

// Brand is how the tenant shows itself.
type Brand struct {
	Name, Accent, Help string
	Logo               []byte // as templates.Logo gives it; empty: none
	Languages          []string
}

// Deps are the rooms a tenant's flows stand on.
type Deps struct {
	Issuer    string // URL without a trailing slash
	Prefix    string // its path: "/avengers" or ""
	Cookie    string // base of cookie names: "sparekey-avengers"
	Secure    bool
	Brand     Brand
	Store     *store.Handle
	Ring      *secret.Ring
	Directory directory.Directory
	Policy    *policy.Policy
	Methods   method.Methods
	Accounts  *account.Accounts
	Sessions  *session.Sessions
	Guard     *guard.Guard
	Journal   *audit.Journal
	Outbox    *notify.Outbox
	Templates *templates.Set
	Now       func() time.Time
	Logger    *slog.Logger
	Begun     int // sign-ins, and resets, that were begun and not gone on with, of which no more are kept
}

// How long things last.
const (
	signInLasts = time.Hour
	resetLasts  = 15 * time.Minute
	manageLasts = 30 * time.Minute
	notMeLasts  = 72 * time.Hour
	freezeLasts = 365 * 24 * time.Hour
	askTimeout  = 3 * time.Second  // a directory's answer
	setTimeout  = 8 * time.Second  // a directory's write
	intentLasts = 20 * time.Second // longer than any write: an older intent has no one waiting for it
)

// Flows is the wing for one tenant.
type Flows struct {
	Deps
	box    secret.Box
	mac    secret.MAC
	shelf  store.Shelf[Flow]
	alarms store.Shelf[stoppable]
	logo   string // its address; empty: none
}

// New wires the wing.
func New(d Deps) *Flows {
	f := &Flows{Deps: d,
		box:    d.Ring.Box("flow/" + d.Store.Name()),
		mac:    d.Ring.MAC("flow/" + d.Store.Name()),
		shelf:  store.NewShelf[Flow]("flow"),
		alarms: store.NewShelf[stoppable]("alarm"),
	}
	if len(d.Brand.Logo) > 0 {
		f.logo = d.Prefix + "/assets/logo-" + secret.Digest(string(d.Brand.Logo))[:12] + ".png"
	}
	d.Accounts.WhenEnded(func(tx store.Tx, user directory.UserID) error {
		_, err := f.shelf.DropOwned(tx, string(user))
		return err
	})
	return f
}

// Mount puts every page of the wing on the mux: this is the whole map.
func (f *Flows) Mount(mux *http.ServeMux) {
	p := f.Prefix
	deny := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.Oops(w, r, "foreign", http.StatusForbidden) })
	on := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, web.CrossOrigin(h, deny))
	}
	on("GET "+p+"/flow/{id}", f.get)
	on("POST "+p+"/flow/{id}", f.post)
	on("GET "+p+"/reset", f.beginReset)
	on("GET "+p+"/security-info", f.securityInfo)
	on("POST "+p+"/security-info", f.securityInfoPost)
	on("GET "+p+"/not-me/{token}", f.notMe)
	on("POST "+p+"/not-me/{token}", f.notMePost)
	on("GET "+p+"/signed-out", f.signedOut)
	on("GET "+p+"/{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, f.Prefix+"/security-info", http.StatusSeeOther)
	})
	on("GET "+p+"/.well-known/change-password", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, f.Prefix+"/security-info", http.StatusSeeOther)
	})
	if len(f.Brand.Logo) > 0 {
		mux.HandleFunc("GET "+f.logo, f.showLogo)
	}
	mux.Handle("GET "+p+"/assets/", http.StripPrefix(p+"/assets", f.Templates.Assets()))
	mux.HandleFunc(p+"/", func(w http.ResponseWriter, r *http.Request) { f.Oops(w, r, "not_found", http.StatusNotFound) })
}
