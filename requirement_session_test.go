package sparekey_test

import (
	"fmt"
	"net/http"

	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
)

func TestSE01_ASessionIsARandomReferenceThatTheDatabaseDoesNotHold(t *testing.T) {
	h := open(t)
	seen := map[string]bool{}
	for range 4 {
		b := h.browser()
		b.register2("hulk")
		for _, name := range []string{sessionCookie, browserCookie} {
			v := b.cookie(name)
			if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(v) || seen[v] {
				t.Errorf("%s is %q", name, v)
			}
			if seen[v] = true; h.inDatabase(v) || strings.Contains(h.logged(), v) {
				t.Errorf("the value of %s is in the database or in the log", name)
			}
		}
	}
	// What was not given out is no session: changed, cut, doubled.
	b := h.browser()
	b.register2("hulk")
	good := b.cookie(sessionCookie)
	for _, v := range []string{good[:42], good + "A", strings.ToUpper(good), strings.Repeat("A", 43), "", b.cookie(browserCookie)} {
		thief := h.browser()
		thief.header = http.Header{"Cookie": {sessionCookie + "=" + v}}
		if p := thief.authorize("prompt", "none"); p.query("error") != "login_required" {
			t.Errorf("a session by %q: %q", v, p.location)
		}
	}
	thief := h.browser()
	thief.header = http.Header{"Cookie": {sessionCookie + "=" + good}}
	if p := thief.authorize("prompt", "none"); p.query("code") == "" {
		t.Errorf("the true value is refused: %q", p.location)
	}
}

// register2 signs somebody in who is asked for nothing else.
func (b *browser) register2(login string) page {
	b.h.t.Helper()
	p := b.signIn(login, password)
	if p.query("code") == "" {
		b.h.t.Fatalf("%s is not signed in: %d %s %s", login, p.status, p.h1(), p.error())
	}
	return p
}

func TestSE02_EverySignInAndEveryNewProofChangesTheCookie(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.authorize()
	before := b.cookie(browserCookie)
	if b.cookie(sessionCookie) != "" {
		t.Error("SE-06: opening the page began a session")
	}
	b.password("ironman", password)
	if b.cookie(sessionCookie) != "" {
		t.Error("a session began before the registration")
	}
	b.app()
	b.post("action", "done")
	dead := func(how string, was *browser) {
		t.Helper()
		if b.cookie(sessionCookie) == was.cookie(sessionCookie) {
			t.Errorf("%s: the cookie is the old one", how)
		}
		if p := was.authorize("prompt", "none"); p.query("error") != "login_required" {
			t.Errorf("%s: the old cookie still signs in: %q", how, p.location)
		}
		if p := b.authorize("prompt", "none"); p.query("code") == "" {
			t.Errorf("%s: the new cookie does not sign in: %q", how, p.location)
		}
	}
	if b.cookie(sessionCookie) == before || b.cookie(browserCookie) != before {
		t.Error("the cookie of before the sign-in was promoted")
	}
	was := b.withSession()
	b.authorize("prompt", "login")
	b.want("Sign in")
	b.password("ironman", password)
	dead("prompt=login", was)
	was = b.withSession()
	h.clock.Advance(11 * time.Minute)
	b.manage("action", "add")
	b.want("Keep your account secure")
	dead("a proof before a change", was)
	was = b.withSession()
	b.manage("action", "password")
	b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
	dead("a change of password", was)
}

func TestSE03_ASessionEndsIdleAndInAnyCase(t *testing.T) {
	h := open(t, with(func(t *sparekey.Tenant) {
		t.Sessions = sparekey.Sessions{Idle: config.Duration(time.Hour), Absolute: config.Duration(3 * time.Hour)}
	}))
	alive := func(b *browser) bool { return b.authorize("prompt", "none").query("code") != "" }
	idle, used := h.browser(), h.browser()
	idle.register2("hulk")
	used.register2("hulk")
	h.clock.Advance(time.Hour - time.Second)
	if !alive(used) {
		t.Fatal("over too early")
	}
	h.clock.Advance(time.Second)
	if alive(idle) {
		t.Error("an idle session of an hour is alive")
	}
	for h.clock.Advance(50 * time.Minute); h.clock.Now().Before(time.Date(2026, 6, 1, 14, 59, 59, 0, time.UTC)); h.clock.Advance(30 * time.Minute) {
		if !alive(used) {
			t.Fatalf("used, and over at %v", h.clock.Now())
		}
	}
	h.clock.Set(time.Date(2026, 6, 1, 15, 0, 0, 0, time.UTC))
	if alive(used) {
		t.Error("the absolute limit does not hold")
	}
}

