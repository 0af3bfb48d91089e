package provider

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// push brings the wiki's request, with what more says, and gives the answer.
func (b *browser) push(more ...string) answer {
	b.h.t.Helper()
	return b.do("POST", b.h.p.path+pushPath, b.h.ask(more...), "Authorization", basic("wiki", wikiSecret))
}

// uri is that of the request that was pushed.
func (a answer) uri() string {
	a.t.Helper()
	v := a.json()
	uri, _ := v["request_uri"].(string)
	if a.StatusCode != 201 || !strings.HasPrefix(uri, pushedURI) || len(uri) < len(pushedURI)+43 || v["expires_in"] != 90.0 || a.Header.Get("Cache-Control") != "no-store" {
		a.t.Fatalf("not a pushed request: %d %s", a.StatusCode, a.body)
	}
	return uri
}

// bring takes the browser to the authorization endpoint with the URI.
func (b *browser) bring(uri, client string, more ...string) answer {
	b.h.t.Helper()
	return b.get(b.h.p.path + authorizePath + "?" + form(append(more, "client_id", client, "request_uri", uri)...).Encode())
}

func TestAPushedRequestIsWhatIsAnsweredAndNothingBesideIt(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	uri := b.push("scope", "openid email", "state", "pushed state").uri()
	b.signedIn(ironman)
	a := b.bring(uri, "wiki", "scope", "openid phone", "state", "other", "redirect_uri", "https://evil.example/", "response_mode", "fragment", "prompt", "none")
	if q := a.location().Query(); q.Get("state") != "pushed state" || !strings.HasPrefix(a.location().String(), callback+"?") {
		t.Fatal(a.location())
	}
	if tk := b.redeem(a.code()).tokens(); tk.all["scope"] != "openid email" {
		t.Error(tk.all["scope"])
	}
	b.bring(uri, "wiki").shows(400, "expired") // answered
}

func TestAPushedRequestIsThereUntilItIsAnswered(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	uri := b.push().uri()
	b.bring(uri, "wiki").location()
	b.bring(uri, "wiki").location() // she loads the page again
	back := b.walk(ironman)
	b.redeem(b.get(back).code()).tokens()
	b.bring(uri, "wiki").shows(400, "expired")

	uri = b.push().uri() // by POST as well
	to := b.do("POST", "/avengers/authorize", form("client_id", "wiki", "request_uri", uri)).location().String()
	b.get(to).code()
	b.get(to).shows(400, "expired")
}

func TestA13_OfManyThatBringOnePushedRequestOneIsAnswered(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	uri := b.push().uri()
	var mu sync.Mutex
	var all sync.WaitGroup
	codes := 0
	for range 50 {
		all.Go(func() {
			own := &browser{h, map[string]string{}}
			mu.Lock()
			for k, v := range b.cookies {
				own.cookies[k] = v
			}
			mu.Unlock()
			a := own.bring(uri, "wiki")
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(a.Header.Get("Location"), "code=") {
				codes++
			} else if a.StatusCode != 400 {
				t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
			}
		})
	}
	all.Wait()
	if codes != 1 {
		t.Errorf("%d codes were given", codes)
	}
}

func TestAPushedRequestIsGoodForItsClientAndForAShortTime(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	uri := b.push().uri()
	b.bring(uri, "rsa").shows(400, "expired")
	b.bring(uri, "").shows(400, "expired")
	b.bring(uri+"x", "wiki").shows(400, "expired")
	b.bring(pushedURI, "wiki").shows(400, "expired")
	b.bring(pushedURI+"\x00", "wiki").shows(400, "expired")
	b.bring(pushedURI+strings.Repeat("x", 5000), "wiki").shows(400, "expired")
	h.clock.Advance(90 * time.Second)
	b.bring(uri, "wiki").shows(400, "expired")

	h.authorizeRefuses(b, "wiki", url.Values{"request_uri": {"https://wiki.example.com/request.jwt"}}, "request_uri_not_supported")
}

// authorizeRefuses checks the error that a request of the wiki with more leads to.
func (h *house) authorizeRefuses(b *browser, client string, more url.Values, code string) {
	h.t.Helper()
	v := h.ask("client_id", client)
	for name, values := range more {
		v[name] = values
	}
	b.get(h.p.path + authorizePath + "?" + v.Encode()).refusal(code)
}

func TestWhatIsPushedIsCheckedAtOnceAndTheClientLearnsIt(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.push("redirect_uri", "https://evil.example/").fails(400, "invalid_request")
	b.push("response_type", "token").fails(400, "unsupported_response_type")
	b.push("scope", "email").fails(400, "invalid_scope")
	b.push("request_uri", pushedURI+"x").fails(400, "invalid_request")
	b.push("request", "x").fails(400, "request_not_supported")
	b.push("id_token_hint", "x").fails(400, "invalid_request")
	b.push("code_challenge_method", "plain").fails(400, "invalid_request")
	b.push("client_id", "rsa").fails(401, "invalid_client")
	b.push("state", strings.Repeat("ü", 2000), "nonce", strings.Repeat("x", 2000)).fails(413, "invalid_request")
	b.do("POST", "/avengers/par", h.ask(), "Authorization", basic("wiki", "wrong")).fails(401, "invalid_client")
	b.do("POST", "/avengers/par", h.ask("client_id", "spa", "redirect_uri", "https://spa.example.com/cb", "code_challenge", "", "code_challenge_method", "")).fails(400, "invalid_request") // PKCE
	b.do("POST", "/avengers/par", h.ask("client_id", "spa", "redirect_uri", "https://spa.example.com/cb")).uri()
	if n := h.count("pushed"); n != 1 {
		t.Errorf("%d are kept", n)
	}
	if h.stored(wikiSecret) {
		t.Error("the secret is kept")
	}
}

func TestAClientThatHasToPushIsRefusedOtherwise(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	at := []string{"client_id", "pusher", "redirect_uri", "https://pusher.example.com/cb"}
	b.authorize(at...).refusal("invalid_request")
	form := h.ask(at...)
	form.Set("client_secret", "pusher-secret")
	uri := b.do("POST", "/avengers/par", form).uri()
	b.bring(uri, "pusher").code()
	if h.stored("pusher-secret") {
		t.Error("the secret is kept")
	}
}
