package sparekey_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey"
)

// Names for which one rule allows an unlock and another does not, and names that are nobody, walk alike.
func TestRS01_DecoysWalkUnderEveryRule(t *testing.T) {
	h := open(t, with(func(tenant *sparekey.Tenant) {
		off := false
		tenant.Policies = []sparekey.Policy{
			{For: sparekey.For{Groups: []string{"Interns"}}, Methods: map[string]sparekey.MethodUse{"totp": {}}},
			{For: sparekey.For{Groups: []string{"Avengers", "Interns"}}, Reset: true, Methods: map[string]sparekey.MethodUse{"totp": {}, "email": {}}},
			{For: sparekey.For{Groups: []string{"Staff"}}, Reset: true, Unlock: &off, Methods: map[string]sparekey.MethodUse{"totp": {}}},
		}
	}))
	h.addUser("avengers", "clerk", "Clerk", "clerk@stark.example", "Staff")
	h.addUser("avengers", "intern", "Intern", "intern@stark.example", "Interns", "Avengers")
	for _, login := range []string{"ironman", "clerk"} {
		h.browser().register(login)
	}
	for _, what := range []string{"forgot", "locked"} {
		single := map[string]bool{} // what the first page after the question may look like: a choice, or the app's code at once
		for i := range 40 {
			single[h.entered(fmt.Sprintf("nobody%d", i), what)] = true
		}
		for _, login := range []string{"ironman", "clerk", "intern", "hulk"} {
			if got := h.entered(login, what); !single[got] {
				t.Errorf("%s, %s: no decoy ever looks like this:\n%s", what, login, got)
			}
		}
		if len(single) < 2 {
			t.Errorf("%s: decoys all look alike, though rules differ", what)
		}
	}
}

// entered is the page after the name and the question what is wrong.
func (h *house) entered(login, what string) string {
	h.t.Helper()
	b := h.browser()
	b.get("/avengers/reset")
	b.post(append(b.puzzle(), "username", login, "action", "next")...)
	b.post("what", what, "action", "next")
	return strings.ReplaceAll(first(b.last.body, `(?s)<main>(.*)</main>`), login, "~") // its words: what stands in tags is another each time
}

// An administrator whom no rule matches resets by the administrators' floor, with methods that no rule may have. Some decoys look like her,
// unless there can be none.
func TestRS01_ADecoyMayBeAnAdministratorOutsideEveryRule(t *testing.T) {
	app := map[string]sparekey.MethodUse{"totp": {}}
	for name, c := range map[string]struct {
		rules  []sparekey.Policy
		admins []string
		may    bool
	}{
		"outside":                       {[]sparekey.Policy{{For: sparekey.For{Groups: []string{"Avengers"}}, Reset: true, Methods: app}}, []string{"IT"}, true},
		"under a rule that lets nobody": {[]sparekey.Policy{{For: sparekey.For{Groups: []string{"Avengers"}}, Reset: true, Methods: app}, {For: sparekey.For{Everyone: true}}}, []string{"IT"}, true},
		"where a rule is everybody’s":   {[]sparekey.Policy{{For: sparekey.For{Everyone: true}, Reset: true, Methods: app}}, []string{"IT"}, false},
		"where there is none":           {[]sparekey.Policy{{For: sparekey.For{Groups: []string{"Avengers"}}, Reset: true, Methods: app}}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, with(func(tenant *sparekey.Tenant) { tenant.Policies, tenant.Administrators.Groups = c.rules, c.admins }))
			h.equip(h.user("fury").ID, "fury@home.example")
			h.equip(h.user("ironman").ID, "")
			decoys := map[string]int{}
			for i := range 40 {
				decoys[h.entered(fmt.Sprintf("nobody%d", i), "forgot")]++
			}
			if decoys[h.entered("ironman", "forgot")] == 0 {
				t.Error("no decoy looks like a user")
			}
			if (len(decoys) > 1) != c.may {
				t.Errorf("decoys look %d ways: %v", len(decoys), decoys)
			}
			if n := decoys[h.entered("fury", "forgot")]; c.may && (n == 0 || n == 40) {
				t.Errorf("%d of 40 decoys look like an administrator outside every rule", n)
			}
		})
	}
}

// What a page of choices calls them is another in every flow, and is nobody's id: a stranger links neither two resets nor two names by it.
func TestRS01_WhatAChoiceIsCalledIsOfItsFlowAlone(t *testing.T) {
	h := open(t)
	b := withEmail(t, h)
	seen := map[string]string{}
	for i, login := range []string{"ironman", "ironman", "tony@stark.example", "hulk", "hulk", "nobody3", "nobody3", "nobody4", "nobody4"} {
		r := h.browser()
		r.beginReset(login)
		for _, id := range append(b.ids("totp"), b.ids("email")...) {
			if strings.Contains(r.last.body, id) {
				t.Errorf("%s: the page has the id of an authenticator", login)
			}
		}
		for _, called := range choices(r.last) {
			if before, ok := seen[called]; ok || len(called) != 22 {
				t.Errorf("%d: %s: %q was on the page of %s", i, login, called, before)
			}
			seen[called] = login
		}
	}
	if len(seen) < 6 {
		t.Fatalf("only %d choices were seen", len(seen))
	}
	for _, id := range append(slices.Collect(maps.Keys(seen)), append(b.ids("totp"), "totp", "")...) {
		r := h.browser()
		r.beginReset("ironman")
		if r.post("choose", id, "action", "next"); len(choices(r.last)) != 2 {
			t.Errorf("%q chooses something", id)
		}
	}
}

