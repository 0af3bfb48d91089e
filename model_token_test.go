package sparekey_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// sitting is a browser's sign-in, as a model of it knows it.
type sitting struct {
	b     *browser
	ended bool
}

// kin is what one code began.
type kin struct {
	of       *sitting
	offline  bool
	code     string
	until    time.Time // of the code
	redeemed bool
	dead     bool
	refresh  []string // the last one is good
	rotated  time.Time
	access   map[string]time.Time // when each one ends
}

// ledger is what the model knows of one user.
type ledger struct {
	*armoury
	nodes    [2]*house
	who      *soul
	sittings []*sitting
	families []*kin
	resets   int
	log      []string
}

// How long things last in this house.
const (
	codeLasts    = time.Minute
	accessLasts  = 10 * time.Minute
	refreshLasts = 14 * 24 * time.Hour
)

func (l *ledger) now() time.Time { return l.clock.Now() }

// good says whether a thing of this family can count at all.
func (f *kin) good() bool { return !f.dead && (f.offline || !f.of.ended) }

func (l *ledger) fresh(f *kin) bool {
	return f.good() && f.offline && len(f.refresh) > 0 && l.now().Before(f.rotated.Add(refreshLasts))
}

// end is the end of everything of hers.
func (l *ledger) end() {
	for _, s := range l.sittings {
		s.ended = true
	}
	for _, f := range l.families {
		f.dead = true
	}
}

func (l *ledger) told(h *house, path string, form url.Values) (int, tokens) {
	l.t.Helper()
	form.Set("client_id", "wiki")
	form.Set("client_secret", "wiki-secret")
	r, err := http.NewRequest(http.MethodPost, h.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := h.client.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	got := tokens{status: res.StatusCode, raw: text(res)}
	got.read()
	return got.status, got
}

// deeds are what can happen, by name. Each does it to the product, by either node, and to the model, and gives what is wrong.
func (l *ledger) deeds(rt *rapid.T) map[string]func(h *house) string {
	sit := func() *sitting {
		if len(l.sittings) == 0 {
			return nil
		}
		return rapid.SampledFrom(l.sittings).Draw(rt, "session")
	}
	fam := func() *kin {
		if len(l.families) == 0 {
			return nil
		}
		return l.families[len(l.families)-1-rapid.IntRange(0, min(len(l.families)-1, 3)).Draw(rt, "family")]
	}
	return map[string]func(h *house) string{
		"sign in": func(h *house) string {
			b := h.browser()
			at := b.signIn(l.who.login, l.who.password)
			if at.query("code") == "" {
				return fmt.Sprintf("no sign-in: %d %q %q", at.status, at.h1(), at.error())
			}
			l.sittings = append(l.sittings, &sitting{b: b})
			l.families = append(l.families, &kin{of: l.sittings[len(l.sittings)-1], offline: true, code: at.query("code"), until: l.now().Add(codeLasts), access: map[string]time.Time{}})
			return ""
		},
		"authorize": func(h *house) string {
			s := sit()
			if s == nil {
				return ""
			}
			offline, scope := rapid.Bool().Draw(rt, "offline"), "openid"
			if offline {
				scope += " offline_access"
			}
			at := s.b.moved(h).authorize("prompt", "none", "scope", scope)
			if got := at.query("code"); (got != "") == s.ended {
				return fmt.Sprintf("a session that has ended: %v, is answered %q", s.ended, at.location)
			} else if got != "" {
				l.families = append(l.families, &kin{of: s, offline: offline, code: got, until: l.now().Add(codeLasts), access: map[string]time.Time{}})
			}
			return ""
		},
		"redeem": func(h *house) string {
			f := fam()
			if f == nil {
				return ""
			}
			want := !f.redeemed && !f.dead && !f.of.ended && l.now().Before(f.until)
			_, got := l.told(h, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {f.code}, "redirect_uri": {callback}, "code_verifier": {verifier}})
			if f.redeemed {
				f.dead = true
			}
			if (got.Access != "") != want {
				return fmt.Sprintf("a code: want %v, got %d %s", want, got.status, got.raw)
			}
			if want {
				f.redeemed = true
				l.given(f, got)
			}
			return ""
		},
		"refresh": func(h *house) string {
			f := fam()
			if f == nil || len(f.refresh) == 0 {
				return ""
			}
			i := len(f.refresh) - 1
			if rapid.IntRange(0, 5).Draw(rt, "an old one") == 0 {
				i = rapid.IntRange(0, i).Draw(rt, "which")
			}
			last := i == len(f.refresh)-1
			want := last && l.fresh(f)
			_, got := l.told(h, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {f.refresh[i]}})
			if !last {
				f.dead = true
			}
			if (got.Access != "") != want {
				return fmt.Sprintf("refresh token %d of %d: want %v, got %d %s", i+1, len(f.refresh), want, got.status, got.raw)
			}
			if want {
				l.given(f, got)
			}
			return ""
		},
		"revoke": func(h *house) string {
			f := fam()
			if f == nil || !f.redeemed {
				return ""
			}
			token, whole := "", rapid.Bool().Draw(rt, "a refresh token") && len(f.refresh) > 0
			if whole {
				token = rapid.SampledFrom(f.refresh).Draw(rt, "token")
				f.dead = true
			} else {
				var all []string
				for a := range f.access {
					all = append(all, a)
				}
				if len(all) == 0 {
					return ""
				}
				token = slices.Min(all)
				delete(f.access, token)
			}
			if status, got := l.told(h, "/revoke", url.Values{"token": {token}}); status != http.StatusOK {
				return fmt.Sprintf("revocation answers %d %s", status, got.raw)
			}
			return ""
		},
		"sign out": func(h *house) string {
			s := sit()
			if s == nil || s.ended {
				return ""
			}
			b := s.b.moved(h)
			b.get(h.issuer + "/logout")
			b.post("action", "sign_out")
			s.ended = true
			return ""
		},
		"reset": func(h *house) string {
			l.resets++
			next := fmt.Sprintf("another-suit-%d-%s", l.resets, l.tenant[:3])
			if p := h.browser().reset(l.who.login, l.who.key, next); p.h1() != "Your password has been reset" {
				return fmt.Sprintf("no reset: %d %q %q", p.status, p.h1(), p.error())
			}
			l.who.password = next
			l.end()
			return ""
		},
		"end by an operator": func(h *house) string {
			u, err := h.admin(l.tenant).Find(l.t.Context(), l.who.login)
			if err == nil {
				err = h.admin(l.tenant).EndSessions(l.t.Context(), u, "test")
			}
			if err != nil {
				return err.Error()
			}
			l.end()
			return ""
		},
		"wait": func(*house) string {
			l.clock.Advance(rapid.SampledFrom([]time.Duration{time.Second, 29 * time.Second, 59 * time.Second, time.Minute, 9 * time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour, 13 * 24 * time.Hour, 14 * 24 * time.Hour}).Draw(rt, "how long"))
			return ""
		},
	}
}

