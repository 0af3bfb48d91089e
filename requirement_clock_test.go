package sparekey_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
)

// end is something that lasts for a while. begin begins it, for a user of its own, and the function it gives says whether it lasts still.
type end struct {
	what  string
	lasts time.Duration
	begin func(t *testing.T, h *house, login string) (lasts func() bool)
}

// lasting gives wakanda limits under which a session and a refresh token end by their absolute end alone, and a registration that can be put off.
func lasting(h *house) {
	w := h.cfg.Tenants["wakanda"]
	const year = config.Duration(365 * 24 * time.Hour)
	w.Sessions = sparekey.Sessions{Idle: year, Absolute: config.Duration(7 * 24 * time.Hour)}
	w.Tokens = sparekey.Tokens{RefreshIdle: year, RefreshAbsolute: config.Duration(90 * 24 * time.Hour)}
	w.Policies[0].Registration = sparekey.Registration{Skip: sparekey.Skip{Times: 100}, Snooze: config.Duration(24 * time.Hour)}
	h.cfg.Tenants["wakanda"] = w
}

func inWakanda(h *house, login string) *house {
	h.addUser("wakanda", login, "", login+"@stark.example", "Avengers")
	return h.at("wakanda")
}

// signedIn registers the user's app and gives her browser and her tokens.
func signedIn(t *testing.T, h *house, login string) (*browser, tokens) {
	t.Helper()
	b := h.browser()
	got := h.redeem(b.register(login))
	if got.Refresh == "" {
		t.Fatal(got.raw)
	}
	h.drained() // a clock that jumps meets no mail on its way
	return b, got
}

// resetting is a browser at the first proof of a reset.
func resetting(h *house, login, kind string) *browser {
	b := h.browser()
	b.beginReset(login)
	b.pick(kind)
	return b
}

func alive(b *browser) bool { return b.authorize("prompt", "none").query("code") != "" }

// guessed makes wrong guesses in browsers of their own.
func guessed(n int, come func() *browser, fields func(i int) []string) {
	for i := range n {
		b := come()
		b.post(append(b.puzzle(), fields(i)...)...)
	}
}

func passwordPage(h *house, login string) *browser {
	b := h.browser()
	b.authorize()
	b.post("username", login, "action", "next")
	return b
}

func wrongly(i int) []string {
	return []string{"password", fmt.Sprint("a guess of many ", i), "action", "sign_in"}
}

// mailed is a code that was mailed to the user for what the browser is at, after f.
func (b *browser) mailed(to string, f func()) string {
	before := b.h.mailedTo(to, "code")
	f()
	return b.h.code(before+1, to)
}

func address(login string) string { return login + "@home.example" }

// withAddress is signedIn with an address registered beside the app.
func withAddress(t *testing.T, h *house, login string) *browser {
	b, _ := signedIn(t, h, login)
	h.clock.Advance(time.Minute)
	b.addEmail(address(login), 1)
	b.want("Security info")
	h.drained()
	return b
}

