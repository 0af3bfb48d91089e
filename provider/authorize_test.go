package provider

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
)

// claimsOf redeems the wiki's code and gives the claims of the ID token.
func (b *browser) claimsOf(a answer) map[string]any {
	b.h.t.Helper()
	return b.h.verified(b.redeem(a.code()).tokens().id)
}

func TestOA10_EveryAuthorizationResponseNamesItsIssuer(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	for name, a := range map[string]answer{
		"success": b.authorize(), "an error": b.authorize("response_type", "token"), "an error before sign-in": h.browser().authorize("prompt", "none"),
		"fragment": b.authorize("client_id", "spa", "redirect_uri", "https://spa.example.com/cb", "response_mode", "fragment"),
	} {
		u := a.location()
		q := u.Query()
		if name == "fragment" {
			q, _ = url.ParseQuery(u.Fragment)
		}
		if q.Get("iss") != issuer || q.Get("state") != "state of wiki" || q.Has("code") == q.Has("error") {
			t.Errorf("%s: %s", name, u)
		}
		if a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", name)
		}
	}
}

func TestOA13_ARedirectIsA303WithNoCORS(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	a := b.do("POST", "/avengers/authorize", h.ask(), "Origin", "https://wiki.example.com")
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Fatal(a.StatusCode, a.Header)
	}
}

func TestAPostedRequestIsParkedAndAnsweredByA303ToAGet(t *testing.T) {
	h := newHouse(t)
	stranger := h.browser() // SameSite=Lax cookies do not come with a POST from another site
	to := stranger.do("POST", "/avengers/authorize", h.ask("scope", "openid email")).location()
	if to.Path != "/avengers/authorize" || to.Query().Get("state") != "" {
		t.Fatalf("parked at %s", to)
	}
	b := h.browser()
	b.signedIn(ironman)
	a := b.get(to.String())
	if u := a.location(); u.Query().Get("state") != "state of wiki" || !strings.HasPrefix(u.String(), callback) {
		t.Fatal(u)
	}
	if claims := b.claimsOf(a); claims["nonce"] != "n0nce" {
		t.Error(claims)
	}
	b.get(to.String()).code() // the back button
	b.get("/avengers/logout?posted="+to.Query().Get("posted")).shows(400, "expired")
	h.clock.Advance(postedFor)
	b.get(to.String()).shows(400, "expired")
}

// Anybody may post to these two, and what is kept of it waits ten minutes.
func TestWhatIsParkedOfAPostIsLittle(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	parked := func(to *url.URL) (query string) {
		h.must(func(tx store.Tx) error {
			was, err := h.p.posted.Get(tx, to.Query().Get("posted"))
			query = was.Value.Query
			return err
		})
		return query
	}
	junk := strings.Repeat("x", 60<<10)
	for path, form := range map[string]url.Values{"/avengers/authorize": h.ask("junk", junk), "/avengers/logout": {"client_id": {"wiki"}, "state": {"s"}, "logout_hint": {junk}, "x": {"y"}}} {
		query := parked(b.do("POST", path, form).location())
		if got, _ := url.ParseQuery(query); len(query) > 1<<10 || got.Get("state") != form.Get("state") || got.Has("x") {
			t.Errorf("%s keeps %d bytes, the state %q among them", path, len(query), got.Get("state"))
		}
	}
	half := strings.Repeat("x", 4<<10)
	if to := b.do("POST", "/avengers/authorize", h.ask("state", half)).location(); !strings.Contains(parked(to), half) {
		t.Error("a state of the longest is not kept")
	}
	b.do("POST", "/avengers/authorize", h.ask("state", half, "display", half)).shows(413, "too_large")
	b.do("POST", "/avengers/logout", url.Values{"state": {half}, "id_token_hint": {half + "x"}}).shows(413, "too_large")
}

func TestAPostIsReadFromItsBodyAlone(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.do("POST", "/avengers/authorize?"+h.ask().Encode(), url.Values{"x": {"y"}}).shows(400, "client")
	b.do("POST", "/avengers/authorize", nil).shows(400, "bad_request")
	b.do("POST", "/avengers/authorize", nil, "Content-Type", "application/json").shows(400, "bad_request")
	twice := h.ask()
	twice["scope"] = []string{"openid", "openid"}
	b.do("POST", "/avengers/authorize", twice).shows(400, "bad_request")
	big := h.ask("state", strings.Repeat("x", 70<<10))
	b.do("POST", "/avengers/authorize", big).shows(413, "too_large")
}

func TestOA09_AResponseModeIsOneOfTheClients(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	b.authorize("response_mode", "fragment").refusal("invalid_request")
	b.authorize("response_mode", "web_message").refusal("invalid_request")
	b.authorize("client_id", "strict", "redirect_uri", "https://strict.example.com/cb", "response_mode", "form_post").refusal("invalid_request")
	b.authorize("response_mode", "query").code()
	if len(h.posts) != 0 {
		t.Error("a form was posted")
	}
}