func TestSE04_SheSeesAndEndsHerSessions(t *testing.T) {
	h := open(t)
	alive := func(b *browser) bool { return b.authorize("prompt", "none").query("code") != "" }
	here, there, third, foreign := h.browser(), h.browser(), h.browser(), h.browser()
	here.register2("hulk")
	h.clock.Advance(10 * time.Minute)
	there.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 20_0) Safari/600"
	there.register2("hulk")
	third.register2("hulk")
	h.addUser("avengers", "thor", "Thor", "thor@asgard.example")
	foreign.register2("thor")
	list, err := h.admin("avengers").SessionList(t.Context(), h.user("hulk"))
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	others, err := h.admin("avengers").SessionList(t.Context(), h.user("thor"))
	if err != nil || len(others) != 1 {
		t.Fatal(others, err)
	}
	here.get("/avengers/security-info")
	if !strings.Contains(here.last.body, "Safari on iPhone") || strings.Contains(here.last.body, others[0].ID) {
		t.Error("the list of sessions is not hers")
	}
	// Another user's session is not hers to end.
	if p := here.post("action", "sign_out", "id", others[0].ID); p.status != http.StatusForbidden || !alive(foreign) {
		t.Errorf("A30: she ended another user's session: %d", p.status)
	}
	here.get("/avengers/security-info")
	for _, s := range list {
		if strings.Contains(s.Agent, "iPhone") {
			here.post("action", "sign_out", "id", s.ID)
		}
	}
	if alive(there) || !alive(here) || !alive(third) {
		t.Errorf("after signing out the phone: phone %v, here %v, third %v", alive(there), alive(here), alive(third))
	}
	if err := h.admin("avengers").EndSessions(t.Context(), h.user("hulk"), "test"); err != nil {
		t.Fatal(err)
	}
	if alive(here) || alive(third) || !alive(foreign) {
		t.Error("an operator ends all of a user's sessions and nobody else's")
	}
	// Signing out by the visible way.
	here.register2("hulk")
	was := here.withSession()
	here.get("/avengers/logout")
	if !alive(was) {
		t.Error("SE-06: a GET signed out")
	}
	here.get("/avengers/logout")
	here.want("Sign out?")
	here.post("action", "sign_out")
	if alive(was) || here.cookie(sessionCookie) != "" {
		t.Error("signed out, and the cookie still signs in")
	}
}

func TestSE06_NoGETBeginsASession(t *testing.T) {
	h := open(t)
	owner := h.browser()
	owner.register("ironman")
	owner.watch(func(r *http.Request, _ []byte, send func(*http.Request) *http.Response) *http.Response {
		res := send(r)
		for _, c := range res.Cookies() {
			if c.Name == sessionCookie && c.MaxAge >= 0 && r.Method == http.MethodGet {
				t.Errorf("GET %s sets a session", r.URL.Path)
			}
		}
		return res
	})
	h.clock.Advance(11 * time.Minute)
	owner.addEmail("tony@home.example", 1)
	owner.authorize("prompt", "login")
	owner.password("ironman", password)
	if owner.last.query("code") == "" {
		t.Fatal(owner.last.h1())
	}
	// A link to a flow that another browser has walked to its end signs nobody in.
	b := h.browser()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.get(h.authorizeURL("avengers"))
	b.get(b.last.location)
	b.post("username", "hulk", "action", "next")
	b.get(b.last.location)
	b.post("password", password, "action", "sign_in")
	victim := h.browser()
	if p := victim.get(b.last.location); victim.cookie(sessionCookie) != "" || p.query("code") != "" {
		t.Errorf("login by a link: %q", p.location)
	}
}

// Whoever takes a browser over does not go on with what its last user was doing.
func TestSE07_A29_AnotherUserNeverContinuesTheFirstOnesAction(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		name string
		task []string
		do   []string
	}{
		{"a method about to be added", []string{"action", "add"}, []string{"choose", "email", "action", "next"}},
		{"a password about to be changed", []string{"action", "password"}, []string{"old", password, "new", renewed, "confirm", renewed, "action", "next"}},
	} {
		for _, over := range []string{"another user signs in", "she signs out"} {
			t.Run(c.name+", then "+over, func(t *testing.T) {
				login := fmt.Sprintf("user%d", time.Now().UnixNano())
				h.addUser("avengers", login, "User", login+"@stark.example", "Avengers")
				b := h.browser()
				b.register(login)
				b.manage(c.task...)
				standing := b.last
				if over == "she signs out" {
					b.get("/avengers/logout")
					b.post("action", "sign_out")
				} else {
					b.authorize("prompt", "login")
					b.password("hulk", password)
					if b.last.query("code") == "" {
						t.Fatalf("%s %s", b.last.h1(), b.last.error())
					}
				}
				cookie := b.cookie(sessionCookie)
				b.last = standing
				if p := b.post(c.do...); p.status != http.StatusForbidden {
					t.Errorf("the action went on: %d %s", p.status, p.h1())
				}
				if p := b.get(standing.url.String()); p.status != http.StatusForbidden {
					t.Errorf("its page is still shown: %d %s", p.status, p.h1())
				}
				if b.cookie(sessionCookie) != cookie {
					t.Error("the session of the browser changed hands")
				}
				if p := h.browser().signIn(login, password); p.query("code") == "" {
					t.Errorf("her password was changed: %s", p.h1())
				}
				if list, err := h.admin("avengers").Methods(t.Context(), h.user("hulk")); err != nil || len(list) != 0 {
					t.Errorf("the other user holds %v, %v", list, err)
				}
			})
		}
	}
	t.Run("a hint names whose action it is", func(t *testing.T) {
		b := h.browser()
		got := h.redeem(b.register("ironman"))
		b.authorize("prompt", "login", "id_token_hint", got.ID)
		b.password("hulk", password)
		if b.last.query("code") != "" {
			t.Error("another user answered a request for ironman")
		}
	})
	t.Run("a reset asked for in a browser belongs to the name typed", func(t *testing.T) {
		b := h.browser()
		b.register2("hulk")
		b.beginReset("nobody")
		if p := b.post("new", renewed, "confirm", renewed, "action", "next"); strings.Contains(p.h1(), "has been reset") {
			t.Error(p.h1())
		}
		if p := h.browser().signIn("hulk", password); p.query("code") == "" {
			t.Error("the signed-in user's password was reset")
		}
	})
}
