package sparekey_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// fifty calls f fifty times at once and counts how often it says yes.
func fifty(t *testing.T, f func(i int) bool) int {
	t.Helper()
	return atOnce(50, f)
}

// atOnce calls f n times at once and counts how often it says yes.
func atOnce(n int, f func(i int) bool) int {
	var yes atomic.Int32
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			if f(i) {
				yes.Add(1)
			}
		})
	}
	close(start)
	all.Wait()
	return int(yes.Load())
}

// twin is a second browser with the same cookies, on the same page: another request of the same tab.
func (b *browser) twin() *browser {
	c := *b
	return &c
}

func TestA13_OfFiftySimultaneousUsesExactlyOneSucceeds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		done := b.register("ironman")

		t.Run("an authorization code", func(t *testing.T) {
			got := fifty(t, func(int) bool { return h.redeem(done).status == http.StatusOK })
			if got != 1 {
				t.Errorf("%d redeemed it", got)
			}
		})
		t.Run("a refresh token", func(t *testing.T) {
			fresh := h.redeem(b.authorize())
			if fresh.Refresh == "" {
				t.Fatalf("no refresh token: %s", fresh.raw)
			}
			if got := fifty(t, func(int) bool { return h.refresh(fresh.Refresh).status == http.StatusOK }); got != 1 {
				t.Errorf("%d rotated it", got)
			}
		})
		t.Run("a flow's outcome", func(t *testing.T) {
			c := h.browser()
			c.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			c.get(h.authorizeURL("avengers"))
			c.get(c.last.location)
			c.post("username", "ironman", "action", "next")
			c.get(c.last.location)
			c.post("password", password, "action", "sign_in")
			resume := c.last.location
			for !strings.Contains(resume, "/authorize/") {
				c.get(resume)
				resume = c.last.location
			}
			thief := c.withSession()
			thief.get("/avengers/security-info") // it has a browser's cookie, of its own
			if p := thief.get(resume); p.status != http.StatusBadRequest || p.location != "" {
				t.Errorf("a browser that has the session alone got %d %q", p.status, p.location)
			}
			got := fifty(t, func(int) bool {
				d := c.twin()
				return d.get(resume).query("code") != ""
			})
			if got != 1 {
				t.Errorf("%d got a code", got)
			}
		})
		t.Run("a TOTP step, across two resets", func(t *testing.T) {
			var at []*browser
			for range 2 {
				r := h.browser()
				r.beginReset("ironman")
				at = append(at, r)
			}
			h.clock.Advance(30 * time.Second)
			code := h.totp(b.key, 0)
			var pages []page
			for _, r := range at {
				pages = append(pages, r.last)
			}
			got := fifty(t, func(i int) bool {
				r := at[i%2].twin()
				r.last = pages[i%2]
				return provenBy(r, code)
			})
			shown := 0
			for i, r := range at {
				if r.get(pages[i].url.String()).h1() == "Choose a new password" {
					shown++
				}
			}
			if shown != 1 {
				t.Errorf("the step opened %d resets (%d posts say so)", shown, got)
			}
		})
		t.Run("a CAPTCHA ticket", func(t *testing.T) {
			r := h.browser()
			r.get("/avengers/reset")
			ticket, start := r.puzzle(), r.last
			got := fifty(t, func(int) bool {
				x := r.twin()
				x.last = start
				x.post(append(ticket, "username", "ironman", "action", "next")...)
				return true
			})
			// The same ticket again, in the flow it was for and in another one.
			other := h.browser()
			other.get("/avengers/reset")
			other.post(append(ticket, "username", "ironman", "action", "next")...)
			if other.last.error() == "" {
				t.Errorf("a spent ticket opened another flow after %d posts: %s", got, other.last.h1())
			}
			if n := strings.Count(h.logged(), "event=reset.begun"); n > 3 { // the two above and this one
				t.Errorf("%d resets were begun", n)
			}
		})
		t.Run("an e-mail code and a “This wasn’t me” link", func(t *testing.T) {
			c := h.browser()
			c.authorize()
			c.password("ironman", password)
			c.get("/avengers/security-info")
			c.post("action", "add")
			if c.last.h1() != "Keep your account secure" {
				h.clock.Advance(30 * time.Second)
				c.post("code", h.totp(b.key, 0), "action", "verify")
			}
			if m := regexp.MustCompile(`<input[^>]*name="choose"[^>]*value="email"[^>]*>`); m.MatchString(c.last.body) {
				c.post("choose", "email", "action", "next")
			}
			c.post("email", "tony@home.example", "action", "next")
			code, start := h.code(1, "tony@home.example"), c.last
			fifty(t, func(int) bool {
				x := c.twin()
				x.last = start
				x.post("code", code, "action", "verify")
				return true
			})
			list, err := h.admin("avengers").Methods(t.Context(), h.user("ironman"))
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, m := range list {
				if m.Kind == "email" {
					n++
				}
			}
			if n != 1 {
				t.Fatalf("%d addresses were bound", n)
			}
			link := regexp.MustCompile(`http://\S+/not-me/[\w-]+`).FindString(h.await(1, func(m mail) bool {
				return m.to == "tony@stark.example" && strings.Contains(m.text, "/not-me/") && strings.Contains(m.text, "tony") || strings.Contains(m.text, "t•••@home") && strings.Contains(m.text, "/not-me/")
			}).text)
			s := h.browser()
			s.get(link)
			start = s.last
			got := fifty(t, func(int) bool {
				x := s.twin()
				x.last = start
				return x.send(link, url.Values{"csrf": {first2(hidden(start.body, "csrf"), "value")}, "action": {"not_me"}}).status == http.StatusOK
			})
			if got != 1 {
				t.Errorf("%d acted", got)
			}
			if c.get("/avengers/security-info").h1() == "Security info" {
				t.Error("the session outlived “This wasn’t me”")
			}
		})
	})
}