func TestFormPostCarriesSuccessAndErrors(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	field := func(i int, name string) string {
		for _, f := range h.posts[i] {
			if f[0] == name {
				return f[1]
			}
		}
		return ""
	}
	a := b.authorize("response_mode", "form_post")
	b.authorize("response_mode", "form_post", "scope", "email")
	h.browser().authorize("response_mode", "form_post", "prompt", "none")
	if len(h.posts) != 3 || a.Header.Get("Location") != "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatal(h.posts, a.Header)
	}
	for i, want := range []string{"", "invalid_scope", "login_required"} {
		if h.postTo[i] != callback || field(i, "error") != want || field(i, "iss") != issuer || field(i, "state") != "state of wiki" || (field(i, "code") == "") != (want != "") {
			t.Errorf("%d: %s %v", i, h.postTo[i], h.posts[i])
		}
	}
	b.redeem(field(0, "code")).tokens()
}

func TestARedirectURIWithAQueryKeepsIt(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	to := b.authorize("redirect_uri", "https://wiki.example.com/other?a=b").Header.Get("Location")
	if !strings.HasPrefix(to, "https://wiki.example.com/other?a=b&code=") {
		t.Fatal(to)
	}
}

func TestRequestsThatMayNotBeRedirectedGetAPage(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	b.authorize("client_id", "nobody").shows(400, "client")
	b.authorize("client_id", "").shows(400, "client")
	b.authorize("redirect_uri", "").shows(400, "redirect_uri")
	b.authorize("redirect_uri", "https://evil.example/callback").shows(400, "redirect_uri")
	b.authorize("redirect_uri", "https://spa.example.com/cb").shows(400, "redirect_uri") // another client's
	for _, name := range []string{"client_id", "redirect_uri"} {
		twice := h.ask()
		twice.Add(name, twice.Get(name))
		if a := b.get("/avengers/authorize?" + twice.Encode()); a.StatusCode != 400 || a.Header.Get("Location") != "" {
			t.Errorf("%s twice: %d", name, a.StatusCode)
		}
	}
	b.get("/avengers/authorize?%zz").shows(400, "bad_request")
	if a := b.do("PUT", "/avengers/authorize", nil); a.StatusCode != 405 {
		t.Error(a.StatusCode)
	}
	if a := b.do("HEAD", "/avengers/authorize?"+h.ask().Encode(), nil); a.StatusCode != 405 {
		t.Error("HEAD made a code")
	}
}

func TestFaultsOfARequestGoToTheRelyingPartyAsErrors(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	for name, c := range map[string]struct {
		want string
		with []string
	}{
		"response type missing":          {"invalid_request", []string{"response_type", ""}},
		"OA-03 implicit":                 {"unsupported_response_type", []string{"response_type", "id_token token"}},
		"OA-03 hybrid":                   {"unsupported_response_type", []string{"response_type", "code id_token"}},
		"no openid":                      {"invalid_scope", []string{"scope", "email"}},
		"no scope":                       {"invalid_scope", []string{"scope", ""}},
		"request object":                 {"request_not_supported", []string{"request", "eyJhbGciOiJub25lIn0.e30."}},
		"request_uri":                    {"request_uri_not_supported", []string{"request_uri", "https://wiki.example.com/r"}},
		"registration":                   {"registration_not_supported", []string{"registration", "{}"}},
		"prompt none and login":          {"invalid_request", []string{"prompt", "none login"}},
		"unknown prompt":                 {"invalid_request", []string{"prompt", "create"}},
		"max_age negative":               {"invalid_request", []string{"max_age", "-1"}},
		"max_age no number":              {"invalid_request", []string{"max_age", "soon"}},
		"claims no JSON":                 {"invalid_request", []string{"claims", "{"}},
		"a hint that is none":            {"invalid_request", []string{"id_token_hint", "eyJhbGciOiJub25lIn0.e30."}},
		"a parameter too long":           {"invalid_request", []string{"nonce", strings.Repeat("n", longest+1)}},
		"a parameter that is not text":   {"invalid_request", []string{"nonce", "\xff"}},
		"a parameter with a NUL":         {"invalid_request", []string{"nonce", "a\x00"}},
		"OA-05 plain":                    {"invalid_request", []string{"code_challenge_method", "plain"}},
		"OA-05 no method, hence plain":   {"invalid_request", []string{"code_challenge_method", ""}},
		"OA-05 a method and nothing":     {"invalid_request", []string{"code_challenge", ""}},
		"OA-05 no SHA-256":               {"invalid_request", []string{"code_challenge", "short"}},
		"OA-05 characters":               {"invalid_request", []string{"code_challenge", strings.Repeat("/", 43)}},
		"OA-05 none, where required":     {"invalid_request", []string{"client_id", "strict", "redirect_uri", "https://strict.example.com/cb", "code_challenge", "", "code_challenge_method", ""}},
		"OA-05 none, of a public client": {"invalid_request", []string{"client_id", "spa", "redirect_uri", "https://spa.example.com/cb", "code_challenge", "", "code_challenge_method", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			a := b.authorize(c.with...)
			a.refusal(c.want)
			for _, r := range a.location().Query().Get("error_description") {
				if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
					t.Errorf("an illegal character in %s", a.Header.Get("Location"))
				}
			}
		})
	}
	for _, name := range []string{"state", "scope", "nonce", "prompt", "code_challenge", "response_type", "max_age", "claims"} {
		twice := h.ask("prompt", "login", "max_age", "5", "claims", "{}")
		twice.Add(name, twice.Get(name))
		b.get("/avengers/authorize?" + twice.Encode()).refusal("invalid_request")
	}
}

