package guard

import (
	"slices"
	"time"
)

// tide counts many tries in slots of time, so that its size does not grow with them.
// A slot counts as long as any part of it may lie within the window: it errs on the side of caution, by one slot at most.
type tide []slot

type slot struct {
	At int64 `json:"at"` // the slot's number: its start, divided by its width
	N  int   `json:"n"`
}

// surge is how many tries may come in per.
type surge struct {
	count int
	per   time.Duration
}

// width is a 24th of the window, a second at least.
func (s surge) width() time.Duration { return max(s.per/24, time.Second) }

func (s surge) slot(t time.Time) int64 { return t.UnixMicro() / s.width().Microseconds() }

// leaves is when a slot stops counting.
func (s surge) leaves(slot int64) time.Time {
	return time.UnixMicro((slot + 1) * s.width().Microseconds()).Add(s.per)
}

// settle drops the slots that have left the window, and those that a wrong clock put far ahead.
func (t *tide) settle(s surge, now time.Time) {
	ahead := s.slot(now.Add(s.per))
	*t = slices.DeleteFunc(*t, func(x slot) bool { return x.N <= 0 || !now.Before(s.leaves(x.At)) || x.At > ahead })
}

func (t tide) sum() int {
	n := 0
	for _, x := range t {
		n += x.N
	}
	return n
}

// raise counts a try at now.
func (t *tide) raise(s surge, now time.Time) {
	t.settle(s, now)
	at := s.slot(now)
	i, found := slices.BinarySearchFunc(*t, at, func(x slot, at int64) int { return int(x.At - at) })
	if !found {
		*t = slices.Insert(*t, i, slot{At: at})
	}
	(*t)[i].N++
}

// drop takes back a try that was made at a time.
func (t *tide) drop(s surge, made time.Time) {
	for i := range *t {
		if (*t)[i].At == s.slot(made) {
			(*t)[i].N = max(0, (*t)[i].N-1)
		}
	}
}

// barred is when the sum falls below the count; zero: it is below. The tide is settled.
func (t tide) barred(s surge) time.Time {
	n := t.sum()
	for _, x := range t {
		if n < s.count {
			break
		}
		if n -= x.N; n < s.count {
			return s.leaves(x.At)
		}
	}
	return time.Time{}
}

// until is when the tide can be thrown away: long ago, when it is empty.
func (t tide) until(s surge) time.Time {
	if len(t) == 0 {
		return time.Unix(0, 0)
	}
	return s.leaves(t[len(t)-1].At)
}
