package sparekey_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

const deviceCookie = "sparekey-avengers-device"

// forgeries are values near a true one: every character changed once, cut short, made longer, spelt otherwise.
func forgeries(value string) []string {
	var list []string
	for i := range value {
		b := []byte(value)
		if b[i]++; b[i] == '{' || b[i] == '[' || b[i] == ':' || b[i] == '.' || b[i] == '`' {
			b[i] = 'A'
		}
		list = append(list, string(b))
	}
	for _, n := range []int{1, 8, 21, 32, len(value) - 1} {
		list = append(list, value[:n], value[n:])
	}
	swapped := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 32
		case 'A' <= r && r <= 'Z':
			return r + 32
		}
		return r
	}, value)
	mirrored := []byte(value)
	slices.Reverse(mirrored)
	return append(list, value+"A", value+"=", value+value, "A"+value, "%"+value, swapped, string(mirrored), strings.Repeat("A", len(value)), secret.Token(), secret.Digest(value), "null", "0", "true", "*", "%")
}

// with asks for an address with these cookies and no others, and follows nothing.
func (h *house) with(method, address string, body url.Values, cookies ...string) *http.Response {
	h.t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(body.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", strings.Join(cookies, "; "))
	res, err := served{h.p}.RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	return res
}

// whoseSession tells how prompt=none is answered to a browser with these cookies: a code, or why there is none.
func (h *house) whoseSession(tenant string, cookies ...string) string {
	h.t.Helper()
	res := h.with(http.MethodGet, h.authorizeURL(tenant, "prompt", "none"), nil, cookies...)
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), callback) {
		h.t.Fatalf("prompt=none answers %d %q", res.StatusCode, res.Header.Get("Location"))
	}
	if to.Query().Get("code") != "" {
		return "code"
	}
	return to.Query().Get("error")
}