var ends = []end{
	{"a sign-in under way", time.Hour, func(t *testing.T, h *house, login string) func() bool {
		signedIn(t, h, login)
		b := passwordPage(h, login)
		return func() bool { return b.post("password", password, "action", "sign_in").query("code") != "" }
	}},
	{"a reset under way", 15 * time.Minute, func(t *testing.T, h *house, login string) func() bool {
		owner, _ := signedIn(t, h, login)
		b := resetting(h, login, "totp")
		return func() bool {
			return b.post("code", h.totp(owner.key, 0), "action", "verify").h1() == "Choose a new password"
		}
	}},
	{"a change of security info under way", 30 * time.Minute, func(t *testing.T, h *house, login string) func() bool {
		b, _ := signedIn(t, h, login)
		b.manage("action", "add")
		b.want("Keep your account secure")
		return func() bool { return b.get(b.last.url.String()).status == http.StatusOK }
	}},
	{"a request that came by POST", 10 * time.Minute, func(t *testing.T, h *house, login string) func() bool {
		b, _ := signedIn(t, h, login)
		at, asked, _ := strings.Cut(h.authorizeURL(h.tenant), "?")
		form, _ := url.ParseQuery(asked)
		follow := b.client.CheckRedirect
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		to := b.send(at, form).location
		b.client.CheckRedirect = follow
		return func() bool { return b.get(to).query("code") != "" }
	}},
	{"a code that was mailed for a reset", 5 * time.Minute, func(t *testing.T, h *house, login string) func() bool {
		withAddress(t, h, login)
		b := resetting(h, login, "email")
		code := b.mailed(address(login), func() { b.post("email", address(login), "action", "verify") })
		return func() bool { return b.post("code", code, "action", "verify").h1() == "Choose a new password" }
	}},
	{"a code that was mailed to register an address", 5 * time.Minute, func(t *testing.T, h *house, login string) func() bool {
		b, _ := signedIn(t, h, login)
		b.manage("action", "add")
		b.post("choose", "email", "action", "next")
		code := b.mailed(address(login), func() { b.post("email", address(login), "action", "next") })
		return func() bool { return b.post("code", code, "action", "verify").h1() == "Security info" }
	}},
	{"a code that waits for the mail server", 5 * time.Minute, func(t *testing.T, h *house, login string) func() bool {
		withAddress(t, h, login)
		h.mails.failing(func(context.Context) error { return errors.New("down") })
		b := resetting(h, login, "email")
		b.post("email", address(login), "action", "verify")
		before := h.mailedTo(address(login), "code")
		h.outbox(`state = 'waiting' AND (tries = 0 OR leased_until > 0)`) // it has been tried, and lies there for the next time
		return func() bool {
			h.mails.failing(nil)
			h.drained()
			return h.mailedTo(address(login), "code") == before+1
		}
	}},
	{"a step of an app", time.Minute, func(t *testing.T, h *house, login string) func() bool {
		owner, _ := signedIn(t, h, login)
		h.clock.Set(h.clock.Now().Truncate(30 * time.Second).Add(time.Minute))
		b, code := resetting(h, login, "totp"), h.totp(owner.key, 0)
		return func() bool { return b.post("code", code, "action", "verify").h1() == "Choose a new password" }
	}},
	{"a puzzle", 15 * time.Minute, func(t *testing.T, h *house, login string) func() bool {
		signedIn(t, h, login)
		guessed(3, func() *browser { return passwordPage(h, login) }, wrongly)
		b := passwordPage(h, login)
		solved := b.puzzle()
		if solved == nil {
			t.Fatal("no puzzle")
		}
		return func() bool {
			return b.post(append(solved, "password", password, "action", "sign_in")...).query("code") != ""
		}
	}},
	{"a puzzle that is answered by waiting", 15 * time.Minute, func(t *testing.T, h *house, login string) func() bool {
		signedIn(t, h, login)
		guessed(3, func() *browser { return passwordPage(h, login) }, wrongly)
		b := passwordPage(h, login)
		solved := b.puzzle()
		if solved == nil {
			t.Fatal("no puzzle")
		}
		return func() bool {
			return b.post("captcha_id", solved[1], "captcha", "", "password", password, "action", "sign_in").query("code") != ""
		}
	}},
	{"an authorization code", time.Minute, func(t *testing.T, h *house, login string) func() bool {
		b, _ := signedIn(t, h, login)
		p := b.authorize()
		return func() bool { return h.redeem(p).Access != "" }
	}},
	{"an access token", 10 * time.Minute, func(t *testing.T, h *house, login string) func() bool {
		_, got := signedIn(t, h, login)
		return func() bool { return h.userinfo(got.Access) == http.StatusOK }
	}},
	{"a refresh token that is not used", 14 * 24 * time.Hour, func(t *testing.T, h *house, login string) func() bool {
		_, got := signedIn(t, h, login)
		return func() bool { return h.refresh(got.Refresh).Access != "" }
	}},
	{"a refresh token", 90 * 24 * time.Hour, func(t *testing.T, h *house, login string) func() bool {
		w := inWakanda(h, login)
		_, got := signedIn(t, w, login)
		return func() bool { return w.refresh(got.Refresh).Access != "" }
	}},
	{"a session that is not used", 8 * time.Hour, func(t *testing.T, h *house, login string) func() bool {
		b, _ := signedIn(t, h, login)
		return func() bool { return alive(b) }
	}},
	{"a session", 7 * 24 * time.Hour, func(t *testing.T, h *house, login string) func() bool {
		b, _ := signedIn(t, inWakanda(h, login), login)
		return func() bool { return alive(b) }
	}},
	{"“This wasn’t me”", 72 * time.Hour, func(t *testing.T, h *house, login string) func() bool {
		signedIn(t, h, login)
		b := h.browser()
		b.get(notMeLink.FindString(h.await(1, to(login+"@stark.example", "added")).text))
		return func() bool { return b.post("action", "not_me").status == http.StatusOK }
	}},
	{"a registration that was put off", 24 * time.Hour, func(t *testing.T, h *house, login string) func() bool {
		w := inWakanda(h, login)
		b := w.browser()
		b.signIn(login, password)
		b.want("More information required")
		b.post("action", "skip")
		return func() bool { return w.browser().signIn(login, password).query("code") != "" }
	}},
	{"a wait after ten wrong passwords", time.Minute, func(t *testing.T, h *house, login string) func() bool {
		signedIn(t, h, login)
		guessed(10, func() *browser { return passwordPage(h, login) }, wrongly)
		return func() bool {
			b := passwordPage(h, login)
			return b.post(append(b.puzzle(), "password", password, "action", "sign_in")...).query("code") == ""
		}
	}},
	{"a block of resets after five wrong proofs", 24 * time.Hour, func(t *testing.T, h *house, login string) func() bool {
		owner, _ := signedIn(t, h, login)
		guessed(5, func() *browser { return resetting(h, login, "totp") }, func(i int) []string { return []string{"code", h.wrongCode(owner.key, i), "action", "verify"} })
		return func() bool {
			b := resetting(h, login, "totp")
			return b.post("code", h.totp(owner.key, 0), "action", "verify").h1() != "Choose a new password"
		}
	}},
	{"the silence after five codes", 10 * time.Minute, func(t *testing.T, h *house, login string) func() bool {
		withAddress(t, h, login)
		h.clock.Advance(11 * time.Minute) // the code of the registration counted, too
		send := func() { resetting(h, login, "email").post("email", address(login), "action", "verify") }
		for range 5 {
			send()
		}
		h.drained()
		before := h.mailedTo(address(login), "code")
		return func() bool {
			send()
			h.drained()
			return h.mailedTo(address(login), "code") == before
		}
	}},
}

