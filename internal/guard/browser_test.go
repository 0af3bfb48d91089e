package guard

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

func request(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "https://login.example/avengers/flow/x", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func (h *house) know(user string, cookies ...*http.Cookie) (c *http.Cookie) {
	h.Helper()
	h.write(func(tx store.Tx) (err error) {
		c, err = h.g().Know(tx, request(cookies...), user)
		return err
	})
	return c
}

func (h *house) known(user string, cookies ...*http.Cookie) (yes bool) {
	h.Helper()
	err := h.g().db.Read(h.Context(), func(tx store.Tx) error {
		yes = h.g().KnownBrowser(tx, request(cookies...), user)
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	return yes
}

func TestABrowserIsKnownToTheUserWhoSignedInFromIt(t *testing.T) {
	each(t, Options{}, func(h *house) {
		c := h.know("u1")
		if c.Name != "__Host-sparekey-avengers-device" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode ||
			c.MaxAge != 180*24*3600 || len(c.Value) != 43 {
			h.Errorf("cookie %v", c)
		}
		if !h.known("u1", c) {
			h.Error("it is not known")
		}
		for name, yes := range map[string]bool{
			"to another user":                 h.known("u2", c),
			"without its cookie":              h.known("u1"),
			"by a made-up cookie":             h.known("u1", &http.Cookie{Name: c.Name, Value: secret.Token()}),
			"by a short cookie":               h.known("u1", &http.Cookie{Name: c.Name, Value: "x"}),
			"by an empty cookie":              h.known("u1", &http.Cookie{Name: c.Name, Value: ""}),
			"by another cookie’s name":        h.known("u1", &http.Cookie{Name: "sparekey-avengers-device", Value: c.Value}),
			"when a second one was planted":   h.known("u1", c, &http.Cookie{Name: c.Name, Value: secret.Token()}),
			"to nobody":                       h.known("", c),
			"by what is stored of the cookie": h.known("u1", &http.Cookie{Name: c.Name, Value: browserKey(c.Value, "u1")}),
		} {
			if yes {
				h.Errorf("known %s", name)
			}
		}
		h.Run("A10 not in another tenant", func(t *testing.T) {
			other := h.open(Options{}, "wakanda")
			c := *c
			c.Name = other.cookie().Name()
			_ = other.db.Read(t.Context(), func(tx store.Tx) error {
				if other.KnownBrowser(tx, request(&c), "u1") {
					t.Error("known in another tenant")
				}
				return nil
			})
		})
		h.Run("a second user may share it", func(t *testing.T) {
			if d := h.know("u2", c); d.Value != c.Value || !h.known("u1", d) || !h.known("u2", d) {
				t.Error("the first user lost it, or the second did not get it")
			}
		})
		h.Run("until 180 days after the last sign-in", func(t *testing.T) {
			h.clock.Advance(100 * 24 * time.Hour)
			h.know("u1", c)
			h.clock.Advance(180*24*time.Hour - time.Second)
			if !h.known("u1", c) || h.known("u2", c) {
				t.Error("the days are not counted from the last sign-in")
			}
			h.clock.Advance(time.Second)
			if h.known("u1", c) {
				t.Error("known for longer")
			}
		})
		h.Run("until it is forgotten", func(t *testing.T) {
			one, two := h.know("u1"), h.know("u2")
			h.write(func(tx store.Tx) error { return h.g().Forget(tx, "u1") })
			if h.known("u1", one) || !h.known("u2", two) {
				t.Error("u1’s browsers must be forgotten, and no others")
			}
		})
		h.Run("the twenty used last are kept", func(t *testing.T) {
			var all []*http.Cookie
			for range 21 {
				h.clock.Advance(time.Minute)
				all = append(all, h.know("u3"))
				if len(all) == 20 {
					h.know("u3", all[0])
				}
			}
			var kept []string
			for i, c := range all {
				if h.known("u3", c) {
					kept = append(kept, fmt.Sprint(i))
				}
			}
			if got := strings.Join(kept, " "); got != "0 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20" {
				t.Errorf("kept %s", got)
			}
		})
		h.Run("the cookie’s value is not stored", func(t *testing.T) {
			c, n := h.know("u4"), 0
			h.write(func(tx store.Tx) error {
				return tx.Row("SELECT COUNT(*) FROM shelf WHERE tenant = $1 AND (key LIKE $2 OR owner LIKE $2)", "%"+c.Value+"%").Scan(&n)
			})
			if n != 0 {
				t.Error("it is")
			}
		})
	})
}

func TestOnALocalIssuerTheCookieNeedsNoTLS(t *testing.T) {
	h := &house{T: t}
	each(t, Options{}, func(n *house) {
		*h = *n
		o := n.g().o
		o.Secure = false
		h.nodes[0] = New(n.g().db, o)
		h.T = n.T
		if c := h.know("u1"); c.Name != "sparekey-avengers-device" || c.Secure {
			h.Errorf("cookie %v", c)
		}
	})
}
