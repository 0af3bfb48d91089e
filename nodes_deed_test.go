package sparekey_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// Ten wrong passwords lock as ten do on one node, whichever node is given which.
func TestA16_WrongPasswordsSpreadOverTwoNodesLockAsOnOne(t *testing.T) {
	p := two(t, 1)
	guess := func(i int, password string) *browser {
		b := p.node(i).browser()
		b.authorize()
		b.post("username", "hulk", "action", "next")
		if n := b.puzzle(); (n != nil) != (i >= 3) {
			t.Errorf("before guess %d a puzzle is asked for: %v", i+1, n != nil)
		}
		b.post(append(b.puzzle(), "password", password, "action", "sign_in")...)
		return b
	}
	for i := range 10 {
		if b := guess(i, fmt.Sprint("a guess of many ", i)); !strings.Contains(b.last.error(), "does not fit") {
			t.Fatalf("guess %d meets %q %q", i+1, b.last.h1(), b.last.error())
		}
	}
	for _, wait := range []time.Duration{0, 59 * time.Second} {
		p.clock.Advance(wait)
		for i := range 2 {
			if b := guess(10+i, password); !strings.Contains(b.last.error(), "too many tries") {
				t.Errorf("node %d compares an eleventh password after %v: %q %q", i, wait, b.last.location, b.last.error())
			}
		}
	}
	p.clock.Advance(time.Second)
	if b := guess(11, password); b.last.query("code") == "" {
		t.Errorf("after the wait she cannot sign in: %q", b.last.error())
	}
}

// What ends on one node has ended on the other when the answer is there.
func TestA19_WhatEndsOnOneNodeHasEndedOnTheOther(t *testing.T) {
	p := two(t, 1)
	first := p.node(0).browser()
	first.register("ironman")
	for name, end := range map[string]func(b *browser){
		"signed out": func(b *browser) { b.get("/avengers/logout"); b.post("action", "sign_out") },
		"signed out everywhere": func(b *browser) {
			b.get("/avengers/security-info")
			b.post("action", "sign_out_everywhere")
			b.proveAll()
		},
		"ended by an operator": func(b *browser) {
			b.h.write("avengers", func(tx store.Tx) error { return b.h.admin("avengers").Accounts.End(tx, b.h.user("ironman").ID) })
		},
	} {
		for i := range 2 {
			t.Run(fmt.Sprint(name, " on node ", i), func(t *testing.T) {
				here, there := p.node(i), p.node(i+1)
				b := here.browser()
				b.key = first.key
				b.authorize("scope", "openid profile")
				held := here.redeem(b.password("ironman", password))
				elsewhere := b.moved(there)
				if there.userinfo(held.Access) != http.StatusOK || elsewhere.authorize("prompt", "none").query("code") == "" {
					t.Fatal("what begins on one node has not begun on the other")
				}
				elsewhere.get("/avengers/security-info")
				elsewhere.want("Security info")
				end(b)
				if n := there.userinfo(held.Access); n != http.StatusUnauthorized {
					t.Errorf("the access token answers %d", n)
				}
				if at := elsewhere.authorize("prompt", "none"); at.query("error") != "login_required" {
					t.Errorf("the session leads to %q", at.location)
				}
				if at := elsewhere.get("/avengers/security-info"); at.h1() == "Security info" {
					t.Error("the session shows security info")
				}
			})
		}
	}
}

// A ticket that was spent on one node, by a wrong answer, is none on the other: not with the right answer, and not by waiting.
func TestA13_ATicketSpentOnOneNodeIsRefusedOnTheOther(t *testing.T) {
	for name, wait := range map[string]bool{"solved": false, "waited": true} {
		t.Run(name, func(t *testing.T) {
			p := two(t, 1)
			b := p.node(0).browser()
			b.get("/avengers/reset")
			ticket, start := b.puzzle(), b.last
			if wait {
				ticket[3] = ""
				p.clock.Advance(15 * time.Second)
			}
			b.post("captcha_id", ticket[1], "captcha", "0x", "username", "ironman", "action", "next")
			if b.last.error() == "" {
				t.Fatal("a wrong answer solves the puzzle")
			}
			c := b.moved(p.node(1))
			c.last = start
			if c.post(append(ticket, "username", "ironman", "action", "next")...); c.last.error() == "" {
				t.Errorf("the other node takes it, and shows %q", c.last.h1())
			}
			// A new one is good on either.
			c.get(start.url.String())
			if c.moved(p.node(0)).post(append(c.puzzle(), "username", "ironman", "action", "next")...).error() != "" {
				t.Error("a ticket of one node is none on the other")
			}
		})
	}
}

// Each message is sent once while both nodes send. No node can have more than its three rounds of eight under way, so the other
// has to take its part before any of them ends.
func TestAMailIsSentOnceByTwoNodes(t *testing.T) {
	const letters, atOnce = 100, 24
	p := two(t, 1)
	p.drained()
	var under sync.WaitGroup
	under.Add(atOnce + 1)
	var mu sync.Mutex
	came := 0
	p.mails.Lock()
	p.mails.hold = func() {
		mu.Lock()
		if came++; came <= atOnce+1 {
			under.Done()
		}
		mu.Unlock()
		under.Wait()
	}
	p.mails.Unlock()
	var all sync.WaitGroup
	for i := range letters {
		h := p.node(i)
		all.Go(func() {
			h.write("avengers", func(tx store.Tx) error {
				return h.admin("avengers").Outbox.Queue(tx, notify.Message{To: fmt.Sprintf("agent%d@shield.example", i), Lang: "en",
					Mail: templates.PasswordChanged{Letter: templates.Letter{Tenant: "The Avengers", Login: "agent"}}})
			})
		})
	}
	all.Wait()
	p.drained()
	var got []string
	for _, m := range p.mails.all() {
		if strings.HasPrefix(m.to, "agent") {
			got = append(got, m.to)
		}
	}
	slices.Sort(got)
	if n := len(slices.Compact(slices.Clone(got))); n != letters || len(got) != letters {
		t.Errorf("%d mails were sent to %d of %d", len(got), n, letters)
	}
	for i, node := range []*sparekey.Plugin{p.p, p.second} {
		w := httptest.NewRecorder()
		node.Metrics().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if !regexp.MustCompile(`(?m)^sparekey_mails_total\{.*outcome="sent".*\} [1-9]`).MatchString(w.Body.String()) {
			t.Errorf("node %d sent nothing", i)
		}
	}
}
