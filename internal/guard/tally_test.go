package guard

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// step is one wrong answer: so long after the first, and how long it then has to wait (0: it may be made).
type step struct{ at, wait time.Duration }

// repeat is n tries that may all be made, gap apart.
func repeat(n int, from, gap time.Duration) []step {
	var all []step
	for i := range n {
		all = append(all, step{at: from + time.Duration(i)*gap})
	}
	return all
}

func steps(parts ...[]step) []step {
	var all []step
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestAWrongAnswerCountsAsTheManualSays(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	rules := DefaultLimits().rules()
	tests := []struct {
		name  string
		rule  rule
		steps []step
	}{
		{"RS-05 five wrong proofs in a day bar resets for a day", rules.proofs, steps(repeat(5, 0, h),
			[]step{{4*h + s, 24*h - s}, {28*h - s, s}, {28 * h, 0}}, repeat(4, 28*h+s, s), []step{{28*h + 5*s, 24*h - s}})},
		{"RS-05 four wrong proofs are forgotten a day later", rules.proofs, steps(repeat(4, 0, s), repeat(4, 24*h+3*s, s))},
		{"RS-05 the window slides: the fifth within any day bars", rules.proofs, steps(repeat(4, 0, 6*h), []step{{23 * h, 0}, {24 * h, 23 * h}})},
		{"RS-05 the window slides: the fifth after the first has left does not", rules.proofs, steps(repeat(4, 0, 6*h), []step{{24 * h, 0}, {24*h + s, 0}, {24*h + 2*s, 24*h - s}})},
		{"RS-04 a network has twenty in a day, then waits for the oldest to leave", rules.proofsNetwork, steps(repeat(20, 0, m),
			[]step{{20 * m, 24*h - 20*m}, {24 * h, 0}, {24*h + s, 59 * s}, {24*h + m, 0}})},
		{"EN-09 five wrong codes in a minute, then waits that double", rules.codes, steps(repeat(5, 0, s),
			[]step{{5 * s, 59 * s}, {64 * s, 0}, {65 * s, 119 * s}, {184 * s, 0}, {185 * s, 239 * s}, {424 * s, 0}, {425 * s, 479 * s}})},
		{"EN-09 four wrong codes a minute are free", rules.codes, steps(repeat(4, 0, s), repeat(4, 63*s, s), repeat(4, 2*m+6*s, s), repeat(4, 3*m+9*s, s))},
		{"EN-09 twenty slow wrong codes begin the waits too", rules.codes, steps(repeat(19, 0, m), []step{{19 * m, 0}, {19*m + s, 59 * s}, {20 * m, 0}, {20*m + s, 119 * s}})},
		{"EN-09 a day of quiet is a fresh start for codes", rules.codes, steps(repeat(5, 0, s), []step{{4*s + m + 24*h, 0}}, repeat(4, 5*s+m+24*h, s), []step{{9*s + m + 24*h, 59 * s}})},
		{"RS-05 ten wrong passwords, then a minute, doubling", rules.password, steps(repeat(10, 0, s),
			[]step{{10 * s, 59 * s}, {69 * s, 0}, {70 * s, 119 * s}, {189 * s, 0}, {190 * s, 239 * s}})},
		{"RS-05 no wait for a password is longer than an hour", rules.password, steps(repeat(10, 0, 0),
			[]step{{m, 0}, {3 * m, 0}, {7 * m, 0}, {15 * m, 0}, {31 * m, 0}, {63 * m, 0}, {63 * m, h}, {123 * m, 0}, {123 * m, h}, {183 * m, 0}, {183 * m, h}})},
		{"five messages in ten minutes, then silence", rules.sends, steps(repeat(5, 0, m), []step{{5 * m, 5 * m}, {10 * m, 0}, {10*m + s, 59 * s}})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var v tally
			for i, step := range test.steps {
				now := noon.Add(step.at)
				until, _ := v.raise(test.rule, now, fmt.Sprint(i), "")
				wait := time.Duration(0)
				if !until.IsZero() {
					wait = until.Sub(now)
				}
				if wait != step.wait {
					t.Fatalf("try %d, after %v: has to wait %v, want %v", i+1, step.at, wait, step.wait)
				}
				if len(v.Marks) > 20 {
					t.Fatalf("try %d: %d marks are kept", i+1, len(v.Marks))
				}
			}
		})
	}
}

