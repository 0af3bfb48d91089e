package sparekey_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/guard"
)

// rounds is how many histories are made: two hundred when SPAREKEY_DEEP=1.
func rounds(few int) int {
	if deep() {
		return 200
	}
	return few
}

// relying is a relying party that asks one node without anything between, so that what it measures is the call and nothing else.
type relying struct {
	*testing.T
	node    http.Handler
	issuer  string
	caller  int
	history *history
}

// ask gives the answer; any but yes and no fails the test.
func (r relying) ask(path string, form url.Values, access string) (a outcome, t tokens, done bool) {
	in := httptest.NewRequest(http.MethodPost, r.issuer+path, strings.NewReader(form.Encode()))
	in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if access != "" {
		in.Header.Set("Authorization", "Bearer "+access)
	} else {
		in.SetBasicAuth("wiki", "wiki-secret")
	}
	w := httptest.NewRecorder()
	r.node.ServeHTTP(w, in)
	switch w.Code {
	case http.StatusOK:
		if err := json.Unmarshal(w.Body.Bytes(), &t); err != nil {
			r.Error(err)
		}
		return outcome{true, t.Refresh}, t, true
	case http.StatusBadRequest, http.StatusUnauthorized:
		return outcome{}, t, true
	}
	r.Errorf("%s answers %d %s", path, w.Code, w.Body)
	return outcome{}, t, false
}

func (r relying) token(c call, form url.Values) (t tokens) {
	r.history.record(r.caller, c, func() (a outcome, done bool) {
		a, t, done = r.ask("/token", form, "")
		return a, done
	})
	return t
}

func (r relying) redeem(code string) tokens {
	return r.token(call{do: "redeem"}, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}})
}