// Every spelling of a name meets the same page, whether it is somebody's who cannot reset or nobody's; and how many addresses somebody
// has, or which method she is asked for first, is not seen.
func TestRS01_SpellingsAndPreferencesTellNothing(t *testing.T) {
	h := open(t)
	for _, spellings := range [][]string{{"nobody3", "NOBODY3", " nobody3 ", "\uFF4Eobody3"}, {"hulk", "HULK", "\uFF48ulk", "bruce@banner.example"}} {
		for _, s := range spellings[1:] {
			if h.entered(s, "forgot") != strings.ReplaceAll(h.entered(spellings[0], "forgot"), spellings[0], s) {
				t.Errorf("%q and %q meet different pages", spellings[0], s)
			}
		}
	}
	b := withEmail(t, h)
	before := h.entered("ironman", "forgot")
	b.manage("action", "default", "id", b.ids("email")[0])
	b.addEmail("tony@away.example", 1)
	if after := h.entered("ironman", "forgot"); after != before {
		t.Errorf("her preference or her second address shows:\n%s\n---\n%s", before, after)
	}
	r := h.browser()
	r.beginReset("ironman")
	r.chooseEmail("tony@away.example")
	r.post("code", h.code(2, "tony@away.example"), "action", "verify")
	r.want("Choose a new password") // any of her addresses is one
}

// Whoever goes back in a reset and gives another name, or says that something else is wrong, learns nothing of whose name it is.
func TestRS01_GoingBackAndForthComparesNothing(t *testing.T) {
	t.Run("two names of one user in one flow", func(t *testing.T) {
		h := open(t)
		withEmail(t, h)
		for _, pair := range [][2]string{{"ironman", "tony@stark.example"}, {"hulk", "bruce@banner.example"}, {"nobody1", "nobody1@stark.example"}} {
			b := h.browser()
			b.get("/avengers/reset")
			var seen [2][]string
			for i, name := range pair {
				b.post(append(b.puzzle(), "username", name, "action", "next")...)
				b.post("what", "forgot", "action", "next")
				b.post("action", "other")
				if seen[i] = choices(b.last); len(seen[i]) == 0 {
					t.Fatalf("no choices for %s on %q", name, b.last.h1())
				}
				b.post("action", "back")
				b.post("action", "back")
			}
			for _, c := range seen[0] {
				if slices.Contains(seen[1], c) {
					t.Errorf("%v share the choice %s", pair, c)
				}
			}
		}
	})
	t.Run("one who may reset and not unlock", func(t *testing.T) {
		h := open(t, rule(func(p *sparekey.Policy) {
			no := false
			p.For, p.Unlock = sparekey.For{Groups: []string{"Avengers"}}, &no
		}))
		h.equip(h.user("ironman").ID, "tony@home.example")
		for _, name := range []string{"ironman", "nobody1", "nobody2"} {
			b := h.browser()
			b.get("/avengers/reset")
			b.post(append(b.puzzle(), "username", name, "action", "next")...)
			var seen [2][]string
			for i, what := range []string{"forgot", "locked"} {
				b.post("what", what, "action", "next")
				b.post("action", "other")
				if seen[i] = choices(b.last); len(seen[i]) == 0 {
					t.Fatalf("no choices for %s on %q", name, b.last.h1())
				}
				b.post("action", "back")
			}
			if !slices.Equal(seen[0], seen[1]) {
				t.Errorf("%s: %v for a reset and %v for an unlock", name, seen[0], seen[1])
			}
		}
		// What she sees for an unlock leads nowhere all the same.
		b := h.browser()
		b.get("/avengers/reset")
		b.post(append(b.puzzle(), "username", "ironman", "action", "next")...)
		b.post("what", "locked", "action", "next")
		if b.pick("email"); strings.Contains(b.last.body, `name="email"`) {
			b.post("email", "tony@home.example", "action", "next")
		}
		h.drained()
		if n := h.mailedTo("tony@home.example", "code"); n != 0 {
			t.Errorf("%d codes were sent", n)
		}
	})
	t.Run("a puzzle is worth one row of the journal", func(t *testing.T) {
		h := open(t)
		for _, name := range []string{"hulk", "nobody1"} {
			b := h.browser()
			b.get("/avengers/reset")
			before := h.events("reset.refused") + h.events("unlock.refused")
			b.post(append(b.puzzle(), "username", name, "action", "next")...)
			for range 20 {
				b.post("what", "locked", "action", "next")
				b.post("action", "other")
				b.post("action", "back")
			}
			if n := h.events("reset.refused") + h.events("unlock.refused") - before; n > 1 {
				t.Errorf("%s: %d rows", name, n)
			}
		}
	})
}
