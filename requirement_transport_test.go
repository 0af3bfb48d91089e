package sparekey_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/config"
)

// asked is what an authorization request led to: the parameters that came back to the relying party, or none and the status of a page.
type asked struct {
	back   url.Values
	status int
}

func (a asked) code() string { return a.back.Get("code") }

func (p page) asked() asked {
	u, err := url.Parse(p.location)
	if err != nil || !strings.HasPrefix(p.location, callback) {
		return asked{status: p.status}
	}
	return asked{u.Query(), p.status}
}

// transports are all the ways an authorization request can come, for a client with a secret.
func transports(h *house, client, secret string) map[string]func(b *browser, pairs ...string) asked {
	named := func(pairs []string) []string {
		return append([]string{"client_id", client, "scope", "openid"}, pairs...)
	}
	return map[string]func(b *browser, pairs ...string) asked{
		"a GET": func(b *browser, pairs ...string) asked { return b.authorize(named(pairs)...).asked() },
		"its mode named": func(b *browser, pairs ...string) asked {
			return b.authorize(append(named(pairs), "response_mode", "query")...).asked()
		},
		"a hint of the name": func(b *browser, pairs ...string) asked {
			return b.authorize(append(named(pairs), "login_hint", "hulk")...).asked()
		},
		"an age that is allowed": func(b *browser, pairs ...string) asked {
			return b.authorize(append(named(pairs), "max_age", "3600")...).asked()
		},
		"offline access": func(b *browser, pairs ...string) asked {
			return b.authorize(append(named(pairs), "scope", "openid offline_access")...).asked()
		},
		"prompt=none": func(b *browser, pairs ...string) asked {
			return b.authorize(append(named(pairs), "prompt", "none")...).asked()
		},
		"a POST": func(b *browser, pairs ...string) asked {
			at, query, _ := strings.Cut(h.authorizeURL("avengers", named(pairs)...), "?")
			form, _ := url.ParseQuery(query)
			return b.send(at, form).asked()
		},
		"a pushed request": func(b *browser, pairs ...string) asked {
			uri, status := h.pushes(client, secret, named(pairs)...)
			if uri == "" {
				return asked{status: status}
			}
			return b.get("/avengers/authorize?client_id=" + client + "&request_uri=" + url.QueryEscape(uri)).asked()
		},
		"a pushed request by POST": func(b *browser, pairs ...string) asked {
			uri, status := h.pushes(client, secret, named(pairs)...)
			if uri == "" {
				return asked{status: status}
			}
			return b.send(h.issuer+"/authorize", url.Values{"client_id": {client}, "request_uri": {uri}}).asked()
		},
	}
}

