package provider

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/internal/secret"
)

func basic(id, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(password)))
}

func TestOA08_AClientAuthenticatesByItsRegisteredMethodAlone(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	form := func(more ...string) url.Values {
		v := url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {callback}}
		for i := 0; i+1 < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	const passed, refused = "invalid_grant", "invalid_client" // past the door: the code is unknown
	for name, c := range map[string]struct {
		form   url.Values
		header string
		want   string
	}{
		"basic":                        {form(), basic("wiki", wikiSecret), passed},
		"basic and client_id":          {form("client_id", "wiki"), basic("wiki", wikiSecret), passed},
		"basic and an empty secret":    {form("client_secret", ""), basic("wiki", wikiSecret), passed},
		"basic and another client_id":  {form("client_id", "rsa"), basic("wiki", wikiSecret), refused},
		"basic, wrong secret":          {form(), basic("wiki", wikiSecret+"x"), refused},
		"basic, empty secret":          {form(), basic("wiki", ""), refused},
		"basic, unknown client":        {form(), basic("nobody", wikiSecret), refused},
		"basic, its digest":            {form(), basic("wiki", secret.Digest(wikiSecret)), refused},
		"basic that is none":           {form(), "Basic !!!", refused},
		"another scheme":               {form(), "Bearer " + wikiSecret, refused},
		"post of a basic client":       {form("client_id", "wiki", "client_secret", wikiSecret), "", refused},
		"post":                         {form("client_id", "post", "client_secret", "post-secret"), "", passed},
		"post, wrong secret":           {form("client_id", "post", "client_secret", "post"), "", refused},
		"basic of a post client":       {form(), basic("post", "post-secret"), refused},
		"either by basic":              {form(), basic("rsa", "rsa-secret"), passed},
		"either by post":               {form("client_id", "rsa", "client_secret", "rsa-secret"), "", passed},
		"either, wrong secret":         {form("client_id", "rsa", "client_secret", "x"), "", refused},
		"either by none":               {form("client_id", "rsa"), "", refused},
		"none of a confidential":       {form("client_id", "wiki"), "", refused},
		"public":                       {form("client_id", "spa"), "", passed},
		"public with a secret":         {form("client_id", "spa", "client_secret", "x"), "", refused},
		"public by basic, no password": {form(), basic("spa", ""), refused},
		"nobody":                       {form(), "", refused},
		"an assertion":                 {form("client_id", "wiki", "client_assertion", "e30.e30.", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), "", refused},
		"two methods":                  {form("client_secret", wikiSecret), basic("wiki", wikiSecret), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if c.header != "" {
				headers = []string{"Authorization", c.header}
			}
			a := b.do("POST", "/avengers/token", c.form, headers...)
			status := 400
			if c.want == refused {
				status = 401
				if a.Header.Get("WWW-Authenticate") != `Basic realm="`+issuer+`"` {
					t.Error(a.Header)
				}
			}
			a.fails(status, c.want)
			if strings.Contains(a.body, "secret") {
				t.Error(a.body)
			}
		})
	}
	b.do("POST", "/avengers/token", form(), "Authorization", basic("wiki", wikiSecret), "Authorization", basic("rsa", "rsa-secret")).fails(400, "invalid_request")
}

func TestASecretWithSpecialCharactersWorksEncodedAndNot(t *testing.T) {
	h := newHouse(t)
	const odd = "a+b c%41&=é"
	h.p = h.provide(issuer, []Client{{ID: "odd+id", Secret: odd, RedirectURIs: []string{callback}, IDTokenAlg: "ES256"}})
	h.mount()
	b := h.browser()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}
	b.do("POST", "/avengers/token", form, "Authorization", basic("odd+id", odd)).fails(400, "invalid_grant")
	b.do("POST", "/avengers/token", form, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("odd%2Bid:"+odd))).fails(400, "invalid_grant")
	b.do("POST", "/avengers/token", form, "Authorization", basic("odd+id", "a+b cA&=é")).fails(401, "invalid_client") // undone twice
}

func TestASecretIsNotKept(t *testing.T) {
	c := newClient(Client{ID: "wiki", Secret: wikiSecret})
	if c.Secret.Reveal() != "" {
		t.Error("it is")
	}
}
