package provider

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestAClaimsParameterThatIsNotWellFormedIsRefused(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	for name, text := range map[string]string{
		"no JSON":                 `{`,
		"two values":              `{} {}`,
		"a list":                  `[]`,
		"a text":                  `"userinfo"`,
		"nothing":                 `null`,
		"userinfo is a list":      `{"userinfo":["name"]}`,
		"id_token is a text":      `{"id_token":"name"}`,
		"a claim is true":         `{"userinfo":{"name":true}}`,
		"a claim is a list":       `{"id_token":{"name":[]}}`,
		"essential is a text":     `{"userinfo":{"name":{"essential":"true"}}}`,
		"values is no list":       `{"id_token":{"acr":{"values":"aal1"}}}`,
		"values is empty":         `{"id_token":{"acr":{"essential":true,"values":[]}}}`,
		"an acr that is a number": `{"id_token":{"acr":{"essential":true,"value":2}}}`,
		"sub is a number":         `{"id_token":{"sub":{"value":7}}}`,
		"sub is empty":            `{"id_token":{"sub":{"value":""}}}`,
		"sub is null":             `{"id_token":{"sub":{"value":null}}}`,
		"two subjects":            `{"id_token":{"sub":{"value":"` + ironmanSub + `"}},"userinfo":{"sub":{"value":"subject-of-pepper"}}}`,
		"a member twice":          `{"id_token":{"sub":{"value":"subject-of-pepper"}},"id_token":{}}`,
		"a claim twice":           `{"id_token":{"sub":{"value":"subject-of-pepper"},"sub":null}}`,
		"too deep":                `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"too many":                `{"userinfo":{` + strings.Join(slices.Collect(numbered(101)), ",") + `}}`,
		"too long":                `{"x":"` + strings.Repeat("x", longest) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			b.authorize("claims", text).refusal("invalid_request")
			push := b.do("POST", h.p.path+pushPath, h.ask("claims", text, "client_secret", ""), "Authorization", basic("wiki", wikiSecret))
			push.fails(400, "invalid_request")
		})
	}
	for name, text := range map[string]string{
		"empty":                 `{}`,
		"nothing in it":         `{"userinfo":null,"id_token":{}}`,
		"members without sense": `{"userinfo":{"name":{"essential":true,"purpose":"greeting"}},"verified_claims":{"a":[1]}}`,
		"claims without sense":  `{"userinfo":{"http://example.info/claims/groups":null,"shoe size#de":null,"":null},"id_token":{"acr":null,"amr":null,"auth_time":{"essential":true}}}`,
		"another case":          `{"ID_TOKEN":{"sub":{"value":"subject-of-pepper"}},"id_token":{"sub":{"VALUE":"subject-of-pepper"},"acr":{"Essential":true,"values":["aal2"]}}}`,
	} {
		t.Run(name, func(t *testing.T) { b.authorize("prompt", "none", "claims", text).code() })
	}
}

func numbered(n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range n {
			if !yield(`"c` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `":null`) {
				return
			}
		}
	}
}

// OpenID Connect Core §3.1.2.2 and §5.5.1: the answer is about the end-user who is named, or there is none.
func TestSE07_AnAnswerIsOfTheSubjectThatClaimsNames(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	const none, other = `"sub":{"value":"subject-of-nobody"}`, `"sub":{"values":["subject-of-pepper","subject-of-nobody"]}`
	const mine, several = `"sub":{"value":"` + ironmanSub + `"}`, `"sub":{"values":["subject-of-pepper","` + ironmanSub + `"]}`
	for _, good := range []string{`{"id_token":{` + mine + `}}`, `{"userinfo":{` + mine + `}}`, `{"id_token":{` + several + `}}`, `{"id_token":{` + several + `},"userinfo":{` + mine + `}}`} {
		b.authorize("prompt", "none", "claims", good).code()
	}
	for _, bad := range []string{`{"id_token":{` + none + `}}`, `{"userinfo":{` + none + `}}`, `{"id_token":{` + other + `}}`, `{"id_token":{` + several + `},"userinfo":{` + other + `}}`} {
		b.authorize("prompt", "none", "claims", bad).refusal("login_required")
	}
	for _, bad := range []string{none, other} { // whoever signs in instead is not taken for the one who was named
		b.authorize("claims", `{"id_token":{`+bad+`}}`)
		b.get(b.walk(ironman)).refusal("login_required")
	}
	b.authorize("claims", `{"id_token":{`+other+`}}`)
	if claims := b.claimsOf(b.get(b.walk(pepper))); claims["sub"] != "subject-of-pepper" {
		t.Error(claims)
	}
	t.Run("with a hint beside it", func(t *testing.T) {
		b, tk := h.granted()
		b.authorize("prompt", "none", "id_token_hint", tk.id, "claims", `{"id_token":{`+several+`}}`).code()
		b.authorize("prompt", "none", "id_token_hint", tk.id, "claims", `{"id_token":{`+other+`}}`).refusal("invalid_request")
	})
}

