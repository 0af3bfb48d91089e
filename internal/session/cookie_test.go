package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

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