// Whatever lasts is there a second before its end, and gone at its end.
func TestA46_EverythingEndsToTheSecond(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		n := 0
		for _, e := range ends {
			for _, off := range []time.Duration{-time.Second, 0, time.Second} {
				t.Run(fmt.Sprint(e.what, ", ", off), func(t *testing.T) {
					n++
					login := fmt.Sprintf("user%d", n)
					h.drained()
					h.clock.Advance(49 * time.Hour) // nothing that was counted for another counts now
					h.addUser("avengers", login, "", login+"@stark.example", "Avengers")
					lasts := e.begin(t, h, login)
					h.clock.Advance(e.lasts + off)
					if got := lasts(); got != (off < 0) {
						t.Errorf("after %v it lasts: %v", e.lasts+off, got)
					}
				})
			}
		}
	}, lasting)
}

// Some things begin later than they are given out.
func TestA46_NothingBeginsASecondEarly(t *testing.T) {
	h := open(t)
	owner := withAddress(t, h, "ironman")
	for _, off := range []time.Duration{-time.Second, 0} {
		h.clock.Set(h.clock.Now().Truncate(30 * time.Second).Add(5 * time.Minute))
		b := resetting(h, "ironman", "totp")
		code := h.totp(owner.key, 2)
		h.clock.Advance(30*time.Second + off)
		if got := b.post("code", code, "action", "verify").h1() == "Choose a new password"; got != (off == 0) {
			t.Errorf("a step of an app, %v before its time less one step: %v", off, got)
		}
		b = h.browser()
		b.get("/avengers/reset")
		ticket := b.puzzle()[1]
		h.clock.Advance(15*time.Second + off)
		b.post("captcha_id", ticket, "captcha", "", "username", "ironman", "action", "next")
		if got := b.last.error() == ""; got != (off == 0) {
			t.Errorf("a puzzle that is answered by waiting, %v: %v %q", 15*time.Second+off, got, b.last.error())
		}
		b = resetting(h, "ironman", "email")
		b.post("email", address("ironman"), "action", "verify")
		h.clock.Advance(10*time.Second + off)
		b.post("action", "resend")
		if got := !strings.Contains(b.last.body, "only just now"); got != (off == 0) {
			t.Errorf("sending once more, %v: %v %s", 10*time.Second+off, got, b.last.body)
		}
	}
}