func (r relying) refresh(token string) tokens {
	return r.token(call{do: "refresh", what: token}, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (r relying) use(access string) {
	r.history.record(r.caller, call{do: "use"}, func() (a outcome, done bool) {
		a, _, done = r.ask("/userinfo", nil, access)
		return outcome{ok: a.ok}, done
	})
}

// chain is a family whose tokens are shown to thieves as they come.
type chain struct {
	shown [6]chan struct{} // closed when so many rotations have been made, or none will be any more
	list  []tokens         // what was shown before it is written before its channel is closed
}

func TestA13_HistoriesOfCodesAndTokensOnTwoNodesAreLinearizable(t *testing.T) {
	p := two(t, 1)
	b := p.browser()
	b.register("ironman")
	for round := range rounds(9) {
		h := newHistory()
		at := func(i int) relying {
			return relying{t, []http.Handler{p.p, p.second}[(i+round)%2], p.issuer, i, h}
		}
		code := b.authorize().query("code")
		switch round % 3 {
		case 0: // all bring the code; who has tokens goes on with them
			fifty(t, func(i int) bool {
				r := at(i)
				if got := r.redeem(code); got.Access != "" {
					r.use(got.Access)
					r.refresh(got.Refresh)
					r.use(got.Access)
				}
				return true
			})
		case 1: // all bring the refresh token, and look whether the family lives
			first := at(50).redeem(code)
			fifty(t, func(i int) bool {
				r := at(i)
				if got := r.refresh(first.Refresh); got.Access != "" {
					r.refresh(got.Refresh)
				}
				r.use(first.Access)
				return true
			})
		case 2: // one owner rotates, thieves come in between with what was good once, or just look
			robbed(t, round, at, at(50).redeem(code))
		}
		h.linearizable(t, families)
		if round%3 == 0 && h.answered("redeem", true) != 1 {
			t.Errorf("a code was redeemed %d times", h.answered("redeem", true))
		}
	}
}

// robbed lets the caller 0 rotate a family five times. The others come when it is so and so old, each with a token of before, or with an access token.
func robbed(t *testing.T, round int, at func(int) relying, first tokens) {
	c := chain{list: make([]tokens, len(chain{}.shown))}
	for i := range c.shown {
		c.shown[i] = make(chan struct{})
	}
	fifty(t, func(i int) bool {
		r := at(i)
		if i > 0 {
			age := max(i%len(c.shown), round/3%len(c.shown))
			<-c.shown[age]
			if old := c.list[i/6%(age+1)]; i%2 == 0 && old.Refresh != "" && age == round/3%len(c.shown) {
				r.refresh(old.Refresh)
			}
			r.use(first.Access)
			return true
		}
		for n, now := 0, first; n < len(c.shown); n++ {
			c.list[n] = now
			close(c.shown[n])
			if now.Refresh != "" {
				now = r.refresh(now.Refresh)
			}
		}
		return true
	})
}

// generous is a house that never tires of wrong proofs.
var generous = with(func(t *sparekey.Tenant) {
	often := config.Rate{Count: 100, Per: time.Minute}
	t.Limits.Proofs, t.Limits.ProofsNetwork, t.Limits.Rush, t.Limits.Siege = often, often, often, often
})

func TestA13_HistoriesOfTOTPStepsOnTwoNodesAreLinearizable(t *testing.T) {
	p := two(t, 1, generous)
	owner := p.browser()
	owner.register("ironman")
	for range rounds(2) {
		p.clock.Advance(2 * time.Minute) // all steps about now are new
		var at []*browser
		for i := range 50 {
			b := p.node(i).browser()
			b.beginReset("ironman")
			b.pick("totp")
			at = append(at, b)
		}
		h := newHistory()
		fifty(t, func(i int) bool {
			step := i/2%3 - 1
			code := p.totp(owner.key, step)
			h.record(i, call{do: "prove", step: step}, func() (outcome, bool) {
				at[i].post("code", code, "action", "verify")
				switch {
				case at[i].last.h1() == "Choose a new password":
					return outcome{ok: true}, true
				case at[i].last.h1() == "Please wait a moment": // somebody else's change went first: nothing was compared
					return outcome{}, false
				case at[i].last.error() == "":
					t.Errorf("a code leads to %d %q", at[i].last.status, at[i].last.h1())
				}
				return outcome{}, true
			})
			return true
		})
		h.linearizable(t, steps)
		if n := h.answered("prove", true); n < 1 || n > 3 || len(h.list) < 25 {
			t.Errorf("%d of %d codes of three steps were accepted", n, len(h.list))
		}
	}
}

// Ten callers each guess at one of five users' passwords, of whom each has three.
func TestA16_HistoriesOfCountersOnTwoNodesAreLinearizable(t *testing.T) {
	const limit = 3
	p := two(t, 1, generous, with(func(t *sparekey.Tenant) {
		t.Limits.SignIn = guard.Passwords{After: limit, Network: config.Rate{Count: 10_000, Per: time.Second}}
	}))
	guards := [2]*guard.Guard{p.admin("avengers").Guard, p.node(1).admin("avengers").Guard}
	for round := range rounds(6) {
		p.clock.Advance(time.Minute)
		var users [5]*history
		for i := range users {
			users[i] = newHistory()
		}
		fifty(t, func(i int) bool {
			trial := guard.Trial{For: guard.SignIn, User: fmt.Sprint("somebody ", i%5, " of ", round), Network: "192.0.2.1"}
			for n := range 2 {
				trial.Password = fmt.Sprintf("guess %d of %d", n, i)
				tried(t, users[i%5], i, guards[i/5%2], trial, (i/5+n+round)%3 == 0)
			}
			return true
		})
		for _, h := range users {
			h.linearizable(t, counter(limit))
			if n := h.answered("try", true) - h.answered("give back", true); n > limit {
				t.Errorf("%d tries stand, want %d at most", n, limit)
			}
		}
	}
}

// tried tries once, and gives the try back where it is told to.
func tried(t *testing.T, h *history, caller int, g *guard.Guard, trial guard.Trial, back bool) {
	var held *guard.Attempt
	h.record(caller, call{do: "try"}, func() (outcome, bool) {
		a, err := g.Try(t.Context(), trial)
		var wait *guard.WaitError
		if err != nil && !errors.As(err, &wait) {
			t.Error(err)
			return outcome{}, false
		}
		held = a
		return outcome{ok: a != nil}, true
	})
	if held == nil || !back {
		return
	}
	h.record(caller, call{do: "give back"}, func() (outcome, bool) {
		err := held.GiveBack(t.Context())
		if err != nil {
			t.Error(err)
		}
		return outcome{ok: true}, err == nil
	})
}
