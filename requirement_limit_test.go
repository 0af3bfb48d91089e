package sparekey_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/store"
)

// aliases are the names of one user: all of them lead to her.
var aliases = []string{"ironman", "IRONMAN", " ironman ", "\uFF29\uFF32\uFF2F\uFF2E\uFF2D\uFF21\uFF2E", "IronMan\t", "tony@stark.example", "TONY@STARK.EXAMPLE", " tony@Stark.example "}

// nodes are the house's own plugin and another one on the same database, as transports of browsers.
func (h *house) nodes() [2]http.RoundTripper {
	h.t.Helper()
	second := h.plugin()
	h.t.Cleanup(func() { second.Close() })
	return [2]http.RoundTripper{http.DefaultTransport, served{second}}
}

// events counts the journal's rows of that name.
func (h *house) events(name string) (n int) {
	h.t.Helper()
	h.write(h.tenant, func(tx store.Tx) error {
		return tx.Row(`SELECT count(*) FROM journal WHERE tenant = $1 AND event = $2`, name).Scan(&n)
	})
	return n
}

// guess is an answer about to be posted.
type guess struct {
	b      *browser
	fields []string
}

// storm posts all guesses at once and tells how many were answered, by what the journal says, and by what each page does.
func storm(t *testing.T, h *house, guesses []guess) (compared int) {
	t.Helper()
	before := h.events("proof.wrong")
	broken := fifty(t, func(i int) bool {
		g := guesses[i%len(guesses)]
		if i >= len(guesses) {
			return false
		}
		p := g.b.post(g.fields...)
		if p.location != "" || p.h1() == "Choose a new password" && !strings.Contains(p.body, `name="old"`) {
			t.Errorf("guess %d was right: %q %q", i, p.h1(), p.location)
		}
		return p.status >= 500 && p.h1() != "Please wait a moment" // who waits for another's change has made no guess
	})
	if broken > 0 {
		t.Errorf("%d guesses met a failure", broken)
	}
	return h.events("proof.wrong") - before
}

// guessing is a house with ironman, whose first browser proved all long ago and whose second one has just now.
func guessing(t *testing.T, h *house) (old, fresh *browser) {
	t.Helper()
	old, fresh = h.browser(), h.browser()
	old.register("ironman")
	h.clock.Advance(11 * time.Minute)
	fresh.key = old.key
	fresh.signIn("ironman", password)
	if fresh.last.location == "" {
		h.clock.Advance(30 * time.Second)
		fresh.post("code", h.totp(old.key, 0), "action", "verify")
	}
	fresh.manage("action", "add")
	fresh.want("Keep your account secure")
	return old, fresh
}

// A password is asked for at sign-in, before security info is changed, and when it is changed itself. The thief of a session is a stranger there.
func TestA16_PasswordsGuessedAnywhereAreTenInAll(t *testing.T) {
	test := func(t *testing.T, h *house, names []string, compared func() int) {
		old, fresh := guessing(t, h)
		n := 0
		password := func() string { n++; return fmt.Sprint("a guess of many ", n) }
		places := []func(name string, node http.RoundTripper) guess{
			func(name string, node http.RoundTripper) guess {
				b := h.browser()
				b.client.Transport = node
				b.authorize()
				b.post("username", name, "action", "next")
				return guess{b, append(b.puzzle(), "password", password(), "action", "sign_in")}
			},
			func(_ string, node http.RoundTripper) guess {
				b := old.withSession()
				b.client.Transport = node
				b.get("/avengers/security-info")
				b.want("Security info")
				b.post("action", "add")
				b.want("Sign in")
				return guess{b, append(b.puzzle(), "password", password(), "action", "sign_in")}
			},
			func(_ string, node http.RoundTripper) guess {
				b := fresh.withSession()
				b.client.Transport = node
				b.get("/avengers/security-info")
				b.want("Security info")
				b.post("action", "password")
				b.want("Choose a new password")
				return guess{b, []string{"old", password(), "new", renewed, "confirm", renewed, "action", "next"}}
			},
		}
		before, checked := h.events("proof.wrong"), compared()
		for i, place := range places { // one after another first, and a restart between
			g := place(names[i%len(names)], nil)
			g.b.post(g.fields...)
			if e := g.b.last.error(); !strings.Contains(e, "does not fit") && !strings.Contains(e, "not your current password") {
				t.Fatalf("%d: %q %q", i, g.b.last.h1(), g.b.last.error())
			}
		}
		h.restart()
		nodes := h.nodes()
		var guesses []guess
		for i := range 47 {
			guesses = append(guesses, places[i%len(places)](names[i%len(names)], nodes[i/3%2]))
		}
		storm(t, h, guesses)
		if total := h.events("proof.wrong") - before; total > 10 {
			t.Errorf("%d of 50 guesses were answered, want 10", total)
		}
		// Of two changes at once one is not compared, and is given back. What is left of the ten comes one after another.
		for i := range 12 {
			g := places[i%len(places)](names[i%len(names)], nodes[i%2])
			g.b.post(g.fields...)
		}
		if total := h.events("proof.wrong") - before; total != 10 {
			t.Errorf("%d guesses were answered, want 10", total)
		}
		if total := compared() - checked; compared() > 0 && total != 10 {
			t.Errorf("%d guesses were compared, want 10", total)
		}
		for i, place := range places { // the true password is no better now
			g := place(names[i], nodes[i%2])
			for at := range g.fields {
				if g.fields[at] == "password" || g.fields[at] == "old" {
					g.fields[at+1] = jarvis
				}
			}
			if p := g.b.post(g.fields...); p.location != "" || !strings.Contains(p.error(), "too many tries") {
				t.Errorf("%d: the right password is compared: %q %q", i, p.h1(), p.error())
			}
		}
		if p := fresh.signInAgain("ironman"); p.query("code") == "" {
			t.Errorf("A26: her own browser is locked out: %q", p.error())
		}
	}
	each(t, func(t *testing.T, h *house) { test(t, h, aliases, func() int { return 0 }) })
	t.Run("comparisons are counted", func(t *testing.T) {
		m := &directorytest.Memory{}
		m.Add(directorytest.Account{User: directory.User{Login: "ironman", Email: "tony@stark.example", Groups: []string{"Avengers"}}, Password: password})
		test(t, open(t, bring(m)), []string{"ironman", "IRONMAN", "tony@stark.example", "TONY@STARK.EXAMPLE"}, func() int { return int(m.Checked()) })
	})
}

