package sparekey_test

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// call is what a caller asked for, and outcome what she was told. A history of both is linearizable when some order of the calls, in which
// none comes after one that began when it had ended, is one that the model below could have walked alone.
type call struct {
	do   string
	what string // the token that is brought
	step int    // of an authenticator app
}

type outcome struct {
	ok  bool
	got string // the refresh token that is given out
}

// history is what all callers of a round saw.
type history struct {
	began time.Time
	mu    sync.Mutex
	list  []porcupine.Operation
}

func newHistory() *history { return &history{began: time.Now()} }

// record makes a call and notes it. done says whether there was an answer: a call that did nothing is no part of the history.
func (h *history) record(caller int, c call, f func() (a outcome, done bool)) outcome {
	begin := time.Since(h.began).Nanoseconds()
	a, done := f()
	end := time.Since(h.began).Nanoseconds()
	if done {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.list = append(h.list, porcupine.Operation{ClientId: caller, Input: c, Output: a, Call: begin, Return: end})
	}
	return a
}

// answered counts the calls of one sort that were answered so.
func (h *history) answered(do string, ok bool) (n int) {
	for _, o := range h.list {
		if o.Input.(call).do == do && o.Output.(outcome).ok == ok {
			n++
		}
	}
	return n
}

// linearizable fails the test when no order of the calls explains the answers.
func (h *history) linearizable(t *testing.T, by func([]porcupine.Operation) porcupine.Model) {
	t.Helper()
	result := porcupine.CheckOperationsTimeout(by(h.list), h.list, time.Minute)
	if result == porcupine.Ok {
		return
	}
	slices.SortFunc(h.list, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	for _, o := range h.list {
		t.Logf("%9d–%9d caller %2d %+v %+v", o.Call/1000, o.Return/1000, o.ClientId, o.Input, o.Output)
	}
	t.Fatalf("no order of these calls explains their answers: %s", result)
}

// model is a machine of one state S; step says what follows an answer, and whether it could have been given.
func model[S comparable](start S, step func(S, call, outcome) (S, bool)) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return start },
		Step: func(s, c, a any) (bool, any) {
			next, ok := step(s.(S), c.(call), a.(outcome))
			return ok, next
		},
	}
}

// family is a grant: its code, its refresh token and what they lead to.
type family struct {
	code, dead bool
	refresh    string // the one that is good
	left       int    // yeses to come
}

// families: a code is redeemed once, a refresh token rotates once, and whoever brings either again ends all of it (RFC 6749 §4.1.2, RFC 9700 §4.14.2).
// A no ends the family or finds it ended, so no order has a yes after a no: to say so spares the search all the orders that fail for it late.
func families(list []porcupine.Operation) porcupine.Model {
	return model(family{code: true, left: yeses(list)}, func(f family, c call, o outcome) (family, bool) {
		if o.ok {
			f.left--
		} else if f.left > 0 {
			return f, false
		}
		good := false
		switch c.do {
		case "redeem":
			good = f.code
		case "refresh":
			good = !f.code && !f.dead && c.what == f.refresh
		case "use": // an access token, which ends nothing
			return f, !f.code && o.ok == !f.dead
		}
		if good {
			f.code, f.refresh = false, o.got
		} else {
			f.code, f.dead = false, true
		}
		return f, o.ok == good
	})
}

// app is an authenticator app: the last step that was accepted, and how many were.
type app struct{ last, accepted int }

// steps: a step of an authenticator app is accepted when none as late has been (RFC 6238 §5.2). So those that were accepted have one order alone,
// which spares the search all others.
func steps(list []porcupine.Operation) porcupine.Model {
	var rising []int
	for _, o := range list {
		if o.Output.(outcome).ok {
			rising = append(rising, o.Input.(call).step)
		}
	}
	slices.Sort(rising)
	return model(app{last: math.MinInt}, func(a app, c call, o outcome) (app, bool) {
		switch {
		case c.step <= a.last:
			return a, !o.ok
		case a.accepted == len(rising) || c.step != rising[a.accepted]:
			return a, false
		}
		return app{c.step, a.accepted + 1}, o.ok
	})
}

func yeses(list []porcupine.Operation) (n int) {
	for _, o := range list {
		if o.Output.(outcome).ok {
			n++
		}
	}
	return n
}

// counter lets so many tries through, and one more for each that is given back.
func counter(limit int) func([]porcupine.Operation) porcupine.Model {
	return func([]porcupine.Operation) porcupine.Model {
		return model(0, func(n int, c call, o outcome) (int, bool) {
			switch {
			case c.do == "give back":
				return n - 1, n > 0
			case n < limit:
				return n + 1, o.ok
			}
			return n, !o.ok
		})
	}
}

