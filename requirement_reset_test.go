package sparekey_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
)

// A mail server that is down, or takes a connection and says nothing, is not seen by anybody who looks at pages.
func TestRS03_F07_AMailServerThatIsDownOrSlowIsNotSeenOnAnyPage(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.Methods = map[string]sparekey.MethodUse{"email": {}, "totp": {}} }))
	withEmail(t, h)
	walk := func() (pages []string, took time.Duration) {
		b := h.browser()
		began := time.Now()
		b.beginReset("ironman")
		b.chooseEmail("tony@home.example")
		pages = append(pages, plainly(b.last.body))
		b.post("code", "000000", "action", "verify")
		pages = append(pages, plainly(b.last.body))
		return pages, time.Since(began)
	}
	want, _ := walk()
	if !strings.Contains(want[0], `name="code"`) {
		t.Fatal(want[0])
	}
	for name, fail := range map[string]func(context.Context) error{
		"down": func(context.Context) error {
			return errors.New("smtp: dial tcp 192.0.2.25:25: canary of the mail server")
		},
		"slow": func(ctx context.Context) error {
			select {
			case <-ctx.Done():
			case <-h.stopped:
			case <-time.After(15 * time.Second):
			}
			return errors.New("smtp: canary of the mail server")
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.mails.failing(fail)
			defer h.mails.failing(nil)
			got, took := walk()
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("page %d tells of the mail server:\n%s\n---\n%s", i, got[i], want[i])
				}
			}
			if took > 3*time.Second {
				t.Errorf("pages waited %v", took)
			}
			b := h.browser()
			b.register2("hulk")
			if strings.Contains(b.last.body, "canary") {
				t.Error("the mail server's error is on a page")
			}
		})
	}
	h.clock.Advance(time.Minute)
	h.code(2, "tony@home.example") // what was waiting is sent when the server is back
}

func TestRS07_AMailScannersGETConsumesNothing(t *testing.T) {
	h := open(t)
	owner := h.browser()
	owner.register("ironman")
	link := notMeLink.FindString(h.await(1, subject("added")).text)
	if !strings.HasPrefix(link, h.issuer+"/not-me/") || !regexp.MustCompile(`/not-me/[A-Za-z0-9_-]{43}$`).MatchString(link) {
		t.Fatalf("the link is %q", link)
	}
	if value := link[strings.LastIndex(link, "/")+1:]; h.inDatabase(value) || strings.Contains(h.logged(), value) {
		t.Error("the link is in the database or in the log")
	}
	before := h.holds("ironman")
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete, http.MethodGet} {
		scanner := h.browser()
		r, _ := http.NewRequest(method, link, nil)
		p := scanner.do(r)
		if method == http.MethodGet && (p.status != http.StatusOK || p.header.Get("Referrer-Policy") != "no-referrer") {
			t.Errorf("%s answers %d with the referrer policy %q", method, p.status, p.header.Get("Referrer-Policy"))
		}
	}
	// A scanner that posts what it finds has no cookie.
	scanner := h.browser()
	scanner.get(link)
	bare := h.browser()
	bare.send(link, url.Values{"csrf": {scanner.token()}, "action": {"not_me"}})
	scanner.get(link)
	scanner.post("action", "something_else")
	if owner.authorize("prompt", "none").query("code") == "" || h.holds("ironman") != before {
		t.Fatal("looking at the link acted")
	}
	b := h.browser()
	b.get(link)
	b.post("action", "not_me")
	if owner.authorize("prompt", "none").query("error") != "login_required" {
		t.Error("the POST did not act")
	}
	again := h.browser()
	if p := again.get(link); p.status != http.StatusForbidden {
		t.Errorf("A14: the link is good twice: %d %s", p.status, p.h1())
	}
	t.Run("A46 it ends after 72 hours", func(t *testing.T) {
		h.addUser("avengers", "thor", "Thor", "thor@asgard.example", "Avengers")
		h.browser().register("thor")
		link := notMeLink.FindString(h.await(1, to("thor@asgard.example", "added")).text)
		h.clock.Advance(72*time.Hour - time.Second)
		b := h.browser()
		if p := b.get(link); p.status != http.StatusOK {
			t.Errorf("over too early: %d", p.status)
		}
		h.clock.Advance(time.Second)
		if p := b.post("action", "not_me"); p.status != http.StatusForbidden {
			t.Errorf("it acts after 72 hours: %d", p.status)
		}
	})
}

