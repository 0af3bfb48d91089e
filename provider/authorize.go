package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// How long a request waits.
const (
	postedFor  = 10 * time.Minute // for the browser to follow a redirect
	requestFor = time.Hour        // for the end-user to sign in; a flow lasts no longer
)

// posted is a POST that was parked, so that the browser comes back by GET and brings its cookies, which are SameSite=Lax.
type posted struct {
	Path  string `json:"path"`
	Query string `json:"query"`
}

// authorize is the authorization endpoint (OpenID Connect Core §3.1.2).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	given, ok := p.values(w, r)
	if !ok {
		return
	}
	v, pushed, ok := p.unpushed(w, r, given)
	if !ok {
		return
	}
	q, c, reason, fault := p.parse(v, pushed)
	switch {
	case reason != "":
		p.page(w, r, reason, http.StatusBadRequest)
		return
	case fault == nil:
		fault = p.readHints(r, q)
	}
	if fault != nil {
		p.deny(w, r, q, fault.Code, fault.Text)
		return
	}
	web.Note(r, "client", c.ID)
	if r.Method == http.MethodPost {
		p.park(w, r, given, known)
		return
	}
	p.proceed(w, r, q, c)
}

// values are the parameters of a request: of the query of a GET, of the body of a POST, or those parked when it was one.
func (p *Provider) values(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	if r.Method == http.MethodPost {
		v, err := web.Form(r)
		switch {
		case errors.Is(err, web.ErrTooLarge):
			p.page(w, r, "too_large", http.StatusRequestEntityTooLarge)
		case err != nil:
			p.page(w, r, "bad_request", http.StatusBadRequest)
		}
		return v, err == nil
	}
	v, err := url.ParseQuery(r.URL.RawQuery)
	if id := one(v, "posted"); err == nil && id != "" {
		var was store.Record[posted]
		err = p.d.Store.Read(r.Context(), func(tx store.Tx) (err error) {
			was, err = p.posted.Get(tx, id)
			return err
		})
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && was.Value.Path != r.URL.Path:
			p.page(w, r, "expired", http.StatusBadRequest)
			return nil, false
		case err != nil:
			p.broken(w, r, err)
			return nil, false
		}
		v, err = url.ParseQuery(was.Value.Query)
	}
	if err != nil {
		p.page(w, r, "bad_request", http.StatusBadRequest)
		return nil, false
	}
	return v, true
}

// park keeps those parameters of a POST that mean something and sends the browser to the same address by GET. Anybody may post, so what is
// kept of one POST is little.
func (p *Provider) park(w http.ResponseWriter, r *http.Request, v url.Values, known map[string]bool) {
	kept, size := url.Values{}, 0
	for name := range v {
		if known[name] {
			kept.Set(name, v.Get(name))
			size += len(v.Get(name))
		}
	}
	if size > mostParked {
		p.page(w, r, "too_large", http.StatusRequestEntityTooLarge)
		return
	}
	id := secret.ID()
	err := p.d.Store.Write(r.Context(), func(tx store.Tx) error {
		return p.posted.Add(tx, id, "", tx.Now().Add(postedFor), posted{r.URL.Path, kept.Encode()})
	})
	if err != nil {
		p.broken(w, r, err)
		return
	}
	seeOther(w, r.URL.Path+"?posted="+id)
}

// readHints turns id_token_hint and a demanded sub into the subject that may answer. While nobody can say which keys are believed, a hint is no
// worse than one that comes too early.
func (p *Provider) readHints(r *http.Request, q *request) *failure {
	if len(q.Wants.Subjects) == 1 {
		q.Subject = q.Wants.Subjects[0]
	}
	if q.Hint == "" {
		return nil
	}
	if _, err := p.lately(r.Context()); err != nil {
		p.log(r, err)
		return &failure{http.StatusServiceUnavailable, unavailable, "try again later"}
	}
	h, ok := p.readHint(r.Context(), q.Hint, q.Client)
	if !ok {
		return invalidRequest("id_token_hint is not an ID token of this issuer for this client")
	}
	if q.excludes(h.Subject) {
		return invalidRequest("id_token_hint and claims name two subjects")
	}
	q.Subject = h.Subject
	return nil
}

