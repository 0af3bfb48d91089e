package sparekey_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sparekey-id/sparekey"
)

// person is one of a crowd, who knows what everything of hers has to say.
type person struct {
	login, mail string
	b           *browser
	seed        string
	sub         string
}

// saidBy are the claims of an ID token, whose signature others look at.
func saidBy(token string) (all map[string]any) {
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		body, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(body, &all)
	}
	return all
}

// about is what the userinfo endpoint tells.
func (h *house) about(access string) (all map[string]any) {
	r, _ := http.NewRequest(http.MethodGet, h.issuer+"/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+access)
	res, err := h.client.Do(r)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	_ = json.Unmarshal(body, &all)
	return all
}

// flow is one sign-in of hers, by the session she has or by her password, to the end: her code, her tokens, what they say of her. What is
// somebody else's is told.
func (p *person) flow(i int) (wrong string) {
	h := p.b.h
	nonce, state := fmt.Sprint("nonce of ", p.login, " ", i), fmt.Sprint("state of ", p.login, " ", i)
	var at page
	switch {
	case i%40 == 0:
		p.b.authorize("prompt", "login", "nonce", nonce, "state", state)
		at = p.b.password(p.login, password)
	case i%40 == 20:
		p.b.get(h.issuer + "/security-info")
		if !strings.Contains(p.b.last.body, p.login) || strings.Count(p.b.last.body, "agent") != strings.Count(p.b.last.body, p.login) {
			return "her security info is not hers: " + p.b.last.body
		}
		fallthrough
	default:
		at = p.b.authorize("nonce", nonce, "state", state)
	}
	if at.query("code") == "" || at.query("state") != state {
		return fmt.Sprintf("no code: %d %q %q", at.status, at.h1(), at.location)
	}
	got := h.redeem(at)
	is := saidBy(got.ID)
	about := h.about(got.Access)
	switch {
	case is["sub"] != p.sub || is["nonce"] != nonce:
		return fmt.Sprintf("the ID token is of %v with %v, want %s with %s: %s", is["sub"], is["nonce"], p.sub, nonce, got.raw)
	case about["sub"] != p.sub || about["preferred_username"] != p.login || about["email"] != p.mail:
		return fmt.Sprintf("userinfo tells of %v", about)
	}
	if i%10 == 0 {
		again := h.refresh(got.Refresh)
		if is, about := saidBy(again.ID), h.about(again.Access); is["sub"] != p.sub || about["sub"] != p.sub {
			return fmt.Sprintf("refreshed it is of %v and tells of %v", is["sub"], about["sub"])
		}
	}
	return ""
}

// Users whose requests go through one process at the same moment never get what is another's: no code, token, claim, nonce, state, page,
// mail or cookie. A hundred thousand sign-ins with SPAREKEY_DEEP=1; with -race the memory they share is watched, too.
func TestA48_UsersInterleavedNeverCross(t *testing.T) {
	flows, many := 400, 8
	if deep() {
		flows = 50_000 // on each engine
	}
	each(t, func(t *testing.T, h *house) {
		plain := h.named(h.origin)
		plain.client = &http.Client{Transport: served{h.p}}
		all := make([]*person, many)
		subs := map[string]string{}
		for i := range all {
			login := fmt.Sprint("agent", i)
			p := &person{login: login, mail: login + "@shield.example", b: plain.browser()}
			h.addUser("avengers", login, "Agent "+fmt.Sprint(i), p.mail)
			p.seed, _, _ = h.equip(h.user(login).ID, login+"@home.example")
			at := p.b.register2(login)
			if p.sub, _ = saidBy(plain.redeem(at).ID)["sub"].(string); p.sub == "" || subs[p.sub] != "" {
				t.Fatalf("%s has the subject %q, as has %q", login, p.sub, subs[p.sub])
			}
			subs[p.sub] = login
			all[i] = p
		}
		var left atomic.Int64
		left.Store(int64(flows))
		var crowd sync.WaitGroup
		for _, p := range all {
			crowd.Go(func() {
				for i := 0; left.Add(-1) >= 0; i++ {
					if wrong := p.flow(i); wrong != "" {
						t.Errorf("%s, flow %d: %s", p.login, i, wrong)
						left.Store(0)
						return
					}
				}
			})
		}
		crowd.Wait()
		// Resets of all of them at once, and what each of them was mailed.
		var resets sync.WaitGroup
		for _, p := range all {
			resets.Go(func() {
				r := plain.browser()
				r.get(h.issuer + "/reset")
				r.post(append(r.puzzle(), "username", p.login, "action", "next")...)
				r.post("what", "forgot", "action", "next")
				r.chooseEmail(p.login + "@home.example")
			})
		}
		resets.Wait()
		for _, p := range all {
			h.code(1, p.login+"@home.example")
		}
		for _, m := range h.mails.all() {
			if login, _, _ := strings.Cut(m.to, "@"); !strings.Contains(m.text, login) || m.to != login+"@home.example" && m.to != login+"@shield.example" {
				t.Errorf("%q to %s says %s", m.subject, m.to, m.text)
			}
		}
		seen := map[string]string{}
		for _, p := range all {
			u, _ := url.Parse(h.issuer)
			for _, c := range p.b.jar.Cookies(u) {
				if seen[c.Value] != "" {
					t.Errorf("%s and %s have the cookie %s in common", p.login, seen[c.Value], c.Name)
				}
				seen[c.Value] = p.login
			}
		}
	}, with(func(t *sparekey.Tenant) {
		t.Policies = []sparekey.Policy{{For: sparekey.For{Everyone: true}, Reset: true, Methods: map[string]sparekey.MethodUse{"totp": {}, "email": {}}}}
	}))
}