// The right to set a password is the proofs of this flow, whatever is posted, in whatever order.
func TestRS08_NoStepOfAResetCanBeLeftOut(t *testing.T) {
	h := open(t)
	owner := withEmail(t, h)
	set := func(b *browser) page {
		return b.send(b.last.url.String(), url.Values{"csrf": {b.token()}, "new": {renewed}, "confirm": {renewed}, "action": {"next"}, "what": {""}, "choose": {""}})
	}
	unchanged := func(step string, b *browser, here string) {
		t.Helper()
		if strings.Contains(b.last.h1(), "has been reset") {
			t.Errorf("%s: %s", step, b.last.h1())
		}
		for _, a := range []string{"done", "next", "verify", "sign_in", "skip"} {
			b.send(here, url.Values{"csrf": {b.token()}, "action": {a}, "step": {"new_password"}, "renewed": {"true"}, "new": {renewed}, "confirm": {renewed}})
		}
		b.get(here)
		if h1 := b.last.h1(); h1 == "Choose a new password" || strings.Contains(h1, "has been reset") {
			t.Errorf("%s: now at %q", step, h1)
		}
	}
	b := h.browser()
	b.get("/avengers/reset")
	here := b.last.url.String()
	set(b)
	unchanged("before the name", b, here)
	b = h.browser()
	b.beginReset("ironman")
	here = b.last.url.String()
	set(b)
	unchanged("before a proof", b, here)
	b.get(here)
	// A proof given in one flow is none in another, although browser and user are the same.
	other := b.twin()
	other.get("/avengers/reset")
	other.post(append(other.puzzle(), "username", "ironman", "action", "next")...)
	if strings.Contains(other.last.body, `name="what"`) {
		other.post("what", "forgot", "action", "next")
	}
	b.proveApp(owner.key)
	b.want("Choose a new password")
	set(other)
	unchanged("beside a proven flow", other, other.last.url.String())
	if p := h.browser().signIn("ironman", password); p.query("code") == "" {
		t.Fatalf("the password was changed: %s", p.h1())
	}
	b.get(here)
	b.post("new", renewed, "confirm", renewed+"!", "action", "next")
	if strings.Contains(b.last.h1(), "has been reset") || b.last.error() == "" {
		t.Error("RS-10: the second typing is not compared")
	}
	b.post("new", "short", "confirm", "short", "action", "next")
	if strings.Contains(b.last.h1(), "has been reset") || b.last.error() == "" {
		t.Error("RS-10: the policy does not hold in a reset")
	}
	b.post("new", renewed, "confirm", renewed, "action", "next")
	b.want("Your password has been reset")
	if b.cookie(sessionCookie) != "" {
		t.Error("RS-09: a reset signs in")
	}
	if p := b.get(here); p.h1() == "Choose a new password" {
		t.Error("the flow can be used again")
	}
}

func TestRS10_EveryAddressHearsOfAResetAndOtherAdministratorsOfTheirs(t *testing.T) {
	h := open(t)
	owner := withEmail(t, h)
	h.browser().reset("ironman", owner.key, renewed)
	for _, address := range []string{"tony@stark.example", "tony@home.example"} {
		h.await(1, to(address, "was reset"))
	}
	// pepper is an administrator: two methods, and the other administrator is told.
	b := h.browser()
	b.signIn("pepper", password)
	b.app()
	b.post("email", "pepper@home.example", "action", "next")
	b.post("code", h.code(1, "pepper@home.example"), "action", "verify")
	b.post("action", "done")
	r := h.browser()
	r.beginReset("pepper")
	r.proveApp(b.key)
	if r.last.h1() == "Choose a new password" {
		t.Fatal("RS-12: one method is enough for an administrator")
	}
	t.Run("RS-15 two codes are of two different ways", func(t *testing.T) {
		if strings.Contains(r.last.body, `data-kind="totp"`) {
			t.Error("the app is offered again")
		}
		h.clock.Advance(30 * time.Second)
		x := r.twin()
		if p := x.post("code", h.totp(b.key, 0), "action", "verify"); p.h1() == "Choose a new password" {
			t.Error("the same app counted twice")
		}
		r.get(r.last.url.String())
	})
	r.chooseEmail("pepper@home.example")
	r.post("code", h.code(2, "pepper@home.example"), "action", "verify")
	r.want("Choose a new password")
	r.post("new", renewed, "confirm", renewed, "action", "next")
	r.want("Your password has been reset")
	m := h.await(1, to("fury@shield.example", "administrator"))
	if !strings.Contains(m.text, "pepper") {
		t.Errorf("whose password? %s", m.text)
	}
	for _, address := range []string{"pepper@stark.example", "pepper@home.example"} {
		h.await(1, to(address, "was reset"))
	}
	for _, m := range h.mails.all() {
		if strings.Contains(m.text+m.html, renewed) || strings.Contains(m.text+m.html, password) {
			t.Errorf("a password is in the mail %q", m.subject)
		}
		if strings.Contains(m.subject, "administrator") && m.to != "fury@shield.example" {
			t.Errorf("%s hears of an administrator's reset", m.to)
		}
	}
	if n := h.mailedTo("fury@shield.example", "administrator"); n != 1 {
		t.Errorf("%d mails to the other administrator", n)
	}
}

func TestRS14_TheAppIsNotTheOnlyMethodWhereTwoAreRequired(t *testing.T) {
	two := 2
	p := sparekey.Policy{For: sparekey.For{Everyone: true}, Reset: true, Required: &two, Methods: map[string]sparekey.MethodUse{"totp": {}}}
	c := sparekey.Config{Database: "sqlite:" + t.TempDir() + "/x.db", Tenants: map[string]sparekey.Tenant{"avengers": tenantConfig("http://localhost:1/avengers", "The Avengers")}}
	tenant := c.Tenants["avengers"]
	tenant.Policies = []sparekey.Policy{p}
	c.Tenants["avengers"] = tenant
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "methods") {
		t.Errorf("a policy that nobody can meet is taken: %v", err)
	}
	tenant.Policies[0].Methods["email"] = sparekey.MethodUse{}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}
