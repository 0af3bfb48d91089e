package sparekey_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey"
)

// lead is the sentence below the heading, and all paragraphs after it.
func (b *browser) lead() string { return first(b.last.body, `(?s)(<p class="lead">.*?)</main>`) }

func TestALinkThatActedSaysSoAndWhatHappensNext(t *testing.T) {
	h := open(t)
	h.browser().register("ironman")
	link := linkOf(h.await(1, to("tony@stark.example", "added")))
	h.press(link)
	b := h.browser()
	b.get(link)
	b.want("This link was used already")
	if b.last.status != http.StatusForbidden {
		t.Errorf("it answers %d", b.last.status)
	}
	for _, want := range []string{"acts once", "The new method was suspended", "If you have not done this yet: Sign in, delete the method"} {
		if !strings.Contains(b.lead(), want) {
			t.Errorf("no %q in %q", want, b.lead())
		}
	}
	if !strings.Contains(b.last.body, `class="primary" href="/avengers/security-info"`) {
		t.Error("no way on")
	}
	for _, secret := range []string{"ironman", "Tony", "stark.example", "<form"} {
		if strings.Contains(b.last.body, secret) {
			t.Errorf("whoever has the link is told %q", secret)
		}
	}
	b.get(link[:len(link)-1])
	b.want("This link is not good any more")
	if strings.Contains(b.last.body, "took too long") {
		t.Error("a link that is cut is said to have taken too long")
	}
	b.press(link, "This link was used already") // an old tab
}

// press presses "This wasn’t me" whatever the link’s page shows.
func (b *browser) press(link, h1 string) {
	b.h.t.Helper()
	b.get(b.h.issuer + "/reset") // a browser with a cookie and a token
	b.send(link, map[string][]string{"csrf": {b.token()}, "action": {"not_me"}})
	b.want(h1)
}

// What the page and the mail promise after "This wasn’t me" is tried, for each notice.
func TestAfterThisWasntMePageAndMailSayWhatIsTrueAndWhatComesNext(t *testing.T) {
	for event, c := range map[string]struct {
		notice     string // words of its subject
		deed       func(*house, *browser)
		done, next string
		signsIn    bool
		password   string
	}{
		"method_added": {"was added", func(h *house, b *browser) { b.addEmail("thief@evil.example", 1) },
			"The new method was suspended", "Sign in, delete the method", true, password},
		"method_removed": {"was deleted", func(h *house, b *browser) {
			b.manage("action", "delete", "id", b.ids("email")[0])
			b.post("action", "delete")
		}, "Every device was signed out", "Ask your administrator to let changes through", true, password},
		"password_changed": {"was changed", func(h *house, b *browser) {
			b.manage("action", "password")
			b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
		}, "The new password was made void", "Ask your administrator for a new password", false, renewed},
		"password_reset": {"was reset", func(h *house, b *browser) {
			h.clock.Advance(30e9)
			h.browser().reset("ironman", b.key, renewed)
		}, "The new password was made void", "Ask your administrator for a new password", false, renewed},
		"account_unlocked": {"was unlocked", func(h *house, b *browser) {
			h.clock.Advance(30e9)
			u := h.browser()
			u.get("/avengers/reset")
			u.post(append(u.puzzle(), "username", "ironman", "action", "next")...)
			u.post("what", "locked", "action", "next")
			u.proveApp(b.key)
			u.want("Your account is unlocked")
		}, "Every device was signed out", "Sign in and change that one", true, password},
	} {
		t.Run(event, func(t *testing.T) {
			h := open(t, with(func(tenant *sparekey.Tenant) { tenant.Branding.Help = "https://help.example.com" }))
			b := withEmail(t, h)
			n := h.mailedTo("tony@stark.example", c.notice)
			c.deed(h, b)
			x := h.browser()
			x.get(linkOf(h.await(n+1, to("tony@stark.example", c.notice))))
			x.want("Was this you?")
			x.post("action", "not_me")
			x.want("Your account is protected")
			mail := h.await(1, to("tony@stark.example", "protected"))
			for where, text := range map[string]string{"the page": x.lead(), "the mail": mail.text} {
				if !strings.Contains(text, c.done) || !strings.Contains(text, c.next) {
					t.Errorf("%s says %q", where, text)
				}
			}
			way := `class="primary" href="/avengers/security-info"`
			if !c.signsIn {
				way = `class="primary" href="https://help.example.com"`
			}
			if !strings.Contains(x.last.body, way) || strings.Contains(mail.text, "/security-info") != c.signsIn {
				t.Errorf("the way on is not %s, or the mail leads elsewhere", way)
			}
			owner := h.browser()
			owner.get("/avengers/security-info")
			if owner.password("ironman", c.password); owner.last.h1() == "Security info" != c.signsIn {
				t.Fatalf("signing in leads to %q", owner.last.h1())
			}
			if !c.signsIn {
				return
			}
			owner.key = b.key
			owner.manage("action", "add")
			if through := owner.last.h1() == "Keep your account secure"; through != (event != "method_removed") {
				t.Errorf("a change with a method she had before leads to %q", owner.last.h1())
			}
		})
	}
}
