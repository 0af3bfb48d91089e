package sparekey_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
)

// Whichever way the clock jumps, nothing is good early, nothing that was used or has ended is good again, and nothing lasts for ever.
func TestF08_AClockThatJumpsMakesNothingGoodEarlyAgainOrForEver(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		n := 0
		for _, jump := range []time.Duration{time.Hour, -time.Hour, 30 * time.Second, -30 * time.Second, time.Second, -time.Second} {
			t.Run(jump.String(), func(t *testing.T) {
				n++
				jumper := func(what string) string {
					login := fmt.Sprintf("%s%d", what, n)
					h.addUser("avengers", login, "", login+"@stark.example", "Avengers")
					return login
				}
				h.clock.Advance(49 * time.Hour)
				h.clock.Set(h.clock.Now().Truncate(30 * time.Second).Add(10 * time.Minute))
				opens := func(login, code string) bool {
					return resetting(h, login, "totp").post("code", code, "action", "verify").h1() == "Choose a new password"
				}

				// An app: a code of a time that the clock is not at, and one that was used where the clock was.
				login := jumper("app")
				owner, got := signedIn(t, h, login)
				h.clock.Advance(time.Minute)
				steps := int(jump / (30 * time.Second))
				if steps > 1 || steps < -1 {
					if opens(login, h.totp(owner.key, steps)) {
						t.Error("a code of another hour is good")
					}
				}
				here := h.totp(owner.key, 0)
				if !opens(login, here) {
					t.Fatal("a code of now is not good")
				}
				h.clock.Advance(jump)
				there := h.totp(owner.key, 0)
				if opens(login, here) {
					t.Error("a code is good again after the jump")
				}
				if good := opens(login, there); good != (steps > 0) {
					t.Errorf("the code of the time after the jump is good: %v", good)
				}
				h.clock.Advance(-jump)
				for _, code := range []string{here, there, h.totp(owner.key, 0)} {
					if opens(login, code) {
						t.Error("a code is good again when the clock is put right")
					}
				}

				// What was rotated and what was ended stays so, and what has ended does, on either side of the jump.
				next := h.refresh(got.Refresh)
				if next.Refresh == "" {
					t.Fatal(next.raw)
				}
				b := h.browser()
				b.signIn(login, password)
				late := b.authorize()
				h.clock.Advance(time.Minute + jump.Abs()%time.Minute + time.Second) // time may have stood still
				if h.redeem(late).Access != "" {
					t.Fatal("a code is good after its end")
				}
				h.sweep()
				h.clock.Advance(-jump)
				if h.redeem(late).Access != "" {
					t.Error("a code that had ended is good again")
				}
				h.clock.Advance(jump)
				if h.refresh(got.Refresh).Access != "" || h.refresh(next.Refresh).Access != "" {
					t.Error("a refresh token is good twice, or its family lives on")
				}

				// A session and a refresh token that the jump fell upon end: by the time that it was off, at most, later than they would.
				h.clock.Advance(5 * time.Minute)
				sleeper := jumper("sleeper")
				h.clock.Advance(jump)
				s, held := signedIn(t, h, sleeper)
				h.clock.Advance(-jump)
				alive(s)
				h.clock.Advance(8*time.Hour + jump.Abs() + time.Second)
				if alive(s) {
					t.Error("a session outlives its end")
				}
				h.clock.Advance(14*24*time.Hour - 8*time.Hour)
				if h.refresh(held.Refresh).Access != "" {
					t.Error("a refresh token outlives its end")
				}
			})
		}
	})
}

// What has ended a moment ago does not begin anew when the clock is put back by a little, be it swept or not.
func TestF08_WhatHasEndedStaysSoWhenTheClockIsPutBackALittle(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for i, back := range []time.Duration{time.Second, 10 * time.Second, 30 * time.Second} {
			login := fmt.Sprint("late", i)
			h.addUser("avengers", login, "", login+"@stark.example", "Avengers")
			h.clock.Advance(49 * time.Hour)
			b, _ := signedIn(t, h, login)
			p := b.authorize()
			h.clock.Advance(time.Minute)
			if h.redeem(p).Access != "" {
				t.Fatal("a code is good at its end")
			}
			h.clock.Advance(-back)
			if h.redeem(p).Access != "" {
				t.Errorf("a code is good again %v before its end, which was there already", back)
			}
			h.clock.Advance(8*time.Hour + back)
			if alive(b) {
				t.Fatal("a session lives after its end")
			}
			h.clock.Advance(-back)
			if alive(b) {
				t.Errorf("a session lives again %v before its end, which was there already", back)
			}
		}
	})
}

// A node whose clock is more than a step of an app from another one's says so behind its readiness, as the other one does, and both serve on.
func TestF08_ReadinessSaysThatClocksAreApart(t *testing.T) {
	t.Parallel()
	p := two(t, 1)
	var off time.Duration
	third, err := sparekey.Open(t.Context(), p.cfg, sparekey.WithClock(func() time.Time { return p.clock.Now().Add(off) }), sparekey.WithSender(p.mails.send))
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	nodes := []*sparekey.Plugin{third, p.p, p.second}
	apart := regexp.MustCompile(`^ready\nclock: .* from another node's\n$`)
	// The clock of the house stands still and the database's goes on, so that beats ten seconds apart look as if their nodes were.
	for _, c := range []struct {
		off   time.Duration
		wants bool
		nodes int // that have to say so; the others' next beats are waited for once
	}{{15 * time.Second, false, 1}, {45 * time.Second, true, 3}, {-time.Hour, true, 1}, {0, false, 1}} {
		off = c.off
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			third.Run(ctx)
			close(stopped)
		}()
		for i, end := 0, time.Now().Add(25*time.Second); i < c.nodes; time.Sleep(10 * time.Millisecond) {
			w := httptest.NewRecorder()
			nodes[i].ServeHTTP(w, httptest.NewRequest(http.MethodGet, p.origin+"/readyz", nil))
			if said := w.Body.String(); w.Code == http.StatusOK && (c.wants && apart.MatchString(said) || !c.wants && said == "ready\n") {
				i++
			} else if time.Now().After(end) {
				t.Fatalf("%v: node %d says %d %q", c.off, i, w.Code, said)
			}
		}
		cancel()
		<-stopped
	}
}