const jarvis = password

// wrongCode is none of the codes that an app with the key shows about now.
func (h *house) wrongCode(key string, i int) string {
	for ; ; i += 1000 {
		code := fmt.Sprintf("%06d", 271828+i)
		if !slices.Contains([]string{h.totp(key, -1), h.totp(key, 0), h.totp(key, 1)}, code) {
			return code
		}
	}
}

// A code is asked for as a second factor and before security info is changed; a right password in between gives no more tries.
func TestA16_CodesGuessedAnywhereAreFiveInAll(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		old, _ := guessing(t, h)
		nodes := h.nodes()
		var guesses []guess
		for i := range 50 {
			b := h.browser()
			switch i % 3 {
			case 0: // the owner's own browser, or who has copied all of it
				b = old.twin()
				fallthrough
			case 1:
				if i%3 == 1 {
					b = old.withSession()
				}
				b.client = &http.Client{Jar: b.jar, Transport: nodes[i%2], CheckRedirect: b.client.CheckRedirect}
				b.get("/avengers/security-info")
				b.want("Security info")
				b.post("action", "add")
				b.post("password", password, "action", "sign_in")
			default:
				b.client.Transport = nodes[i%2]
				b.authorize()
				b.password(aliases[i%len(aliases)], password)
			}
			if !strings.Contains(b.last.body, `name="code"`) {
				t.Fatalf("%d: %q %q", i, b.last.h1(), b.last.error())
			}
			guesses = append(guesses, guess{b, []string{"code", h.wrongCode(old.key, i), "action", "verify"}})
		}
		h.clock.Advance(time.Minute)
		if n := storm(t, h, guesses); n != 5 {
			t.Errorf("%d of 50 guesses were answered, want 5", n)
		}
		for i, g := range guesses[:6] {
			if p := g.b.post("code", h.totp(old.key, 0), "action", "verify"); p.location != "" || !strings.Contains(p.error(), "too many tries") {
				t.Errorf("%d: the right code is compared: %q %q", i, p.h1(), p.error())
			}
		}
	}, rule(func(p *sparekey.Policy) { p.SecondFactor, p.AcceptSingle = "when_registered", true }))
}

