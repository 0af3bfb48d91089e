package provider

import (
	"context"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// endSessions ends all of a user's.
func (h *house) endSessions(user string) {
	h.t.Helper()
	h.must(func(tx store.Tx) error { _, err := h.sessions.EndAll(tx, user); return err })
}

func TestAClientActsForItself(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	all := b.tokenAs("api", "api-secret", "grant_type", "client_credentials").tokens()
	if all.id != "" || all.refresh != "" || all.all["scope"] != "orders.read orders.write" {
		t.Fatal(all.all) // RFC 6749 §4.4.3
	}
	told := map[string]any{"scope": "orders.read", "client_id": "api", "token_type": "Bearer", "exp": float64(h.clock.Now().Add(10 * time.Minute).Unix()), "sub": "api", "iss": issuer}
	one := b.tokenAs("api", "api-secret", "grant_type", "client_credentials", "scope", "orders.read").tokens()
	if one.all["scope"] != "orders.read" {
		t.Fatal(one.all)
	}
	b.introspect("api", "api-secret", one.access).active(told)
	if h.stored(one.access) || h.stored(one.access[keyLength:]) {
		t.Error("the token lies in the store")
	}
	b.userinfo(one.access).fails(401, "invalid_token") // there is nobody to tell of
	b.refresh(one.access).fails(400, "invalid_grant")

	b.do("POST", "/avengers/revoke", form("token", one.access), "Authorization", basic("api", "api-secret"))
	b.introspect("api", "api-secret", one.access).inactive()
	b.introspect("api", "api-secret", all.access).active(map[string]any{"scope": "orders.read orders.write", "client_id": "api", "token_type": "Bearer", "exp": told["exp"], "sub": "api", "iss": issuer})
	h.clock.Advance(10 * time.Minute)
	b.introspect("api", "api-secret", all.access).inactive()
	if err := h.db.Write(context.Background(), func(tx store.Tx) error { return h.p.EndGrants(tx, "") }); err != nil {
		t.Error(err)
	}
}

func TestAClientActsForItselfOnlyWhereItIsRegisteredToAndWithinItsScopes(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.tokenAs("wiki", wikiSecret, "grant_type", "client_credentials").fails(400, "unauthorized_client")
	b.do("POST", "/avengers/token", form("grant_type", "client_credentials", "client_id", "spa")).fails(400, "unauthorized_client")
	b.tokenAs("api", "wrong", "grant_type", "client_credentials").fails(401, "invalid_client")
	for _, scope := range []string{"orders.delete", "orders.read orders.delete", "openid", "offline_access", "email"} {
		b.tokenAs("api", "api-secret", "grant_type", "client_credentials", "scope", scope).fails(400, "invalid_scope")
	}
	b.tokenAs("api", "api-secret", "grant_type", "authorization_code", "code", "x").fails(400, "unauthorized_client")
	b.authorize("client_id", "api").shows(400, "redirect_uri")
	// What a client took for itself is nobody's sign-in, also when the registration of a public client is changed underneath.
	tk := b.tokenAs("api", "api-secret", "grant_type", "client_credentials").tokens()
	h.p = h.provide(issuer, registered()[:3])
	h.mount()
	b.introspect("rsa", "rsa-secret", tk.access).inactive()
	b.userinfo(tk.access).fails(401, "invalid_token")
}
