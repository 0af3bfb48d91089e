package sparekey_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// counted is what counts against somebody now: how many wrong answers, for all purposes but messages.
func (h *house) counted(login string) (n int) {
	h.t.Helper()
	u := h.user(login)
	h.write("avengers", func(tx store.Tx) error {
		holds, err := h.admin("avengers").Guard.Holds(tx, string(u.ID))
		for _, x := range holds {
			if x.For != "send" {
				n += x.Failures
			}
		}
		return err
	})
	return n
}

// commitsFail makes so many commits fail, from the n-th on.
func (h *house) commitsFail(n, many int) {
	var lock sync.Mutex
	h.failing(func(op string) error {
		lock.Lock()
		defer lock.Unlock()
		if op == "commit" {
			if n--; n <= 0 && n > -many {
				return errors.New("no space left on device")
			}
		}
		return nil
	})
}

// answer is one place where something is typed that guard counts.
type answer struct {
	to    func(h *house, m *meddling, b *browser) *browser // leads there
	right func(h *house, b *browser) []string
	wrong func(i int) []string
	done  func(page) bool
	limit int // so many wrong ones are free
	deed  int // which commit after the one that counts the answer is that of the deed
}

// answers are all of them. b has registered an app and is signed in.
func answers() map[string]answer {
	code := func(h *house, b *browser) []string { return []string{"code", h.totp(b.key, 0), "action", "verify"} }
	noCode := func(i int) []string { return []string{"code", fmt.Sprintf("%06d", i), "action", "verify"} }
	shows := func(h1 string) func(page) bool { return func(p page) bool { return p.h1() == h1 } }
	return map[string]answer{
		"a password at sign-in": {func(h *house, _ *meddling, _ *browser) *browser {
			s := h.browser()
			s.authorize()
			s.post("username", "loki", "action", "next")
			return s
		}, func(*house, *browser) []string { return []string{"password", password, "action", "sign_in"} },
			func(i int) []string {
				return []string{"password", fmt.Sprint("a-wrong-password-", i), "action", "sign_in"}
			},
			func(p page) bool { return p.query("code") != "" }, 10, 1},
		"a code in a reset": {func(h *house, _ *meddling, b *browser) *browser {
			r := h.browser()
			r.beginReset("loki")
			r.key = b.key
			h.clock.Advance(30 * time.Second)
			return r
		}, code, noCode, shows("Choose a new password"), 5, 1},
		"a code before a change": {func(h *house, _ *meddling, b *browser) *browser {
			h.clock.Advance(11 * time.Minute)
			b.get("/avengers/security-info")
			b.post("action", "add")
			b.post("password", password, "action", "sign_in")
			h.clock.Advance(30 * time.Second)
			return b
		}, code, noCode, shows("Keep your account secure"), 5, 1},
		"a code that binds an app": {func(h *house, m *meddling, b *browser) *browser {
			b.manage("action", "add")
			b.post("choose", "totp", "action", "next")
			b.post("action", "next")
			x := b.twin()
			x.key = first(b.last.body, `(?s)data-secret[^>]*>(.*?)<`)
			x.post("action", "next")
			return x
		}, code, noCode, shows("Security info"), 5, 1},
		"the old password in a change": {func(h *house, _ *meddling, b *browser) *browser {
			b.manage("action", "password")
			b.want("Choose a new password")
			return b
		}, func(*house, *browser) []string {
			return []string{"old", password, "new", renewed, "confirm", renewed, "action", "next"}
		}, func(i int) []string {
			return []string{"old", fmt.Sprint("a-wrong-password-", i), "new", renewed, "confirm", renewed, "action", "next"}
		}, shows("Security info"), 10, 2},
	}
}

