package sparekey

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/flows"
	"github.com/sparekey-id/sparekey/internal/account"
	"github.com/sparekey-id/sparekey/internal/admin"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/provider"
)

// tenant is one organisation: one issuer, one pair of wings, over a store that is already its own.
type tenant struct {
	name      string
	host      string         // of the issuer
	prefix    string         // its path
	pages     *http.ServeMux // of flows
	endpoints literal        // of provider
	flows     *flows.Flows
	provider  *provider.Provider
	outbox    *notify.Outbox
	journal   *audit.Journal
	admin     *admin.Admin
	keep      time.Duration
}

// directories is where a new kind of directory is added: one line.
func (p *Plugin) directories() map[string]func(h *store.Handle, name string, c Directory) (directory.Directory, error) {
	return map[string]func(*store.Handle, string, Directory) (directory.Directory, error){
		"local": func(h *store.Handle, name string, c Directory) (directory.Directory, error) {
			return local.Open(h, name, p.hasher, local.Options{History: c.Reset.History}), nil
		},
		"program": func(h *store.Handle, name string, _ Directory) (directory.Directory, error) {
			d, ok := p.given[h.Name()+"/"+name]
			if !ok {
				return nil, fmt.Errorf("directory %s/%s is of type program: the host program has to bring it with WithDirectory", h.Name(), name)
			}
			return d, nil
		},
	}
}

// methods is where a new method is added: one line. Given nothing, they still tell their traits.
func methods(passwords directory.PasswordVerifier, codes secret.MAC) method.Methods {
	list := []method.Method{
		method.Password{Directory: passwords},
		method.TOTP{},
		method.Email{MAC: codes},
	}
	byKind := method.Methods{}
	for _, m := range list {
		byKind[m.Kind()] = m
	}
	return byKind
}

// captcha picks the puzzle by its name in the config.
func captcha(c Captcha) (guard.Captcha, error) {
	switch c.Type {
	case "image":
		return guard.NewImage()
	case "none":
		return guard.None{}, nil
	}
	return guard.ProofOfWork{Bits: c.Bits}, nil
}

func (p *Plugin) open(ctx context.Context, w *wiring, name string, c Tenant) (*tenant, error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil {
		return nil, err
	}
	h := p.db.Tenant(name)
	t := &tenant{name: name, host: issuer.Host, prefix: issuer.Path, pages: http.NewServeMux(), endpoints: literal{}, keep: time.Duration(cmp.Or(c.Journal.Keep, config.Duration(400*24*time.Hour)))}
	secure, cookie := issuer.Scheme == "https", "sparekey-"+name
	brand := flows.Brand{Name: cmp.Or(c.Name, name), Logo: c.Branding.Picture, Accent: c.Branding.Accent, Help: c.Branding.Help, Languages: c.Languages}

	var dir directory.Directory
	for at, d := range c.Directories {
		if dir, err = p.directories()[d.Type](h, at, d); err != nil {
			return nil, err
		}
	}
	sessions := session.New(h, session.Options{Idle: time.Duration(c.Sessions.Idle), Absolute: time.Duration(c.Sessions.Absolute), Cookie: cookie, Secure: secure})
	accounts := account.New(name, p.ring, sessions)
	t.journal = audit.New(h, audit.Options{Ring: p.ring, Node: p.node, Logger: p.log, Metrics: func(event string) {
		p.metrics.Counter("sparekey_events_total", "tenant", name, "event", event)
	}})
	t.outbox = notify.New(h, notify.Options{Ring: p.ring, Templates: p.templates, From: w.from, Sender: w.sender, Logger: p.log, Metrics: func(outcome string) {
		p.metrics.Counter("sparekey_mails_total", "tenant", name, "outcome", outcome)
	}})
	puzzle, err := captcha(c.Captcha)
	if err != nil {
		return nil, err
	}
	g := guard.New(h, guard.Options{Ring: p.ring, Limits: c.Limits, Captcha: puzzle, Cookie: cookie, Secure: secure})
	begun := cmp.Or(c.Limits.Begun, guard.DefaultLimits().Begun)
	verifier, _ := directory.As[directory.PasswordVerifier](dir)
	methods := methods(verifier, p.ring.MAC("email/"+name))
	rules := c.policy(methods)

	t.flows = flows.New(flows.Deps{Issuer: c.Issuer, Prefix: t.prefix, Cookie: cookie, Secure: secure, Brand: brand, Store: h, Ring: p.ring, Directory: dir,
		Policy: rules, Methods: methods, Accounts: accounts, Sessions: sessions, Guard: g, Journal: t.journal, Outbox: t.outbox, Templates: p.templates,
		Now: h.Now, Logger: p.log, Begun: begun})
	t.provider, err = provider.New(ctx, c.provider(), provider.Deps{Store: h, Ring: p.ring, Sessions: sessions, Interaction: t.flows,
		Journal: t.journal, Logger: p.log, FormPost: t.flows.FormPost, Shared: !p.alone, Begun: begun,
		Error: func(w http.ResponseWriter, r *http.Request, reason, reference string, status int) {
			t.flows.Oops(w, r, reason, status)
		}})
	if err != nil {
		return nil, err
	}
	accounts.WhenEnded(func(tx store.Tx, user directory.UserID) error { return t.provider.EndGrants(tx, string(user)) })
	t.admin = admin.New(admin.Deps{Name: brand.Name, Store: h, Directory: dir, Policy: rules, Accounts: accounts, Sessions: sessions, Guard: g, Journal: t.journal, Outbox: t.outbox,
		Address: methods.FromDirectory})

	t.flows.Mount(t.pages)
	t.provider.Mount(t.endpoints, t.prefix)
	return t, nil
}