// verdict is what an authorization request leads to.
type verdict struct {
	deny  string // an error code
	begin bool   // the end-user has something to do
	again bool   // her session does not count
}

// judge decides on a request: s is the browser's session and nil without one, standing what it counts for at now.
func judge(q *request, s *session.Session, standing identity.Standing, now time.Time) verdict {
	v := verdict{}
	switch {
	case s == nil || standing == identity.Gone:
		v = verdict{begin: true}
	case q.asks(oidc.PromptLogin), q.MaxAge >= 0 && now.Sub(s.At) > q.MaxAge, q.MaxAge == 0, q.excludes(s.Subject):
		v = verdict{begin: true, again: true}
	case standing != identity.Good:
		v = verdict{begin: true}
		if q.asks(oidc.PromptNone) {
			return verdict{deny: string(oidc.InteractionRequired)}
		}
	case q.asks(oidc.PromptSelectAccount):
		v = verdict{begin: true}
	}
	if v.begin && q.asks(oidc.PromptNone) {
		return verdict{deny: string(oidc.LoginRequired)}
	}
	return v
}

// proceed answers at once where the browser's session is enough, and begins a sign-in where it is not.
func (p *Provider) proceed(w http.ResponseWriter, r *http.Request, q *request, c *client) {
	var found session.Session
	u, standing, err := p.standing(r.Context(), func(tx store.Tx) (_ identity.Authentication, err error) {
		found, err = p.d.Sessions.Current(tx, r)
		return authentication(found), err
	})
	s := &found
	if errors.Is(err, session.ErrNone) {
		s, err = nil, nil
	}
	if err != nil {
		p.unable(w, r, q, err)
		return
	}
	v := judge(q, s, standing, p.d.Now())
	switch {
	case v.deny != "":
		p.deny(w, r, q, v.deny, "prompt=none, and the end-user has something to do")
	case v.begin:
		p.begin(w, r, q, c, s, v)
	default:
		p.issue(w, r, q, c, u, authentication(*s), *s)
	}
}

func (p *Provider) current(r *http.Request) (s session.Session, err error) {
	err = p.d.Store.Read(r.Context(), func(tx store.Tx) (err error) {
		s, err = p.d.Sessions.Current(tx, r)
		return err
	})
	return s, err
}

// authentication is what a session stands for.
func authentication(s session.Session) identity.Authentication {
	return identity.Authentication{Session: s.ID, User: s.User, Subject: s.Subject, Epoch: s.Epoch, At: s.At, Proofs: s.Proofs, AMR: s.AMR}
}

// standing asks what the sign-in that look finds counts for now, and of whom it is; and not for ever.
func (p *Provider) standing(ctx context.Context, look func(store.Tx) (identity.Authentication, error)) (directory.User, identity.Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	return p.d.Interaction.Standing(ctx, look)
}

// begin parks the request and sends the end-user to sign in.
func (p *Provider) begin(w http.ResponseWriter, r *http.Request, q *request, c *client, s *session.Session, v verdict) {
	now := p.d.Now()
	if v.again {
		q.NotBefore, q.Session = now, s.ID
	} else if q.MaxAge >= 0 {
		q.NotBefore = now.Add(-q.MaxAge)
	}
	id := secret.ID()
	ask := identity.SignInRequest{
		Client: c.ID, ClientName: c.Name, Return: resumePath + "?request=" + id, Context: id, Origin: originOf(q.Redirect),
		LoginHint: q.LoginHint, Subject: q.Subject, Again: v.again, Choose: q.asks(oidc.PromptSelectAccount), MaxAge: max(q.MaxAge, 0), Languages: q.Languages,
	}
	to, err := p.d.Interaction.Begin(w, r, ask, func(tx store.Tx) error {
		return p.requests.Add(tx, id, "", tx.Now().Add(requestFor), *q)
	})
	if err != nil {
		p.unable(w, r, q, err)
		return
	}
	seeOther(w, to)
}

// slack is how far the clocks of two nodes may be apart.
const slack = 30 * time.Second

