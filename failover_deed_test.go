package sparekey_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
)

// reads uses an access token at either node in turn.
func (w *siblings) reads(going func() bool, access string) {
	for i := 0; going(); i++ {
		switch got := w.ask(i, "/userinfo", nil, access); got.status {
		case http.StatusOK:
			w.did(fmt.Sprint("read ", i%2))
		case http.StatusServiceUnavailable:
		default:
			w.t.Errorf("an access token that is good answers %d", got.status)
		}
		time.Sleep(25 * time.Millisecond)
	}
}

// redeems fetches codes at one node with a live session and redeems them at the other. Where the answer is lost the code is brought again, until somebody says what became of it.
func (w *siblings) redeems(going func() bool, one *resident, i int, keep *kept) {
	address := w.issuer + "/authorize?" + url.Values{"client_id": {"wiki"}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid offline_access"},
		"state": {"s"}, "nonce": {"n"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}}.Encode()
	for going() { // who redeems at one node fetches the next code there
		if !w.visit(one.b, i, "/authorize", address) {
			i++
			continue
		}
		code := one.b.last.query("code")
		if code == "" {
			w.t.Errorf("a session that is good leads to %d %q %q", one.b.last.status, one.b.last.location, one.b.last.h1())
			return
		}
		for lost := false; ; lost = true {
			i++
			got := w.ask(i, "/token", codeForm(code), "")
			if got.status == http.StatusServiceUnavailable && !w.t.Failed() {
				continue
			}
			if got.status == http.StatusOK {
				w.did(fmt.Sprint("redeemed ", i%2))
				keep.Lock()
				keep.codes[code] = got
				keep.Unlock()
			} else if !lost {
				w.t.Errorf("a code that nobody has brought before: %d %s", got.status, got.raw)
			}
			if lost {
				w.lost(got.status != http.StatusOK)
			}
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// renews rotates a refresh token at either node in turn. Where the answer is lost the token is brought again: when it had been rotated the family has ended, and another one begins.
func (w *siblings) renews(going func() bool, one *resident, i int, now tokens, keep *kept) {
	lost := false
	for ; going() || lost && !w.t.Failed(); i++ {
		got := w.ask(i, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {now.Refresh}}, "")
		switch {
		case got.status == http.StatusServiceUnavailable:
			lost = true
			continue
		case got.status == http.StatusOK:
			w.did(fmt.Sprint("refreshed ", i%2))
			keep.Lock()
			keep.used = append(keep.used, now.Refresh)
			keep.Unlock()
			now = got
		case !lost:
			w.t.Errorf("a refresh token that nobody has brought before: %d %s", got.status, got.raw)
			return
		default:
			now = w.begins(one, i)
		}
		if lost {
			w.lost(got.status != http.StatusOK)
		}
		lost = false
		time.Sleep(20 * time.Millisecond)
	}
	keep.Lock()
	defer keep.Unlock()
	keep.current = append(keep.current, now.Refresh)
}

// begins is a new family.
func (w *siblings) begins(one *resident, i int) (got tokens) {
	for ; got.status != http.StatusOK && !w.t.Failed(); i++ {
		if w.visit(one.b, i, "/authorize", w.at[0].authorizeURL("avengers")) {
			got = w.ask(i, "/token", codeForm(one.b.last.query("code")), "")
		}
	}
	return got
}

// until posts a form, at either node in turn, until there is an answer, and then looks where that has led. lost: the first answer did not come. What was posted may have been done then: so the
// page is looked at before it is posted again, and only where it stands still is that done.
func (w *siblings) until(b *browser, i int, what string, pairs ...string) (lost bool) {
	before := b.last
	for !w.visit(b, i, what, "", pairs...) && !w.t.Failed() {
		lost = true
		for i++; !w.visit(b, i, what, before.url.String()) && !w.t.Failed(); i++ {
		}
		if b.last.h1() != before.h1() {
			return lost
		}
	}
	return lost
}

// resets proves somebody's app at one node, tries the same code once more at the other, and sets a password. She begins anew when a page before that is not what it should be.
func (w *siblings) resets(going func() bool, one *resident, i int, keep *kept) {
	b := w.at[i].browserFrom(one.address)
	begin := func(b *browser, i int) bool {
		for range 100 {
			if w.visit(b, i, "/reset", w.issuer+"/reset") && b.last.h1() == "Get back into your account" &&
				w.visit(b, i+1, "/reset", "", append(b.puzzle(), "username", one.login, "action", "next")...) &&
				(!strings.Contains(b.last.body, `name="what"`) || w.visit(b, i, "/reset", "", "what", "forgot", "action", "next")) && strings.Contains(b.last.body, `name="code"`) {
				return true
			}
			if i++; w.t.Failed() {
				return false
			}
			time.Sleep(100 * time.Millisecond)
		}
		w.t.Errorf("%s cannot begin: %q %q", one.login, b.last.h1(), b.last.error())
		return false
	}
	if !begin(b, i) {
		return
	}
	code := w.code(one.key, 0)
	lost := w.until(b, i, "proof", "code", code, "action", "verify")
	first := b.last.h1() == "Choose a new password"
	if !first && !lost {
		w.t.Errorf("%s: a code that nobody has typed before: %q %q", one.login, b.last.h1(), b.last.error())
		return
	}
	again := w.at[i].browserFrom(one.address)
	if !begin(again, i+1) {
		return
	}
	w.until(again, i+1, "proof", "code", code, "action", "verify")
	switch second := again.last.h1() == "Choose a new password"; {
	case first && second:
		w.t.Errorf("%s: a code of the app was good twice", one.login)
		return
	case !first && second: // the first answer was lost, and nothing done
		b = again
	case !first: // and here it was used up: nobody has anything of it
		w.lost(true)
		return
	}
	if lost {
		w.lost(!first)
	}
	w.did("proven")
	lost = w.until(b, i, "new password", "new", renewed, "confirm", renewed, "action", "next")
	done := b.last.h1() == "Your password has been reset"
	if !done && !lost {
		w.t.Errorf("%s: the last step leads to %q %q", one.login, b.last.h1(), b.last.error())
	}
	if done {
		w.did("reset")
	}
	keep.Lock()
	defer keep.Unlock()
	keep.reset = append(keep.reset, answered{one, done})
}

// registers lets somebody without a method set an app up at sign-in. She begins anew when a page before the last one is not what it should be.
func (w *siblings) registers(going func() bool, one *resident, i int, keep *kept) {
	for range 100 {
		b := w.at[i].browserFrom(one.address)
		if w.t.Failed() {
			return
		}
		if !w.visit(b, i, "sign-in", one.b.h.authorizeURL("avengers")) || !w.visit(b, i+1, "sign-in", "", "username", one.login, "action", "next") ||
			!w.visit(b, i, "sign-in", "", "password", password, "action", "sign_in") || b.last.h1() != "More information required" ||
			!w.visit(b, i+1, "registration", "", "action", "next") || !w.visit(b, i, "registration", "", "action", "next") {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		key := first(b.last.body, `(?s)data-secret[^>]*>(.*?)<`)
		if key == "" || !w.visit(b, i+1, "registration", "", "action", "next") {
			continue
		}
		lost := w.until(b, i, "registration", "code", w.code(key, 0), "action", "verify")
		done := b.last.h1() == "All set"
		if !done && !lost {
			w.t.Errorf("%s: her code leads to %q %q", one.login, b.last.h1(), b.last.error())
		}
		if done {
			w.did("registered")
		}
		keep.Lock()
		keep.app = append(keep.app, answered{one, done})
		keep.Unlock()
		return
	}
	w.t.Errorf("%s cannot register", one.login)
}

// holds fails unless all that was answered is there, and nothing that was used up is good.
func (w *siblings) holds(keep *kept) {
	t := w.t
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // the test's own connections
		if _, err := w.admin("avengers").Find(t.Context(), w.people[0].login); err == nil {
			break
		}
	}
	var all sync.WaitGroup
	turns := make(chan int, 4)
	each := func(i int, f func()) {
		turns <- i
		all.Go(func() { f(); <-turns })
	}
	n := 0
	for code, got := range keep.codes {
		n++
		each(n, func() {
			if answer := w.ask(n, "/userinfo", nil, got.Access); answer.status != http.StatusOK {
				t.Errorf("the tokens of a code that was redeemed answer %d", answer.status)
			}
			if again := w.ask(n, "/token", codeForm(code), ""); again.status != http.StatusBadRequest || again.Error != "invalid_grant" {
				t.Errorf("a code that was redeemed: %d %s", again.status, again.raw)
			}
		})
	}
	all.Wait()
	for i, token := range keep.current {
		if got := w.ask(i, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, ""); got.status != http.StatusOK {
			t.Errorf("the refresh token that is the last: %d %s", got.status, got.raw)
		}
	}
	for i, token := range keep.used {
		each(i, func() {
			if got := w.ask(i, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, ""); got.status != http.StatusBadRequest {
				t.Errorf("a refresh token that was used: %d %s", got.status, got.raw)
			}
		})
	}
	all.Wait()
	journalled := func(one *resident, name string) (n int) {
		a, user := w.admin("avengers"), string(w.user(one.login).ID)
		err := a.Store.Read(t.Context(), func(tx store.Tx) error {
			rows, err := a.Journal.Recent(tx, user, 100)
			for _, e := range rows {
				if e.Event == name {
					n++
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return n
	}
	for _, one := range keep.reset {
		w.settled(one.resident)
		fresh, old := w.opens(one.resident, renewed), w.opens(one.resident, password)
		if fresh == old || one.done && !fresh {
			t.Errorf("%s was told of her reset: %v, and the new password works: %v, the old one: %v", one.login, one.done, fresh, old)
		}
		if n := journalled(one.resident, audit.ResetDone); one.done && n != 1 || n > 1 {
			t.Errorf("%s was told of her reset: %v, and the journal has %d", one.login, one.done, n)
		}
	}
	for _, one := range keep.app {
		kinds := w.process.holds(one.login)
		there := slices.Equal(kinds, []identity.Kind{identity.TOTP})
		if n := journalled(one.resident, audit.MethodBound); one.done && !there || !there && len(kinds) > 0 || there != (n == 1) || n > 1 {
			t.Errorf("%s was told of her app: %v, she holds %q and the journal has %d", one.login, one.done, kinds, n)
		}
	}
	if v, err := w.admin("avengers").Journal.Verify(t.Context()); err != nil || !v.OK() {
		t.Errorf("the journal: %+v %v", v, err)
	}
	t.Logf("kept: %d codes, %d rotations, %d resets, %d apps", len(keep.codes), len(keep.used), len(keep.reset), len(keep.app))
}

// settled waits until no reset of hers is under way: one that was cut short stands until a node has settled it, and meanwhile no password lets her in.
func (w *siblings) settled(one *resident) {
	user, n := w.user(one.login).ID, 1
	for end := time.Now().Add(40 * time.Second); n > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Errorf("%s: her reset stays under way", one.login)
			return
		}
		err := w.admin("avengers").Store.Read(w.t.Context(), func(tx store.Tx) error {
			return tx.Row("SELECT COUNT(*) FROM account WHERE tenant = $1 AND user_id = $2 AND intent <> ''", user).Scan(&n)
		})
		if err != nil {
			w.t.Error(err)
			return
		}
	}
}

// opens reports whether a password lets her in.
func (w *siblings) opens(one *resident, password string) bool {
	b := w.at[0].browserFrom(one.address)
	return b.signIn(one.login, password).query("code") != ""
}
