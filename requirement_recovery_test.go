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

// asked is what a reset asks of a name: the step, and the choices by kind.
func (h *house) asked(login string) string {
	h.t.Helper()
	b := h.browser()
	b.beginReset(login)
	words := shown(b.last)
	for _, kind := range []string{"totp", "email"} {
		if b.choice(kind) != "" {
			words += " " + kind
		}
	}
	return words
}

// What is usable is what is registered and enabled now; with too little of it a name is like any that nobody has.
func TestRS13_WhatIsUsableIsRegisteredAndEnabledNow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		key, app, _ := h.equip(h.user("ironman").ID, "tony@home.example")
		h.addUser("avengers", "bare", "Bare", "bare@stark.example", "Avengers")
		bareKey, _, _ := h.equip(h.user("bare").ID, "")
		methods := func(m map[string]sparekey.MethodUse, required int) setting {
			return rule(func(p *sparekey.Policy) { p.Methods, p.Required = m, &required })
		}
		two := map[string]sparekey.MethodUse{"totp": {}, "email": {}}
		if got := h.asked("ironman"); got != "choose totp email" {
			t.Errorf("of two methods is asked %q", got)
		}
		if got := h.asked("bare"); got != atApp {
			t.Errorf("of one method is asked %q", got)
		}
		// An app that no rule enables, or for sign-in alone, is no gate, and its code opens nothing.
		for how, m := range map[string]map[string]sparekey.MethodUse{"disabled": {"email": {}}, "for sign-in alone": {"totp": {For: []string{"sign_in"}}, "email": {}}} {
			h.restart(methods(m, 1))
			b := h.browser()
			b.beginReset("ironman")
			if b.choice("totp") != "" || shown(b.last) == atApp {
				t.Errorf("an app that is %s is offered: %q", how, shown(b.last))
			}
			for _, form := range [][]string{{"choose", app, "action", "next"}, {"code", h.totp(key, 0), "action", "verify"}} {
				if b.post(form...); shown(b.last) == atNew || shown(b.last) == atApp {
					t.Errorf("an app that is %s leads to %q", how, shown(b.last))
				}
			}
		}
		// Too few: fake choices, the same each time, that never verify.
		h.addUser("avengers", "off", "Off", "off@stark.example", "Avengers")
		h.equip(h.user("off").ID, "off@home.example")
		if err := h.admin("avengers").SetDisabled(t.Context(), h.user("off"), true, "test"); err != nil {
			t.Fatal(err)
		}
		names := []string{"bare", "hulk", "off", "no-one-1", "no-one-2", "no-one-3"}
		for _, required := range []int{2, 1} {
			m := two
			if required == 1 {
				m = map[string]sparekey.MethodUse{"totp": {For: []string{"sign_in"}}, "email": {}}
			}
			h.restart(methods(m, required))
			were := map[string]string{}
			for _, name := range names {
				were[name] = h.asked(name)
				if were[name] != were["bare"] {
					t.Errorf("%s is asked %q, bare %q", name, were[name], were["bare"])
				}
			}
			h.clock.Advance(48 * time.Hour)
			h.restart()
			for _, name := range names {
				if now := h.asked(name); now != were[name] || h.asked(strings.ToUpper(" "+name+" ")) != now {
					t.Errorf("%s was asked %q and is asked %q", name, were[name], now)
				}
			}
			b := h.browser()
			b.beginReset("bare")
			if id := b.choice("totp"); id != "" {
				b.post("choose", id, "action", "next")
			}
			if b.post("code", h.totp(bareKey, 0), "action", "verify"); shown(b.last) == atNew || shown(b.last) == atAddress && required == 2 && !strings.Contains(were["bare"], "email") {
				t.Errorf("with %d required her app is a gate: %q", required, shown(b.last))
			}
		}
		// One end for everybody, at once only where the operator says so.
		for _, direct := range []bool{false, true} {
			h.restart(rule(func(p *sparekey.Policy) {
				if p.DeadEnd = "neutral"; direct {
					p.DeadEnd = "direct"
				}
				p.Methods, p.Required = two, nil
			}))
			var end string
			for _, name := range append([]string{"ironman"}, names[1:]...) {
				b := h.browser()
				b.get("/avengers/reset")
				b.post(append(b.puzzle(), "username", name, "action", "next")...)
				if at := shown(b.last); (at == atDead) != (direct && name != "ironman") {
					t.Errorf("with dead_end direct %v, %s meets %q", direct, name, at)
				}
				if shown(b.last) != atDead {
					b.post("what", "forgot", "action", "next")
					b.post("action", "none")
				}
				b.want("Ask your administrator")
				page := strings.ReplaceAll(regexp.MustCompile(`[A-Z2-7]{4}-[A-Z2-7]{4}-[A-Z2-7]{4}`).ReplaceAllString(plainly(b.last.body), "~"), name, "~")
				if end == "" {
					end = page
				}
				if page != end {
					t.Errorf("%s meets another end:\n%s\n---\n%s", name, page, end)
				}
			}
		}
	}, with(func(t *sparekey.Tenant) { t.Administrators.Groups = nil })) // no decoy looks like one of them
}

