package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/identity"
)

func TestTheWholeFlowFromAuthorizeToUserinfo(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.authorize("scope", "openid profile email phone address groups")
	b.get(b.walk(ironman))
	h.clock.Advance(5 * time.Second)
	code := b.authorize("scope", "openid profile email phone address groups").code()
	h.clock.Advance(5 * time.Second)
	tk := b.redeem(code).tokens()
	if tk.all["scope"] != "openid profile email phone address groups" || tk.refresh != "" {
		t.Error(tk.all)
	}
	claims := h.verified(tk.id)
	now := h.clock.Now().Unix()
	sum := sha256.Sum256([]byte(tk.access))
	for name, want := range map[string]any{
		"iss": issuer, "sub": ironmanSub, "aud": "wiki", "iat": float64(now), "exp": float64(now + 600), "auth_time": float64(now - 10), "nonce": "n0nce", "acr": "aal1",
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	} {
		if claims[name] != want {
			t.Errorf("%s: %v, want %v", name, claims[name], want)
		}
	}
	if sid, _ := claims["sid"].(string); len(sid) < 20 {
		t.Error(claims)
	}
	if amr := claims["amr"].([]any); len(amr) != 1 || amr[0] != "pwd" {
		t.Error(claims)
	}
	for _, absent := range []string{"azp", "name", "email", "client_id"} { // azp: one audience alone
		if _, ok := claims[absent]; ok {
			t.Errorf("%s is in the ID token", absent)
		}
	}
	info := b.userinfo(tk.access).json()
	for name, want := range map[string]any{"sub": ironmanSub, "name": "Tony Stark", "preferred_username": "ironman", "given_name": "Tony", "email": "tony@stark.example",
		"email_verified": true, "phone_number": "+15550100"} {
		if info[name] != want {
			t.Errorf("%s: %v, want %v", name, info[name], want)
		}
	}
	if a := info["address"].(map[string]any); a["locality"] != "Malibu" {
		t.Error(info)
	}
	if g := info["groups"].([]any); len(g) != 2 || g[0] != "Avengers" {
		t.Error(info)
	}
	if team := info["team"].([]any); len(team) != 2 {
		t.Error(info)
	}
}