func TestParametersThatMeanNothingHereNeverFail(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	for name, with := range map[string][]string{
		"unknown": {"extra", "foobar"}, "display": {"display", "popup"}, "ui_locales": {"ui_locales", "se fr-CA xx-invalid-"}, "claims_locales": {"claims_locales", "se"},
		"acr_values": {"acr_values", "1 2"}, "login_hint": {"login_hint", "somebody else"}, "no nonce": {"nonce", ""}, "no state": {"state", ""}, "unknown scope": {"scope", "openid horoscope"},
		"order and all scopes": {"scope", "address phone groups email openid profile"}, "consent": {"prompt", "consent"}, "max_age": {"max_age", "10000"},
		"no PKCE of a confidential client": {"code_challenge", "", "code_challenge_method", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if u := b.authorize(with...).location(); u.Query().Get("code") == "" {
				t.Errorf("%s", u)
			}
		})
	}
	twice := h.ask()
	twice["resource"] = []string{"https://a.example", "https://b.example"}
	b.get("/avengers/authorize?" + twice.Encode()).code()
}

func TestASignInIsBegunWithAllThatWasAsked(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	to := b.authorize("login_hint", "ironman", "ui_locales", "de-AT en", "prompt", "select_account", "max_age", "60").location()
	q := h.guide.asked[h.guide.last]
	if to.Path != "/avengers/flow/"+h.guide.last || q.Client != "wiki" || q.ClientName != "The Wiki" || q.LoginHint != "ironman" || !q.Choose || q.Again ||
		q.MaxAge != time.Minute || strings.Join(q.Languages, " ") != "de-AT en" || q.Origin != "https://wiki.example.com" || q.Context == "" || q.SignOut {
		t.Fatalf("%s %+v", to, q)
	}
	if q.Return != "/authorize/resume?request="+q.Context {
		t.Error(q.Return)
	}
	if claims := b.claimsOf(b.get(b.walk(ironman))); claims["sub"] != ironmanSub {
		t.Error(claims)
	}
	h.browser().authorize("client_id", "app", "redirect_uri", "com.example.app:/cb")
	if q := h.guide.asked[h.guide.last]; q.Origin != "com.example.app:" {
		t.Error(q.Origin)
	}
}

func TestAClientForAGroupDeniesOthers(t *testing.T) {
	h := newHouse(t)
	lab := []string{"client_id", "lab", "redirect_uri", "https://lab.example.com/cb"}
	in, out := h.browser(), h.browser()
	in.signedIn(ironman)
	out.signedIn(pepper)
	code := in.authorize(lab...).code() // Avengers and avengers are one group
	out.authorize(lab...).refusal("access_denied")
	out.authorize(append(lab, "prompt", "select_account")...)
	out.get(out.walk(pepper)).refusal("access_denied")
	if h.events("sign_in.refused") != 2 {
		t.Error("not journalled")
	}
	as := func(code string) answer {
		return in.tokenAs("lab", "lab-secret", "grant_type", "authorization_code", "code", code, "redirect_uri", "https://lab.example.com/cb", "code_verifier", verifier)
	}
	tk := as(in.authorize(lab...).code()).tokens()
	if in.userinfo(tk.access).StatusCode != 200 {
		t.Error("a member's token is no good")
	}
	u := h.guide.users[ironman]
	u.Groups = nil
	h.guide.users[ironman] = u
	in.userinfo(tk.access).fails(401, "invalid_token")
	as(code).fails(400, "invalid_grant")
	delete(h.guide.users, ironman)
	in.authorize(lab...).refusal("access_denied")
}

func TestASignInAtAnotherAppRemembersTheClientUnderTheSession(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	b.authorize().code()
	b.authorize("client_id", "spa", "redirect_uri", "https://spa.example.com/cb").code()
	b.authorize().code()
	s, err := h.p.current(b.request())
	if err != nil || strings.Join(s.Clients, " ") != "spa wiki" {
		t.Fatal(s.Clients, err)
	}
}

// request is a bare one with the browser's cookies.
func (b *browser) request() *http.Request {
	r, _ := http.NewRequest("GET", "/", nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

func TestJudgeIsAsStrictAsItsInputs(t *testing.T) {
	if v := judge(&request{MaxAge: -1}, nil, identity.Good, time.Now()); !v.begin {
		t.Error("no session was enough")
	}
}