// Whatever else is answered in a flow between the moment a right answer is looked at and the one it is taken, it is taken.
func TestA13_ARightAnswerIsNotLostToAnotherOne(t *testing.T) {
	bind := func(h *house) (*browser, func(i int) string) {
		b := h.browser()
		b.register("ironman")
		b.manage("action", "add")
		b.post("choose", "email", "action", "next")
		b.post("email", "tony@home.example", "action", "next")
		h.deliver()
		code := h.code(1, "tony@home.example")
		return b, func(i int) string {
			if i == 0 {
				return code
			}
			return strings.Map(func(r rune) rune { return '0' + (r-'0'+rune(i))%10 }, code)
		}
	}
	prove := func(h *house) (*browser, func(i int) string) {
		b := h.browser()
		b.register("ironman")
		r := h.browser()
		r.beginReset("ironman")
		h.clock.Advance(30 * time.Second)
		return r, func(i int) string {
			if i == 0 {
				return h.totp(b.key, 0)
			}
			return h.wrongCode(b.key, i)
		}
	}
	for name, c := range map[string]struct {
		ready func(*house) (*browser, func(int) string)
		end   string
	}{"a code that binds": {bind, "Security info"}, "a code that proves": {prove, "Choose a new password"}} {
		// between has wrong answers given at the n-th time that the right one goes to the store.
		between := func(t *testing.T, h *house, n int32, wrong int) {
			b, code := c.ready(h)
			start := b.last
			var count atomic.Int32
			h.failing(func(op string) error {
				if op != "begin" || count.Add(1) != n {
					return nil
				}
				h.failing(nil)
				for i := range wrong {
					x := b.twin()
					x.last = start
					if x.post("code", code(i+1), "action", "verify"); x.last.error() == "" && !strings.HasPrefix(x.last.h1(), "Please wait ") { // a reset that is blocked says so on a page of its own
						t.Errorf("wrong answer %d meets %q", i+1, x.last.h1())
					}
				}
				return nil
			})
			if b.post("code", code(0), "action", "verify"); count.Load() < n {
				t.Fatal("nothing happened meanwhile")
			}
			b.want(c.end)
		}
		t.Run(name+", and a wrong one before it is counted", func(t *testing.T) {
			each(t, func(t *testing.T, h *house) { between(t, h, 2, 1) }, quietly)
		})
		t.Run(name+", and so many that the last must wait, before it is taken", func(t *testing.T) {
			between(t, openAt(t, storetest.PostgresURL(t), quietly), 4, 5) // SQLite has one writer: nobody else writes then
		})
	}
}

func provenBy(b *browser, code string) bool {
	m := regexp.MustCompile(`<input[^>]*name="choose"[^>]*data-kind="totp"[^>]*>`).FindString(b.last.body)
	if m != "" {
		b.post("choose", first2(m, "value"), "action", "next")
	}
	return b.post("code", code, "action", "verify").h1() == "Choose a new password"
}
