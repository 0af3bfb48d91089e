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
)

// patient is a user with an app and an address of her own, who is about to get codes.
type patient struct {
	h                        *house
	login, address, key, now string
	app, mail                string
	codes                    int
}

func (h *house) patient(t *testing.T) *patient {
	t.Helper()
	p := &patient{h: h, login: fmt.Sprintf("patient%d", time.Now().UnixNano()), now: password}
	p.address = p.login + "@home.example"
	h.addUser("avengers", p.login, "Patient", p.login+"@stark.example", "Avengers")
	p.key, p.app, p.mail = h.equip(h.user(p.login).ID, p.address)
	return p
}

// next is the code that has just been sent to the address.
func (p *patient) next() string {
	p.h.t.Helper()
	p.codes++
	return p.h.code(p.codes, p.address)
}

// reset is a browser that waits for a code mailed in a reset, and the code.
func (p *patient) reset() (*browser, string) {
	p.h.t.Helper()
	b := p.h.browser()
	b.beginReset(p.login)
	b.chooseEmail(p.address)
	return b, p.next()
}

// owner is her own browser, signed in, with all proofs of the strongest sort.
func (p *patient) owner() *browser {
	p.h.t.Helper()
	b := p.h.browser()
	b.key = p.key
	b.register2(p.login)
	return b
}

// kept fails when the reset that the browser stands in has got through its gate, or has done anything to the password.
func (p *patient) kept(b *browser, how string) {
	p.h.t.Helper()
	if at := shown(b.last); slices.Contains([]string{atNew, atReset, atOpen}, at) {
		p.h.t.Errorf("%s: it leads to %q", how, at)
	}
	here := b.last
	b.send(b.last.url.String(), url.Values{"csrf": {b.token()}, "new": {renewed}, "confirm": {renewed}, "action": {"next"}})
	if at := shown(b.last); at == atReset {
		p.h.t.Errorf("%s: a password was set", how)
	}
	b.last = here
}

// through fails unless the code opens the gate.
func (p *patient) through(b *browser, code, how string) {
	p.h.t.Helper()
	if b.post("code", code, "action", "verify"); shown(b.last) != atNew {
		p.h.t.Errorf("%s: it does not: %q %s", how, shown(b.last), b.last.error())
	}
}