// answers reports whether the request is for this tenant. The issuer decides; no header that a client chooses
// beyond Host is looked at, and the Host has to be the issuer's.
func (t *tenant) answers(r *http.Request) bool {
	if !strings.EqualFold(r.Host, t.host) {
		return false
	}
	path := r.URL.Path
	return t.prefix == "" || path == t.prefix || strings.HasPrefix(path, t.prefix+"/") || path == "/.well-known/oauth-authorization-server"+t.prefix
}

// literal finds a handler by the whole path, which takes a fifth of what a mux holds in memory: there may be a thousand tenants.
type literal map[string]http.Handler

// Handle is for provider.Mount.
func (l literal) Handle(path string, h http.Handler) { l[path] = h }

// ServeHTTP hands the request to the wing it is for.
func (t *tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := t.endpoints[r.URL.Path]; h != nil {
		r.Pattern = r.URL.Path // as a mux does
		h.ServeHTTP(w, r)
		return
	}
	t.pages.ServeHTTP(w, r)
}

func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// policy turns the config's rules into the room's.
func (c Tenant) policy(methods method.Methods) *policy.Policy {
	p := policy.New()
	for kind, m := range methods {
		p.Traits[kind] = m.Traits()
	}
	p.Administrators, p.Passwords.Banned = c.Administrators.Groups, c.Passwords.BannedWords
	p.ProofAge = cmp.Or(time.Duration(c.ProofAge), p.ProofAge)
	if n := c.Passwords.MinLength; n != nil {
		p.Passwords.MinLength = *n
	}
	for _, d := range c.Directories {
		p.Never = append(p.Never, d.Reset.Never...)
	}
	for _, r := range c.Policies {
		p.Rules = append(p.Rules, r.rule())
	}
	return p
}

// rule is the room's rule with what the file says written over it.
func (r Policy) rule() policy.Rule {
	rule := policy.NewRule()
	rule.Everyone, rule.Groups, rule.Except = r.For.Everyone, r.For.Groups, r.Except.Groups
	rule.Reset, rule.DifferentFactors, rule.Help = r.Reset, r.DifferentFactors, r.Help
	rule.SecondFactor = cmp.Or(policy.SecondFactor(r.SecondFactor), rule.SecondFactor)
	rule.DeadEnd = cmp.Or(policy.DeadEnd(r.DeadEnd), rule.DeadEnd)
	over(&rule.Required, r.Required)
	over(&rule.Unlock, r.Unlock)
	over(&rule.Notify, r.Notify)
	over(&rule.Registration.AtSignIn, r.Registration.AtSignIn)
	rule.Registration.From, _ = day(r.Registration.From)
	rule.Registration.SkipUntil, _ = day(r.Registration.Skip.Until)
	rule.Registration.SkipTimes, rule.Registration.Snooze = r.Registration.Skip.Times, time.Duration(r.Registration.Snooze)
	rule.Registration.Needs = cmp.Or(policy.Needs(r.Registration.Needs), rule.Registration.Needs)
	if r.Methods != nil {
		rule.Methods = map[identity.Kind][]identity.Use{}
	}
	for name, m := range r.Methods {
		uses := []identity.Use{}
		for _, u := range m.For {
			uses = append(uses, identity.Use(u))
		}
		rule.Methods[identity.Kind(name)] = uses
	}
	return rule
}

// over writes a value over its default, where there is one.
func over[T any](setting *T, value *T) {
	if value != nil {
		*setting = *value
	}
}

// provider turns the config's clients into the wing's.
func (c Tenant) provider() provider.Config {
	pc := provider.Config{Issuer: c.Issuer, Access: time.Duration(c.Tokens.Access), ID: time.Duration(c.Tokens.ID),
		RefreshIdle: time.Duration(c.Tokens.RefreshIdle), RefreshAbsolute: time.Duration(c.Tokens.RefreshAbsolute), Languages: c.Languages}
	for _, k := range c.Clients {
		pc.Clients = append(pc.Clients, provider.Client{ID: k.ID, Name: cmp.Or(k.Name, k.ID), Secret: secret.Text(k.Secret.Reveal()), Public: k.Public, Native: k.Public && slices.ContainsFunc(k.RedirectURIs, func(u string) bool { return !strings.HasPrefix(u, "http") }),
			RedirectURIs: k.RedirectURIs, PostLogoutRedirectURIs: k.PostLogoutURIs, AuthMethod: k.AuthMethod, IDTokenAlg: k.IDTokenAlg,
			Grants: k.Grants, Scopes: k.Scopes, PKCERequired: k.PKCE == "required", Groups: k.Groups, ClaimsInIDToken: k.ClaimsInID,
			Claims: k.Claims, ResponseModes: k.ResponseModes, RefreshGrace: time.Duration(k.RefreshGrace), Pushed: k.Pushed, ResourceServer: k.ResourceServer})
	}
	return pc
}
