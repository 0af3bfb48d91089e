package sparekey_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/store"
)

// groups puts a user of avengers into these groups and no others.
func (h *house) groups(login string, names ...string) {
	h.t.Helper()
	type grouped interface {
		SetGroups(tx store.Tx, id directory.UserID, names []string) error
	}
	local, ok := directory.As[grouped](h.admin("avengers").Directory)
	if !ok {
		h.t.Fatal("the directory keeps no groups")
	}
	id := h.user(login).ID
	h.write("avengers", func(tx store.Tx) error { return local.SetGroups(tx, id, names) })
}

// told is the JSON that an endpoint answers.
func (h *house) told(path string, form url.Values, header string) (status int, out map[string]any) {
	h.t.Helper()
	r, _ := http.NewRequest(http.MethodPost, h.issuer+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.SetBasicAuth("lab", "lab-secret"); header != "" {
		r.Header.Set("Authorization", header)
	}
	res, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	_ = json.Unmarshal(body, &out)
	return res.StatusCode, out
}

// Who is put into a group, or out of it, is treated so at the next request, on every node: by clients, claims, the duty to register, resets
// that are under way and the administrators' floor. Nothing remembers a group.
func TestA54_AChangeOfGroupTakesEffectAtTheNextRequest(t *testing.T) {
	lab := sparekey.Client{ID: "lab", Secret: config.NewSecret("lab-secret"), RedirectURIs: []string{callback}, Groups: []string{"Lab"}, Scopes: []string{"openid", "profile", "groups", "offline_access"}, Grants: []string{"authorization_code", "refresh_token"}}
	each(t, func(t *testing.T, first *house) {
		second := first.plugin()
		t.Cleanup(func() { second.Close() })
		other := first.named(first.origin)
		other.p, other.client = second, &http.Client{Transport: served{second}}
		nodes := []*house{first, other}
		scope := "openid profile groups offline_access"
		redeem := func(h *house, code string) (int, map[string]any) {
			return h.told("/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}, "")
		}
		listed := func(claims map[string]any) (names []string) {
			list, _ := claims["groups"].([]any)
			for _, g := range list {
				names = append(names, fmt.Sprint(g))
			}
			slices.Sort(names)
			return names
		}

		t.Run("a client that is for a group", func(t *testing.T) {
			first.groups("hulk", "Lab", "Gamma")
			b := first.browser()
			b.register2("hulk")
			code, standing := b.forCode("client_id", "lab", "scope", scope), b.forCode("client_id", "lab", "scope", scope)
			_, got := redeem(first, code)
			access, refresh := fmt.Sprint(got["access_token"]), fmt.Sprint(got["refresh_token"])
			for _, h := range nodes {
				if status, claims := h.told("/userinfo", nil, "Bearer "+access); status != http.StatusOK || !slices.Equal(listed(claims), []string{"Gamma", "Lab"}) {
					t.Fatalf("userinfo of a member: %d %v", status, claims)
				}
			}
			first.groups("hulk", "Lab", "Avengers of old")
			for _, h := range nodes {
				if _, claims := h.told("/userinfo", nil, "Bearer "+access); !slices.Equal(listed(claims), []string{"Avengers of old", "Lab"}) {
					t.Errorf("the claim names groups of before: %v", claims)
				}
			}
			first.groups("hulk", "Gamma")
			for i, h := range nodes {
				if status, _ := h.told("/userinfo", nil, "Bearer "+access); status != http.StatusUnauthorized {
					t.Errorf("node %d: the access token answers %d", i, status)
				}
				if _, is := h.told("/introspect", url.Values{"token": {access}}, ""); is["active"] != false {
					t.Errorf("node %d: the access token is active: %v", i, is)
				}
				if status, is := h.told("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}, ""); status < 400 || is["access_token"] != nil {
					t.Errorf("node %d: the refresh token answers %d %v", i, status, is)
				}
				if status, is := redeem(h, standing); status < 400 || is["access_token"] != nil {
					t.Errorf("node %d: a code answers %d %v", i, status, is)
				}
				if p := b.moved(h).authorize("client_id", "lab", "scope", scope); p.query("error") != "access_denied" || p.query("code") != "" {
					t.Errorf("node %d: the client is answered %q", i, p.location)
				}
			}
			first.groups("hulk", "Lab")
			for i, h := range nodes {
				if p := b.moved(h).authorize("client_id", "lab", "scope", scope); p.query("code") == "" {
					t.Errorf("node %d: she is back in the group, and answered %q", i, p.location)
				}
			}
		})
		t.Run("the duty to register", func(t *testing.T) {
			first.groups("hulk", "Gamma")
			b := first.browser()
			held := first.redeem(b.register2("hulk"))
			first.groups("hulk", "Avengers")
			for i, h := range nodes {
				c := b.moved(h)
				if p := c.authorize("prompt", "none"); p.query("error") != "interaction_required" {
					t.Errorf("node %d: prompt=none is answered %q", i, p.location)
				}
				if h.userinfo(held.Access) != http.StatusUnauthorized || h.refresh(held.Refresh).Access != "" {
					t.Errorf("node %d: tokens of before are good", i)
				}
				if p := c.authorize(); p.h1() != "More information required" {
					t.Errorf("node %d: she meets %q", i, p.h1())
				}
			}
			pending := b.last
			first.groups("hulk", "Gamma")
			if p := b.moved(other).authorize("prompt", "none"); p.query("code") == "" {
				t.Errorf("nothing is asked of her any more, and she is answered %q", p.location)
			}
			b.get(pending.url.String())
			if b.last.h1() == "More information required" {
				t.Error("the page goes on asking")
			}
		})
		t.Run("a reset under way", func(t *testing.T) {
			first.addUser("avengers", "thor", "Thor", "thor@asgard.example", "Avengers")
			key, _, _ := first.equip(first.user("thor").ID, "thor@home.example")
			r := first.browser()
			r.beginReset("thor")
			r.proveApp(key)
			r.want("Choose a new password")
			page := r.last
			first.groups("thor", "Guests")
			for i, h := range nodes {
				c := r.moved(h)
				c.last = page
				c.post("new", renewed, "confirm", renewed, "action", "next")
				if c.last.h1() == "Your password has been reset" || first.opens("thor", renewed) {
					t.Errorf("node %d: out of the group, and the password is set", i)
				}
			}
			first.groups("thor", "IT")
			c := r.moved(other)
			c.last = page
			c.post("new", renewed, "confirm", renewed, "action", "next")
			if c.last.h1() == "Your password has been reset" || first.opens("thor", renewed) {
				t.Error("an administrator by now, and one proof is enough")
			}
			first.groups("thor", "Avengers")
			first.clock.Advance(time.Minute)
			n := other.browser()
			n.beginReset("thor")
			if n.proveApp(key); n.last.h1() != "Choose a new password" {
				t.Errorf("back in the group, she meets %q", n.last.h1())
			}
		})
	}, with(func(t *sparekey.Tenant) { t.Clients = append(t.Clients, lab) }))
}