// A right answer whose deed could not be committed counts for nothing; a wrong one counts whatever else fails.
func TestA16_A47_AStoreThatIsAwayTakesNoTriesAndGivesNone(t *testing.T) {
	for name, a := range answers() {
		t.Run(name, func(t *testing.T) {
			h, m, b, _ := meddled(t, quietly)
			x := a.to(h, m, b)
			at := x.last.url.String()
			if a.deed == 1 {
				for i := range a.limit + 2 {
					x.get(at)
					h.commitsFail(2, 1)
					if p := x.post(a.right(h, x)...); p.status != http.StatusServiceUnavailable {
						t.Fatalf("try %d is answered %d %q %q", i, p.status, p.h1(), p.error())
					}
					h.failing(nil)
				}
				if n := h.counted("loki"); n != 0 {
					t.Errorf("%d right answers count as wrong", n)
				}
			}
			for i := range a.limit {
				x.get(at)
				puzzle, n := x.puzzle(), 1+a.deed
				if puzzle != nil {
					n++ // its ticket is spent first
				}
				h.commitsFail(n, 2)
				if p := x.post(append(puzzle, a.wrong(i)...)...); p.status != http.StatusServiceUnavailable {
					t.Fatalf("wrong answer %d: %d %q %q", i, p.status, p.h1(), p.error())
				}
				h.failing(nil)
				if err := h.p.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				if name == "the old password in a change" {
					break
				}
			}
			if n := h.counted("loki"); name == "the old password in a change" {
				if n != 1 {
					t.Errorf("%d wrong answers count, one was given", n)
				}
				return
			}
			x.get(at)
			if p := x.post(append(x.puzzle(), a.right(h, x)...)...); a.done(p) {
				t.Errorf("%d wrong answers whose pages failed did not count", a.limit)
			}
		})
	}
}

func TestA16_AChangeWhoseEndCouldNotBeCommittedTakesNoTries(t *testing.T) {
	a := answers()["the old password in a change"]
	for name, commits := range map[string]struct{ first, many int }{"the intent": {2, 1}, "the end, twice": {3, 2}} {
		t.Run(name, func(t *testing.T) {
			h, m, b, _ := meddled(t, quietly)
			x := a.to(h, m, b)
			h.commitsFail(commits.first, commits.many)
			if p := x.post(a.right(h, x)...); p.status != http.StatusServiceUnavailable {
				t.Fatalf("%d %q", p.status, p.h1())
			}
			h.failing(nil)
			if n := h.counted("loki"); n != 0 {
				t.Errorf("%d right answers count as wrong", n)
			}
		})
	}
}

// The same wrong password once more is taken back; when that fails the page does, and the change goes on all the same.
func TestA47_AWrongPasswordThatCannotBeTakenBackLeavesNoIntent(t *testing.T) {
	a := answers()["the old password in a change"]
	h, m, b, _ := meddled(t, quietly)
	x := a.to(h, m, b)
	x.post(a.wrong(1)...)
	h.commitsFail(3, 1) // after the answer's and the intent's
	if p := x.post(a.wrong(1)...); p.status != http.StatusServiceUnavailable {
		t.Fatalf("%d %q %q", p.status, p.h1(), p.error())
	}
	h.failing(nil)
	x.get(x.last.url.String())
	x.want("Choose a new password")
	if n := h.counted("loki"); n != 2 {
		t.Errorf("%d wrong answers count, and one of two could not be taken back", n)
	}
}

// Whoever is second with the same right answer in the same flow has typed nothing wrong.
func TestA16_ASecondTabWithTheRightAnswerTakesNoTries(t *testing.T) {
	for name, a := range answers() {
		if a.deed != 1 {
			continue // the second tab waits: it is not asked
		}
		t.Run(name, func(t *testing.T) {
			h, m, b, _ := meddled(t, quietly)
			x := a.to(h, m, b)
			y := x.twin()
			form := a.right(h, x)
			begins := 0
			h.failing(func(op string) error {
				if op == "begin" {
					begins++
				}
				if begins == 3 { // flow and account have been read, the answer has not been counted
					h.failing(nil)
					y.post(form...)
				}
				return nil
			})
			x.post(form...)
			if !a.done(y.last) || begins != 3 {
				t.Fatalf("the first tab meets %d %q %q", y.last.status, y.last.h1(), y.last.error())
			}
			if n := h.counted("loki"); n != 0 {
				t.Errorf("%d right answers count as wrong", n)
			}
		})
	}
}

// A code that was used already is no right answer, wherever it comes again.
func TestA16_A15_AUsedCodeComesAtTheCostOfATry(t *testing.T) {
	h, _, b, _ := meddled(t)
	r := h.browser()
	r.beginReset("loki")
	r.proveApp(b.key)
	r.want("Choose a new password")
	code := h.totp(b.key, 0)
	for i := range 5 {
		x := h.browser()
		x.beginReset("loki")
		if p := x.post("code", code, "action", "verify"); p.h1() == "Choose a new password" {
			t.Fatal("a code was good twice")
		}
		if n := h.counted("loki"); n != i+1 {
			t.Fatalf("%d count after %d used codes", n, i+1)
		}
	}
}
