package provider

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Every door behind which a token waits, by the state of the sign-in it rests on (SECURITY A05, A06): good opens, nothing else does.
func TestA05_A06_NoTokenIsMadeWhileSomethingIsPending(t *testing.T) {
	const good, due, gone, down = "good", "registration pending", "ended", "directory down"
	doors := map[string]map[string]string{
		"authorize":             {good: "code", due: "flow", gone: "flow", down: "temporarily_unavailable"},
		"authorize prompt=none": {good: "code", due: "interaction_required", gone: "login_required", down: "temporarily_unavailable"},
		"the flow's return":     {good: "code", due: "interaction_required", gone: "login_required", down: "temporarily_unavailable"},
		"a code":                {good: "tokens", due: "invalid_grant", gone: "invalid_grant", down: "503"},
		"a refresh token":       {good: "tokens", due: "invalid_grant", gone: "invalid_grant", down: "503"},
		"an access token":       {good: "claims", due: "invalid_token", gone: "invalid_token", down: "503"},
	}
	for door, states := range doors {
		for state, want := range states {
			t.Run(door+"/"+state, func(t *testing.T) {
				h := newHouse(t)
				b := h.browser()
				b.signedIn(ironman)
				var code, back string
				var tk tokens
				switch door { // what was begun while all was good
				case "the flow's return":
					b.authorize("prompt", "login")
					back = b.walk(ironman)
				case "a code":
					code = b.authorize().code()
				case "a refresh token", "an access token":
					tk = b.redeem(b.authorize("scope", "openid offline_access").code()).tokens()
				}
				switch state {
				case due:
					h.guide.say(identity.Due, nil)
				case gone:
					h.guide.say(identity.Gone, nil)
				case down:
					h.guide.say(identity.Gone, directory.ErrUnavailable)
				}
				var a answer
				switch door {
				case "authorize":
					a = b.authorize()
				case "authorize prompt=none":
					a = b.authorize("prompt", "none")
				case "the flow's return":
					a = b.get(back)
				case "a code":
					a = b.redeem(code)
				case "a refresh token":
					a = b.refresh(tk.refresh)
				case "an access token":
					a = b.userinfo(tk.access)
				}
				got := ""
				switch u, _ := url.Parse(a.Header.Get("Location")); {
				case u.Query().Has("code"):
					got = "code"
				case u.Query().Has("error"):
					got = u.Query().Get("error")
				case strings.Contains(u.Path, "/flow/"):
					got = "flow"
				case a.StatusCode == 503:
					got = "503"
					if a.Header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
				case a.StatusCode == 200 && a.json()["access_token"] != nil:
					got = "tokens"
				case a.StatusCode == 200:
					got = "claims"
				default:
					got, _ = a.json()["error"].(string)
				}
				if got != want {
					t.Errorf("%s, want %s: %d %s", got, want, a.StatusCode, a.body)
				}
				if got == "503" || got == "temporarily_unavailable" { // and what was down used nothing up
					h.guide.say(identity.Good, nil)
					switch door {
					case "a code":
						b.redeem(code).tokens()
					case "a refresh token":
						b.refresh(tk.refresh).tokens()
					}
				}
			})
		}
	}
}

func TestA06_AnOldRequestMeetsTheDutyOfNow(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.authorize()
	first := b.walk(ironman) // the flow is done
	h.guide.say(identity.Due, nil)
	b.get(first).refusal("interaction_required") // and then the policy was switched on
	tab := h.browser()
	tab.cookies = b.cookies
	tab.authorize("prompt", "none").refusal("interaction_required")
	if to := tab.authorize().location(); !strings.Contains(to.Path, "/flow/") {
		t.Error(to)
	}
}