func TestA14_AMailedCodeIsGoodOnceInItsTimeAndForItsRequest(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		t.Run("after its use", func(t *testing.T) {
			p := h.patient(t)
			b, code := p.reset()
			beside, own := p.reset()
			p.through(b, code, "the first time")
			for how, x := range map[string]*browser{"in a reset beside it": beside, "in a new one": func() *browser { x, _ := p.reset(); return x }()} {
				x.post("code", code, "action", "verify")
				p.kept(x, "used already, "+how)
			}
			p.through(beside, own, "the code of the reset beside it")
			again := b.twin()
			again.send(b.last.url.String(), url.Values{"csrf": {b.token()}, "code": {code}, "action": {"verify"}})
			b.get(b.last.url.String())
			b.post("new", renewed, "confirm", renewed, "action", "next")
			b.want("Your password has been reset")
			x, _ := p.reset()
			x.post("code", code, "action", "verify")
			p.kept(x, "after the reset it was used for")
			x.post("code", own, "action", "verify")
			p.kept(x, "the other code, after the reset that ended its own")
			if beside.get(beside.last.url.String()); beside.last.status != http.StatusForbidden {
				t.Errorf("the reset beside it goes on: %d", beside.last.status)
			}
		})
		t.Run("after a second request", func(t *testing.T) {
			for how, again := range map[string]func(b *browser){
				"sent again": func(b *browser) { b.post("action", "resend") },
				"chosen again": func(b *browser) {
					b.post("action", "other")
					b.post("choose", b.choice("email"), "action", "next")
				},
			} {
				p := h.patient(t)
				b, code := p.reset()
				if how == "sent again" {
					again(b) // too early: nothing is sent, and the first code stands
					if b.last.error() == "" {
						t.Error("a second code within ten seconds")
					}
				}
				h.clock.Advance(10 * time.Second)
				if again(b); shown(b.last) == atAddress {
					b.post("email", p.address, "action", "verify")
				}
				newer := p.next()
				b.post("code", code, "action", "verify")
				p.kept(b, how+": the older code")
				p.through(b, newer, how+": the newer code")
			}
		})
		t.Run("after a change of the password", func(t *testing.T) {
			p := h.patient(t)
			b, code := p.reset()
			o := p.owner()
			o.manage("action", "password")
			o.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
			o.want("Security info")
			if b.post("code", code, "action", "verify"); b.last.status != http.StatusForbidden {
				t.Errorf("the reset goes on: %d %s", b.last.status, b.last.h1())
			}
			x, _ := p.reset()
			x.post("code", code, "action", "verify")
			p.kept(x, "in a reset begun after it")
		})
		t.Run("after a change of the address", func(t *testing.T) {
			for how, change := range map[string]func(p *patient, o *browser){
				"changed": func(p *patient, o *browser) {
					o.manage("action", "change", "id", p.mail)
					o.post("email", "else."+p.address, "action", "next")
					o.post("code", h.code(1, "else."+p.address), "action", "verify")
				},
				"deleted": func(p *patient, o *browser) {
					o.manage("action", "delete", "id", p.mail)
					o.post("action", "delete")
				},
				"changed back and forth": func(p *patient, o *browser) {
					o.manage("action", "delete", "id", p.mail)
					o.post("action", "delete")
					o.manage("action", "add")
					o.post("choose", "email", "action", "next")
					o.post("email", p.address, "action", "next")
					o.post("code", p.next(), "action", "verify")
				},
			} {
				p := h.patient(t)
				b, code := p.reset()
				o := p.owner()
				change(p, o)
				o.want("Security info")
				if strings.Contains(h.bound(p.login), p.mail) {
					t.Fatalf("%s: she still holds the old address", how)
				}
				b.post("code", code, "action", "verify")
				p.kept(b, how)
				h.clock.Advance(30 * time.Second)
				if b.proveApp(p.key); shown(b.last) != atNew {
					t.Errorf("%s: the app is refused as well: %q %s", how, shown(b.last), b.last.error())
				}
			}
		})
		t.Run("after its time", func(t *testing.T) {
			p := h.patient(t)
			b, code := p.reset()
			h.clock.Advance(5*time.Minute - time.Second)
			p.through(b, code, "a second before its end")
			b, code = p.reset()
			h.clock.Advance(5 * time.Minute)
			here := b.last
			for how, form := range map[string]url.Values{
				"as it is asked for":       {"code": {code}, "action": {"verify"}},
				"without a button":         {"code": {code}},
				"with the address":         {"code": {code}, "email": {p.address}, "action": {"verify"}},
				"with the choice":          {"code": {code}, "choose": {p.mail}, "action": {"next"}},
				"with times of one's own":  {"code": {code}, "action": {"verify"}, "until": {"2099-01-01T00:00:00Z"}, "at": {"2099-01-01T00:00:00Z"}, "expires": {"0"}},
				"with an empty time":       {"code": {code}, "action": {"verify"}, "until": {""}, "Until": {""}},
				"without the token, too":   {"code": {code}, "action": {"verify"}, "csrf": {""}},
				"by another name of field": {"otp": {code}, "action": {"verify"}},
			} {
				if !form.Has("csrf") {
					form.Set("csrf", b.token())
				}
				b.send(here.url.String(), form)
				if at := shown(b.last); at == atNew {
					t.Errorf("%s: it opens the gate", how)
				}
				b.last = here
			}
		})
	}, with(func(t *sparekey.Tenant) {
		t.Limits.Proofs.Count, t.Limits.Proofs.Per, t.Limits.ProofsNetwork.Count, t.Limits.ProofsNetwork.Per = 100, time.Second, 100, time.Second
		t.Limits.Sends.Count, t.Limits.Sends.Per, t.Limits.SendsNetwork.Count, t.Limits.SendsNetwork.Per = 1000, time.Minute, 1000, time.Minute
	}))
}