func TestATryTakenBackHasNeverBeenMade(t *testing.T) {
	for name, r := range map[string]rule{"proofs": DefaultLimits().rules().proofs, "passwords": DefaultLimits().rules().password, "messages": DefaultLimits().rules().sends} {
		t.Run(name, func(t *testing.T) {
			var v tally
			for i := range r.count {
				v.raise(r, noon, fmt.Sprint(i), "")
			}
			if until, _ := v.raise(r, noon, "more", ""); until.IsZero() {
				t.Fatal("one more than the limit was let through")
			}
			if !v.drop(r, "2") || v.drop(r, "2") || v.drop(r, "more") {
				t.Fatal("a try must be taken back once, and only if it was counted")
			}
			if until, _ := v.raise(r, noon, "again", ""); !until.IsZero() {
				t.Fatalf("barred until %v after one was taken back", until)
			}
			if until, _ := v.raise(r, noon, "more", ""); until.IsZero() {
				t.Fatal("taking one back made room for two")
			}
		})
	}
}

func TestALongSiegeIsRememberedInLittleSpace(t *testing.T) {
	r := DefaultLimits().rules().password
	var v tally
	for i := range 200 {
		now := noon.Add(time.Duration(i) * time.Hour)
		if until, _ := v.raise(r, now, fmt.Sprint(i), ""); !until.IsZero() {
			t.Fatalf("try %d has to wait until %v", i+1, until)
		}
		if len(v.Marks) > 20 {
			t.Fatalf("%d marks are kept", len(v.Marks))
		}
	}
	now := noon.Add(199 * time.Hour)
	for range 3 { // the oldest that are known were never wrong
		v.drop(r, v.Marks[0].ID)
		if until := v.barred(r, now); until.Sub(now) != time.Hour {
			t.Fatalf("has to wait %v, want an hour", until.Sub(now))
		}
	}
}

func TestEN09ACodeTakenBackDoesNotRestartTheSlowCount(t *testing.T) {
	r := DefaultLimits().rules().codes
	var v tally
	now := noon
	for i := range 19 {
		v.raise(r, now, fmt.Sprint(i), "")
		now = now.Add(2 * time.Minute)
	}
	v.raise(r, now, "back", "")
	v.drop(r, "back")
	now = now.Add(2 * time.Minute)
	v.raise(r, now, "twentieth", "")
	if until := v.barred(r, now); until.Sub(now) != time.Minute {
		t.Errorf("after twenty slow wrong codes: wait until %v", until)
	}
}

func TestTheLastThreeWrongPasswordsAreRememberedAndNoMore(t *testing.T) {
	r := DefaultLimits().rules().password
	var v tally
	try := func(password string) bool {
		_, twin := v.raise(r, noon, fmt.Sprint(len(v.Marks)), password)
		return twin
	}
	for _, p := range []string{"a", "b", "c"} {
		if try(p) {
			t.Fatalf("%s is new", p)
		}
	}
	if !try("a") {
		t.Fatal("a is among the last three")
	}
	if try("d") || try("b") {
		t.Fatal("b was pushed out by d, since a came again later")
	}
	if !try("d") || !try("a") {
		t.Fatal("a, d and b are the last three different ones")
	}
	kept := map[string]bool{}
	for _, m := range v.Marks {
		if m.Same != "" {
			kept[m.Same] = true
		}
	}
	if len(kept) != 3 || kept["c"] {
		t.Fatalf("kept %v, want three", kept)
	}
}

