package provider

import (
	"errors"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
)

func (b *browser) introspect(id, password, token string, more ...string) answer {
	b.h.t.Helper()
	form := url.Values{"token": {token}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return b.do("POST", b.h.p.path+introspectPath, form, "Authorization", basic(id, password))
}

// inactive checks that nothing but that is told (RFC 7662 §2.2).
func (a answer) inactive() {
	a.t.Helper()
	if a.StatusCode != 200 || a.body != `{"active":false}` || a.Header.Get("Cache-Control") != "no-store" {
		a.t.Fatalf("want inactive and not a word more, got %d %s", a.StatusCode, a.body)
	}
}

func (a answer) active(want map[string]any) {
	a.t.Helper()
	got := a.json()
	if a.StatusCode != 200 || got["active"] != true || a.Header.Get("Cache-Control") != "no-store" || len(got) != len(want)+1 {
		a.t.Fatalf("want %v, got %d %s", want, a.StatusCode, a.body)
	}
	for name, v := range want {
		if got[name] != v {
			a.t.Fatalf("%s: want %v, got %s", name, v, a.body)
		}
	}
}

func TestIntrospectionTellsOfATokenThatIsGoodNow(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted("scope", "openid profile offline_access")
	access := map[string]any{"scope": "openid profile offline_access", "client_id": "wiki", "username": "ironman", "token_type": "Bearer",
		"exp": float64(h.clock.Now().Add(10 * time.Minute).Unix()), "sub": ironmanSub, "iss": issuer}
	refresh := map[string]any{"scope": "openid profile offline_access", "client_id": "wiki", "username": "ironman",
		"exp": float64(h.clock.Now().Add(14 * 24 * time.Hour).Unix()), "sub": ironmanSub, "iss": issuer}
	for _, who := range [][2]string{{"wiki", wikiSecret}, {"api", "api-secret"}} {
		for _, hint := range []string{"", "access_token", "refresh_token", "nonsense"} {
			b.introspect(who[0], who[1], tk.access, "token_type_hint", hint).active(access)
			if a := b.introspect(who[0], who[1], tk.refresh, "token_type_hint", hint); who[0] == "wiki" {
				a.active(refresh)
			} else {
				a.inactive() // a refresh token opens no resource
			}
		}
	}
	narrower := b.refresh(tk.refresh, "scope", "openid").tokens()
	if got := b.introspect("api", "api-secret", narrower.access).json(); got["scope"] != "openid" || got["username"] != nil {
		t.Errorf("the narrower token has the scope %v", got["scope"])
	}
	if a := b.refresh(narrower.refresh); a.StatusCode != 200 {
		t.Error("being looked at used the refresh token up:", a.body)
	}
}

func TestIntrospectionTellsNothingOfATokenThatIsNot(t *testing.T) {
	h := newHouse(t)
	fresh := func() (*browser, tokens) { return h.granted("scope", "openid offline_access") }
	ask := func(b *browser, tk tokens) {
		t.Helper()
		b.introspect("api", "api-secret", tk.access).inactive()
		b.introspect("wiki", wikiSecret, tk.access).inactive()
		b.introspect("wiki", wikiSecret, tk.refresh).inactive()
	}
	t.Run("it is made up", func(t *testing.T) {
		b, tk := fresh()
		for _, made := range []string{"x", tk.id, tk.access[:60], tk.access + "A", tk.access[:keyLength] + secret.Token(), secret.Token() + secret.Token() + secret.Token()} {
			b.introspect("api", "api-secret", made).inactive()
		}
	})
	t.Run("A17 it is another client's", func(t *testing.T) {
		b, tk := fresh()
		b.introspect("rsa", "rsa-secret", tk.access).inactive()
		b.introspect("rsa", "rsa-secret", tk.refresh).inactive()
	})
	t.Run("A19 it is over", func(t *testing.T) {
		b, tk := fresh()
		h.clock.Advance(10 * time.Minute)
		b.introspect("api", "api-secret", tk.access).inactive()
		if got := b.introspect("wiki", wikiSecret, tk.refresh).json(); got["active"] != true {
			t.Fatal("the refresh token is over too soon")
		}
		h.clock.Advance(14 * 24 * time.Hour)
		ask(b, tk)
	})
	t.Run("it was revoked", func(t *testing.T) {
		b, tk := fresh()
		b.revoke("token", tk.refresh)
		ask(b, tk)
	})
	t.Run("the refresh token was rotated", func(t *testing.T) {
		b, tk := fresh()
		b.refresh(tk.refresh).tokens()
		b.introspect("wiki", wikiSecret, tk.refresh).inactive()
		if got := b.introspect("api", "api-secret", tk.access).json(); got["active"] != true {
			t.Fatal("asking after an old one ended the family")
		}
	})
	t.Run("A05 the end-user has something to do first", func(t *testing.T) {
		b, tk := fresh()
		h.guide.say(identity.Due, nil)
		defer h.guide.say(identity.Good, nil)
		ask(b, tk)
	})
	t.Run("her account was reset", func(t *testing.T) {
		b, tk := fresh()
		h.guide.mu.Lock()
		h.guide.epoch++
		h.guide.mu.Unlock()
		defer func() { h.guide.epoch-- }()
		ask(b, tk)
	})
	t.Run("the session it lives by has ended", func(t *testing.T) {
		b, tk := h.granted("scope", "openid")
		if got := b.introspect("api", "api-secret", tk.access).json(); got["active"] != true {
			t.Fatal(got)
		}
		h.endSessions(ironman)
		b.introspect("api", "api-secret", tk.access).inactive()
	})
	t.Run("A47 nobody can tell: that is an error, never a yes", func(t *testing.T) {
		b, tk := fresh()
		for _, fault := range []error{directory.ErrUnavailable, errors.New("boom")} {
			h.guide.say(identity.Good, fault)
			if a := b.introspect("api", "api-secret", tk.access); a.StatusCode < 500 || a.json()["active"] != nil {
				t.Error(a.StatusCode, a.body)
			}
		}
		h.guide.say(identity.Good, nil)
	})
}

func TestOnlyAClientThatProvesWhoItIsIntrospects(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted()
	b.introspect("api", "wrong", tk.access).fails(401, "invalid_client")
	b.do("POST", "/avengers/introspect", url.Values{"token": {tk.access}}).fails(401, "invalid_client")
	b.do("POST", "/avengers/introspect", url.Values{"token": {tk.access}, "client_id": {"spa"}}).fails(401, "invalid_client") // public
	b.introspect("api", "api-secret", "").fails(400, "invalid_request")
	if a := b.get("/avengers/introspect?token=" + tk.access); a.StatusCode != 405 {
		t.Error(a.StatusCode)
	}
	methods := h.browser().get("/avengers/.well-known/openid-configuration").json()["introspection_endpoint_auth_methods_supported"].([]any)
	if slices.Contains(methods, "none") || len(methods) == 0 {
		t.Error("announced:", methods)
	}
}