// In resets it does not matter which proof is guessed at, in whose spelling, from where and how many resets are begun for it.
func TestA16_ProofsGuessedInResetsAreFiveInAll(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		owner := withEmail(t, h)
		nodes := h.nodes()
		at := func(i int) *browser {
			b := h.browser()
			b.client.Transport = nodes[i%2]
			b.beginReset(aliases[i%len(aliases)])
			if i%3 == 0 {
				b.chooseEmail("tony@home.example")
			} else {
				b.pick("totp")
			}
			if !strings.Contains(b.last.body, `name="code"`) {
				t.Fatalf("%d: %q %q", i, b.last.h1(), b.last.error())
			}
			return b
		}
		var guesses []guess
		for i := range 50 {
			guesses = append(guesses, guess{at(i), []string{"code", h.wrongCode(owner.key, i), "action", "verify"}})
		}
		// Where a wait is shown there is no form any more, but whoever had it before still posts it.
		type form struct {
			b        *browser
			at, csrf string
		}
		var mailed []form
		for _, g := range guesses[:2] { // the first waits for a mailed code, the second for one of the app
			mailed = append(mailed, form{g.b, g.b.last.url.String(), g.b.token()})
		}
		code := h.code(2, "tony@home.example")
		h.clock.Advance(time.Minute)
		if n := storm(t, h, guesses); n != 5 {
			t.Errorf("%d of 50 guesses were answered, want 5", n)
		}
		for i, right := range []string{code, h.totp(owner.key, 0)} {
			p := mailed[i].b.send(mailed[i].at, url.Values{"csrf": {mailed[i].csrf}, "code": {right}, "action": {"verify"}})
			if p.h1() == "Choose a new password" || p.status != http.StatusTooManyRequests {
				t.Errorf("%d: the right code is compared: %d %q", i, p.status, p.h1())
			}
		}
		// Known browsers have five of their own, and no more.
		before := h.events("proof.wrong")
		for i := range 8 {
			b := owner.twin()
			b.beginReset(aliases[i%len(aliases)])
			b.pick("totp")
			b.post("code", h.wrongCode(owner.key, i), "action", "verify")
		}
		if n := h.events("proof.wrong") - before; n != 5 {
			t.Errorf("%d of 8 guesses from her own browser were answered, want 5", n)
		}
	})
}

// The count is on disk before an answer is compared. So whatever fails afterwards, the guess was one.
func TestA16_AGuessCountsAlthoughItsRequestFails(t *testing.T) {
	storetestEach := func(t *testing.T, f func(t *testing.T, h *house, m *directorytest.Memory)) {
		m := &directorytest.Memory{}
		m.Add(directorytest.Account{User: directory.User{Login: "ironman", Email: "tony@stark.example", Groups: []string{"Avengers"}}, Password: password})
		each(t, func(t *testing.T, h *house) { f(t, h, m) }, bring(m), rule(func(p *sparekey.Policy) { p.SecondFactor, p.AcceptSingle = "when_registered", true }), with(func(t *sparekey.Tenant) {
			t.Limits = guard.Limits{SignIn: guard.Passwords{After: 100, Captcha: 100}}
		}))
	}
	storetestEach(t, func(t *testing.T, h *house, m *directorytest.Memory) {
		owner := h.browser()
		owner.register("ironman")
		h.clock.Advance(time.Minute)
		h.stop() // what runs beside the requests would meet the failures meant for them
		<-h.stopped
		id := string(h.user("ironman").ID)
		counted := func(trial guard.Trial) (n int) {
			h.write("avengers", func(tx store.Tx) (err error) {
				_, n, err = h.admin("avengers").Guard.Peek(tx, trial)
				return err
			})
			return n
		}
		for _, c := range []struct {
			name  string
			trial guard.Trial
			come  func() *browser
			post  func(i int) []string
		}{
			{"a password", guard.Trial{For: guard.SignIn, User: id, Network: "127.0.0.1"}, func() *browser {
				b := h.browser()
				b.authorize()
				b.post("username", "ironman", "action", "next")
				return b
			}, func(i int) []string {
				return []string{"password", fmt.Sprint("a guess of many ", i), "action", "sign_in"}
			}},
			{"a code", guard.Trial{For: guard.Code, User: id, Authenticator: "totp/" + id, Network: "127.0.0.1"}, func() *browser {
				h.clock.Advance(49 * time.Hour) // each try has all its tries left
				b := h.browser()
				b.signIn("ironman", password)
				return b
			}, func(i int) []string { return []string{"code", h.wrongCode(owner.key, i), "action", "verify"} }},
			{"a proof in a reset", guard.Trial{For: guard.Reset, User: id, Network: "127.0.0.1"}, func() *browser {
				h.clock.Advance(49 * time.Hour)
				b := h.browser()
				b.beginReset("ironman")
				b.pick("totp")
				return b
			}, func(i int) []string { return []string{"code", h.wrongCode(owner.key, i), "action", "verify"} }},
		} {
			t.Run(c.name, func(t *testing.T) {
				failed := 0
				for n, more := 1, true; more; n++ {
					b := c.come()
					b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
					had, looked, calls := counted(c.trial), m.Checked(), 0
					h.failing(func(string) error {
						if calls++; calls == n {
							return store.ErrUnavailable
						}
						return nil
					})
					p := b.post(c.post(n)...)
					h.failing(nil)
					more = calls >= n
					got := counted(c.trial) - had
					switch {
					case p.status < 500 && got != 1:
						t.Errorf("call %d: answered %d, and counted %d", n, p.status, got)
					case m.Checked() > looked && got != 1:
						t.Errorf("call %d: compared, answered %d, and counted %d", n, p.status, got)
					case p.status >= 500 && got == 1:
						failed++
					}
				}
				if failed < 2 {
					t.Errorf("%d guesses failed and counted", failed)
				}
			})
		}
	})
}