// A mailed code has six digits and some minutes, and whoever's password was reset is told (NIST SP 800-63B-4 §4.2).
func TestRS15_AMailedCodeHasSixDigitsAndMinutesAndAnAdministratorIsAlwaysTold(t *testing.T) {
	never := false
	h := open(t, rule(func(p *sparekey.Policy) { p.Notify = &never }), with(func(t *sparekey.Tenant) {
		t.Limits.Proofs.Count, t.Limits.Proofs.Per, t.Limits.ProofsNetwork.Count, t.Limits.ProofsNetwork.Per = 100, time.Second, 100, time.Second
		t.Limits.Sends.Count, t.Limits.Sends.Per, t.Limits.SendsNetwork.Count, t.Limits.SendsNetwork.Per = 100, time.Second, 100, time.Second
	}))
	h.equip(h.user("ironman").ID, "tony@home.example")
	b := h.browser()
	b.beginReset("ironman")
	b.chooseEmail("tony@home.example")
	different, code := map[string]bool{}, ""
	for n := 1; n <= 12; n++ {
		m := h.await(n, to("tony@home.example", "code"))
		found := sixDigits.FindAllStringSubmatch(m.text, -1)
		if len(found) != 1 || !strings.Contains(m.text, "5 minutes") {
			t.Fatalf("the code's mail says %q", m.text)
		}
		code = found[0][1] + found[0][2]
		different[code] = true
		if n < 12 {
			h.clock.Advance(10 * time.Second)
			b.post("action", "resend")
		}
	}
	if len(different) < 11 {
		t.Errorf("of twelve codes %d differ", len(different))
	}
	if !strings.Contains(b.last.body, `data-expires="300"`) {
		t.Errorf("the page does not tell of the five minutes")
	}
	for _, part := range []string{code[:5], code[1:], code + "0", "0" + code, code[:5] + "x", ""} {
		if b.post("code", part, "action", "verify"); shown(b.last) != atMail {
			t.Errorf("%q of %q leads to %q", part, code, shown(b.last))
		}
	}
	if b.post("code", code[:3]+" "+code[3:], "action", "verify"); shown(b.last) != atNew {
		t.Fatalf("the code as the mail has it is refused: %s", b.last.error())
	}
	b.post("new", renewed, "confirm", renewed, "action", "next")
	b.want("Your password has been reset")
	// Whatever the rule says, an administrator hears of her own reset.
	key, _, _ := h.equip(h.user("pepper").ID, "pepper@home.example")
	r := h.browser()
	r.beginReset("pepper")
	r.proveApp(key)
	r.chooseEmail("pepper@home.example")
	r.post("code", h.code(1, "pepper@home.example"), "action", "verify")
	r.post("new", renewed, "confirm", renewed, "action", "next")
	r.want("Your password has been reset")
	h.await(1, to("pepper@stark.example", "was reset"))
	h.await(1, to("pepper@home.example", "was reset"))
	if n := h.mailedTo("tony@stark.example", "was reset"); n != 0 {
		t.Errorf("notify: false, and %d notices", n)
	}
}