func TestClaimsFollowScopesAndNames(t *testing.T) {
	h := newHouse(t)
	names := func(m map[string]any) string {
		var all []string
		for name := range m {
			all = append(all, name)
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	for name, c := range map[string]struct {
		with []string
		want string
	}{
		"openid":              {[]string{"scope", "openid"}, "sub"},
		"email":               {[]string{"scope", "openid email"}, "email email_verified sub"},
		"profile":             {[]string{"scope", "openid profile"}, "given_name name preferred_username sub team"},
		"phone":               {[]string{"scope", "openid phone"}, "phone_number sub"},
		"address":             {[]string{"scope", "openid address"}, "address sub"},
		"by name":             {[]string{"claims", `{"userinfo":{"name":{"essential":true},"email":null,"given_name":{"value":"x"},"shoe_size":null}}`}, "email given_name name sub"},
		"by name, ID token's": {[]string{"claims", `{"id_token":{"name":null}}`}, "sub"},
	} {
		t.Run(name, func(t *testing.T) {
			b, tk := h.granted(c.with...)
			if got := names(b.userinfo(tk.access).json()); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	t.Run("OA-04 a scope the client may not ask for is not granted", func(t *testing.T) {
		b := h.browser()
		b.signedIn(ironman)
		code := b.authorize("client_id", "strict", "redirect_uri", "https://strict.example.com/cb", "scope", "openid profile groups email").code()
		tk := b.tokenAs("strict", "strict-secret", "grant_type", "authorization_code", "code", code, "redirect_uri", "https://strict.example.com/cb", "code_verifier", verifier).tokens()
		if got := names(b.userinfo(tk.access).json()); tk.all["scope"] != "openid email" || got != "email email_verified sub" {
			t.Error(tk.all["scope"], got)
		}
	})
	t.Run("a name does not go beyond the client's scopes", func(t *testing.T) {
		b := h.browser()
		b.signedIn(ironman)
		code := b.authorize("client_id", "strict", "redirect_uri", "https://strict.example.com/cb", "claims", `{"userinfo":{"name":null,"email":null,"groups":null},"id_token":{"groups":null}}`).code()
		tk := b.tokenAs("strict", "strict-secret", "grant_type", "authorization_code", "code", code, "redirect_uri", "https://strict.example.com/cb", "code_verifier", verifier).tokens()
		if got := names(b.userinfo(tk.access).json()); got != "email sub" {
			t.Error(got)
		}
		if _, ok := h.verified(tk.id)["groups"]; ok {
			t.Error("groups are in the ID token")
		}
	})
	t.Run("an ID token has them where the client says so, and those asked for by name", func(t *testing.T) {
		b := h.browser()
		b.signedIn(ironman)
		code := b.authorize("client_id", "lab", "redirect_uri", "https://lab.example.com/cb", "scope", "openid email", "claims", `{"id_token":{"name":null}}`).code()
		id := h.verified(b.tokenAs("lab", "lab-secret", "grant_type", "authorization_code", "code", code, "redirect_uri", "https://lab.example.com/cb", "code_verifier", verifier).tokens().id)
		if id["email"] != "tony@stark.example" || id["email_verified"] != true || id["name"] != "Tony Stark" || id["preferred_username"] != nil {
			t.Error(id)
		}
	})
	t.Run("an address nobody has verified is called so", func(t *testing.T) {
		b := h.browser()
		b.signedIn(pepper)
		info := b.userinfo(b.redeem(b.authorize("scope", "openid email phone").code()).tokens().access).json()
		if info["email_verified"] != false || info["phone_number"] != nil {
			t.Error(info)
		}
	})
}

func TestEachClientGetsItsAlgorithmAndRS256IsTheDefault(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	for _, c := range []struct{ id, secret, redirect, alg string }{{"wiki", wikiSecret, callback, "ES256"}, {"rsa", "rsa-secret", "https://rsa.example.com/cb", "RS256"}} {
		code := b.authorize("client_id", c.id, "redirect_uri", c.redirect).code()
		tk := b.tokenAs(c.id, c.secret, "grant_type", "authorization_code", "code", code, "redirect_uri", c.redirect, "code_verifier", verifier).tokens()
		head, _ := base64.RawURLEncoding.DecodeString(strings.SplitN(tk.id, ".", 2)[0])
		if !strings.Contains(string(head), `"alg":"`+c.alg+`"`) || !strings.Contains(string(head), `"typ":"JWT"`) {
			t.Errorf("%s: %s", c.id, head)
		}
		if h.verified(tk.id)["aud"] != c.id {
			t.Error("aud")
		}
	}
	code := b.authorize("client_id", "post", "redirect_uri", "https://post.example.com/cb").code()
	a := b.do("POST", "/avengers/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"https://post.example.com/cb"}, "code_verifier": {verifier}, "client_id": {"post"}, "client_secret": {"post-secret"}})
	h.verified(a.tokens().id)
	sum := secretHash512(a.tokens().access)
	if h.verified(a.tokens().id)["at_hash"] != sum {
		t.Error("at_hash with EdDSA")
	}
}

func TestA16_TheDeathOfAGrantIsCommittedAlthoughTheAnswerIsARefusal(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	code := b.authorize().code()
	tk := b.redeem(code).tokens()
	b.redeem(code).fails(400, "invalid_grant")
	if h.count("grant") != 0 {
		t.Error("the refusal was rolled back together with the deed")
	}
	h.p = h.provide(issuer, registered())
	h.mount()
	b.userinfo(tk.access).fails(401, "invalid_token")
}

func TestA17_ARefreshTokenIsBoundToItsClient(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted("scope", "openid offline_access")
	b.tokenAs("rsa", "rsa-secret", "grant_type", "refresh_token", "refresh_token", tk.refresh).fails(400, "invalid_grant")
	b.do("POST", "/avengers/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tk.refresh}, "client_id": {"spa"}}).fails(400, "invalid_grant")
	b.do("POST", "/avengers/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tk.refresh}}).fails(401, "invalid_client")
	b.refresh(tk.refresh).tokens() // and the family lives
}

func TestOA03_OnlyTheGrantsThatAreSwitchedOn(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.token().fails(400, "invalid_request")
	for _, kind := range []string{"password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:device_code",
		"urn:ietf:params:oauth:grant-type:token-exchange", "x"} {
		b.token("grant_type", kind, "username", "ironman", "password", "x", "assertion", "x").fails(400, "unsupported_grant_type")
	}
	b.token("grant_type", "client_credentials").fails(400, "unauthorized_client")
	b.tokenAs("strict", "strict-secret", "grant_type", "refresh_token", "refresh_token", "x").fails(400, "unauthorized_client")
	b.token("grant_type", "authorization_code", "redirect_uri", callback).fails(400, "invalid_request")
	b.token("grant_type", "refresh_token").fails(400, "invalid_request")
	b.token("grant_type", "authorization_code", "code", "x", "redirect_uri", callback).fails(400, "invalid_grant")
}

func TestTheTokenEndpointTakesPostsAloneAndNeverTheQuery(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	form := url.Values{"grant_type": {"authorization_code"}, "code": {b.authorize().code()}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("wiki:"+wikiSecret))
	for _, method := range []string{"GET", "PUT", "HEAD", "DELETE", "PATCH"} {
		if a := b.do(method, "/avengers/token?"+form.Encode(), nil, "Authorization", basic); a.StatusCode != 405 || a.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %d %v", method, a.StatusCode, a.Header)
		}
	}
	b.do("POST", "/avengers/token?"+form.Encode(), url.Values{}, "Authorization", basic).fails(400, "invalid_request")
	b.do("POST", "/avengers/token?client_id=wiki&client_secret="+wikiSecret, form).fails(401, "invalid_client")
	b.do("POST", "/avengers/token", nil, "Authorization", basic, "Content-Type", "application/json").fails(400, "invalid_request")
	twice := url.Values{"grant_type": form["grant_type"], "code": {form.Get("code"), form.Get("code")}, "redirect_uri": form["redirect_uri"], "code_verifier": form["code_verifier"]}
	b.do("POST", "/avengers/token", twice, "Authorization", basic).fails(400, "invalid_request")
	big := b.do("POST", "/avengers/token", url.Values{"grant_type": {strings.Repeat(".", 9<<20)}}, "Authorization", basic)
	big.fails(413, "invalid_request")
	b.do("POST", "/avengers/token?code=other&grant_type=x", form, "Authorization", basic).tokens()
}

func TestErrorsAreJSONThatNoCacheKeepsAndRepeatNothing(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	canary := `<script>"\canary` + "\x7f"
	for _, a := range []answer{
		b.token("grant_type", canary), b.token("grant_type", "authorization_code", "code", canary), b.tokenAs(canary, canary, "grant_type", "authorization_code"), b.userinfo(canary),
		b.token("grant_type", "refresh_token", "refresh_token", canary),
	} {
		text, _ := a.json()["error_description"].(string)
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" || strings.Contains(a.body, "canary") || strings.ContainsAny(text, "\"\\") {
			t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
		}
	}
}

func TestAnIDTokenThatCannotBeSignedLeavesNothingBehind(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	code := b.authorize("scope", "openid offline_access").code()
	delete(h.p.keys.Load().signing, "ES256")
	b.redeem(code).fails(503, "temporarily_unavailable")
	if h.count("grant") != 0 {
		t.Error("a grant is left whose tokens nobody has")
	}
}

func TestAMRAndACRComeFromTheProofs(t *testing.T) {
	if acr([]string{"pwd"}) != "aal1" || acr([]string{"mfa", "otp", "pwd"}) != "aal2" || acr(nil) != "aal1" {
		t.Error("acr")
	}
	g := grant{Session: "s", User: "u", Subject: "x", Epoch: 3, AMR: []string{"pwd"}, Proofs: []identity.Proof{{Kind: "totp"}}}
	if a := g.authentication(); a.Session != "s" || a.User != "u" || a.Subject != "x" || a.Epoch != 3 || len(a.AMR) != 1 || len(a.Proofs) != 1 {
		t.Error(a)
	}
}
