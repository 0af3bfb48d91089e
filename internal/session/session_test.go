package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/internal/identity"
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
