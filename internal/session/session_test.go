package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// room is one tenant's sessions in a test.
type room struct {
	*session.Sessions
	t     *testing.T
	h     *store.Handle
	clock *storetest.Clock
}

var limits = session.Options{Idle: time.Hour, Absolute: 24 * time.Hour, Cookie: "sparekey-avengers", Secure: true}

// eachRoom runs the test on every engine.
func eachRoom(t *testing.T, f func(t *testing.T, r room)) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { f(t, open(t, db, "avengers", clock, limits)) })
}

func open(t *testing.T, db *store.DB, tenant string, clock *storetest.Clock, o session.Options) room {
	o.Now = clock.Now
	h := db.Tenant(tenant)
	return room{session.New(h, o), t, h, clock}
}

func (r room) write(f func(tx store.Tx) error) {
	r.t.Helper()
	if err := r.h.Write(r.t.Context(), f); err != nil {
		r.t.Fatal(err)
	}
}

// begin signs the user in and gives the cookie her browser got.
func (r room) begin(user, old string) (*http.Cookie, session.Session) {
	r.t.Helper()
	var cookie *http.Cookie
	var s session.Session
	r.write(func(tx store.Tx) (err error) {
		cookie, s, err = r.Begin(tx, session.Session{User: user, Subject: "sub-" + user, Login: user, Epoch: 3,
			Proofs: []identity.Proof{{Kind: identity.Password, At: r.clock.Now()}}, AMR: []string{"pwd"}, Agent: "Browser", Network: "192.0.2.1"}, old)
		return err
	})
	return cookie, s
}

// current reads the session of a browser that sends these cookies.
func (r room) current(cookies ...*http.Cookie) (s session.Session, err error) {
	r.t.Helper()
	q := httptest.NewRequest("GET", "https://id.example/avengers/authorize", nil)
	for _, c := range cookies {
		q.AddCookie(c)
	}
	bad := r.h.Read(r.t.Context(), func(tx store.Tx) error { s, err = r.Current(tx, q); return nil })
	if bad != nil {
		r.t.Fatal(bad)
	}
	return s, err
}

func (r room) alive(c *http.Cookie) bool {
	r.t.Helper()
	_, err := r.current(c)
	if err != nil && !errors.Is(err, session.ErrNone) {
		r.t.Fatal(err)
	}
	return err == nil
}

func TestASessionKeepsWhatWasSaidAtSignIn(t *testing.T) {
	eachRoom(t, func(t *testing.T, r room) {
		cookie, began := r.begin("ironman", "")
		got, err := r.current(cookie)
		if err != nil {
			t.Fatal(err)
		}
		if got.User != "ironman" || got.Subject != "sub-ironman" || got.Login != "ironman" || got.Epoch != 3 || got.Agent != "Browser" || got.Network != "192.0.2.1" {
			t.Errorf("the session reads %+v", got)
		}
		if !got.At.Equal(r.clock.Now()) || !got.Seen.Equal(r.clock.Now()) {
			t.Errorf("auth_time is %v and last use %v, want %v", got.At, got.Seen, r.clock.Now())
		}
		if len(got.Proofs) != 1 || got.Proofs[0].Kind != identity.Password || !slices.Equal(got.AMR, []string{"pwd"}) {
			t.Errorf("proofs %v, amr %v", got.Proofs, got.AMR)
		}
		if got.ID != began.ID || got.Key != began.Key || got.Key == "" {
			t.Errorf("ids %q %q, keys %q %q", got.ID, began.ID, got.Key, began.Key)
		}
	})
}