// choice is the value of the page's choice of that kind.
func (b *browser) choice(kind string) string {
	i := strings.Index(b.last.body, `data-kind="`+kind+`"`)
	if i < 0 {
		return ""
	}
	return first2(b.last.body[strings.LastIndex(b.last.body[:i], "<"):i], "value")
}

func TestA14_ACodeThatBindsAnAddressBindsThatOneOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		p := h.patient(t)
		before := h.bound(p.login)
		adding := func(address string) *browser {
			b := p.owner()
			b.manage("action", "add")
			b.post("choose", "email", "action", "next")
			b.post("email", address, "action", "next")
			return b
		}
		one := adding("one." + p.address)
		code := h.code(1, "one."+p.address)
		two := adding("two." + p.address)
		second := h.code(1, "two."+p.address)
		for how, try := range map[string]func(){
			"the other address's code":           func() { two.post("code", code, "action", "verify") },
			"that code with its own address":     func() { two.post("code", code, "email", "one."+p.address, "action", "verify") },
			"the code with an address of choice": func() { one.post("code", second, "email", "two."+p.address, "action", "verify") },
		} {
			if try(); h.bound(p.login) != before {
				t.Fatalf("%s bound something:\n%s", how, h.bound(p.login))
			}
		}
		h.clock.Advance(10 * time.Second)
		one.post("action", "resend")
		newer := h.code(2, "one."+p.address)
		if one.post("code", code, "action", "verify"); h.bound(p.login) != before {
			t.Fatal("the older code bound the address")
		}
		h.clock.Advance(5 * time.Minute)
		if one.post("code", newer, "action", "verify"); h.bound(p.login) != before {
			t.Fatal("a code of five minutes ago bound the address")
		}
		one.post("action", "resend")
		newest := h.code(3, "one."+p.address)
		one.post("code", newest, "email", "evil@evil.example", "action", "verify")
		one.want("Security info")
		if now := h.bound(p.login); strings.Count(now, " email ") != 2 || strings.Contains(now, fmt.Sprintf("%x", "evil@evil.example")) || !strings.Contains(now, fmt.Sprintf("%x", "one."+p.address)) {
			t.Fatalf("bound is\n%s", now)
		}
		after := h.bound(p.login)
		three := adding("three." + p.address)
		for _, used := range []string{newest, newer, code, second} {
			if three.post("code", used, "action", "verify"); h.bound(p.login) != after {
				t.Fatalf("a used code bound another address:\n%s", h.bound(p.login))
			}
		}
	}, with(func(t *sparekey.Tenant) { t.Limits.Codes.Count, t.Limits.Codes.Per = 100, time.Second }))
}

// The first registration needs a code to the directory's own address: the one of now, not the one it was asked with.
func TestA14_ACodeDiesWithTheDirectorysAddress(t *testing.T) {
	m := &directorytest.Memory{}
	m.Add(directorytest.Account{User: directory.User{Login: "loki", Email: "loki@asgard.example", Groups: []string{"Avengers"}}, Password: password})
	h := open(t, with(func(t *sparekey.Tenant) { t.Directories = map[string]sparekey.Directory{"staff": {Type: "program"}} }),
		rule(func(p *sparekey.Policy) { p.Registration.Needs = "email" }), bring(m))
	b := h.browser()
	b.signIn("loki", password)
	b.post("action", "next")
	b.post("choose", b.choice("email"), "action", "next")
	code := h.code(1, "loki@asgard.example")
	m.Change("loki", func(a *directorytest.Account) { a.Email = "odin@asgard.example" })
	if b.post("code", code, "action", "verify"); b.last.h1() == "Keep your account secure" {
		t.Fatal("a code to the old address is a proof of the new one")
	}
	m.Change("loki", func(a *directorytest.Account) { a.Email = "loki@asgard.example" })
	if b.post("code", code, "action", "verify"); b.last.h1() != "Keep your account secure" {
		t.Errorf("%s %s", b.last.h1(), b.last.error())
	}
}

