package provider

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"github.com/sparekey-id/sparekey/internal/web"
)

func TestA10_NothingOfOneTenantIsGoodInAnother(t *testing.T) {
	db, clock := storetest.SQLiteClock(t)
	ring := secret.NewRing()
	a := newHouseIn(t, db, clock, "avengers", ring, issuer)
	w := newHouseIn(t, db, clock, "wakanda", ring, "https://login.example.com/wakanda")
	mux := http.NewServeMux()
	a.p.Mount(mux, "/avengers")
	w.p.Mount(mux, "/wakanda")
	a.handler = web.Porch(mux, web.Options{})
	w.handler = a.handler

	b := a.browser()
	b.signedIn(ironman)
	tk := b.redeem(b.authorize("scope", "openid offline_access").code()).tokens()
	code := b.authorize().code()
	parked := a.browser().do("POST", "/avengers/authorize", a.ask()).location().Query().Get("posted")
	walker := a.browser()
	walker.authorize()
	back := walker.walk(ironman)

	there := &browser{w, b.cookies} // the same browser, the same clients, users and subjects
	t.Run("cookie", func(t *testing.T) {
		there.authorize("prompt", "none").refusal("login_required")
		there.cookies["__Host-sparekey-wakanda-session"] = b.cookies["__Host-sparekey-avengers-session"]
		there.authorize("prompt", "none").refusal("login_required")
	})
	t.Run("code", func(t *testing.T) { there.redeem(code).fails(400, "invalid_grant"); b.redeem(code).tokens() })
	t.Run("access token", func(t *testing.T) { there.userinfo(tk.access).fails(401, "invalid_token") })
	t.Run("refresh token", func(t *testing.T) {
		there.refresh(tk.refresh).fails(400, "invalid_grant")
		tk = b.refresh(tk.refresh).tokens()
	})
	t.Run("hint", func(t *testing.T) {
		there.signedIn(ironman)
		there.authorize("prompt", "none").code()
		there.authorize("id_token_hint", tk.id).refusal("invalid_request")
		if to := there.get("/wakanda/logout?id_token_hint=" + tk.id).location(); !strings.Contains(to.Path, "/wakanda/flow/") {
			t.Error(to)
		}
	})
	t.Run("revocation", func(t *testing.T) {
		there.do("POST", "/wakanda/revoke", map[string][]string{"token": {tk.access}}, "Authorization", basic("wiki", wikiSecret))
		if b.userinfo(tk.access).StatusCode != 200 {
			t.Error("it was revoked from next door")
		}
	})
	t.Run("parked request", func(t *testing.T) {
		there.get("/wakanda/authorize?posted="+parked).shows(400, "expired")
	})
	t.Run("a flow's return", func(t *testing.T) {
		w.guide.out[a.guide.last] = a.guide.out[a.guide.last]
		next := &browser{w, walker.cookies}
		next.get(strings.Replace(back, "/avengers/", "/wakanda/", 1)).shows(400, "expired")
		walker.get(back).code()
	})
	t.Run("keys", func(t *testing.T) {
		mine, theirs := b.get("/avengers/keys").body, b.get("/wakanda/keys").body
		if mine == theirs || strings.Contains(theirs, kid(tk.id)) {
			t.Error("a key is shared")
		}
	})
}

func TestA12_NoHeaderChangesTheIssuer(t *testing.T) {
	h := newHouse(t)
	plain := h.browser()
	plain.signedIn(ironman)
	discovery := plain.get("/avengers/.well-known/openid-configuration").body
	for name, value := range map[string]string{
		"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/evil", "X-Forwarded-For": "1.2.3.4", "Forwarded": "host=evil.example;proto=http",
		"Origin": "https://evil.example", "X-Original-URL": "/evil", "X-Rewrite-URL": "/evil", "Referer": "https://evil.example/", "X-Host": "evil.example", "X-HTTP-Method-Override": "DELETE",
	} {
		do := func(method, path string, headers ...string) answer {
			r := plain
			target := path
			if name == "Host" {
				target = "https://evil.example" + path // an absolute-form target, too
			}
			return r.do(method, target, nil, append(headers, name, value)...)
		}
		if got := do("GET", "/avengers/.well-known/openid-configuration").body; got != discovery {
			t.Errorf("%s: discovery %s", name, got)
		}
		a := do("GET", "/avengers/authorize?"+h.ask().Encode())
		if u := a.location(); u.Query().Get("iss") != issuer || u.Host != "wiki.example.com" {
			t.Errorf("%s: %s", name, u)
		}
		tk := plain.redeem(a.code()).tokens()
		if h.verified(tk.id)["iss"] != issuer {
			t.Errorf("%s: the ID token's issuer", name)
		}
		if to := do("GET", "/avengers/authorize?"+h.ask("prompt", "login").Encode()).Header.Get("Location"); !strings.HasPrefix(to, "/avengers/flow/") {
			t.Errorf("%s: %s", name, to)
		}
		if a := do("GET", "/avengers/userinfo"); strings.Contains(a.Header.Get("WWW-Authenticate"), "evil") {
			t.Errorf("%s: %v", name, a.Header)
		}
	}
}

func TestLG01_NoBearerValueIsLogged(t *testing.T) {
	h := newHouse(t)
	var log bytes.Buffer
	mux := http.NewServeMux()
	h.p.d.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.p.Mount(mux, "/avengers")
	h.handler = web.Porch(mux, web.Options{Logger: h.p.d.Logger})
	b := h.browser()
	b.authorize("scope", "openid offline_access", "state", "a-state-to-hide", "nonce", "a-nonce-to-hide")
	code := b.get(b.walk(ironman)).code()
	tk := b.redeem(code).tokens()
	next := b.refresh(tk.refresh).tokens()
	b.userinfo(next.access)
	b.logout("id_token_hint", next.id)
	b.redeem(code)
	if log.Len() == 0 {
		t.Fatal("nothing was logged")
	}
	for _, hidden := range []string{code, tk.access, tk.refresh, tk.id, next.access, next.refresh, wikiSecret, verifier, "a-state-to-hide", "a-nonce-to-hide", "tony@stark.example"} {
		if strings.Contains(log.String(), hidden) {
			t.Errorf("%q is in the log", hidden)
		}
	}
}
