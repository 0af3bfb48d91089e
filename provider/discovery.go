package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/web"
)

// document is a public answer that is made once and served often.
type document struct {
	body   []byte
	etag   string
	always http.Header // of every answer; its lists are shared, and nobody changes them
	whole  http.Header // of one with the body
}

// newDocument is one that whoever fetched it may use for so long.
func newDocument(body []byte, maxAge time.Duration) *document {
	etag := `"` + secret.Digest(string(body))[:22] + `"`
	return &document{body, etag,
		http.Header{"Cache-Control": {fmt.Sprintf("public, max-age=%d", int(maxAge.Seconds()))}, "Etag": {etag}},
		http.Header{"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(len(body))}}}
}

// serve sends the document, or 304 to whoever has it already.
func (d *document) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	maps.Copy(h, d.always)
	if match := r.Header.Get("If-None-Match"); match != "" && slices.ContainsFunc(strings.Split(match, ","), func(tag string) bool {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		return tag == d.etag || tag == "*"
	}) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	maps.Copy(h, d.whole)
	if r.Method != http.MethodHead {
		w.Write(d.body)
	}
}

func (p *Provider) showDiscovery(w http.ResponseWriter, r *http.Request) {
	web.Quiet(r)
	p.meta.serve(w, r)
}

// showKeys shows the keys as they are now on every node, or were a moment ago.
func (p *Provider) showKeys(w http.ResponseWriter, r *http.Request) {
	held, err := p.lately(r.Context())
	if err != nil { // they hold while the store is away
		web.Note(r, "keys", "as last read")
	} else {
		web.Quiet(r)
	}
	held.set.serve(w, r)
}

// metadata is the library's, with the members it lacks (RFC 9207 §3, RFC 9126 §5).
type metadata struct {
	oidc.DiscoveryConfiguration
	IssInResponse bool   `json:"authorization_response_iss_parameter_supported"`
	Pushed        string `json:"pushed_authorization_request_endpoint"`
}

// discovery says what is really switched on (OpenID Connect Discovery §3, RFC 8414 §2).
func (p *Provider) discovery() (*document, error) {
	at := func(path string) string { return p.c.Issuer + path }
	var methods []oidc.AuthMethod
	grants := usualGrants
	modes := slices.Clone(responseModes[:2])
	for _, m := range authMethods {
		for _, c := range p.clients {
			if c.authenticates(oidc.AuthMethod(m)) && !slices.Contains(methods, oidc.AuthMethod(m)) {
				methods = append(methods, oidc.AuthMethod(m))
			}
		}
	}
	for _, c := range p.clients {
		if slices.Contains(c.ResponseModes, responseModes[2]) && len(modes) == 2 {
			modes = append(modes, responseModes[2])
		}
		if c.forItself() {
			grants = grantTypes
		}
	}
	secretly := slices.DeleteFunc(slices.Clone(methods), func(m oidc.AuthMethod) bool { return m == oidc.AuthMethodNone })
	return asDocument(metadata{IssInResponse: true, Pushed: at(pushPath), DiscoveryConfiguration: oidc.DiscoveryConfiguration{
		Issuer:                                    p.c.Issuer,
		AuthorizationEndpoint:                     at(authorizePath),
		TokenEndpoint:                             at(tokenPath),
		UserinfoEndpoint:                          at(userinfoPath),
		RevocationEndpoint:                        at(revokePath),
		IntrospectionEndpoint:                     at(introspectPath),
		EndSessionEndpoint:                        at(logoutPath),
		JwksURI:                                   at(keysPath),
		ScopesSupported:                           scopes,
		ResponseTypesSupported:                    []string{string(oidc.ResponseTypeCode)},
		ResponseModesSupported:                    modes,
		GrantTypesSupported:                       asGrants(grants),
		ACRValuesSupported:                        []string{acrOne, acrTwo},
		SubjectTypesSupported:                     []string{"public"},
		IDTokenSigningAlgValuesSupported:          p.needed(),
		TokenEndpointAuthMethodsSupported:         methods,
		RevocationEndpointAuthMethodsSupported:    methods,
		IntrospectionEndpointAuthMethodsSupported: secretly,
		DisplayValuesSupported:                    []oidc.Display{oidc.DisplayPage},
		ClaimTypesSupported:                       []string{"normal"},
		ClaimsSupported:                           p.claimNames(),
		ClaimsParameterSupported:                  true,
		CodeChallengeMethodsSupported:             []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
		UILocalesSupported:                        oidc.ParseLocales(p.c.Languages),
	}})
}

func asGrants(names []string) (all []oidc.GrantType) {
	for _, n := range names {
		all = append(all, oidc.GrantType(n))
	}
	return all
}

func asDocument(v any) (*document, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return newDocument(body, 5*time.Minute), nil
}