func TestAClockPutRightBarsNobodyForLong(t *testing.T) {
	for _, r := range []rule{DefaultLimits().rules().proofs, DefaultLimits().rules().password, DefaultLimits().rules().codes, DefaultLimits().rules().sends} {
		var v tally
		for i := range r.count {
			v.raise(r, noon.AddDate(1, 0, 0), fmt.Sprint(i), "")
		}
		if until, _ := v.raise(r, noon, "x", ""); !until.IsZero() {
			t.Errorf("barred until %v by a clock that was a year ahead", until)
		}
		// An hour back, as when a summer time is entered wrongly, opens nothing.
		v = tally{}
		for i := range r.count {
			v.raise(r, noon, fmt.Sprint(i), "")
		}
		if until, _ := v.raise(r, noon.Add(-time.Minute), "x", ""); until.IsZero() {
			t.Error("a clock put back by a minute opened the bar")
		}
	}
}

func TestATideFromAWrongClockBarsNobody(t *testing.T) {
	s := surge{count: 3, per: 10 * time.Minute}
	var v tide
	for range 5 {
		v.raise(s, noon.AddDate(1, 0, 0))
	}
	v.settle(s, noon)
	if v.sum() != 0 {
		t.Errorf("%d tries from a clock that was a year ahead count", v.sum())
	}
	for range 3 {
		v.raise(s, noon)
	}
	v.settle(s, noon.Add(-5*time.Minute))
	if v.barred(s).IsZero() {
		t.Error("a clock put back by five minutes opened the bar")
	}
}

// history is the reference: it keeps everything that was not taken back, and counts by walking all of it each time.
type history struct {
	r     rule
	tries []past
}

type past struct {
	id string
	at time.Time
}

func (h *history) pause(rung int) time.Duration {
	d := h.r.wait
	for range rung - 1 {
		d = min(2*d, h.r.most)
	}
	return d
}

// walk gives the rung of the last try; fresh is where the present count began.
func (h *history) walk() (rung, fresh int) {
	for i, p := range h.tries {
		if rung > 0 && !p.at.Before(h.tries[i-1].at.Add(h.pause(rung)+h.r.forget)) {
			rung, fresh = 0, i
		}
		within, slow := 0, 1
		for j := fresh; j <= i; j++ {
			if p.at.Sub(h.tries[j].at) < h.r.per {
				within++
			}
		}
		for j := i; j > fresh && h.tries[j].at.Sub(h.tries[j-1].at) < h.r.forget; j-- {
			slow++
		}
		if h.r.wait > 0 && (rung > 0 || within >= h.r.count || h.r.long > 0 && slow >= h.r.long) {
			rung++
		}
	}
	return rung, fresh
}

// wait is how long a try at now has to wait.
func (h *history) wait(now time.Time) time.Duration {
	n := len(h.tries)
	switch rung, fresh := h.walk(); {
	case n == 0:
	case h.r.wait == 0:
		if n-fresh >= h.r.count {
			return h.tries[n-h.r.count].at.Add(h.r.per).Sub(now)
		}
	case rung > 0:
		return h.tries[n-1].at.Add(h.pause(rung)).Sub(now)
	}
	return 0
}

