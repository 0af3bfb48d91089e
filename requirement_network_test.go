package sparekey_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/store"
)

// behind lets the house believe what stands on its own loopback, as the proxy of the tests does.
func behind(h *house) { h.cfg.TrustedProxies = []string{"127.0.0.0/8", "::1/128"} }

// networks are those the journal names.
func (h *house) networks() (list []string) {
	h.t.Helper()
	h.write(h.tenant, func(tx store.Tx) error {
		list = nil
		rows, err := tx.Rows(`SELECT DISTINCT network FROM journal WHERE tenant = $1 AND network <> '' ORDER BY network`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var network string
			if err := rows.Scan(&network); err != nil {
				return err
			}
			list = append(list, network)
		}
		return nil
	})
	return list
}

// What a client says of its own address makes it nobody else: its network has the tries of one network, and the journal names that one.
// Of what a trusted proxy adds, the right-most hop that is no proxy is believed, and an IPv6 client is its /64.
func TestA24_NoHeaderGivesAStrangerAnotherNetwork(t *testing.T) {
	const limit = 6
	few := with(func(t *sparekey.Tenant) {
		t.Limits.SignIn = guard.Passwords{After: 100, Captcha: 100, Network: config.Rate{Count: limit, Per: 10 * time.Minute}}
	})
	forged := func(i int) http.Header {
		address := fmt.Sprintf("203.0.113.%d", i)
		return http.Header{"X-Forwarded-For": {address}, "Forwarded": {"for=" + address}, "X-Real-Ip": {address}, "True-Client-Ip": {address}, "Cf-Connecting-Ip": {address}, "X-Client-Ip": {address}, "X-Cluster-Client-Ip": {address}}
	}
	at := func(list ...string) func(int) http.Header {
		return func(i int) http.Header {
			h := http.Header{}
			for _, line := range list {
				h.Add("X-Forwarded-For", strings.ReplaceAll(line, "N", fmt.Sprint(i+1)))
			}
			return h
		}
	}
	for name, c := range map[string]struct {
		settings []setting
		header   func(i int) http.Header
		answered int
		networks []string // nil: as many as guesses
	}{
		"no proxy is trusted":                    {nil, forged, limit, []string{"127.0.0.1"}},
		"another proxy is trusted":               {[]setting{func(h *house) { h.cfg.TrustedProxies = []string{"10.0.0.0/8", "203.0.113.0/24"} }}, forged, limit, []string{"127.0.0.1"}},
		"what the client put before its address": {[]setting{behind}, at("203.0.113.N, 198.51.100.7"), limit, []string{"198.51.100.7"}},
		"and on a line of its own":               {[]setting{behind}, at("203.0.113.N", "198.51.100.7"), limit, []string{"198.51.100.7"}},
		"a proxy's address put before it":        {[]setting{behind}, at("127.0.0.N, 198.51.100.7"), limit, []string{"198.51.100.7"}},
		"a name in place of an address":          {[]setting{behind}, at("203.0.113.9, guess-N"), limit, []string{"127.0.0.1"}},
		"addresses of one /64":                   {[]setting{behind}, at("2001:db8:1:2:N::7"), limit, []string{"2001:db8:1:2::/64"}},
		"clients of a proxy, each its own":       {[]setting{behind}, at("198.51.100.N"), 2 * limit, nil},
		"each its own /64":                       {[]setting{behind}, at("2001:db8:1:N::7"), 2 * limit, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, append(c.settings, few)...)
			answered := 0
			for i := range 2 * limit {
				b := h.browser()
				b.header = c.header(i)
				b.authorize()
				b.post("username", fmt.Sprint("nobody-", i), "action", "next")
				b.post(append(b.puzzle(), "password", "a guess of many", "action", "sign_in")...)
				switch e := b.last.error(); {
				case strings.Contains(e, "does not fit"):
					answered++
				case !strings.Contains(e, "too many tries"):
					t.Fatalf("guess %d meets %d %q %q", i, b.last.status, b.last.h1(), e)
				}
			}
			if answered != c.answered {
				t.Errorf("%d guesses were answered, want %d", answered, c.answered)
			}
			if got := h.networks(); c.networks == nil && len(got) != c.answered || c.networks != nil && !slices.Equal(got, c.networks) {
				t.Errorf("the journal names %q", got)
			}
		})
	}
}

// Whatever strangers fail at in her name, from wherever, the owner signs in at once in a browser she has signed in from before, by both of
// her factors, and can reset there; resets that fail never bar sign-in; and in a strange browser her wait is one of the manual's.
func TestA26_NoStrangerKeepsTheOwnerOut(t *testing.T) {
	times := 45
	if deep() {
		times = 1000
	}
	each(t, func(t *testing.T, h *house) {
		owner := withEmail(t, h)
		h.clock.Advance(time.Minute)
		strange := func(i int) *browser { return h.browserFrom(fmt.Sprintf("203.0.113.%d", i%250)) }
		barred := func(b *browser) bool { return strings.Contains(b.last.error(), "too many tries") }
		for i := range times {
			b := strange(i)
			b.authorize()
			b.post("username", aliases[i%len(aliases)], "action", "next")
			if b.post(append(b.puzzle(), "password", fmt.Sprint("a guess of many ", i), "action", "sign_in")...); i > 12 && !barred(b) {
				t.Fatalf("guess %d is answered: %q", i, b.last.error())
			}
		}
		signIn := func(b *browser) page {
			b.authorize("prompt", "login")
			b.post("username", "ironman", "action", "next")
			b.post(append(b.puzzle(), "password", password, "action", "sign_in")...)
			return b.post("code", h.totp(owner.key, 0), "action", "verify")
		}
		before := h.clock.Now()
		if p := signIn(owner); p.query("code") == "" || h.clock.Now().Sub(before) > time.Minute {
			t.Errorf("the owner is kept out: %d %q %q", p.status, p.h1(), p.error())
		}
		for i := range 8 {
			b := strange(i)
			b.beginReset(aliases[i%len(aliases)])
			if b.last.status == http.StatusTooManyRequests {
				continue
			}
			b.pick("totp")
			b.post("code", h.wrongCode(owner.key, i), "action", "verify")
		}
		b := strange(99)
		if b.beginReset("ironman"); b.last.status != http.StatusTooManyRequests {
			t.Errorf("a stranger's reset goes on: %d %q", b.last.status, b.last.h1())
		}
		h.clock.Advance(30 * time.Second)
		if p := signIn(owner); p.query("code") == "" {
			t.Errorf("resets of strangers keep the owner from signing in: %d %q %q", p.status, p.h1(), p.error())
		}
		// An hour is the longest wait of a password. After it the right one is compared, wherever it comes from, however often it failed.
		h.clock.Advance(time.Hour)
		n := h.browserFrom("198.51.100.1")
		if p := signIn(n); p.query("code") == "" {
			t.Errorf("a new browser is kept out after the longest wait: %q %q", p.h1(), p.error())
		}
		r := owner.twin()
		r.beginReset("ironman")
		r.proveApp(owner.key)
		if h1 := r.last.h1(); h1 != "Choose a new password" && !strings.HasPrefix(h1, "Please wait until ") {
			t.Errorf("the owner cannot reset in her own browser: %d %q", r.last.status, r.last.h1())
		}
	}, behind, rule(func(p *sparekey.Policy) {
		p.SecondFactor, p.AcceptSingle = "when_registered", true
		p.Methods = map[string]sparekey.MethodUse{"totp": {}, "email": {For: []string{"reset"}}}
	}))
}