// resume is where the browser comes when the flow is done. The parked request is answered once, by the browser that walked the flow
// and holds the session that the flow began (SECURITY A07).
func (p *Provider) resume(w http.ResponseWriter, r *http.Request) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	id, flow := one(v, "request"), one(v, "flow")
	if err != nil || id == "" || flow == "" {
		p.page(w, r, "bad_request", http.StatusBadRequest)
		return
	}
	var q request
	var c *client
	var a identity.Authentication
	var s session.Session
	u, standing, err := p.standing(r.Context(), func(tx store.Tx) (_ identity.Authentication, err error) {
		parked, err := p.requests.Get(tx, id)
		if err != nil {
			return a, err
		}
		q = parked.Value
		q.parked, q.flow = id, flow
		if c = p.clients[q.Client]; c == nil || !c.sendsTo(q.Redirect) {
			return a, errUnregistered
		}
		walked, err := p.d.Interaction.Outcome(tx, r, flow)
		if err == nil && (walked.Request.Context != id || walked.Request.Client != c.ID || walked.Request.SignOut) {
			err = store.ErrNotFound
		}
		if err != nil {
			return a, err
		}
		a = walked
		if s, err = p.d.Sessions.Current(tx, r); errors.Is(err, session.ErrNone) || err == nil && (s.ID != a.Session || s.User != a.User) {
			err = store.ErrNotFound
		}
		return a, err
	})
	switch {
	case errors.Is(err, errUnregistered):
		p.page(w, r, "client", http.StatusBadRequest)
	case errors.Is(err, store.ErrNotFound):
		if c != nil {
			p.foreign(r, c, flow)
		}
		p.page(w, r, "expired", http.StatusBadRequest)
	case err != nil && a.User == "": // the browser may be anybody's
		p.broken(w, r, err)
	case err != nil:
		p.unable(w, r, &q, err)
	case q.excludes(a.Subject), q.Session != "" && q.Session == a.Session, a.At.Before(q.NotBefore.Add(-slack)):
		p.turnDown(w, r, &q, string(oidc.LoginRequired), "the end-user did not prove anew what was asked for")
	case standing == identity.Due:
		p.turnDown(w, r, &q, string(oidc.InteractionRequired), "the end-user has something to do first")
	case standing != identity.Good:
		p.turnDown(w, r, &q, string(oidc.LoginRequired), "this sign-in counts no more")
	default:
		p.issue(w, r, &q, c, u, a, s)
	}
}

// errUnregistered says that the client, or its redirect URI, is registered no more.
var errUnregistered = errors.New("the registration has changed")

// turnDown denies, and ends the flow the request has come back from.
func (p *Provider) turnDown(w http.ResponseWriter, r *http.Request, q *request, code, text string) {
	if q.flow != "" {
		err := p.d.Store.Write(r.Context(), func(tx store.Tx) error { return p.d.Interaction.Over(tx, q.flow) })
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			p.unable(w, r, q, err)
			return
		}
	}
	p.deny(w, r, q, code, text)
}

// issue answers with a code for u, whose sign-in was judged good.
func (p *Provider) issue(w http.ResponseWriter, r *http.Request, q *request, c *client, u directory.User, a identity.Authentication, s session.Session) {
	switch {
	case !c.admits(u):
		p.refused(r, c, a)
		p.turnDown(w, r, q, string(oidc.AccessDenied), "this client is not for this end-user")
		return
	case len(q.Wants.ACR) > 0 && !slices.Contains(q.Wants.ACR, acr(a.AMR)):
		p.turnDown(w, r, q, unmetRequirements, "the acr that was asked for as essential was not reached")
		return
	}
	value, err := p.addCode(r.Context(), q, c, a, s)
	switch {
	case errors.Is(err, store.ErrNotFound):
		p.page(w, r, "expired", http.StatusBadRequest) // somebody was first with the parked request
	case errors.Is(err, session.ErrNone):
		p.deny(w, r, q, string(oidc.LoginRequired), "the session has just ended")
	case err != nil:
		p.unable(w, r, q, err)
	default:
		p.d.Sessions.Touch(r.Context(), s)
		p.answer(w, r, q, [2]string{"code", value})
	}
}
