package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func TestSE03_A46_ASessionEndsAtItsLimitsToTheSecond(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		alive bool
	}{
		{"one second before the idle limit", limits.Idle - time.Second, true},
		{"at the idle limit", limits.Idle, false},
		{"one second after the idle limit", limits.Idle + time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachRoom(t, func(t *testing.T, r room) {
				cookie, s := r.begin("ironman", "")
				r.clock.Advance(c.after)
				if got := r.alive(cookie); got != c.alive {
					t.Fatalf("alive %v, want %v", got, c.alive)
				}
				// A late touch must not bring it back.
				if err := r.Touch(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				if got := r.alive(cookie); got != c.alive {
					t.Fatalf("after a touch: alive %v, want %v", got, c.alive)
				}
			})
		})
	}
	for _, c := range []struct {
		name  string
		off   time.Duration
		alive bool
	}{
		{"one second before the absolute limit", -time.Second, true},
		{"at the absolute limit", 0, false},
		{"one second after the absolute limit", time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachRoom(t, func(t *testing.T, r room) {
				cookie, s := r.begin("ironman", "")
				end := r.clock.Now().Add(limits.Absolute)
				for r.clock.Now().Add(30 * time.Minute).Before(end) {
					r.clock.Advance(30 * time.Minute)
					got, err := r.current(cookie)
					if err != nil {
						t.Fatalf("in steady use it ended early, at %v", r.clock.Now())
					}
					if err := r.Touch(t.Context(), got); err != nil {
						t.Fatal(err)
					}
				}
				r.clock.Set(end.Add(c.off))
				if got := r.alive(cookie); got != c.alive {
					t.Fatalf("alive %v, want %v", got, c.alive)
				}
				_ = s
			})
		})
	}
	t.Run("signing in again with an older auth_time does not move the absolute end", func(t *testing.T) {
		eachRoom(t, func(t *testing.T, r room) {
			_, s := r.begin("ironman", "")
			r.clock.Advance(limits.Absolute - time.Minute)
			var cookie *http.Cookie
			r.write(func(tx store.Tx) (err error) { cookie, _, err = r.Begin(tx, s, ""); return err })
			r.clock.Advance(time.Minute)
			if r.alive(cookie) {
				t.Error("a renewed session outlived the absolute limit of its sign-in")
			}
		})
	})
	t.Run("a limit that the operator lowers holds for sessions begun before", func(t *testing.T) {
		storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
			cookie, _ := open(t, db, "avengers", clock, limits).begin("ironman", "")
			lower := limits
			lower.Absolute = 10 * time.Minute
			r := open(t, db, "avengers", clock, lower)
			clock.Advance(lower.Absolute - time.Second)
			if !r.alive(cookie) {
				t.Fatal("it ended early")
			}
			clock.Advance(time.Second)
			if r.alive(cookie) {
				t.Error("it outlived the new limit")
			}
		})
	})
	t.Run("the clock set back ten minutes makes no session immortal", func(t *testing.T) {
		eachRoom(t, func(t *testing.T, r room) {
			r.clock.Advance(10 * time.Minute) // the clock runs ahead
			cookie, s := r.begin("ironman", "")
			r.clock.Advance(-10 * time.Minute)
			if !r.alive(cookie) {
				t.Fatal("a clock set back ended the session")
			}
			if err := r.Touch(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			r.clock.Advance(limits.Idle)
			if r.alive(cookie) {
				t.Error("the idle limit counts from a time that was never")
			}
		})
	})
	t.Run("auth_time is never in the future", func(t *testing.T) {
		eachRoom(t, func(t *testing.T, r room) {
			r.write(func(tx store.Tx) error {
				_, s, err := r.Begin(tx, session.Session{User: "u", Subject: "s", At: r.clock.Now().Add(time.Hour)}, "")
				if err == nil && s.At.After(r.clock.Now()) {
					err = fmt.Errorf("auth_time is %v at %v", s.At, r.clock.Now())
				}
				return err
			})
		})
	})
}