func TestAnIDTokenHasTheClaimsOfTheProtocolWhoeverAsks(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	claims := b.claimsOf(b.authorize("claims", `{"id_token":{"auth_time":{"essential":true},"acr":{"essential":true,"values":["aal1"]},"iss":{"value":"https://evil.example"},"exp":{"value":1},"amr":{"value":["mfa"]}}}`))
	if claims["auth_time"] != float64(h.clock.Now().Unix()) || claims["acr"] != "aal1" || claims["iss"] != issuer || claims["exp"] == 1.0 {
		t.Error(claims)
	}
}

// everything is every name that a claim has anywhere here, asked for by name in both places.
func everything() (text string, names []string) {
	names = append(slices.Collect(maps.Keys(scopeOf)), slices.Collect(maps.Keys(protocolClaims))...)
	names = append(names, "team", "givenName", "l", "address.locality", "password", "Attrs", "id")
	asked := map[string]any{}
	for _, name := range names {
		if name != "acr" && name != "sub" {
			asked[name] = map[string]any{"essential": true}
		}
	}
	b, _ := json.Marshal(map[string]any{"userinfo": asked, "id_token": asked})
	return string(b), names
}

// A client gets by name what it could get by a scope of its registration, as that is now, and nothing else.
func TestNoClaimComesByNameThatAClientWasNotGranted(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	all, _ := everything()
	protocol := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}
	tokensOf := func(id, password, to string) tokens {
		code := b.authorize("client_id", id, "redirect_uri", to, "claims", all).code()
		return b.tokenAs(id, password, "grant_type", "authorization_code", "code", code, "redirect_uri", to, "code_verifier", verifier).tokens()
	}
	told := func(tk tokens) (userinfo, inToken string) {
		info := slices.Sorted(maps.Keys(b.userinfo(tk.access).json()))
		var token []string
		for name := range h.verified(tk.id) {
			if !slices.Contains(protocol, name) {
				token = append(token, name)
			}
		}
		slices.Sort(token)
		return strings.Join(info, " "), strings.Join(token, " ")
	}
	if info, token := told(tokensOf("strict", "strict-secret", "https://strict.example.com/cb")); info != "email email_verified sub" || token != "email email_verified" {
		t.Errorf("a client for openid and email is told %s; %s", info, token)
	}
	open := tokensOf("lab", "lab-secret", "https://lab.example.com/cb")
	const whole = "address email email_verified given_name groups name phone_number preferred_username"
	if info, token := told(open); info != whole+" sub team" || token != whole+" team" {
		t.Errorf("a client for all of it is told %s; %s", info, token)
	}
	supported, _ := b.get("/avengers/.well-known/openid-configuration").json()["claims_supported"].([]any)
	for _, name := range strings.Fields(whole + " team") {
		if !slices.Contains(supported, any(name)) {
			t.Errorf("%s is given, and discovery does not say so", name)
		}
	}

	clients := registered()
	for i := range clients {
		clients[i].Scopes, clients[i].Claims = []string{"openid", "phone"}, nil
	}
	h.p = h.provide(issuer, clients) // what was asked for when it might be is not told any more
	h.mount()
	if info, _ := told(open); info != "phone_number sub" {
		t.Errorf("a client for openid and phone is told %s", info)
	}
}

// What passes is one JSON object whose demands are kept, and asks for nothing that the client may not have.
func FuzzZ16_TheClaimsParameter(f *testing.F) {
	all, _ := everything()
	for _, seed := range []string{all, `{}`, `null`, `{"id_token":{"sub":{"value":"a"},"acr":{"essential":true,"values":["aal2"],"value":"aal1"}},"userinfo":{"sub":{"values":["a","b"]},"email":null}}`,
		`{"id_token":{"sub":{"value":"a"}},"id_token":{}}`, `{"userinfo":{"name":{"essential":1}}}`, `{"":{"":[[[[[[]]]]]]}}`, "{\"userinfo\":{\"em\\u0061il\":null}} ", `{"id_token":{"sub":{"value":"\ud800"}}}`} {
		f.Add(seed)
	}
	c := newClient(Client{ID: "x", Scopes: []string{"openid", "email"}, Claims: map[string]string{"team": "team"}})
	f.Fuzz(func(t *testing.T, text string) {
		var w, again wants
		if w.read(text, c) != nil || text == "" {
			return
		}
		var whole map[string]map[string]map[string]any
		if !json.Valid([]byte(text)) || again.read(text, c) != nil || !slices.Equal(w.Subjects, again.Subjects) || !slices.Equal(w.UserInfo, again.UserInfo) {
			t.Fatalf("%q passes", text)
		}
		for _, name := range slices.Concat(w.UserInfo, w.IDToken) {
			if name != "email" && name != "email_verified" {
				t.Fatalf("%q gives %q", text, name)
			}
		}
		if json.Unmarshal([]byte(text), &whole) != nil { // members that mean nothing may look like anything
			return
		}
		for _, member := range []string{"userinfo", "id_token"} {
			sub := whole[member]["sub"]
			value, one := sub["value"]
			values, several := sub["values"].([]any)
			for _, subject := range w.Subjects {
				if (one || several) && value != any(subject) && !slices.Contains(values, any(subject)) {
					t.Fatalf("%q lets %q answer", text, subject)
				}
			}
			if (one || several) && len(w.Subjects) == 0 {
				t.Fatalf("%q lets anybody answer, and asks for %v", text, sub)
			}
		}
	})
}