// given notes what a token response brought.
func (l *ledger) given(f *kin, got tokens) {
	f.access[got.Access] = l.now().Add(accessLasts)
	if got.Refresh != "" {
		f.refresh, f.rotated = append(f.refresh, got.Refresh), l.now()
	}
}

// compare asks for everything there is, by both nodes, and gives what is not as the model has it.
func (l *ledger) compare() string {
	for i, h := range l.nodes {
		for n, f := range l.families {
			for a, until := range f.access {
				_, is := l.told(h, "/introspect", url.Values{"token": {a}})
				want := f.good() && l.now().Before(until)
				if active := strings.Contains(is.raw, `"active":true`); active != want || (h.userinfo(a) == http.StatusOK) != want {
					return fmt.Sprintf("node %d, family %d: an access token is good: %v, want %v", i, n, active, want)
				}
			}
			for k, r := range f.refresh {
				_, is := l.told(h, "/introspect", url.Values{"token": {r}})
				want := k == len(f.refresh)-1 && l.fresh(f)
				if active := strings.Contains(is.raw, `"active":true`); active != want {
					return fmt.Sprintf("node %d, family %d: refresh token %d of %d is good: %v, want %v", i, n, k+1, len(f.refresh), active, want)
				}
			}
		}
		for n, s := range l.sittings {
			b := s.b.moved(h)
			b.get(h.issuer + "/security-info")
			if open := b.last.h1() == "Security info"; open == s.ended {
				return fmt.Sprintf("node %d: session %d is open: %v", i, n, open)
			}
		}
	}
	return ""
}

// Codes, families of tokens and sessions of a user, in whatever order things happen to them on two nodes, are good exactly as long as a small
// model of them says. What went wrong is told with the deeds that led there, made as few as they can be.
func TestS03_TokensAreGoodExactlyAsLongAsAModelSays(t *testing.T) {
	t.Parallel()
	long := with(func(t *sparekey.Tenant) {
		t.Sessions = sparekey.Sessions{Idle: config.Duration(365 * 24 * time.Hour), Absolute: config.Duration(365 * 24 * time.Hour)}
		t.Tokens.RefreshAbsolute = config.Duration(365 * 24 * time.Hour)
	})
	storetest.EachURL(t, func(t *testing.T, database string) {
		h := openArmoury(t, database, long, quietly)
		second := h.plugin()
		t.Cleanup(func() { second.Close() })
		nodes := [2]*house{h.named(h.origin), h.named(h.origin)}
		nodes[0].client, nodes[1].client = &http.Client{Transport: served{h.p}}, &http.Client{Transport: served{second}}
		nodes[1].p = second
		done := map[string]int{}
		walks, found := 0, false
		rapid.Check(t, func(rt *rapid.T) {
			if walks++; walks > rounds(40) && !found {
				return
			}
			l := &ledger{armoury: h, nodes: nodes, who: h.soul(1, false, "One")}
			deeds := l.deeds(rt)
			names := []string{"authorize", "authorize", "redeem", "redeem", "redeem", "redeem", "refresh", "refresh", "refresh", "refresh", "revoke", "revoke", "sign in", "sign out", "sign out", "sign out", "reset", "end by an operator", "wait", "wait"}
			do := func(name string) {
				node := rapid.IntRange(0, 1).Draw(rt, "node")
				l.log = append(l.log, fmt.Sprintf("%s on node %d", name, node))
				done[name]++
				wrong := deeds[name](nodes[node])
				if wrong == "" {
					wrong = l.compare()
				}
				if wrong != "" {
					found = true
					rt.Fatalf("%s\nafter %s", wrong, strings.Join(l.log, ", "))
				}
			}
			for _, name := range []string{"sign in", "redeem", "authorize", "redeem", "authorize", "redeem"} {
				do(name)
			}
			for range rapid.IntRange(4, 20).Draw(rt, "deeds") {
				do(rapid.SampledFrom(names).Draw(rt, "deed"))
			}
		})
		for name, n := range done {
			if n < 5 {
				t.Errorf("%q was done %d times", name, n)
			}
		}
	})
}
