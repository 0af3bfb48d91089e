package provider

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// pushed is an authorization request that its client brought itself (RFC 9126), checked already. It is there until it is answered with a
// code, once, so that the end-user may load the page again (§4, §7.3).
type pushed struct {
	Client string    `json:"client"`
	Query  string    `json:"query"`
	Before time.Time `json:"before"` // a browser that comes later is too late
}

// pushedFor is how long a browser has to bring the URI of a pushed request.
const pushedFor = 90 * time.Second

// pushedURI is the beginning of such a URI (RFC 9126 §2.2); the id of the request follows.
const pushedURI = "urn:ietf:params:oauth:request_uri:"

// push takes an authorization request from its client and gives a URI that stands for it. What would be an error at the authorization
// endpoint is one here, and goes to the client alone (§2.3).
func (p *Provider) push(w http.ResponseWriter, r *http.Request) {
	form, c, err := p.called(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	asked := url.Values{"client_id": {c.ID}}
	for name := range known {
		if name != "client_id" && form.Has(name) {
			asked[name] = form[name]
		}
	}
	if len(asked.Encode()) > mostParked {
		p.fail(w, r, &failure{http.StatusRequestEntityTooLarge, string(oidc.InvalidRequest), "the request is too large"})
		return
	}
	id := secret.Token()
	q, _, reason, fault := p.parse(asked, id)
	switch {
	case form.Has("request_uri"):
		fault = invalidRequest("request_uri cannot be pushed") // §2.1
	case reason != "":
		fault = invalidRequest("redirect_uri is not one of the client's")
	case fault == nil:
		fault = p.readHints(r, q)
	}
	if fault != nil {
		p.fail(w, r, &failure{cmp.Or(fault.Status, http.StatusBadRequest), fault.Code, fault.Text})
		return
	}
	now := p.d.Now()
	err = p.d.Store.Write(r.Context(), func(tx store.Tx) error {
		return p.pushed.Add(tx, id, "", now.Add(pushedFor+requestFor), pushed{c.ID, asked.Encode(), now.Add(pushedFor)})
	})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	write(w, http.StatusCreated, map[string]any{"request_uri": pushedURI + id, "expires_in": int(pushedFor / time.Second)})
}

// unpushed gives the parameters that a pushed request's URI stands for, and the request's id; any other parameters as they are. Beside the
// URI only the client counts, which has to be the one that pushed it (§4).
func (p *Provider) unpushed(w http.ResponseWriter, r *http.Request, v url.Values) (url.Values, string, bool) {
	id, ours := strings.CutPrefix(one(v, "request_uri"), pushedURI)
	if !ours {
		return v, "", true
	}
	var was store.Record[pushed]
	err := p.d.Store.Read(r.Context(), func(tx store.Tx) (err error) {
		if !unreserved(id) {
			return store.ErrNotFound
		}
		was, err = p.pushed.Get(tx, id)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && (was.Value.Client != one(v, "client_id") || !p.d.Now().Before(was.Value.Before)):
		p.page(w, r, "expired", http.StatusBadRequest)
		return nil, "", false
	case err != nil:
		p.broken(w, r, err)
		return nil, "", false
	}
	v, err = url.ParseQuery(was.Value.Query)
	if err != nil {
		p.broken(w, r, err)
		return nil, "", false
	}
	web.Note(r, "pushed", true)
	return v, id, true
}
