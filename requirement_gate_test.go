package sparekey_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// Whatever is posted, in whatever order, from whichever browser: a password is set by as many fresh proofs as its owner needs,
// given in that very flow, and by nothing else. A model of a reset walks beside the product and has to agree with every page.
func TestA01_S01_WhateverIsPostedAPasswordIsSetByItsGatesAlone(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		h := openArmoury(t, database)
		decoys := []string{h.soul(0, true, "Two").login, h.soul(0, false, "Nobody").login, h.soul(0, false, "One").login, "nobody-of-that-name"}
		h.m.Change(decoys[2], func(a *directorytest.Account) { a.State = directory.Disabled })
		rapid.Check(t, func(rt *rapid.T) { h.wander(rt, decoys) })
		twice := 0
		for _, n := range h.needed {
			twice += n - 1
		}
		if h.resets < 10 || twice == 0 || h.unlocks == 0 { // by chance there is no dead end now and then
			t.Errorf("the walks were lame: %d resets, %d unlocks, %d of both by two proofs, %d dead ends", h.resets, h.unlocks, twice, h.dead)
		}
		h.settleAccounts()
	})
}

// From every step of a reset that takes two proofs, the forms of all the others, and every button there is.
func TestA01_NoStepOfAResetCanBeSkipped(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, database string) {
		h := openArmoury(t, database)
		for i, steps := range [][]string{{atName, atWhat, atChoose, atAddress, atMail, atApp, atNew, atReset}, {atName, atWhat, atChoose, atApp, atAddress, atMail, atNew, atReset}} {
			s, thief := h.soul(2, false, "Two"), h.soul(1, false, "One")
			b := h.browser()
			w, beside := h.walk(b, s, s.login), h.walk(b, s, s.login)
			for beside.step != atMail { // a second reset of the same user in the same browser, and a code that was mailed for it
				h.step(beside, 2)
			}
			forms := map[string]func() url.Values{
				"a name with another flow's puzzle": func() url.Values { form, _ := h.onward(h.walk(b, s, s.login), i); return form },
				"forgotten":                         func() url.Values { return url.Values{"what": {"forgot"}} },
				"locked":                            func() url.Values { return url.Values{"what": {"locked"}} },
				"the app chosen":                    func() url.Values { return url.Values{"choose": {w.app}} },
				"the address chosen":                func() url.Values { return url.Values{"choose": {w.mail}} },
				"her app by its id":                 func() url.Values { return url.Values{"choose": {s.app}} },
				"the app chosen in another flow":    func() url.Values { return url.Values{"choose": {beside.app}} },
				"another user's app chosen":         func() url.Values { return url.Values{"choose": {thief.app}} },
				"a kind chosen":                     func() url.Values { return url.Values{"choose": {"totp"}} },
				"the address":                       func() url.Values { return url.Values{"email": {s.address}} },
				"the app's code":                    func() url.Values { return url.Values{"code": {h.totp(s.key, 0)}} },
				"another user's code":               func() url.Values { return url.Values{"code": {h.totp(thief.key, 0)}} },
				"the other flow's mailed code":      func() url.Values { return url.Values{"code": {beside.code}} },
				"a new password":                    func() url.Values { return url.Values{"new": {renewed}, "confirm": {renewed}} },
			}
			own := map[string][]string{atWhat: {"forgotten", "locked"}, atChoose: {"the app chosen", "the address chosen"}, atAddress: {"the address"}, atApp: {"the app's code"}, atNew: {"a new password"}}
			moves := map[string][]string{atWhat: {"back"}, atChoose: {"none", "back"}, atAddress: {"none", "back", "other"}, atApp: {"none", "back", "other"}, atMail: {"none", "back", "other"}}
			stays := func(step, what string, form url.Values) {
				t.Helper()
				form.Set("csrf", w.csrf)
				if p := b.send(w.at, form); shown(p) != step || step != atReset && h.holds(s) != password {
					t.Fatalf("at %q, %s with the button %q leads to %q; the password is %q", step, what, form.Get("action"), shown(p), h.holds(s))
				}
			}
			for _, step := range steps {
				if w.step != step {
					t.Fatalf("%q is not reached: %q", step, w.step)
				}
				for what, form := range forms {
					for _, button := range []string{"next", "verify", "sign_in", ""} {
						if !slices.Contains(own[step], what) {
							f := form()
							f.Set("action", button)
							stays(step, what, f)
						}
					}
				}
				for _, button := range actions {
					if !slices.Contains(moves[step], button) {
						stays(step, "nothing", url.Values{"action": {button}, "step": {atNew}})
					}
				}
				if step != atReset {
					h.step(w, i)
				}
			}
		}
	})
}

// step posts what the walk needs next, and fails where that does not lead on.
func (h *armoury) step(w *walk, n int) {
	h.t.Helper()
	was := w.step
	form, solved := h.onward(w, n)
	h.put(h.t, []*walk{w}, w, form, solved)
	if w.step == was {
		h.t.Fatalf("%v does not lead on from %q", form, was)
	}
}