// What was used up, ended or counted stays so when the clock is put back, by a little or by ten minutes, and when it jumps ahead and back.
func TestA46_AClockThatIsPutBackMakesNothingGoodAgain(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		n := 0
		for _, back := range []time.Duration{time.Second, 30 * time.Second, 10 * time.Minute} {
			t.Run(back.String(), func(t *testing.T) {
				n++
				login := fmt.Sprintf("user%d", n)
				h.addUser("avengers", login, "", login+"@stark.example", "Avengers")
				h.clock.Advance(49 * time.Hour)
				owner := withAddress(t, h, login)
				h.clock.Set(h.clock.Now().Truncate(30 * time.Second).Add(20 * time.Minute))
				got := h.redeem(owner.authorize())
				redeemed, rotated := owner.authorize(), h.refresh(got.Refresh)
				if h.redeem(redeemed).Access == "" || rotated.Refresh == "" {
					t.Fatal(rotated.raw)
				}
				gone := h.browser()
				gone.signIn(login, password)
				cookie := gone.withSession()
				gone.get("/avengers/logout")
				gone.post("action", "sign_out")
				b := resetting(h, login, "email")
				mailed := b.mailed(address(login), func() { b.post("email", address(login), "action", "verify") })
				here, csrf := b.last.url.String(), b.token()
				b.get(here)
				b.post("code", mailed, "action", "verify")
				b.want("Choose a new password")
				used := []string{h.totp(owner.key, -1), h.totp(owner.key, 0)}
				r := resetting(h, login, "totp")
				r.post("code", used[1], "action", "verify")
				r.want("Choose a new password")
				guessed(3, func() *browser { return passwordPage(h, login) }, wrongly)
				p := passwordPage(h, login)
				solved := p.puzzle()
				p.post(append(solved, wrongly(4)...)...)
				link := notMeLink.FindString(h.await(1, to(login+"@stark.example", "added")).text)

				h.clock.Advance(-back)
				used = append(used, h.totp(owner.key, -1), h.totp(owner.key, 0))
				for _, code := range used {
					if again := resetting(h, login, "totp"); again.post("code", code, "action", "verify").h1() == "Choose a new password" {
						t.Errorf("A15 the app's step %s opens a second reset", code)
					}
				}
				b.send(here, url.Values{"csrf": {csrf}, "code": {mailed}, "action": {"verify"}})
				other := resetting(h, login, "email")
				other.post("email", address(login), "action", "verify")
				if other.post("code", mailed, "action", "verify").h1() == "Choose a new password" {
					t.Error("the mailed code opens a second reset")
				}
				if p.post(append(solved, "password", password, "action", "sign_in")...); p.last.location != "" {
					t.Error("the puzzle is solved twice")
				}
				if alive(cookie) {
					t.Error("the session that was ended lives")
				}
				if h.redeem(redeemed).Access != "" {
					t.Error("the code is redeemed twice")
				}
				if h.refresh(got.Refresh).Access != "" || h.refresh(rotated.Refresh).Access != "" {
					t.Error("the refresh token is used twice, or its family lives on")
				}
				// What was counted is not forgotten: those were five wrong proofs.
				h.clock.Advance(-back)
				if p := h.browser().beginReset(login); p.status != http.StatusTooManyRequests {
					t.Errorf("resets are not blocked any more: %d %q", p.status, p.h1())
				}
				h.clock.Advance(2 * back)
				s := h.browser()
				s.get(link)
				s.post("action", "not_me")
				h.clock.Advance(-back)
				if s = h.browser(); s.get(link).status != http.StatusForbidden {
					t.Error("“This wasn’t me” is good twice")
				}
				if alive(owner) {
					t.Error("her session outlived “This wasn’t me”")
				}
			})
		}
	})
}