// A cookie counts as it was given out and in no other spelling, and what else there is counts for none.
func TestA08_OnlyTheVeryCookieThatWasGivenOutCounts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		got := h.redeem(b.register("ironman"))
		session, browser, device := b.cookie(sessionCookie), b.cookie(browserCookie), b.cookie(deviceCookie)
		if len(session) != 43 || len(browser) != 43 || len(device) != 43 {
			t.Fatalf("the cookies are %q, %q, %q", session, browser, device)
		}
		other := h.browser()
		other.register2("hulk")
		list, err := h.admin("avengers").SessionList(t.Context(), h.user("ironman"))
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		// All that can be known of a session without its cookie, and bearer values of other sorts.
		known := []string{list[0].ID, list[0].Key, string(h.user("ironman").ID), "ironman", list[0].Subject, got.ID, got.Access, got.Refresh, b.token(),
			`{"user":"` + string(h.user("ironman").ID) + `"}`, browser, device}

		t.Run("a session", func(t *testing.T) {
			for _, v := range append(forgeries(session), known...) {
				for _, more := range [][]string{nil, {browserCookie + "=" + browser, deviceCookie + "=" + device}} {
					if why := h.whoseSession("avengers", append(more, sessionCookie+"="+v)...); why != "login_required" {
						t.Errorf("%q: %s", v, why)
					}
				}
				if res := h.with(http.MethodGet, h.issuer+"/security-info", nil, sessionCookie+"="+v, browserCookie+"="+browser); res.StatusCode != http.StatusSeeOther {
					t.Errorf("%q opens security info: %d", v, res.StatusCode)
				}
			}
			for how, cookies := range map[string][]string{
				"under another name":             {browserCookie + "=" + session, deviceCookie + "=" + session},
				"under the name of a host":       {"__Host-" + sessionCookie + "=" + session},
				"in another case":                {strings.ToUpper(sessionCookie) + "=" + session},
				"beside one that was planted":    {sessionCookie + "=" + secret.Token(), sessionCookie + "=" + session},
				"before one that was planted":    {sessionCookie + "=" + session, sessionCookie + "=" + secret.Token()},
				"beside another user's":          {sessionCookie + "=" + session, sessionCookie + "=" + other.cookie(sessionCookie)},
				"of the browser alone":           {browserCookie + "=" + browser},
				"of the known browser alone":     {deviceCookie + "=" + device},
				"of both, and of no session":     {browserCookie + "=" + browser, deviceCookie + "=" + device},
				"of another tenant by its value": {strings.Replace(sessionCookie, "avengers", "wakanda", 1) + "=" + session},
			} {
				if why := h.whoseSession("avengers", cookies...); why != "login_required" {
					t.Errorf("a session %s: %s", how, why)
				}
			}
			if why := h.whoseSession("wakanda", sessionCookie+"="+session, strings.Replace(sessionCookie, "avengers", "wakanda", 1)+"="+session); why != "login_required" {
				t.Errorf("A10 in another tenant: %s", why)
			}
			if why := h.whoseSession("avengers", sessionCookie+"="+session); why != "code" {
				t.Errorf("the true one: %s", why)
			}
		})
		t.Run("a browser's flow", func(t *testing.T) {
			b.authorize("prompt", "login")
			b.want("Sign in")
			b.post("username", "ironman", "action", "next")
			at, form := b.last.url.String(), url.Values{"csrf": {b.token()}, "password": {password}, "action": {"sign_in"}}
			refused := func(how string, cookies ...string) {
				t.Helper()
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					if res := h.with(method, at, form, cookies...); res.StatusCode != http.StatusForbidden || len(res.Cookies()) > 0 {
						t.Errorf("%s: %s answers %d and sets %d cookies", how, method, res.StatusCode, len(res.Cookies()))
					}
				}
			}
			for _, v := range append(forgeries(browser), list[0].ID, list[0].Key, session, device, other.cookie(browserCookie)) {
				refused(v, browserCookie+"="+v, sessionCookie+"="+session)
			}
			refused("none", sessionCookie+"="+session)
			refused("beside a planted one", browserCookie+"="+browser, browserCookie+"="+secret.Token())
			refused("after a planted one", browserCookie+"="+secret.Token(), browserCookie+"="+browser)
			refused("in another tenant's name", strings.Replace(browserCookie, "avengers", "wakanda", 1)+"="+browser)
			if res := h.with(http.MethodGet, at, nil, browserCookie+"="+browser); res.StatusCode != http.StatusOK {
				t.Errorf("the true one: %d", res.StatusCode)
			}
		})
		t.Run("a known browser", func(t *testing.T) {
			for _, login := range []string{"ironman", "pepper"} {
				for range 5 { // a stranger uses up what unknown browsers have
					s := h.browser()
					s.beginReset(login)
					if m := first2(hidden(s.last.body, "choose"), "value"); m != "" {
						s.post("choose", m, "action", "next")
					}
					s.chooseEmail("x@evil.example")
					s.post("code", "000000", "action", "verify")
				}
			}
			at := func(login string) (string, string) {
				s := h.browser()
				s.beginReset(login)
				if s.last.status != http.StatusTooManyRequests {
					t.Fatalf("a stranger may go on: %d %s", s.last.status, s.last.h1())
				}
				return s.last.url.String(), browserCookie + "=" + s.cookie(browserCookie)
			}
			mine, as := at("ironman")
			for _, v := range append(forgeries(device), session, browser, other.cookie(deviceCookie)) {
				if res := h.with(http.MethodGet, mine, nil, as, deviceCookie+"="+v); res.StatusCode != http.StatusTooManyRequests {
					t.Errorf("known by %q: %d", v, res.StatusCode)
				}
			}
			for how, more := range map[string]string{"beside a planted one": deviceCookie + "=" + secret.Token() + "; " + deviceCookie + "=" + device, "in another name": sessionCookie + "=" + device} {
				if res := h.with(http.MethodGet, mine, nil, as, more); res.StatusCode != http.StatusTooManyRequests {
					t.Errorf("known %s: %d", how, res.StatusCode)
				}
			}
			if res := h.with(http.MethodGet, mine, nil, as, deviceCookie+"="+device); res.StatusCode != http.StatusOK {
				t.Errorf("by the true one: %d", res.StatusCode)
			}
			hers, as := at("pepper")
			if res := h.with(http.MethodGet, hers, nil, as, deviceCookie+"="+device); res.StatusCode != http.StatusTooManyRequests {
				t.Errorf("her browser is known to another user: %d", res.StatusCode)
			}
		})
	})
}