func TestA07_TheReturnOfAFlowIsGoodForTheBrowserThatWalkedIt(t *testing.T) {
	h := newHouse(t)
	attacker, victim := h.browser(), h.browser()
	attacker.authorize("state", "of the attacker")
	back := victim.walk(ironman) // the victim signs in on the attacker's request
	attacker.get(back).shows(400, "expired")
	if h.events("foreign") != 1 {
		t.Error("not journalled")
	}
	attacker.cookies["walker"] = victim.cookies["walker"]
	t.Run("not without the session it began", func(t *testing.T) {
		attacker.get(back).shows(400, "expired")
	})
	t.Run("nor with another", func(t *testing.T) {
		b := h.browser()
		b.authorize()
		back := b.walk(ironman)
		b.signedIn(pepper)
		b.get(back).shows(400, "expired")
	})
	t.Run("nor for another request", func(t *testing.T) {
		b := h.browser()
		b.authorize("client_id", "spa", "redirect_uri", "https://spa.example.com/cb")
		other := h.guide.asked[h.guide.last].Context
		b.authorize()
		back := b.walk(ironman)
		u, _ := url.Parse(back)
		b.get("/avengers/authorize/resume?request="+other+"&flow="+u.Query().Get("flow")).shows(400, "expired")
	})
	t.Run("nor for another of the same client", func(t *testing.T) {
		b := h.browser()
		b.authorize()
		other := h.guide.asked[h.guide.last].Context
		b.authorize()
		u, _ := url.Parse(b.walk(ironman))
		b.get("/avengers/authorize/resume?request="+other+"&flow="+u.Query().Get("flow")).shows(400, "expired")
		b.get(u.String()).code() // and nothing was used up
	})
	t.Run("once", func(t *testing.T) {
		b := h.browser()
		b.authorize()
		back := b.walk(ironman)
		b.get(back).code()
		b.get(back).shows(400, "expired")
	})
	t.Run("and the flow ends with it, whatever the answer is", func(t *testing.T) {
		for _, standing := range []identity.Standing{identity.Good, identity.Due, identity.Gone} {
			b := h.browser()
			b.authorize()
			back := b.walk(ironman)
			h.guide.say(standing, nil)
			b.get(back)
			h.guide.say(identity.Good, nil)
			if _, there := h.guide.out[h.guide.last]; there {
				t.Errorf("%s: its outcome can be had again", standing)
			}
		}
	})
	t.Run("not for ever", func(t *testing.T) {
		b := h.browser()
		b.authorize()
		back := b.walk(ironman)
		h.clock.Advance(requestFor)
		b.get(back).shows(400, "expired")
	})
	t.Run("not of a sign-out", func(t *testing.T) {
		b := h.browser()
		b.authorize()
		back := b.walk(ironman)
		a := h.guide.out[h.guide.last]
		a.Request.SignOut = true
		h.guide.out[h.guide.last] = a
		b.get(back).shows(400, "expired")
	})
	for _, bad := range []string{"", "?request=x", "?flow=x", "?request=x&flow=y", "?request=x&request=y&flow=z", "?%zz"} {
		if a := h.browser().get("/avengers/authorize/resume" + bad); a.StatusCode != 400 || a.Header.Get("Location") != "" {
			t.Errorf("%q: %d", bad, a.StatusCode)
		}
	}
}

func TestA07_ManyReturnsOfOneFlowGiveOneCode(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.authorize()
	back := b.walk(ironman)
	id := h.guide.asked[h.guide.last].Context
	s, err := h.p.current(b.request())
	if err != nil {
		t.Fatal(err)
	}
	a := authentication(s)
	codes := make(chan string, 20)
	together(20, func() answer {
		q := &request{Client: "wiki", Redirect: callback, Scopes: []string{"openid"}, parked: id, flow: h.guide.last}
		if code, err := h.p.addCode(context.Background(), q, h.p.clients["wiki"], a, s); err == nil {
			codes <- code
		} else if !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		return answer{t, httptest.NewRecorder().Result(), ""}
	})
	if len(codes) != 1 {
		t.Errorf("%d codes", len(codes))
	}
	b.get(back).shows(400, "expired")
}

