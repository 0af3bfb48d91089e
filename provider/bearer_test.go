package provider

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/internal/secret"
)

func (b *browser) revoke(more ...string) answer {
	b.h.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return b.do("POST", "/avengers/revoke", form, "Authorization", basic("wiki", wikiSecret))
}

func TestUserinfoByGetByPostHeaderAndByPostBody(t *testing.T) {
	h := newHouse(t)
	_, tk := h.granted()
	b := h.browser()
	for name, a := range map[string]answer{
		"GET":                       b.userinfo(tk.access),
		"POST header":               b.do("POST", "/avengers/userinfo", nil, "Authorization", "Bearer "+tk.access),
		"POST header, other letter": b.do("POST", "/avengers/userinfo", nil, "Authorization", "bearer "+tk.access),
		"POST header, empty form":   b.do("POST", "/avengers/userinfo", url.Values{}, "Authorization", "Bearer "+tk.access),
		"POST body":                 b.do("POST", "/avengers/userinfo", url.Values{"access_token": {tk.access}}),
	} {
		if a.StatusCode != 200 || a.json()["sub"] != ironmanSub || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	b.do("GET", "/avengers/userinfo?access_token="+tk.access, nil).fails(401, "invalid_request") // never in the query
	b.do("POST", "/avengers/userinfo?access_token="+tk.access, url.Values{}).fails(401, "invalid_request")
	b.do("POST", "/avengers/userinfo", url.Values{"access_token": {tk.access}}, "Authorization", "Bearer "+tk.access).fails(400, "invalid_request")
	b.do("POST", "/avengers/userinfo", url.Values{"access_token": {tk.access, tk.access}}).fails(400, "invalid_request")
	b.do("GET", "/avengers/userinfo", nil, "Authorization", "Bearer "+tk.access, "Authorization", "Bearer x").fails(400, "invalid_request")
	if a := b.do("GET", "/avengers/userinfo", nil); a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") != `Bearer realm="`+issuer+`"` {
		t.Error(a.StatusCode, a.Header)
	}
	if a := b.userinfo("x"); a.StatusCode != 401 || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Error(a.StatusCode, a.Header)
	}
	b.do("GET", "/avengers/userinfo", nil, "Authorization", basic("wiki", wikiSecret)).fails(401, "invalid_request")
}

func TestA43_AChangedTokenIsNoToken(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted("scope", "openid offline_access")
	for name, token := range map[string]string{"access": tk.access, "refresh": tk.refresh} {
		try := func(changed string) {
			t.Helper()
			if name == "access" {
				b.userinfo(changed).fails(401, "invalid_token")
			} else {
				b.refresh(changed).fails(400, "invalid_grant")
			}
		}
		for i := range token {
			flipped := []byte(token)
			if flipped[i] ^= 1; unreserved(string(flipped)) {
				try(string(flipped))
			}
		}
		for _, n := range []int{1, 2, keyLength - 1, keyLength, keyLength + 1, len(token) - 1} {
			try(token[:n])
		}
		try(token + "A")
		try(token + token)
		try(strings.ToUpper(token))
		try(tk.id)
		try(secret.Token() + secret.Token())
		try(token[:keyLength] + secret.Token())
		try(token[:keyLength] + secret.Token() + secret.Token())
		try(token[:keyLength])
	}
	b.userinfo(tk.refresh).fails(401, "invalid_token") // one is not the other
	b.refresh(tk.access).fails(400, "invalid_grant")
	if b.userinfo(tk.access).StatusCode != 200 {
		t.Error("the access token suffered")
	}
	b.refresh(tk.refresh).tokens() // and what somebody made up kills no family
}

func TestA08_BearerValuesAreRandomAndKeptAsDigests(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	seen := map[string]bool{}
	for range 50 {
		code := b.authorize("scope", "openid offline_access").code()
		tk := b.redeem(code).tokens()
		for _, v := range []string{code, tk.access[keyLength:], tk.refresh[keyLength : 2*keyLength]} {
			if len(v) != 43 || seen[v] {
				t.Fatalf("%q", v)
			}
			seen[v] = true
		}
		for _, v := range []string{code, tk.access, tk.refresh, tk.access[keyLength:], tk.refresh[keyLength : 2*keyLength], tk.id} {
			if h.stored(v) {
				t.Fatal("a bearer value is in the database")
			}
		}
	}
}

func TestRevocation(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted("scope", "openid offline_access")
	t.Run("an access token alone", func(t *testing.T) {
		if a := b.revoke("token", tk.access, "token_type_hint", "refresh_token"); a.StatusCode != 200 || a.body != "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatal(a.StatusCode, a.body)
		}
		b.userinfo(tk.access).fails(401, "invalid_token")
		tk = b.refresh(tk.refresh).tokens()
	})
	t.Run("nothing that is not there", func(t *testing.T) {
		for _, token := range []string{"x", secret.Token(), secret.Token() + secret.Token(), tk.id, strings.Repeat("é", 43)} {
			if a := b.revoke("token", token); a.StatusCode != 200 {
				t.Error(a.StatusCode, a.body)
			}
		}
		b.revoke().fails(400, "invalid_request")
	})
	t.Run("A17 not another client's", func(t *testing.T) {
		for _, token := range []string{tk.access, tk.refresh} {
			b.do("POST", "/avengers/revoke", url.Values{"token": {token}}, "Authorization", basic("rsa", "rsa-secret")).fails(400, "invalid_grant")
			b.do("POST", "/avengers/revoke", url.Values{"token": {token}, "client_id": {"spa"}}).fails(400, "invalid_grant")
		}
		if b.userinfo(tk.access).StatusCode != 200 {
			t.Error("it was revoked")
		}
	})
	t.Run("and nobody learns whose a made-up one might be", func(t *testing.T) {
		if a := b.do("POST", "/avengers/revoke", url.Values{"token": {tk.access[:keyLength] + secret.Token()}}, "Authorization", basic("rsa", "rsa-secret")); a.StatusCode != 200 {
			t.Error(a.StatusCode, a.body)
		}
	})
	t.Run("OA-08 nor without authenticating", func(t *testing.T) {
		b.do("POST", "/avengers/revoke", url.Values{"token": {tk.refresh}}).fails(401, "invalid_client")
		b.do("POST", "/avengers/revoke", url.Values{"token": {tk.refresh}, "client_id": {"wiki"}}).fails(401, "invalid_client")
		if a := b.do("GET", "/avengers/revoke?token="+tk.refresh, nil); a.StatusCode != 405 {
			t.Error(a.StatusCode)
		}
	})
	t.Run("a refresh token with all of its family", func(t *testing.T) {
		if a := b.revoke("token", tk.refresh); a.StatusCode != 200 {
			t.Fatal(a.StatusCode)
		}
		b.userinfo(tk.access).fails(401, "invalid_token")
		b.refresh(tk.refresh).fails(400, "invalid_grant")
		if h.events("grant.revoked") != 1 {
			t.Error("not journalled")
		}
	})
	t.Run("one that was rotated too", func(t *testing.T) {
		b, tk := h.granted("scope", "openid offline_access")
		next := b.refresh(tk.refresh).tokens()
		b.revoke("token", tk.refresh)
		b.refresh(next.refresh).fails(400, "invalid_grant")
	})
}