// A cookie of a session that has ended stays dead, and so does a browser that was forgotten.
func TestA08_ACookieIsNotReplayedAfterItsEnd(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		dead := map[string]string{}
		h.addUser("avengers", "thor", "Thor", "thor@asgard.example")
		live := func() *browser { b := h.browser(); b.register2("hulk"); return b }
		end := func(how string, b *browser, f func(b *browser)) {
			was := b.cookie(sessionCookie)
			if why := h.whoseSession("avengers", sessionCookie+"="+was); why != "code" {
				t.Fatalf("%s: not signed in: %s", how, why)
			}
			f(b)
			if why := h.whoseSession("avengers", sessionCookie+"="+was); why != "login_required" {
				t.Errorf("%s: %s", how, why)
			}
			dead[how] = was
		}
		end("signed out", live(), func(b *browser) { b.get("/avengers/logout"); b.post("action", "sign_out") })
		end("signed in anew", live(), func(b *browser) { b.signInAgain("hulk") })
		end("signed in as somebody else", live(), func(b *browser) {
			if p := b.signInAgain("thor"); p.query("code") == "" {
				t.Fatalf("thor is not signed in: %s", p.h1())
			}
		})
		end("ended from elsewhere", live(), func(*browser) {
			x := live()
			x.get("/avengers/security-info")
			x.post("action", "sign_out_everywhere")
		})
		end("ended by an operator", live(), func(*browser) {
			if err := h.admin("avengers").EndSessions(t.Context(), h.user("hulk"), "test"); err != nil {
				t.Fatal(err)
			}
		})
		end("the password changed", live(), func(b *browser) {
			b.manage("action", "password")
			b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
			b.want("Security info")
			b.manage("action", "password")
			b.post("password", renewed, "action", "sign_in")
			b.post("old", renewed, "new", password, "confirm", password, "action", "next")
			b.want("Security info")
		})
		owner := h.browser()
		owner.register("ironman")
		device := owner.cookie(deviceCookie)
		end("the password reset", owner, func(b *browser) { h.browser().reset("ironman", b.key, renewed) })
		owner.signIn("ironman", renewed)
		end("“This wasn’t me”", owner, func(*browser) {
			b := h.browser()
			b.get(notMeLink.FindString(h.await(1, subject("added")).text))
			b.post("action", "not_me")
		})
		known := false
		h.write("avengers", func(tx store.Tx) error {
			r, _ := http.NewRequest(http.MethodGet, h.issuer, nil)
			r.AddCookie(&http.Cookie{Name: deviceCookie, Value: device})
			known = h.admin("avengers").Guard.KnownBrowser(tx, r, string(h.user("ironman").ID))
			return nil
		})
		if known {
			t.Error("her browser is known after “This wasn’t me”")
		}
		stay := func(when string) {
			for how, v := range dead {
				if why := h.whoseSession("avengers", sessionCookie+"="+v); why != "login_required" {
					t.Errorf("%s%s: %s", how, when, why)
				}
			}
		}
		still := live()
		stay("")
		h.restart()
		stay(", and a restart")
		end("idle too long", still, func(*browser) { h.clock.Advance(8 * time.Hour) })
		stay(", hours later")
	})
}

// Names and bearer values are drawn: none comes twice, in whatever process, and none tells when it was made or what comes next.
func TestA08_IdsNeitherRepeatNorGrowInOrder(t *testing.T) {
	h := open(t)
	drawn := map[string][]string{}
	add := func(what, value string) {
		t.Helper()
		if value == "" {
			t.Fatalf("no %s", what)
		}
		drawn[what] = append(drawn[what], value)
	}
	for range 2 {
		for range 30 {
			b := h.browser()
			b.get("/avengers/reset")
			add("flow", b.last.url.Path[strings.LastIndex(b.last.url.Path, "/")+1:])
			add("browser cookie", b.cookie(browserCookie))
			add("CSRF token", b.token())
			add("request", b.last.header.Get("X-Request-Id"))
			add("nonce", policyNonce.FindStringSubmatch(b.last.header.Get("Content-Security-Policy"))[1])
			add("puzzle", first2(hidden(b.last.body, "captcha_id"), "value"))
		}
		user := h.user("fury")
		for range 30 {
			h.write("avengers", func(tx store.Tx) error {
				a, err := h.admin("avengers").Accounts.Bind(tx, user.ID, identity.Authenticator{Kind: "totp", Data: make([]byte, 20)})
				add("authenticator", a.ID)
				return err
			})
		}
		b := h.browser()
		b.register2("hulk")
		for range 8 {
			add("code", b.authorize("prompt", "none").query("code"))
			got := h.redeem(b.last)
			add("access token", got.Access)
			add("refresh token", got.Refresh)
			s := h.browser()
			add("session", claims(h.redeem(s.register2("hulk")).ID).SID)
			add("session cookie", s.cookie(sessionCookie))
			add("device cookie", s.cookie(deviceCookie))
		}
		h.restart()
	}
	for what, list := range drawn {
		if len(list) < 16 {
			t.Errorf("only %d of %s", len(list), what)
		}
		rising, seen := 0, map[string]string{}
		letters := make([]map[byte]bool, 20)
		for i, v := range list {
			if len(v) < 26 {
				t.Fatalf("%s %q is too short to be beyond guessing", what, v)
			}
			if i > 0 && v > list[i-1] {
				rising++
			}
			for at, part := range map[string]string{"begins": v[:8], "ends": v[len(v)-8:]} {
				if other := seen[at+part]; other != "" && what != "puzzle" {
					t.Errorf("%s %q %s as %q does", what, v, at, other)
				}
				seen[at+part] = v
			}
			for at := range letters {
				if letters[at] == nil {
					letters[at] = map[byte]bool{}
				}
				letters[at][v[at]] = true
			}
		}
		if n := len(list) - 1; rising < n/6 || rising > n-n/6 {
			t.Errorf("%s: %d of %d came after the one before: ordered by time?", what, rising, n)
		}
		if what == "puzzle" {
			continue // sealed: it begins with the name of its key
		}
		for at, different := range letters {
			if len(different) < len(list)/6+2 {
				t.Errorf("%s: only %d different letters at place %d of %d", what, len(different), at, len(list))
			}
		}
	}
}
