package sparekey_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/store"
)

// What makes a browser known is no factor, opens nothing and is nobody's name: whoever steals it has tries of his own, and no more of them
// than are counted for known browsers.
func TestA55_ABrowserThatIsRememberedProvesNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		owner := h.browser()
		owner.register("ironman")
		h.clock.Advance(time.Minute)
		thief := func() *browser {
			b := h.browser()
			at, _ := url.Parse(h.issuer)
			b.jar.SetCookies(at, []*http.Cookie{{Name: deviceCookie, Value: owner.cookie(deviceCookie), Path: "/"}})
			return b
		}
		b := thief()
		if p := b.authorize("prompt", "none"); p.query("error") != "login_required" {
			t.Errorf("it signs in: %q", p.location)
		}
		if b.get("/avengers/security-info"); b.last.h1() != "Sign in" || strings.Contains(b.last.body, "ironman") || strings.Contains(b.last.body, "Tony") {
			t.Errorf("it opens %q, or names her: %s", b.last.h1(), b.last.body)
		}
		if b.password("ironman", password); b.last.query("code") != "" || !strings.Contains(b.last.body, `name="code"`) {
			t.Errorf("with her password it passes the second factor by: %q %q", b.last.h1(), b.last.location)
		}
		if b.post("code", h.wrongCode(owner.key, 0), "action", "verify"); b.last.query("code") != "" {
			t.Error("with a wrong code it signs in")
		}
		r := thief()
		r.beginReset("ironman")
		if shown(r.last) == atNew {
			t.Errorf("a reset asks for no proof: %q", r.last.h1())
		}
		before := h.events("proof.wrong")
		for i := range 20 {
			g := thief()
			g.authorize()
			g.post("username", "ironman", "action", "next")
			g.post(append(g.puzzle(), "password", fmt.Sprint("a guess of many ", i), "action", "sign_in")...)
		}
		if n := h.events("proof.wrong") - before; n != 10 {
			t.Errorf("%d guesses were answered, want 10", n)
		}
		h.clock.Advance(time.Hour)
		owner.authorize("prompt", "login")
		owner.post("username", "ironman", "action", "next")
		if p := owner.post(append(owner.puzzle(), "password", password, "action", "sign_in")...); !strings.Contains(p.body, `name="code"`) {
			t.Errorf("in her own browser the second factor is passed by: %q %q", p.h1(), p.location)
		}
	}, rule(func(p *sparekey.Policy) { p.SecondFactor, p.AcceptSingle = "when_registered", true }))
}

// spellings are ways in which bytes are written.
func spellings(secret []byte) (list []string) {
	plain := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	return []string{string(secret), plain, strings.ToLower(plain), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret)[:20], base64.RawURLEncoding.EncodeToString(secret)[:20], strings.Trim(fmt.Sprint(secret), "[]")}
}

// Whatever operators are shown or told of a user has no seed, no hash, and nothing that signs in.
func TestA56_NothingAnOperatorIsShownOpensAnything(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		owner := withEmail(t, h)
		seed, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(owner.key, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var hash string
		u := h.user("ironman")
		h.write("avengers", func(tx store.Tx) error {
			return tx.Row(`SELECT password FROM local_user WHERE tenant = $1 AND login_key = $2`, "ironman").Scan(&hash)
		})
		hidden := append(spellings(seed), hash, owner.cookie(sessionCookie), owner.cookie(browserCookie), owner.cookie(deviceCookie), password)
		for _, s := range hidden {
			if len(s) < 12 {
				t.Fatalf("%q is nothing to look for", s)
			}
		}
		a := h.admin("avengers")
		var journal bytes.Buffer
		shown := map[string]any{}
		put := func(what string, v any, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(what, err)
			}
			shown[what] = v
		}
		methods, err := a.Methods(t.Context(), u)
		put("methods", methods, err)
		sessions, err := a.SessionList(t.Context(), u)
		put("sessions", sessions, err)
		why, err := a.Why(t.Context(), u)
		put("why", why, err)
		holds, err := a.Holds(t.Context(), u)
		put("holds", holds, err)
		users, err := a.Users(t.Context())
		put("users", users, err)
		entries, err := a.Journal.Tail(t.Context(), 0, 1000)
		put("journal", entries, err)
		put("journal exported", &journal, a.Journal.Export(t.Context(), &journal, "jsonl"))
		put("metrics", h.metrics(), nil)
		put("log", h.logged(), nil)
		if len(methods) != 2 || len(sessions) == 0 {
			t.Fatalf("%d methods and %d sessions are shown", len(methods), len(sessions))
		}
		for what, v := range shown {
			written, _ := json.Marshal(v)
			for _, form := range []string{string(written), fmt.Sprintf("%v", v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%x", v)} {
				for i, s := range hidden {
					if strings.Contains(form, s) {
						t.Errorf("%s shows secret %d: %s", what, i, s)
					}
				}
			}
		}
		// What stands there as the key of a session signs nobody in.
		for _, s := range sessions {
			for _, v := range []string{s.Key, s.ID, s.Subject} {
				if why := h.whoseSession("avengers", sessionCookie+"="+v); why != "login_required" {
					t.Errorf("%q signs in", v)
				}
			}
		}
	})
}