// Each model takes what it should and refuses what it must not: a checker that says yes to everything proves nothing.
func TestAWrongHistoryIsNoticed(t *testing.T) {
	type seen struct {
		begin, end int64
		call
		outcome
	}
	yes, no := outcome{ok: true}, outcome{}
	redeem, use := call{do: "redeem"}, call{do: "use"}
	refresh := func(what string) call { return call{do: "refresh", what: what} }
	gives := func(token string) outcome { return outcome{true, token} }
	step := func(n int) call { return call{do: "prove", step: n} }
	try, back := call{do: "try"}, call{do: "give back"}
	for _, c := range []struct {
		name  string
		model func([]porcupine.Operation) porcupine.Model
		want  bool
		list  []seen
	}{
		{"a code twice, one after the other", families, true, []seen{{0, 1, redeem, gives("a")}, {2, 3, use, yes}, {4, 5, redeem, no}, {6, 7, use, no}}},
		{"a code twice at once", families, true, []seen{{0, 9, redeem, no}, {1, 8, redeem, gives("a")}}},
		{"two redeem a code", families, false, []seen{{0, 9, redeem, gives("a")}, {1, 8, redeem, gives("b")}}},
		{"nobody redeems a code", families, false, []seen{{0, 9, redeem, no}, {1, 8, redeem, no}}},
		{"the second is refused before the first begins", families, false, []seen{{0, 1, redeem, no}, {2, 3, redeem, gives("a")}}},
		{"a token outlives the second use of its code", families, false, []seen{{0, 1, redeem, gives("a")}, {2, 3, redeem, no}, {4, 5, use, yes}}},
		{"a token dies before anybody ends it", families, false, []seen{{0, 1, redeem, gives("a")}, {2, 3, use, no}, {4, 5, redeem, no}}},
		{"a family of three, and its end", families, true, []seen{{0, 1, redeem, gives("a")}, {2, 3, refresh("a"), gives("b")}, {4, 9, refresh("b"), gives("c")}, {5, 8, refresh("a"), no}, {10, 11, refresh("c"), no}}},
		{"two rotate one token", families, false, []seen{{0, 1, redeem, gives("a")}, {2, 9, refresh("a"), gives("b")}, {3, 8, refresh("a"), gives("c")}}},
		{"reuse does not end the family", families, false, []seen{{0, 1, redeem, gives("a")}, {2, 3, refresh("a"), gives("b")}, {4, 5, refresh("a"), no}, {6, 7, refresh("b"), gives("c")}}},
		{"reuse ends the family late", families, false, []seen{{0, 1, redeem, gives("a")}, {2, 3, refresh("a"), gives("b")}, {4, 5, refresh("a"), no}, {6, 7, use, yes}}},
		{"steps that go up", steps, true, []seen{{0, 9, step(0), yes}, {1, 8, step(-1), yes}, {2, 7, step(0), no}}},
		{"a step twice", steps, false, []seen{{0, 9, step(0), yes}, {1, 8, step(0), yes}}},
		{"a step after a later one", steps, false, []seen{{0, 1, step(1), yes}, {2, 3, step(0), yes}}},
		{"a good step that is refused", steps, false, []seen{{0, 1, step(0), no}, {2, 3, step(1), yes}}},
		{"two tries of two, and one given back", counter(2), true, []seen{{0, 1, try, yes}, {2, 3, try, yes}, {4, 5, try, no}, {6, 7, back, yes}, {8, 9, try, yes}}},
		{"a third try of two", counter(2), false, []seen{{0, 9, try, yes}, {1, 8, try, yes}, {2, 7, try, yes}}},
		{"a second try of two is refused", counter(2), false, []seen{{0, 9, try, yes}, {1, 8, try, no}}},
		{"one is given back and two come in", counter(2), false, []seen{{0, 1, try, yes}, {2, 3, try, yes}, {4, 5, back, yes}, {6, 9, try, yes}, {7, 8, try, yes}}},
	} {
		var list []porcupine.Operation
		for i, s := range c.list {
			list = append(list, porcupine.Operation{ClientId: i, Input: s.call, Output: s.outcome, Call: s.begin, Return: s.end})
		}
		if got := porcupine.CheckOperations(c.model(list), list); got != c.want {
			t.Errorf("%s: linearizable is %v (%s)", c.name, got, fmt.Sprint(c.list))
		}
	}
}