func TestS05_TheCountersDoWhatAHistoryOfEverythingWouldDo(t *testing.T) {
	rules := DefaultLimits().rules()
	all := []rule{rules.proofs, rules.proofsNetwork, rules.password, rules.codes, rules.sends,
		{count: 1, per: time.Minute, wait: time.Second, most: time.Minute}, {count: 3, per: time.Hour}, {count: 2, per: time.Second, wait: time.Minute, most: time.Minute, forget: time.Second}}
	rapid.Check(t, func(t *rapid.T) {
		r := rapid.SampledFrom(all).Draw(t, "rule")
		h, v, now := &history{r: r}, tally{}, noon
		for i := range rapid.IntRange(1, 60).Draw(t, "tries") {
			now = now.Add(rapid.OneOf(rapid.Just(time.Duration(0)), rapid.Custom(func(t *rapid.T) time.Duration {
				return time.Duration(rapid.Int64Range(0, 7200).Draw(t, "seconds")) * time.Second
			}), rapid.SampledFrom([]time.Duration{time.Second, r.per - time.Second, r.per, r.wait, r.most, r.forget, r.forget + r.most})).Draw(t, "gap"))
			want := max(0, h.wait(now))
			id := fmt.Sprint(i)
			until, _ := v.raise(r, now, id, "")
			got := time.Duration(0)
			if !until.IsZero() {
				got = until.Sub(now)
			}
			if got != want {
				t.Fatalf("try %d at %v: waits %v, want %v", i, now.Sub(noon), got, want)
			}
			if end := v.until(r); !end.After(now) {
				t.Fatalf("try %d would be thrown away at once", i)
			}
			if got > 0 {
				continue
			}
			h.tries = append(h.tries, past{id, now})
			if r.long == 0 && rapid.IntRange(0, 2).Draw(t, "right") == 0 {
				which := len(h.tries) - 1 - rapid.IntRange(0, min(2, len(h.tries)-1)).Draw(t, "which")
				// Answers come soon: what is taken back was tried at this moment, with others that stay.
				if h.tries[which].at.Equal(now) && v.drop(r, h.tries[which].id) {
					h.tries = append(h.tries[:which], h.tries[which+1:]...)
				}
			}
		}
	})
}

func TestA16NoOrderOfAnswersMakesRoomForMoreThanTheLimit(t *testing.T) {
	rules := DefaultLimits().rules()
	rapid.Check(t, func(t *rapid.T) {
		r := rapid.SampledFrom([]rule{rules.proofs, rules.proofsNetwork, rules.sends}).Draw(t, "rule")
		v, now := tally{}, noon
		made := map[string]time.Time{}
		for i := range rapid.IntRange(1, 120).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(r.per/4)).Draw(t, "gap")))
			id := fmt.Sprint(i)
			if until, _ := v.raise(r, now, id, ""); until.IsZero() {
				made[id] = now
			}
			if rapid.Bool().Draw(t, "give one back") && len(made) > 0 {
				old := fmt.Sprint(rapid.IntRange(0, i).Draw(t, "which"))
				v.drop(r, old)
				delete(made, old)
			}
			within := 0
			for _, at := range made {
				if now.Sub(at) < r.per {
					within++
				}
			}
			if within > r.count {
				t.Fatalf("%d wrong answers within %v, want at most %d", within, r.per, r.count)
			}
		}
	})
}

func TestATideErrsOnTheSideOfCautionAndByOneSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := surge{count: rapid.IntRange(1, 20).Draw(t, "count"), per: rapid.SampledFrom([]time.Duration{10 * time.Minute, 24 * time.Hour}).Draw(t, "per")}
		var v tide
		var made []time.Time
		now := noon
		for range rapid.IntRange(1, 100).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(s.per/5)).Draw(t, "gap")))
			v.settle(s, now)
			within, nearly := 0, 0
			for _, at := range made {
				if now.Sub(at) < s.per {
					within++
				}
				if now.Sub(at) < s.per+s.width() {
					nearly++
				}
			}
			if n := v.sum(); n < within || n > nearly {
				t.Fatalf("counts %d, want %d to %d", n, within, nearly)
			}
			if until := v.barred(s); until.IsZero() {
				v.raise(s, now)
				made = append(made, now)
			} else {
				if v.sum() < s.count {
					t.Fatal("barred below the limit")
				}
				later := append(tide(nil), v...)
				later.settle(s, until.Add(-time.Microsecond))
				if later.sum() < s.count {
					t.Fatalf("barred until %v, but free before", until)
				}
				later.settle(s, until)
				if later.sum() >= s.count {
					t.Fatalf("still full at %v, when it was said to be free", until)
				}
			}
			if len(v) > 26 {
				t.Fatalf("%d slots", len(v))
			}
			if len(made) > 0 && rapid.IntRange(0, 4).Draw(t, "right") == 0 {
				i := rapid.IntRange(0, len(made)-1).Draw(t, "which")
				v.drop(s, made[i])
				made = append(made[:i], made[i+1:]...)
			}
		}
	})
}