// Who signs out at a browser that others use leaves nothing there that goes on: no session, no name, and nothing that she had proven.
func TestA58_WhoSignsOutLeavesNothingToGoOnWith(t *testing.T) {
	t.Parallel()
	out := map[string]func(b *browser, held tokens){
		"on the page": func(b *browser, _ tokens) { b.get("/avengers/logout"); b.post("action", "sign_out") },
		"from security info": func(b *browser, _ tokens) {
			b.get("/avengers/security-info")
			list, err := b.h.admin("avengers").SessionList(b.h.t.Context(), b.h.user("ironman"))
			if err != nil || len(list) == 0 {
				b.h.t.Fatal(list, err)
			}
			for _, s := range list {
				b.get("/avengers/security-info")
				b.post("action", "sign_out", "id", s.ID)
			}
		},
		"everywhere": func(b *browser, _ tokens) {
			b.get("/avengers/security-info")
			b.post("action", "sign_out_everywhere")
		},
		"by a relying party": func(b *browser, held tokens) {
			b.get("/avengers/logout?client_id=wiki&id_token_hint=" + held.ID + "&post_logout_redirect_uri=" + url.QueryEscape("http://localhost:9/"))
		},
		"by a relying party, asked": func(b *browser, _ tokens) {
			b.get("/avengers/logout?client_id=wiki")
			b.post("action", "sign_out")
		},
	}
	for how, leave := range out {
		t.Run(how, func(t *testing.T) {
			each(t, func(t *testing.T, h *house) {
				b := h.browser()
				held := h.redeem(b.register("ironman"))
				h.clock.Advance(time.Minute)
				var tabs []page
				tab := func(p page) { tabs = append(tabs, p) }
				b.authorize("prompt", "login")
				tab(b.password("ironman", password)) // waits for the code
				b.want("Verify it’s you")
				b.get("/avengers/security-info")
				tab(b.last)
				b.post("action", "add")
				tab(b.last)
				r := b.twin()
				r.beginReset("ironman")
				h.clock.Advance(30 * time.Second)
				r.post("code", h.totp(b.key, 0), "action", "verify")
				r.want("Choose a new password")
				tab(r.last)
				before := b.cookie(sessionCookie)
				leave(b, held)
				if b.cookie(sessionCookie) != "" {
					t.Errorf("a session's cookie is left: %q", b.cookie(sessionCookie))
				}
				if why := h.whoseSession("avengers", sessionCookie+"="+before); why != "login_required" {
					t.Errorf("the session goes on: %s", why)
				}
				h.clock.Advance(30 * time.Second)
				for i, at := range tabs { // Back, and what a page that still stands there can post
					for _, post := range []bool{false, true} {
						if b.last = at; post {
							b.post("code", h.totp(b.key, 0), "action", "verify", "new", renewed, "confirm", renewed)
						} else {
							b.get(at.url.String())
						}
						if strings.Contains(b.last.body, "ironman") || strings.Contains(b.last.body, "Tony") || b.last.query("code") != "" {
							t.Errorf("tab %d, post %v: it goes on at %d %q %q", i, post, b.last.status, b.last.h1(), b.last.location)
						}
					}
					if !strings.Contains(at.header.Get("Cache-Control"), "no-store") {
						t.Errorf("tab %d is kept by the browser", i)
					}
				}
				next := b.twin()
				next.authorize()
				if next.want("Sign in"); strings.Contains(next.last.body, "ironman") || strings.Contains(next.last.body, "Tony") {
					t.Errorf("the next one reads who was here: %s", next.last.body)
				}
				if p := next.password("hulk", password); p.query("code") == "" {
					t.Errorf("the next one cannot sign in: %q %q", p.h1(), p.error())
				}
				if is := saidBy(h.redeem(next.last).ID); is["sub"] == saidBy(held.ID)["sub"] {
					t.Error("the next one is taken for her")
				}
			}, rule(func(p *sparekey.Policy) {
				p.SecondFactor, p.AcceptSingle = "when_registered", true
			}))
		})
	}
}