// What policy and a client's registration say holds for whatever way a request comes, a code is redeemed or a password is set.
func TestA57_NoTransportPassesPolicyBy(t *testing.T) {
	clients := []sparekey.Client{
		{ID: "lab", Secret: config.NewSecret("lab-secret"), RedirectURIs: []string{callback}, Groups: []string{"Lab"}, Grants: []string{"authorization_code", "refresh_token"}},
		{ID: "strict", Secret: config.NewSecret("strict-secret"), RedirectURIs: []string{callback}, PKCE: "required", Scopes: []string{"openid", "offline_access"}, Grants: []string{"authorization_code", "refresh_token"}},
	}
	each(t, func(t *testing.T, h *house) {
		redeemed := func(client, secret, code string, basic bool) bool {
			form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
			if !basic {
				form.Set("client_id", client)
				form.Set("client_secret", secret)
			}
			r, _ := http.NewRequest(http.MethodPost, h.issuer+"/token", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if basic {
				r.SetBasicAuth(client, secret)
			}
			res, err := h.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res.StatusCode == http.StatusOK
		}
		t.Run("a client that is for a group", func(t *testing.T) {
			in, out := h.browser(), h.browser()
			h.addUser("avengers", "thor", "Thor", "thor@asgard.example", "Lab")
			in.register2("thor")
			out.register2("hulk")
			for how, ask := range transports(h, "lab", "lab-secret") {
				if how != "a hint of the name" && ask(in).code() == "" {
					t.Errorf("%s: a member gets no code", how)
				}
				if a := ask(out); a.code() != "" || a.back.Get("error") != "access_denied" {
					t.Errorf("%s: somebody else is answered %v", how, a)
				}
			}
			for _, basic := range []bool{true, false} {
				code := in.forCode("client_id", "lab", "scope", "openid")
				h.groups("thor")
				if redeemed("lab", "lab-secret", code, basic) {
					t.Errorf("a code of before is redeemed, by Basic %v", basic)
				}
				h.groups("thor", "Lab")
			}
		})
		t.Run("what has to be registered first", func(t *testing.T) {
			h.groups("hulk")
			due := h.browser()
			due.register2("hulk")
			var codes []string
			for range 2 {
				codes = append(codes, due.forCode("client_id", "wiki", "scope", "openid"))
			}
			h.groups("hulk", "Avengers")
			for how, ask := range transports(h, "wiki", "wiki-secret") {
				if a := ask(due); a.code() != "" || a.back != nil && a.back.Get("error") != "interaction_required" {
					t.Errorf("%s: answered %v", how, a)
				}
			}
			for i, code := range codes {
				if redeemed("wiki", "wiki-secret", code, i == 0) {
					t.Errorf("a code of before is redeemed, by Basic %v", i == 0)
				}
			}
			h.groups("hulk")
		})
		t.Run("a user who was disabled", func(t *testing.T) {
			b := h.browser()
			b.register2("thor")
			if err := h.admin("avengers").SetDisabled(t.Context(), h.user("thor"), true, "test"); err != nil {
				t.Fatal(err)
			}
			for how, ask := range transports(h, "lab", "lab-secret") {
				if a := ask(b); a.code() != "" {
					t.Errorf("%s: answered %v", how, a)
				}
			}
		})
		t.Run("what a client is registered for", func(t *testing.T) {
			b := h.browser()
			b.register2("hulk")
			for how, ask := range transports(h, "strict", "strict-secret") {
				if ask(b).code() == "" {
					t.Errorf("%s: a request that is right gets no code", how)
				}
				for what, pairs := range map[string][]string{
					"no challenge":         {"code_challenge", "", "code_challenge_method", ""},
					"a plain challenge":    {"code_challenge", verifier, "code_challenge_method", "plain"},
					"another address":      {"redirect_uri", callback + "/x"},
					"another response":     {"response_type", "token"},
					"a mode nobody allows": {"response_mode", "form_post"},
				} {
					if how == "its mode named" && what == "a mode nobody allows" {
						continue // it says its own
					}
					if a := ask(b, pairs...); a.code() != "" || a.back != nil && a.back.Get("error") == "" {
						t.Errorf("%s, %s: answered %v", how, what, a)
					}
				}
			}
		})
		t.Run("the rules of passwords", func(t *testing.T) {
			for why, password := range map[string]string{"short": "short", "long": strings.Repeat("long ", 60), "common": "passwordpassword", "banned": "Vibranium Shield 9", "the tenant's": "we avengers assemble", "hers": "loki was here again"} {
				if h.admin("avengers").AddUser(t.Context(), local.NewUser{Login: "loki", Email: "loki@asgard.example", Password: password}, "test") == nil {
					t.Errorf("an operator adds a user with a password that is %s", why)
				}
				hulks := strings.ReplaceAll(password, "loki", "hulk")
				if h.admin("avengers").SetPassword(t.Context(), h.user("hulk"), hulks, "test") == nil {
					t.Errorf("an operator sets a password that is %s", why)
				}
			}
		})
	}, with(func(t *sparekey.Tenant) {
		t.Clients = append(t.Clients, clients...)
		t.Passwords.BannedWords = []string{"Vibranium Shield 9"}
	}))
}