// wander lets two browsers walk through resets of two users, by what is right and by everything else.
func (h *armoury) wander(rt *rapid.T, decoys []string) {
	groups := [][]string{{"One"}, {"Two"}, {"One", "IT"}}
	pick := rapid.IntRange(0, 2).Draw(rt, "victim")
	victim, other := h.soul([]int{1, 2, 2}[pick], false, groups[pick]...), h.soul(1, false, "One")
	here, there := h.browser(), h.browser()
	var walks []*walk
	begin := func(i int) *walk {
		login := []string{victim.login, rapid.SampledFrom(append(decoys, other.login, other.login)).Draw(rt, "name"), victim.login}[i]
		return h.walk([]*browser{here, here, there}[i], []*soul{victim, other, victim}[i], login)
	}
	for i := range 3 {
		walks = append(walks, begin(i))
	}
	for n := range rapid.IntRange(12, 36).Draw(rt, "posts") {
		i := rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2}).Draw(rt, "walk")
		w, serial := walks[i], len(h.souls)*100+n
		if slices.Contains([]string{atReset, atOpen, atDead, atGone}, w.step) && rapid.Bool().Draw(rt, "begin anew") {
			walks[i] = begin(i)
			continue
		}
		switch kind := rapid.IntRange(0, 19).Draw(rt, "what to do"); {
		case kind < 11:
			form, solved := h.onward(w, serial)
			if w.step == atWhat && kind > 8 {
				form.Set("what", "locked")
			}
			h.put(rt, walks, w, form, solved)
		case kind < 13: // what was right once, or is right for the other walk
			form, _ := h.onward(w, serial)
			switch w.step {
			case atName:
				form, _ = h.onward(h.walk(w.b, w.whose, w.login), serial)
			case atChoose:
				form.Set("action", rapid.SampledFrom([]string{"next", "next", "back"}).Draw(rt, "button"))
				form.Set("choose", rapid.SampledFrom([]string{victim.app, victim.mail, other.app, other.mail}).Draw(rt, "choice"))
			case atApp:
				form.Set("action", rapid.SampledFrom([]string{"verify", "verify", "other", "back"}).Draw(rt, "button"))
				form.Set("code", h.totp(w.who.key, int(w.who.step-h.clock.Now().Unix()/30)))
			case atMail:
				form.Set("action", rapid.SampledFrom([]string{"verify", "verify", "verify", "back"}).Draw(rt, "button"))
				form.Set("code", rapid.SampledFrom(w.codes(walks)).Draw(rt, "code"))
			}
			h.put(rt, walks, w, form, false)
		case kind < 16:
			h.put(rt, walks, w, h.anything(rt, w, victim, other, decoys, n), false)
		case kind == 16: // the true form, from elsewhere
			form, _ := h.onward(w, serial)
			b, token := there, there.token()
			if w.b == there {
				b, token = here, here.token()
			}
			if rapid.Bool().Draw(rt, "with the token of the browser itself") {
				token = w.csrf
			}
			form.Set("csrf", token)
			if p := b.send(w.at, form); p.status != http.StatusForbidden {
				rt.Fatalf("another browser posts %v at %s and meets %d %s", form, w.step, p.status, p.h1())
			}
			form.Set("csrf", rapid.SampledFrom([]string{"", "x"}).Draw(rt, "token"))
			if p := w.b.send(w.at, form); p.status != http.StatusForbidden {
				rt.Fatalf("%v is taken at %s without a token: %d %s", form, w.step, p.status, p.h1())
			}
		case kind == 17: // the true form, to where it does not belong
			form, _ := h.onward(w, serial)
			form.Set("csrf", w.csrf)
			to := rapid.SampledFrom([]string{h.issuer + "/security-info", h.issuer + "/reset", h.issuer + "/flow/", w.at + "/", w.at + "/new_password",
				strings.Replace(w.at, "/avengers/", "/wakanda/", 1), walks[(i+1)%3].at + "x", h.issuer + "/not-me/x", h.issuer + "/authorize/resume?flow=" + path.Base(w.at)}).Draw(rt, "to")
			w.b.send(to, form)
			w.b.get(w.at + "?" + form.Encode())
		default:
			h.clock.Advance(rapid.SampledFrom([]time.Duration{11 * time.Second, time.Minute, 5 * time.Minute, 9 * time.Minute}).Draw(rt, "later"))
		}
		h.agree(rt, walks)
	}
}

// put posts a form as its own browser does, and the model says what has to come of it.
func (h *armoury) put(t rapid.TB, walks []*walk, w *walk, form url.Values, solved bool) {
	before := w.step
	h.clock.Advance(time.Second)
	form.Set("csrf", w.csrf)
	set := h.answer(w, form, solved)
	p := w.b.send(w.at, form)
	if w.decoy() {
		h.decoys[path.Base(w.at)] = true
		return
	}
	if got := shown(p); got != w.step {
		t.Fatalf("%v posted at %q leads to %q (%s), want %q after %v of %d", form, before, got, p.error(), w.step, w.proven, w.need())
	}
	switch {
	case w.step == atMail && w.code == "due":
		w.code = h.code(w.who.mailed, w.who.address)
		w.older = append(w.older, w.code)
	case w.step == atReset && set != "":
		h.resets, w.who.password, h.needed[path.Base(w.at)] = h.resets+1, set, w.who.need
		for _, x := range walks { // all that was proven for this user ends with it
			if x != w && x.who == w.who {
				x.step = atGone
			}
		}
	case w.step == atOpen && before != atOpen:
		h.unlocks, h.needed[path.Base(w.at)] = h.unlocks+1, w.who.need
	case w.step == atDead && before != atDead:
		h.dead++
	}
}

