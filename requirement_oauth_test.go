package sparekey_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestOA01_OA10_NoAddressButTheRegisteredOneIsEverRedirectedTo(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.register("ironman") // signed in: a request that is right is answered at once
	if p := b.authorize(); p.query("code") == "" || p.query("iss") != h.issuer || p.query("state") != "s" {
		t.Fatalf("OA-10 %q", p.location)
	}
	if p := b.authorize("scope", "profile"); p.query("error") != "invalid_scope" || p.query("iss") != h.issuer {
		t.Errorf("OA-10 an error without its issuer: %q", p.location)
	}
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, uri := range []string{callback + "/", callback + "/x", callback + "?x=1", callback + "#x", strings.ToUpper(callback), "http://localhost:10/callback", "http://localhost/callback", "https://localhost:9/callback",
		"http://localhost:9/callback/../evil", "http://localhost:9/%63allback", "http://localhost:9@evil.example/callback", "http://localhost:9.evil.example/callback", "//localhost:9/callback", "javascript:alert(1)", "", " " + callback, callback + " ", callback + "\x00"} {
		for _, client := range []string{"wiki", "phone"} {
			if p := b.authorize("redirect_uri", uri, "client_id", client); p.status != http.StatusBadRequest || p.header.Get("Location") != "" {
				t.Errorf("%s is redirected to %q: %d %q", client, uri, p.status, p.header.Get("Location"))
			}
		}
		if uri == "" {
			continue
		}
		if p := b.get("/avengers/logout?client_id=wiki&post_logout_redirect_uri=" + url.QueryEscape(uri)); strings.HasPrefix(p.header.Get("Location"), "http") || strings.HasPrefix(p.header.Get("Location"), "//") {
			t.Errorf("signing out leads to %q", p.header.Get("Location"))
		}
	}
	code := b.forCode()
	for _, uri := range []string{"", callback + "/", strings.ToUpper(callback)} {
		if got := h.token("avengers", "grant_type", "authorization_code", "code", code, "redirect_uri", uri, "code_verifier", verifier); got.Access != "" {
			t.Errorf("a code is redeemed with the redirect URI %q", uri)
		}
	}
}

func TestOA03_OA06_WhatIsNotOfferedIsNotThere(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.register("ironman")
	for _, kind := range []string{"token", "id_token", "code token", "code id_token", "none", ""} {
		if p := b.authorize("response_type", kind); p.query("error") == "" || strings.Contains(p.location, "access_token") || strings.Contains(p.location, "id_token") || p.query("code") != "" {
			t.Errorf("response_type %q: %q", kind, p.location)
		}
	}
	for _, grant := range []string{"password", "implicit", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:jwt-bearer"} {
		if got := h.token("avengers", "grant_type", grant, "username", "ironman", "password", password, "scope", "openid"); got.Error != "unsupported_grant_type" || got.Access != "" {
			t.Errorf("%s: %d %s", grant, got.status, got.raw)
		}
	}
	if got := h.token("avengers", "grant_type", "client_credentials"); got.Error != "unauthorized_client" || got.Access != "" { // it is not registered for that
		t.Errorf("client_credentials: %d %s", got.status, got.raw)
	}
	meta := h.meta("avengers")
	for _, name := range []string{"registration_endpoint", "device_authorization_endpoint", "backchannel_authentication_endpoint"} {
		if meta[name] != nil {
			t.Errorf("%s is published: %v", name, meta[name])
		}
	}
	for _, path := range []string{"/register", "/connect/register", "/device", "/device_authorization"} {
		res, err := http.Post(h.issuer+path, "application/json", strings.NewReader(`{"redirect_uris":["https://evil.example"]}`))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s answers %d", path, res.StatusCode)
		}
	}
}

// A token that we did not sign, or not for this, counts for nothing wherever one is taken.
func TestOA12_A42_AHintThatWeDidNotSignEndsAndNamesNothing(t *testing.T) {
	h := open(t)
	b := h.browser()
	got := h.redeem(b.register("ironman"))
	parts := strings.Split(got.ID, ".")
	if len(parts) != 3 {
		t.Fatal(got.raw)
	}
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]any
	if err := json.Unmarshal(head, &header); err != nil || header["alg"] != "RS256" || header["jku"] != nil || header["jwk"] != nil || header["x5u"] != nil {
		t.Errorf("the header is %s", head)
	}
	res, err := http.Get(h.meta("avengers")["jwks_uri"].(string))
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := io.ReadAll(res.Body)
	res.Body.Close()
	hs := func(header string) string {
		signed := part(header) + "." + parts[1]
		mac := hmac.New(sha256.New, keys)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	w := h.browser()
	w.get(h.authorizeURL("wakanda"))
	w.password("ironman", password)
	w.app()
	foreign := h.token("wakanda", "grant_type", "authorization_code", "code", w.post("action", "done").query("code"), "redirect_uri", callback, "code_verifier", verifier)
	if foreign.ID == "" {
		t.Fatal(foreign.raw)
	}
	kid := fmt.Sprint(header["kid"])
	for what, forged := range map[string]string{
		"alg none":                   part(`{"alg":"none"}`) + "." + parts[1] + ".",
		"alg none with a kid":        part(`{"alg":"none","kid":"`+kid+`"}`) + "." + parts[1] + ".",
		"HS256 by the public keys":   hs(`{"alg":"HS256","kid":"` + kid + `"}`),
		"another header":             part(`{"alg":"RS256","kid":"../../etc/passwd"}`) + "." + parts[1] + "." + parts[2],
		"other claims":               parts[0] + "." + part(`{"iss":"`+h.issuer+`","sub":"x","aud":"wiki"}`) + "." + parts[2],
		"no signature":               parts[0] + "." + parts[1] + ".",
		"an access token":            got.Access,
		"another tenant's":           foreign.ID,
		"five parts, as of a JWE":    got.ID + ".x.y",
		"the signature of something": parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-4] + "AAAA",
	} {
		if p := b.authorize("prompt", "none", "id_token_hint", forged); p.query("code") != "" || p.query("error") == "" {
			t.Errorf("%s names a user: %q", what, p.location)
		}
		b.get("/avengers/logout?client_id=wiki&id_token_hint=" + url.QueryEscape(forged) + "&post_logout_redirect_uri=" + url.QueryEscape("http://localhost:9/"))
		if b.last.location != "" {
			t.Errorf("%s leads to %q", what, b.last.location)
		}
		if h.userinfo(forged) == http.StatusOK && what != "an access token" {
			t.Errorf("%s is an access token", what)
		}
	}
	if p := b.authorize("prompt", "none", "id_token_hint", got.ID); p.query("code") == "" {
		t.Errorf("a forged hint signed out, or the true one is refused: %q", p.location)
	}
	if h.userinfo(got.ID) == http.StatusOK {
		t.Error("an ID token is taken for an access token")
	}
}