func TestTouchWritesAtMostEveryFiveMinutes(t *testing.T) {
	eachRoom(t, func(t *testing.T, r room) {
		cookie, began := r.begin("ironman", "")
		seen := func() time.Duration {
			s, err := r.current(cookie)
			if err != nil {
				t.Fatal(err)
			}
			return s.Seen.Sub(began.Seen)
		}
		for _, c := range []struct{ advance, want time.Duration }{
			{5*time.Minute - time.Second, 0}, {time.Second, 5 * time.Minute}, {time.Minute, 5 * time.Minute}, {4 * time.Minute, 10 * time.Minute},
		} {
			r.clock.Advance(c.advance)
			now, err := r.current(cookie)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Touch(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			if got := seen(); got != c.want {
				t.Errorf("last use is noted as %v after sign-in, want %v", got, c.want)
			}
		}
	})
	t.Run("and often enough for a short idle limit", func(t *testing.T) {
		storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
			o := limits
			o.Idle = 2 * time.Minute
			r := open(t, db, "avengers", clock, o)
			cookie, _ := r.begin("ironman", "")
			for range 20 {
				clock.Advance(30 * time.Second)
				s, err := r.current(cookie)
				if err != nil {
					t.Fatal("a session in use every 30 seconds ended under an idle limit of two minutes")
				}
				if err := r.Touch(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

func TestSE04_EndingASessionEndsItNow(t *testing.T) {
	eachRoom(t, func(t *testing.T, r room) {
		one, s := r.begin("ironman", "")
		two, _ := r.begin("ironman", "")
		other, _ := r.begin("pepper", "")
		r.write(func(tx store.Tx) error { return r.End(tx, s.Key) })
		if r.alive(one) || !r.alive(two) || !r.alive(other) {
			t.Fatalf("after ending one: %v %v %v, want false true true", r.alive(one), r.alive(two), r.alive(other))
		}
		r.write(func(tx store.Tx) error { return r.End(tx, s.Key) }) // again: no error
		r.clock.Advance(6 * time.Minute)
		if err := r.Touch(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := r.h.Write(t.Context(), func(tx store.Tx) error { return r.Signed(tx, s, "wiki") }); !errors.Is(err, session.ErrNone) {
			t.Errorf("a relying party signed in under an ended session: %v", err)
		}
		if r.alive(one) {
			t.Error("using an ended session brought it back")
		}
	})
	t.Run("EndAll ends every session of the user and names the relying parties once", func(t *testing.T) {
		eachRoom(t, func(t *testing.T, r room) {
			one, a := r.begin("ironman", "")
			two, b := r.begin("ironman", "")
			other, c := r.begin("pepper", "")
			r.write(func(tx store.Tx) error {
				return errors.Join(r.Signed(tx, a, "wiki"), r.Signed(tx, a, "wiki"), r.Signed(tx, a, "chat"), r.Signed(tx, b, "wiki"), r.Signed(tx, c, "mail"))
			})
			var clients []string
			r.write(func(tx store.Tx) (err error) { clients, err = r.EndAll(tx, "ironman"); return err })
			if !slices.Equal(clients, []string{"chat", "wiki"}) {
				t.Errorf("clients %v, want chat and wiki", clients)
			}
			if r.alive(one) || r.alive(two) || !r.alive(other) {
				t.Errorf("%v %v %v, want false false true", r.alive(one), r.alive(two), r.alive(other))
			}
			r.write(func(tx store.Tx) (err error) { clients, err = r.EndAll(tx, "ironman"); return err })
			if len(clients) != 0 {
				t.Errorf("a second EndAll names %v", clients)
			}
			_, idle := r.begin("hulk", "")
			r.write(func(tx store.Tx) error { return r.Signed(tx, idle, "wiki") })
			r.clock.Advance(limits.Idle)
			r.write(func(tx store.Tx) (err error) { clients, err = r.EndAll(tx, "hulk"); return err })
			if !slices.Equal(clients, []string{"wiki"}) {
				t.Errorf("of a session idle too long, clients %v are named, want wiki", clients)
			}
			if err := r.h.Write(t.Context(), func(tx store.Tx) error { _, err := r.EndAll(tx, ""); return err }); err == nil {
				t.Error("EndAll of nobody passed")
			}
		})
	})
	t.Run("the page lists living sessions and finds them by sid for their owner alone", func(t *testing.T) {
		eachRoom(t, func(t *testing.T, r room) {
			_, old := r.begin("ironman", "")
			r.clock.Advance(30 * time.Minute)
			_, fresh := r.begin("ironman", "")
			r.begin("pepper", "")
			err := r.h.Read(t.Context(), func(tx store.Tx) error {
				list, err := r.List(tx, "ironman")
				if err != nil {
					return err
				}
				if len(list) != 2 || list[0].ID != fresh.ID || list[1].ID != old.ID || list[0].Key != fresh.Key {
					t.Errorf("the list is %+v", list)
				}
				if got, err := r.Find(tx, old.ID, "ironman"); err != nil || got.Key != old.Key {
					t.Errorf("find own: %v, %v", got, err)
				}
				for _, who := range []string{"pepper", "", "nobody"} {
					if _, err := r.Find(tx, old.ID, who); !errors.Is(err, session.ErrNone) {
						t.Errorf("A30 %q found ironman's session: %v", who, err)
					}
				}
				for _, sid := range []string{"", old.Key, "zzz"} {
					if _, err := r.Find(tx, sid, "ironman"); !errors.Is(err, session.ErrNone) {
						t.Errorf("a session was found by %q: %v", sid, err)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			r.clock.Advance(40 * time.Minute) // the first is idle too long now
			r.write(func(tx store.Tx) error {
				list, err := r.List(tx, "ironman")
				if len(list) != 1 || list[0].ID != fresh.ID {
					t.Errorf("a session past its end is listed: %+v", list)
				}
				return err
			})
		})
	})
	t.Run("fifty at once, each relying party is remembered", func(t *testing.T) {
		eachRoom(t, func(t *testing.T, r room) {
			cookie, s := r.begin("ironman", "")
			r.clock.Advance(10 * time.Minute)
			var group sync.WaitGroup
			for i := range 50 {
				group.Go(func() {
					if i%5 == 0 {
						if err := r.Touch(t.Context(), s); err != nil {
							t.Error(err)
						}
					}
					if err := r.h.Write(t.Context(), func(tx store.Tx) error { return r.Signed(tx, s, fmt.Sprintf("client-%02d", i)) }); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			if got, err := r.current(cookie); err != nil || len(got.Clients) != 50 {
				t.Errorf("%d relying parties remembered, want 50 (%v)", len(got.Clients), err)
			}
		})
	})
}