// codes are those that were mailed for this walk, and for the others.
func (w *walk) codes(walks []*walk) []string {
	list := append([]string{"000000"}, w.older...)
	for _, x := range walks {
		list = append(list, x.older...)
	}
	return list
}

// anything is a form that does not belong where it is posted, or nothing that was ever on a page.
func (h *armoury) anything(rt *rapid.T, w *walk, victim, other *soul, decoys []string, n int) url.Values {
	form := url.Values{"action": {rapid.SampledFrom(actions).Draw(rt, "action")}}
	one := func(name string, values ...string) {
		form.Set(name, rapid.SampledFrom(values).Draw(rt, name))
	}
	for range rapid.IntRange(1, 3).Draw(rt, "fields") {
		switch rapid.IntRange(0, 7).Draw(rt, "field") {
		case 0:
			one("username", append(decoys, victim.login, other.login, "")...)
			one("captcha_id", "x", "")
			one("captcha", "0", "x")
		case 1:
			one("what", "locked", "forgot", "new_password", "")
		case 2:
			one("choose", append(choices(w.b.last), w.app, w.mail, victim.app, victim.mail, other.app, other.mail, "totp", "email", "directory", "password", "")...)
		case 3:
			one("email", victim.address, other.address, "x@evil.example", victim.address+","+other.address, "")
		case 4:
			one("code", h.totp(victim.key, 0), h.totp(other.key, 0), h.totp(victim.key, int(victim.step-h.clock.Now().Unix()/30)), h.totp(victim.key, 2), "000000", w.code, "")
		case 5:
			next := fmt.Sprintf("a-suit-by-the-way-%d", n)
			one("new", next, "short", "")
			one("confirm", next, "short", "")
		case 6:
			one("step", "new_password", "finish", "finished")
			one("what", "forgot", "")
		case 7:
			one("renewed", "true", "1")
			one("kind", "reset", "sign_in", "manage")
			one("old", password, "")
		}
	}
	return form
}

// agree fails unless every password is the one that the model knows, and no page of a decoy is beyond its gates.
func (h *armoury) agree(rt *rapid.T, walks []*walk) {
	for _, s := range h.souls[max(0, len(h.souls)-2):] {
		if got := h.holds(s); got != s.password {
			rt.Fatalf("the password of %s was set to %q", s.login, got)
		}
	}
	for _, s := range h.souls[:3] {
		if got := h.holds(s); got != password {
			rt.Fatalf("the password of a decoy was set to %q", got)
		}
	}
	for _, w := range walks {
		if w.b.cookie(sessionCookie) != "" {
			rt.Fatal("a reset has begun a session")
		}
		if !w.decoy() {
			continue
		}
		if got := shown(w.b.get(w.at)); got == atNew || got == atReset || got == atOpen {
			rt.Fatalf("a decoy stands at %q", got)
		}
	}
}

// settleAccounts compares what the journal tells of every reset with what the model knows: each has its rows of proofs, of its own flow,
// and no code went anywhere but to the address of a walk that asked for it.
func (h *armoury) settleAccounts() {
	h.t.Helper()
	proven, done := map[string]map[string]bool{}, map[string]int{}
	err := h.admin("avengers").Store.Read(h.t.Context(), func(tx store.Tx) error {
		rows, err := tx.Rows(`SELECT flow, event, detail FROM journal WHERE tenant = $1 AND event IN ('proof.ok', 'reset.done', 'unlock.done')`)
		for err == nil && rows.Next() {
			var flow, event, detail string
			if err := rows.Scan(&flow, &event, &detail); err != nil {
				return err
			}
			if event != "proof.ok" {
				done[flow]++
				continue
			}
			if proven[flow] == nil {
				proven[flow] = map[string]bool{}
			}
			proven[flow][detail] = true
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if len(done) != len(h.needed) || len(done) != h.resets+h.unlocks {
		h.t.Errorf("the journal tells of %d ends, the model of %d", len(done), len(h.needed))
	}
	for flow := range h.decoys {
		if len(proven[flow]) > 0 {
			h.t.Errorf("a decoy has proven %v", proven[flow])
		}
	}
	for flow, n := range done {
		if n != 1 || len(proven[flow]) != h.needed[flow] {
			h.t.Errorf("flow %s ended %d times after proofs of %v, where %d are needed", flow, n, proven[flow], h.needed[flow])
		}
	}
	for _, s := range h.souls {
		if n := h.mailedTo(s.address, "code"); n != s.mailed {
			h.t.Errorf("%d codes went to %s, and %d were asked for", n, s.address, s.mailed)
		}
	}
}