// "This wasn't me" outlives what a thief would do next, and is good once.
func TestA14_TheLinkOfANoticeIsGoodOnceWhateverAThiefDoesMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		press := func(link string, pairs ...string) page {
			b := h.browser()
			b.get(link)
			return b.post(append([]string{"action", "not_me"}, pairs...)...)
		}
		frozen := func(login string) bool {
			words, err := h.admin("avengers").Holds(t.Context(), h.user(login))
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(strings.Join(words, " "), "frozen")
		}
		p := h.patient(t)
		primary := p.login + "@stark.example"
		thief := p.owner() // who has the password, the app and the mailbox
		thief.manage("action", "add")
		thief.post("choose", "email", "action", "next")
		thief.post("email", "thief."+p.address, "action", "next")
		thief.post("code", h.code(1, "thief."+p.address), "action", "verify")
		thief.want("Security info")
		first := notMeLink.FindString(h.await(1, to(primary, "added")).text)
		thief.manage("action", "password")
		thief.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
		thief.want("Security info")
		thief.manage("action", "delete", "id", p.mail)
		thief.proveRenewed(p.key)
		thief.post("action", "delete")
		thief.want("Security info")
		second := notMeLink.FindString(h.await(1, to(primary, "deleted")).text)
		if first == second || first == "" || second == "" {
			t.Fatalf("the links are %q and %q", first, second)
		}
		for how, link := range map[string]string{"cut": first[:len(first)-1], "longer": first + "A", "in capitals": strings.Replace(first, first[strings.LastIndex(first, "/"):], strings.ToUpper(first[strings.LastIndex(first, "/"):]), 1), "none": h.issuer + "/not-me/"} {
			b := h.browser()
			if got := b.get(link); got.status < 400 {
				t.Errorf("a link that is %s: %d", how, got.status)
			}
		}
		b := h.browser()
		b.get(first)
		token := b.token()
		for how, form := range map[string]url.Values{"nothing": {}, "no token": {"action": {"not_me"}}, "no button": {"csrf": {token}}, "another button": {"csrf": {token}, "action": {"next"}}, "both empty": {"csrf": {""}, "action": {""}}} {
			if got := b.send(first, form); got.status != http.StatusForbidden || frozen(p.login) {
				t.Errorf("with %s it answers %d, frozen: %v", how, got.status, frozen(p.login))
			}
		}
		h.restart()
		if got := press(first); got.status != http.StatusOK || !frozen(p.login) {
			t.Fatalf("after a change of the password and of the address the link is dead: %d %s", got.status, got.h1())
		}
		thief.signedOut("the thief, after it")
		if !strings.Contains(h.bound(p.login), "suspended:true") {
			t.Error("the address that was added is not suspended")
		}
		if err := h.admin("avengers").Unlock(t.Context(), h.user(p.login), true, "test"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, x := range []page{h.browser().get(first), press(first), b.send(first, url.Values{"csrf": {token}, "action": {"not_me"}}), b.send(first, url.Values{})} {
				if x.status != http.StatusForbidden || frozen(p.login) {
					t.Errorf("the link is good twice: %d %s", x.status, x.h1())
				}
			}
			h.restart()
		}
		if got := press(second); got.status != http.StatusOK || !frozen(p.login) {
			t.Errorf("the other notice's link went with it: %d", got.status)
		}
		if got := press(second); got.status != http.StatusForbidden {
			t.Errorf("the other link is good twice: %d", got.status)
		}
		q := h.patient(t)
		o := q.owner()
		o.manage("action", "delete", "id", q.mail)
		o.post("action", "delete")
		third := notMeLink.FindString(h.await(1, to(q.login+"@stark.example", "deleted")).text)
		h.clock.Advance(72 * time.Hour)
		for _, form := range []url.Values{{"csrf": {token}, "action": {"not_me"}}, {"action": {"not_me"}}, {"csrf": {token}}, {}} {
			if got := b.send(third, form); got.status != http.StatusForbidden || frozen(q.login) {
				t.Errorf("after 72 hours %v answers %d", form, got.status)
			}
		}
	})
}

// proveRenewed answers for a password that was changed, and the app.
func (b *browser) proveRenewed(key string) {
	b.h.t.Helper()
	if strings.Contains(b.last.body, `autocomplete="current-password"`) {
		b.post("password", renewed, "action", "sign_in")
		b.key = key
		b.proveAll()
	}
}
