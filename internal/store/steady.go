package store

import (
	"sync/atomic"
	"time"
)

// steps is how far a clock may go back before it is believed: NTP puts one right by less, and a leap second is one. It is a step of an
// authenticator app, of which one is taken either side, so that nobody's code is wrong meanwhile.
const steps = 30 * time.Second

// Steady keeps a clock from going back by a little: until it has caught up, time stands still, so that what has ended does not begin anew.
// One that goes back farther was wrong before, and is believed: nobody waits an hour because a clock was an hour ahead for a moment. What
// ended meanwhile has been swept, and what is good once stays used.
func Steady(now func() time.Time) func() time.Time {
	var latest atomic.Int64
	return func() time.Time {
		for {
			at, last := now(), latest.Load()
			if back := time.Duration(last - at.UnixNano()); last != 0 && back > 0 && back <= steps {
				return time.Unix(0, last).In(at.Location())
			}
			if latest.CompareAndSwap(last, at.UnixNano()) {
				return at
			}
		}
	}
}