// What ends a user's sessions ends every credential that rests on them, at its next use, on every node (SECURITY A19).
func TestA19_NothingOutlivesItsEnd(t *testing.T) {
	events := map[string]func(*house, *browser, session.Session, tokens){
		"a reset": func(h *house, _ *browser, _ session.Session, _ tokens) { // account.End: sessions, then grants, and the epoch moves on
			h.must(func(tx store.Tx) error {
				if _, err := h.sessions.EndAll(tx, ironman); err != nil {
					return err
				}
				return h.p.EndGrants(tx, ironman)
			})
		},
		"a reset of which only the epoch is seen": func(h *house, _ *browser, _ session.Session, _ tokens) { h.guide.epoch = 8 },
		"disabling": func(h *house, _ *browser, _ session.Session, _ tokens) { h.guide.say(identity.Gone, nil) },
		"removal": func(h *house, _ *browser, _ session.Session, _ tokens) {
			h.guide.say(identity.Gone, nil)
			delete(h.guide.users, ironman)
		},
		"registration again": func(h *house, _ *browser, _ session.Session, _ tokens) { h.guide.say(identity.Due, nil) },
		"the client's removal": func(h *house, _ *browser, _ session.Session, _ tokens) {
			h.p = h.provide(issuer, registered()[1:])
			h.mount()
		},
	}
	for name, happens := range events {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			b := h.browser()
			s := b.signedIn(ironman)
			tk := b.redeem(b.authorize("scope", "openid offline_access").code()).tokens()
			code := b.authorize().code()
			b.authorize("prompt", "select_account")
			happens(h, b, s, tk)
			for credential, a := range map[string]answer{"code": b.redeem(code), "refresh token": b.refresh(tk.refresh), "access token": b.userinfo(tk.access)} {
				if a.StatusCode != 400 && a.StatusCode != 401 {
					t.Errorf("the %s still works: %d %s", credential, a.StatusCode, a.body)
				}
			}
			if a := b.authorize("prompt", "none"); a.StatusCode == 303 && a.location().Query().Has("code") {
				t.Error("the session still gives codes")
			}
		})
	}
	t.Run("revocation, on another node", func(t *testing.T) {
		h := newHouse(t)
		b, tk := h.granted("scope", "openid offline_access")
		other := h.provide(issuer, registered())
		b.revoke("token", tk.refresh)
		h.p = other
		h.mount()
		b.userinfo(tk.access).fails(401, "invalid_token")
		b.refresh(tk.refresh).fails(400, "invalid_grant")
	})
}

func (h *house) must(f func(store.Tx) error) {
	h.t.Helper()
	if err := h.db.Write(context.Background(), f); err != nil {
		h.t.Fatal(err)
	}
}

func TestSE04_EndGrantsEndsOneUsersAndNobodyElses(t *testing.T) {
	h := newHouse(t)
	b, mine := h.granted("scope", "openid offline_access")
	other := h.browser()
	other.signedIn(pepper)
	hers := other.redeem(other.authorize("scope", "openid offline_access").code()).tokens()
	h.must(func(tx store.Tx) error { return h.p.EndGrants(tx, ironman) })
	b.userinfo(mine.access).fails(401, "invalid_token")
	b.refresh(mine.refresh).fails(400, "invalid_grant")
	other.refresh(hers.refresh).tokens()
}

func TestADirectoryThatDoesNotAnswerIsWaitedForOnlySoLong(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	var left time.Duration
	h.p.d.Interaction = deadline{h.guide, &left}
	b.authorize().code()
	if left <= 0 || left > asking {
		t.Error("no bound: ", left)
	}
}

// deadline notes how long a caller is willing to wait.
type deadline struct {
	*guide
	left *time.Duration
}

func (d deadline) Standing(ctx context.Context, look func(store.Tx) (identity.Authentication, error)) (directory.User, identity.Standing, error) {
	if until, ok := ctx.Deadline(); ok {
		*d.left = time.Until(until)
	}
	return d.guide.Standing(ctx, look)
}
