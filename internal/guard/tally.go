package guard

import (
	"slices"
	"time"
)

// rule says how many tries are free and what comes after them.
type rule struct {
	count  int           // so many tries within per are free; the wait begins with the last of them
	per    time.Duration // the window, counted back from now
	wait   time.Duration // the first wait; 0: until the oldest of count leaves the window
	most   time.Duration // each further try doubles the wait, up to this
	forget time.Duration // quiet so long after a wait: a fresh start; 0: at the wait's own end
	long   int           // so many tries without forget between them begin the waits too, however slowly they come; 0: never
	same   int           // so many wrong passwords are remembered
}

// tally counts tries against a rule, one by one, so that each can be taken back. It is small: at most rule.kept marks.
type tally struct {
	Marks []mark `json:"marks,omitempty"` // oldest first
	Base  int    `json:"base,omitempty"`  // rung of the last mark that was cut off for space
	Total int    `json:"total,omitempty"` // tries since the last fresh start, for rule.long
}

// mark is one try that was wrong, or whose answer is not known yet.
type mark struct {
	ID   string `json:"id"`
	At   int64  `json:"at"`             // microseconds since 1970
	Rung int    `json:"rung,omitempty"` // the wait after it is rule.wait doubled Rung-1 times; 0: none
	Same string `json:"same,omitempty"` // keyed sum of the password that was tried
}

func (m mark) time() time.Time { return time.UnixMicro(m.At) }

// pause is the wait of a rung.
func (r rule) pause(rung int) time.Duration {
	if rung <= 0 {
		return 0
	}
	d := r.wait
	for ; rung > 1 && d < r.most; rung-- {
		d *= 2
	}
	return min(d, max(r.most, r.wait))
}

// kept is how many marks are enough to tell the wait, even when some of the last are taken back.
func (r rule) kept() int {
	n := r.count
	for d := r.wait; d > 0 && d < r.most && r.forget > 0; d *= 2 {
		n++
	}
	return n
}

// reach is how far ahead of now anything of this rule can matter.
func (r rule) reach() time.Duration { return max(r.per, r.wait, r.most) + r.forget }

// settle drops what does not count any more at now.
func (t *tally) settle(r rule, now time.Time) {
	// A mark from far ahead was made by a clock that has been put right since: it must not bar anybody for that long.
	t.Marks = slices.DeleteFunc(t.Marks, func(m mark) bool { return m.time().Sub(now) > r.reach() })
	if len(t.Marks) == 0 {
		*t = tally{}
		return
	}
	last := t.Marks[len(t.Marks)-1]
	if last.Rung > 0 {
		if !now.Before(last.time().Add(r.pause(last.Rung) + r.forget)) {
			*t = tally{}
		}
		return
	}
	slow := r.long > 0 && now.Sub(last.time()) < r.forget // the last mark is still needed, for Total
	if !slow {
		t.Total = 0
	}
	t.Base = 0
	t.Marks = slices.DeleteFunc(t.Marks, func(m mark) bool { return now.Sub(m.time()) >= r.per && !(slow && m.ID == last.ID) })
}

// barred is when the next try may be made; zero: now. The tally is settled.
func (t *tally) barred(r rule, now time.Time) time.Time {
	n := len(t.Marks)
	if n == 0 {
		return time.Time{}
	}
	var until time.Time
	switch last := t.Marks[n-1]; {
	case last.Rung > 0:
		until = last.time().Add(r.pause(last.Rung))
	case r.wait == 0 && n >= r.count:
		until = t.Marks[n-r.count].time().Add(r.per)
	}
	if !now.Before(until) {
		return time.Time{}
	}
	return until
}

// raise counts a try, or says until when none may be made. twin: the same password is among those remembered.
func (t *tally) raise(r rule, now time.Time, id, same string) (until time.Time, twin bool) {
	t.settle(r, now)
	if until := t.barred(r, now); !until.IsZero() {
		return until, false
	}
	twin = same != "" && t.holds(same, "")
	t.Total++
	t.Marks = append(t.Marks, mark{ID: id, At: now.UnixMicro(), Same: same})
	t.climb(r, len(t.Marks)-1)
	if extra := len(t.Marks) - r.kept(); extra > 0 {
		t.Base = t.Marks[extra-1].Rung
		t.Marks = slices.Delete(t.Marks, 0, extra)
	}
	t.fade(r.same)
	return time.Time{}, twin
}

// climb finds the rungs of the marks from one on.
func (t *tally) climb(r rule, from int) {
	for i := from; i < len(t.Marks) && r.wait > 0; i++ {
		m, before := &t.Marks[i], t.Base
		if i > 0 {
			before = t.Marks[i-1].Rung
		}
		within := 0
		for _, x := range t.Marks[:i+1] {
			if m.time().Sub(x.time()) < r.per {
				within++
			}
		}
		m.Rung = 0
		if before > 0 || within >= r.count || r.long > 0 && t.Total-(len(t.Marks)-1-i) >= r.long {
			m.Rung = before + 1
		}
	}
}

// fade forgets all passwords but the last few different ones.
func (t *tally) fade(keep int) {
	var seen []string
	for i := len(t.Marks) - 1; i >= 0; i-- {
		m := &t.Marks[i]
		switch {
		case m.Same == "" || slices.Contains(seen, m.Same):
		case len(seen) < keep:
			seen = append(seen, m.Same)
		default:
			m.Same = ""
		}
	}
}

// holds reports whether the password is among those remembered, by another try than the one named.
func (t *tally) holds(same, except string) bool {
	return slices.ContainsFunc(t.Marks, func(m mark) bool { return m.Same == same && m.ID != except })
}

// drop takes a try back, as if it had never been made. False: it does not count any more.
func (t *tally) drop(r rule, id string) bool {
	i := slices.IndexFunc(t.Marks, func(m mark) bool { return m.ID == id })
	if i < 0 {
		return false
	}
	t.Marks = slices.Delete(t.Marks, i, i+1)
	t.Total = max(0, t.Total-1)
	t.climb(r, i)
	return true
}

// until is when the tally can be thrown away: long ago, when it is empty.
func (t *tally) until(r rule) time.Time {
	if len(t.Marks) == 0 {
		return time.Unix(0, 0)
	}
	last := t.Marks[len(t.Marks)-1]
	if last.Rung > 0 {
		return last.time().Add(r.pause(last.Rung) + r.forget)
	}
	end := last.time().Add(r.per)
	if r.long > 0 {
		end = last.time().Add(max(r.per, r.forget))
	}
	return end
}