func TestSE01_TheCookieIsARandomValueThatIsStoredAsADigest(t *testing.T) {
	eachRoom(t, func(t *testing.T, r room) {
		seen := map[string]bool{}
		for i := range 200 {
			cookie, s := r.begin(fmt.Sprint("user", i), "")
			if len(cookie.Value) != 43 {
				t.Fatalf("the cookie's value has %d characters, want 43 (256 bits)", len(cookie.Value))
			}
			if s.Key != secret.Digest(cookie.Value) {
				t.Fatal("the shelf's key is not the digest of the cookie's value")
			}
			for _, x := range []string{cookie.Value, s.ID} {
				if seen[x] {
					t.Fatalf("%q was given out twice", x)
				}
				seen[x] = true
			}
			// Time-ordered ids share their beginning; random ones do not.
			if p := cookie.Value[:8]; seen[p] {
				t.Fatalf("two values begin with %q", p)
			} else {
				seen[p] = true
			}
			err := r.h.Read(t.Context(), func(tx store.Tx) error {
				var n int
				if err := tx.Row(`SELECT count(*) FROM shelf WHERE tenant = $1 AND (key = $2 OR shelf = $2 OR owner = $2)`, cookie.Value).Scan(&n); err != nil {
					return err
				}
				if n != 0 {
					return errors.New("the cookie's value stands in the database")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestSE02_EverySignInGetsANewValueAndTheOldOneDies(t *testing.T) {
	eachRoom(t, func(t *testing.T, r room) {
		first, s := r.begin("ironman", "")
		second, again := r.begin("ironman", s.Key)
		if first.Value == second.Value || s.ID == again.ID || s.Key == again.Key {
			t.Fatal("signing in again kept the value, the sid or the key")
		}
		if r.alive(first) {
			t.Error("the old cookie still signs in")
		}
		if !r.alive(second) {
			t.Error("the new cookie does not sign in")
		}
	})
	t.Run("A29 what another user's browser brought along is dropped, not taken over", func(t *testing.T) {
		eachRoom(t, func(t *testing.T, r room) {
			first, s := r.begin("hulk", "")
			r.write(func(tx store.Tx) error { return r.Signed(tx, s, "wiki") })
			second, _ := r.begin("ironman", s.Key)
			if r.alive(first) {
				t.Error("hulk's session outlived ironman's sign-in in the same browser")
			}
			got, err := r.current(second)
			if err != nil || got.User != "ironman" {
				t.Fatalf("%v, %v", got.User, err)
			}
			if len(got.Clients) != 0 {
				t.Errorf("ironman's session took over hulk's relying parties: %v", got.Clients)
			}
		})
	})
	t.Run("the same user's relying parties are remembered", func(t *testing.T) {
		eachRoom(t, func(t *testing.T, r room) {
			_, s := r.begin("ironman", "")
			r.write(func(tx store.Tx) error { return r.Signed(tx, s, "wiki") })
			second, _ := r.begin("ironman", s.Key)
			if got, _ := r.current(second); !slices.Equal(got.Clients, []string{"wiki"}) {
				t.Errorf("clients %v, want wiki", got.Clients)
			}
		})
	})
	t.Run("a sign-in that fails later leaves the old session alone", func(t *testing.T) {
		eachRoom(t, func(t *testing.T, r room) {
			first, s := r.begin("ironman", "")
			late := errors.New("the journal is full")
			err := r.h.Write(t.Context(), func(tx store.Tx) error {
				if _, _, err := r.Begin(tx, session.Session{User: "ironman", Subject: "sub-ironman"}, s.Key); err != nil {
					return err
				}
				return late
			})
			if !errors.Is(err, late) || !r.alive(first) {
				t.Errorf("%v; old session alive: %v", err, r.alive(first))
			}
		})
	})
}

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

func TestSE05_TheCookieIsBoundToThisHostAndTenant(t *testing.T) {
	db, clock := storetest.SQLiteClock(t)
	for _, c := range []struct {
		name   string
		secure bool
		want   string
	}{{"https", true, "__Host-sparekey-avengers-session"}, {"http://localhost", false, "sparekey-avengers-session"}} {
		t.Run(c.name, func(t *testing.T) {
			o := limits
			o.Secure = c.secure
			r := open(t, db, "avengers", clock, o)
			cookie, _ := r.begin("ironman", "")
			w := httptest.NewRecorder()
			r.Expire(w)
			gone := w.Result().Cookies()[0]
			for what, x := range map[string]*http.Cookie{"set": cookie, "taken away": gone} {
				if x.Name != c.want || x.Secure != c.secure || !x.HttpOnly || x.SameSite != http.SameSiteLaxMode || x.Path != "/" || x.Domain != "" || !x.Expires.IsZero() {
					t.Errorf("the cookie %s is %s", what, x)
				}
				if err := x.Valid(); err != nil {
					t.Errorf("the cookie %s is not valid: %v", what, err)
				}
			}
			if cookie.MaxAge != 0 {
				t.Errorf("the cookie outlives the browser: %s", cookie)
			}
			if gone.MaxAge >= 0 || gone.Value != "" {
				t.Errorf("the cookie is not taken away: %s", gone)
			}
		})
	}
}

func TestA08_OnlyTheExactCookieSignsIn(t *testing.T) {
	eachRoom(t, func(t *testing.T, r room) {
		cookie, s := r.begin("ironman", "")
		with := func(change func(c *http.Cookie)) *http.Cookie {
			c := &http.Cookie{Name: cookie.Name, Value: cookie.Value}
			change(c)
			return c
		}
		for i := range cookie.Value {
			flipped := []byte(cookie.Value)
			if flipped[i]++; flipped[i] == ';' {
				flipped[i]++
			}
			if r.alive(with(func(c *http.Cookie) { c.Value = string(flipped) })) {
				t.Fatalf("a value with character %d changed signs in", i)
			}
		}
		for i := range len(cookie.Value) {
			if r.alive(with(func(c *http.Cookie) { c.Value = cookie.Value[:i] })) {
				t.Fatalf("a value cut to %d characters signs in", i)
			}
		}
		for name, c := range map[string]*http.Cookie{
			"longer":              with(func(c *http.Cookie) { c.Value += "A" }),
			"other case":          with(func(c *http.Cookie) { c.Value = swapCase(c.Value) }),
			"quoted":              with(func(c *http.Cookie) { c.Quoted = true }),
			"the shelf's key":     with(func(c *http.Cookie) { c.Value = s.Key }),
			"the sid":             with(func(c *http.Cookie) { c.Value = s.ID }),
			"the user's id":       with(func(c *http.Cookie) { c.Value = s.User }),
			"a forged value":      with(func(c *http.Cookie) { c.Value = secret.Token() }),
			"a JSON session":      with(func(c *http.Cookie) { c.Value = `{"user":"ironman"}` }),
			"a value of all":      with(func(c *http.Cookie) { c.Value = "%" }),
			"without the prefix":  with(func(c *http.Cookie) { c.Name = "sparekey-avengers-session" }),
			"the flow's name":     with(func(c *http.Cookie) { c.Name = "__Host-sparekey-avengers-flow" }),
			"another tenant's":    with(func(c *http.Cookie) { c.Name = "__Host-sparekey-wakanda-session" }),
			"another case's name": with(func(c *http.Cookie) { c.Name = "__host-sparekey-avengers-session" }),
		} {
			if r.alive(c) {
				t.Errorf("%s signs in: %s", name, c)
			}
		}
		if _, err := r.current(); !errors.Is(err, session.ErrNone) {
			t.Errorf("no cookie at all: %v", err)
		}
		planted := with(func(c *http.Cookie) { c.Value = secret.Token() })
		for name, order := range map[string][]*http.Cookie{"first": {planted, cookie}, "last": {cookie, planted}} {
			if _, err := r.current(order...); !errors.Is(err, session.ErrNone) {
				t.Errorf("A29 with a second session cookie planted %s, one of them counted", name)
			}
		}
		if !r.alive(cookie) {
			t.Error("the true cookie does not sign in any more")
		}
	})
}

func TestA10_ASessionCountsForItsTenantAlone(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		// The same cookie name on purpose: the store alone has to hold them apart.
		here, there := open(t, db, "avengers", clock, limits), open(t, db, "wakanda", clock, limits)
		cookie, s := here.begin("ironman", "")
		there.begin("ironman", "")
		if there.alive(cookie) {
			t.Error("a cookie of one tenant signs in at another")
		}
		there.write(func(tx store.Tx) error {
			if _, err := there.Find(tx, s.ID, "ironman"); !errors.Is(err, session.ErrNone) {
				t.Errorf("another tenant's session was found: %v", err)
			}
			_, err := there.EndAll(tx, "ironman")
			return errors.Join(err, there.End(tx, s.Key))
		})
		if !here.alive(cookie) {
			t.Error("a session was ended from another tenant")
		}
	})
}

func TestA45_ARestartForgetsAndRevivesNothing(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := storetest.NewClock()
		run := func(f func(r room)) {
			db, err := store.Open(t.Context(), url, store.Options{Now: clock.Now})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			f(open(t, db, "avengers", clock, limits))
		}
		var kept, ended *http.Cookie
		run(func(r room) {
			var s session.Session
			kept, _ = r.begin("pepper", "")
			ended, s = r.begin("ironman", "")
			r.write(func(tx store.Tx) error { return r.End(tx, s.Key) })
		})
		run(func(r room) {
			if r.alive(ended) {
				t.Error("a session that was ended signs in after a restart")
			}
			if !r.alive(kept) {
				t.Error("a session did not survive a restart")
			}
			clock.Advance(limits.Idle)
		})
		run(func(r room) {
			if r.alive(kept) {
				t.Error("a restart made an idle session young again")
			}
		})
	})
}

func TestA47_AStorageFaultIsNeverASession(t *testing.T) {
	clock := storetest.NewClock()
	broken, failing := errors.New("disk gone"), false
	db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{Now: clock.Now, Fault: func(string) error {
		if failing {
			return broken
		}
		return nil
	}})
	r := open(t, db, "avengers", clock, limits)
	cookie, s := r.begin("ironman", "")
	failing = true
	q := httptest.NewRequest("GET", "/", nil)
	q.AddCookie(cookie)
	var got session.Session
	err := r.h.Read(t.Context(), func(tx store.Tx) (err error) { got, err = r.Current(tx, q); return err })
	if err == nil || errors.Is(err, session.ErrNone) || got.User != "" {
		t.Errorf("reading: %v, %v", got, err)
	}
	clock.Advance(10 * time.Minute)
	if err := r.Touch(t.Context(), s); err == nil {
		t.Error("touching: the fault was swallowed")
	}
	if err := r.h.Write(t.Context(), func(tx store.Tx) error { _, err := r.EndAll(tx, "ironman"); return err }); err == nil {
		t.Error("ending: the fault was swallowed")
	}
	failing = false
	if !r.alive(cookie) {
		t.Error("the session is gone after the storage came back")
	}
}

func TestASessionBelongsToSomebody(t *testing.T) {
	eachRoom(t, func(t *testing.T, r room) {
		for _, s := range []session.Session{{}, {User: "ironman"}, {Subject: "sub"}} {
			if err := r.h.Write(t.Context(), func(tx store.Tx) error { _, _, err := r.Begin(tx, s, ""); return err }); err == nil {
				t.Errorf("a session began for %+v", s)
			}
		}
	})
}

func TestABrowsersDescriptionIsKeptShortAndWellFormed(t *testing.T) {
	db, clock := storetest.SQLiteClock(t)
	r := open(t, db, "avengers", clock, limits)
	for _, agent := range []string{strings.Repeat("é", 400), "a" + strings.Repeat("é", 400), "\xff\xfe" + strings.Repeat("x", 300), "short"} {
		r.write(func(tx store.Tx) error {
			_, s, err := r.Begin(tx, session.Session{User: "u", Subject: "s", Agent: agent}, "")
			if len(s.Agent) > 256 || !utf8.ValidString(s.Agent) || s.Agent == "" {
				t.Errorf("kept %q", s.Agent)
			}
			return err
		})
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 32
		case r >= 'A' && r <= 'Z':
			return r + 32
		}
		return r
	}, s)
}
