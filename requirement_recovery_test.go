package sparekey_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
)

// follow clicks the page's link of that class.
func (b *browser) follow(class string) page {
	b.h.t.Helper()
	m := regexp.MustCompile(`<a class="` + class + `" href="([^"]*)"`).FindStringSubmatch(b.last.body)
	if m == nil {
		b.h.t.Fatalf("no link %q on %q", class, b.last.h1())
	}
	return b.get(html.UnescapeString(m[1]))
}

// bound is all that is stored of a user's methods, secrets and last uses' steps included, but for when they were used.
func (h *house) bound(login string) string {
	h.t.Helper()
	var list []identity.Authenticator
	err := h.admin("avengers").Store.Read(h.t.Context(), func(tx store.Tx) (err error) {
		list, err = h.admin("avengers").Accounts.Authenticators(tx, h.user(login).ID)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	var words []string
	for _, a := range list {
		words = append(words, fmt.Sprintf("%s %s %q %x first:%v suspended:%v bound %v", a.ID, a.Kind, a.Label, a.Data, a.Default, a.Suspended, a.BoundAt))
	}
	return strings.Join(words, "\n")
}

// told is what an ID token says of a sign-in.
type told struct {
	SID string   `json:"sid"`
	AMR []string `json:"amr"`
}

func claims(idToken string) (c told) {
	if parts := strings.Split(idToken, "."); len(parts) == 3 {
		b, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(b, &c)
	}
	return c
}

// signedOut fails when the browser is signed in by whatever door.
func (b *browser) signedOut(after string) {
	b.h.t.Helper()
	x := b.twin()
	if p := x.authorize("prompt", "none"); p.query("error") != "login_required" || p.query("code") != "" {
		b.h.t.Errorf("%s: prompt=none answers %q", after, p.location)
	}
	if p := x.get("/avengers/security-info"); p.h1() != "Sign in" {
		b.h.t.Errorf("%s: security info shows %q", after, p.h1())
	}
}

// A reset gives a password and nothing else: no session, no known browser, no way round the second factor, and the methods stay.
func TestA03_AResetSignsNobodyInAndLeavesTheSecondFactor(t *testing.T) {
	single := rule(func(p *sparekey.Policy) { p.SecondFactor, p.AcceptSingle = "when_registered", true })
	apart := rule(func(p *sparekey.Policy) {
		p.SecondFactor = "required"
		p.Methods = map[string]sparekey.MethodUse{"totp": {For: []string{"sign_in"}}, "email": {For: []string{"reset"}}}
	})
	for _, c := range []struct {
		name, by, what string
		policy         setting
	}{
		{"by the app, which is the second factor as well", "totp", "forgot", single},
		{"by a mailed code beside the app", "email", "forgot", single},
		{"by a mailed code where the app is for sign-in alone", "email", "forgot", apart},
		{"an unlock by a mailed code", "email", "locked", apart},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, h *house) {
				key, _, _ := h.equip(h.user("ironman").ID, "tony@home.example")
				owner := h.browser() // whose session and known browser there were before
				owner.signIn("ironman", password)
				h.clock.Advance(30 * time.Second)
				if p := owner.post("code", h.totp(key, 0), "action", "verify"); p.query("code") == "" {
					t.Fatalf("the owner is not signed in: %s %s", p.h1(), p.error())
				}
				before := h.bound("ironman")

				b := h.browser()
				b.watch(func(r *http.Request, _ []byte, send func(*http.Request) *http.Response) *http.Response {
					res := send(r)
					for _, k := range res.Cookies() {
						if k.Name != browserCookie {
							t.Errorf("%s %s sets %s", r.Method, r.URL.Path, k.Name)
						}
					}
					return res
				})
				b.authorize()
				b.follow("aside")
				b.post(append(b.puzzle(), "username", "ironman", "action", "next")...)
				b.post("what", c.what, "action", "next")
				if c.by == "totp" {
					b.proveApp(key)
				} else {
					b.chooseEmail("tony@home.example")
					b.post("code", h.code(1, "tony@home.example"), "action", "verify")
				}
				b.signedOut("with the proof given")
				now := password
				if c.what == "forgot" {
					b.want("Choose a new password")
					b.post("new", renewed, "confirm", renewed, "action", "next")
					b.want("Your password has been reset")
					now = renewed
					owner.signedOut("her old session, after the reset")
				} else {
					b.want("Your account is unlocked")
				}
				b.signedOut("after it")

				b.client.Transport = nil // from here on she signs in
				b.get(b.last.url.String())
				b.follow("primary")
				for _, x := range []*browser{b, owner} {
					if x == owner {
						x.authorize("prompt", "login")
					}
					x.password("ironman", now)
					if x.last.location != "" || x.last.h1() == "More information required" || !strings.Contains(x.last.body, `name="code"`) {
						t.Fatalf("the password alone leads to %q %q", x.last.h1(), x.last.location)
					}
					here := x.last
					for _, form := range [][]string{{"action", "done"}, {"action", "skip"}, {"action", "next"}, {"new", renewed, "confirm", renewed, "action", "next"},
						{"choose", "email", "action", "next"}, {"password", now, "action", "sign_in"}, {"code", "", "action", "verify"}, {"code", h.totp(key, 0), "action", "verify"}} {
						x.last = here
						x.post(form...)
						if x.last.location != "" || x.last.query("code") != "" || !strings.Contains(x.last.body, `name="code"`) {
							t.Errorf("%v leads to %q %q", form, x.last.h1(), x.last.location)
						}
					}
					if x == b || c.what == "forgot" {
						x.signedOut("with the password alone")
					}
					x.last = here
					h.clock.Advance(90 * time.Second)
					p := x.post("code", h.totp(key, 0), "action", "verify")
					by := claims(h.redeem(p).ID).AMR
					if p.query("code") == "" || !slices.Contains(by, "otp") || !slices.Contains(by, "mfa") {
						t.Errorf("by the app she gets %q with %v: %s", p.h1(), by, p.error())
					}
				}
				if after := h.bound("ironman"); after != before {
					t.Errorf("her methods were\n%s\nand are\n%s", before, after)
				}
			}, c.policy)
		})
	}
}
