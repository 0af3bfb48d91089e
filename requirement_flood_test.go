package sparekey_test

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/store"
)

// shelved counts the records of each shelf of avengers, and their bytes.
func (h *house) shelved() (records map[string]int, bytes int) {
	h.t.Helper()
	records = map[string]int{}
	h.write("avengers", func(tx store.Tx) error {
		rows, err := tx.Rows(`SELECT shelf, count(*), sum(length(value)) FROM shelf WHERE tenant = $1 GROUP BY shelf`)
		if err != nil {
			return err
		}
		bytes = 0
		for rows.Next() {
			var name string
			var n, b int
			if err := rows.Scan(&name, &n, &b); err != nil {
				return err
			}
			records[name] = n
			bytes += b
		}
		return nil
	})
	return records, bytes
}

// abandon begins n sign-ins or resets, each in a browser of its own that never comes back, with as much to remember as is taken.
func (h *house) abandon(n int, what string) {
	h.t.Helper()
	long := strings.Repeat("x", 3000)
	asked, at := h.authorizeURL("avengers", "state", long, "nonce", long, "login_hint", long[:200]), h.issuer+"/reset"
	address, query, _ := strings.Cut(asked, "?")
	for i := range n {
		h.clock.Advance(time.Millisecond)
		r, _ := http.NewRequest(http.MethodGet, asked, nil)
		switch what {
		case "reset":
			r, _ = http.NewRequest(http.MethodGet, at, nil)
		case "post":
			r, _ = http.NewRequest(http.MethodPost, address, strings.NewReader(query))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := served{h.p}.RoundTrip(r)
		if err != nil || res.StatusCode != http.StatusSeeOther {
			h.t.Fatalf("%s %d: %d %v", what, i, res.StatusCode, err)
		}
	}
}

// sweep does what Run does every minute.
func (h *house) sweep() {
	h.t.Helper()
	if err := h.p.Sweep(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// What is begun and left stays little: each costs a record or two, no line of the journal and no mail; of those nobody goes on with there
// are never more than the limit for longer than a minute; whoever has proven something goes on while no more than twice the limit come
// after her, and so does whoever came last; a flood of the one sort does not crowd out the other; and when its time is over nothing is left.
func TestA50_AFloodOfBeginningsIsBoundedAndCrowdsOutItselfAlone(t *testing.T) {
	const most = 100
	each(t, func(t *testing.T, h *house) {
		before, _ := h.shelved()
		rows, mails := len(h.records("avengers", true)), len(h.mails.all())
		h.abandon(10, "sign-in")
		h.abandon(10, "reset")
		after, bytes := h.shelved()
		if after["flow"]-before["flow"] != 20 || after["request"]-before["request"] != 10 || len(after) != len(before)+2 || bytes > 20*12<<10 {
			t.Errorf("twenty beginnings are %v, %d bytes", after, bytes)
		}
		if n := len(h.records("avengers", true)); n-rows != 30 || len(h.mails.all()) != mails {
			t.Errorf("twenty beginnings left %d lines", n-rows)
		}

		proven := h.browser()
		proven.signIn("ironman", password)
		proven.want("More information required")
		standing := h.browser()
		standing.get("/avengers/reset")
		h.clock.Advance(time.Minute)
		h.abandon(most*3/2, "sign-in")
		h.sweep()
		if n, _ := h.shelved(); n["flow"] > 2*most || n["request"] > 2*most || n["flow"] < most {
			t.Errorf("after a flood of sign-ins there are %v", n)
		}
		if standing.get(standing.last.url.String()); standing.last.h1() != "Get back into your account" {
			t.Errorf("a flood of sign-ins ended a reset: %d %q", standing.last.status, standing.last.h1())
		}
		typing := h.browser()
		typing.authorize()
		typing.post("username", "hulk", "action", "next")
		h.clock.Advance(time.Minute)
		h.abandon(most*3/2, "reset")
		h.abandon(most*3/2, "post")
		h.sweep()
		if n, _ := h.shelved(); n["flow"] > 2*most+10 || n["posted"] > most {
			t.Errorf("after a flood of resets and of posts there are %v", n)
		}
		if p := typing.post("password", password, "action", "sign_in"); p.query("code") == "" {
			t.Errorf("a flood of resets ended a sign-in: %d %q", p.status, p.h1())
		}
		last := h.browser()
		last.authorize()
		h.abandon(most/4, "sign-in")
		h.sweep()
		if p := last.password("hulk", password); p.query("code") == "" {
			t.Errorf("who came last cannot go on: %d %q", p.status, p.h1())
		}
		proven.app()
		if p := proven.post("action", "done"); p.query("code") == "" {
			t.Errorf("who had proven her password cannot go on: %d %q", p.status, p.h1())
		}
		h.clock.Advance(time.Hour + time.Minute)
		h.sweep()
		if n, _ := h.shelved(); n["flow"]+n["request"]+n["posted"]+n["pushed"]+n["logout"] > 0 {
			t.Errorf("an hour later there are %v", n)
		}
	}, quietly, with(func(t *sparekey.Tenant) { t.Limits.Begun = most }))
}

// The same with a million beginnings: the process does not grow, and nobody else waits twice as long.
func TestA50_AMillionBeginningsAreNotFelt(t *testing.T) {
	if !deep() {
		t.Skip("takes half an hour: SPAREKEY_DEEP=1")
	}
	each(t, func(t *testing.T, h *house) {
		plain := h.named(h.origin)
		plain.client = &http.Client{Transport: served{h.p}}
		b := plain.browser()
		b.register2("hulk")
		honest := func() time.Duration {
			var took []time.Duration
			for range 1000 {
				began := time.Now()
				if h.userinfo(plain.redeem(b.authorize()).Access) != http.StatusOK {
					t.Fatal("an honest sign-in fails")
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			return took[len(took)*99/100]
		}
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		honest()
		base, was := honest(), heap()
		const all, round = 500_000, 20_000 // on each engine
		for n := 0; n < all; n += round {
			h.abandon(round/2, "sign-in")
			h.abandon(round/2, "reset")
			h.sweep()
			h.clock.Advance(time.Minute)
		}
		h.abandon(round/2, "sign-in") // what stands between two sweeps
		var stop atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for !stop.Load() {
				h.abandon(1, "sign-in")
				time.Sleep(10 * time.Millisecond)
			}
		}()
		during, grown := honest(), int64(heap())-int64(was)
		stop.Store(true)
		<-done
		n, bytes := h.shelved()
		t.Logf("p99 %v, and %v in the flood; %d MiB more on the heap; %v, %d MiB", base, during, grown>>20, n, bytes>>20)
		if during > 2*base+time.Millisecond || grown > 64<<20 || n["flow"] > 200_000+2*round {
			t.Error("the flood is felt")
		}
	}, quietly)
}

// A request that is too long, has too many parts or too much of one is refused before anything is stored.
func TestA50_WhatIsTooMuchToRememberIsNotRemembered(t *testing.T) {
	h := open(t)
	before, _ := h.shelved()
	for name, pairs := range map[string][]string{"a long state": {"state", strings.Repeat("x", 5000)}, "a long nonce": {"nonce", strings.Repeat("x", 5000)}, "a long hint": {"login_hint", strings.Repeat("x", 5000)}} {
		if p := h.browser().authorize(pairs...); p.status != http.StatusBadRequest && p.query("error") != "invalid_request" {
			t.Errorf("%s: %d %q", name, p.status, p.location)
		}
	}
	form := url.Values{}
	for i := range 2000 {
		form.Set(fmt.Sprint("field", i), strings.Repeat("x", 100))
	}
	if p := h.browser().send(h.issuer+"/authorize", form); p.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 200 kB: %d", p.status)
	}
	if after, _ := h.shelved(); len(after) != len(before) {
		t.Errorf("they are remembered: %v", after)
	}
}
