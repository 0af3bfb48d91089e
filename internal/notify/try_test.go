package notify

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/templates"
)

func TestA46_ACodeIsSentUntilItsEndAndNeverAfter(t *testing.T) {
	for step, want := range map[time.Duration]int{-time.Second: 1, 0: 0, time.Second: 0} {
		t.Run(fmt.Sprintf("F-07 %v past its end", step), func(t *testing.T) {
			each(t, func(t *testing.T, r *room) {
				m := code("ironman@stark.example", "482913")
				m.Until = r.clock.Now().Add(5 * time.Minute)
				r.queue(m)
				r.clock.Advance(5*time.Minute + step)
				r.deliver(want)
				r.erased(map[int]string{0: expired, 1: sent}[want])
				if r.tally[expired] != 1-want {
					t.Errorf("counted %v", r.tally)
				}
			})
		})
	}
	t.Run("an end in the past", func(t *testing.T) {
		each(t, func(t *testing.T, r *room) {
			m := code("ironman@stark.example", "482913")
			m.Until = r.clock.Now().Add(-time.Second)
			r.queue(m)
			r.deliver(0)
			r.erased(expired)
		})
	})
	t.Run("F-07 a code whose server was down all the time", func(t *testing.T) {
		each(t, func(t *testing.T, r *room) {
			r.fail = func(Envelope) error { return errors.New("connection refused") }
			m := code("ironman@stark.example", "482913")
			m.Until = r.clock.Now().Add(5 * time.Minute)
			r.queue(m)
			for r.clock.Now().Before(m.Until) {
				r.deliver(0)
				r.clock.Advance(time.Second)
			}
			r.fail = nil
			r.deliver(0)
			r.erased(expired)
			if r.tally["retried"] < 3 {
				t.Errorf("tried again %d times in five minutes", r.tally["retried"])
			}
		})
	})
	t.Run("a round that was held up", func(t *testing.T) {
		each(t, func(t *testing.T, r *room) {
			m := code("ironman@stark.example", "482913")
			m.Until = r.clock.Now().Add(time.Minute)
			r.queue(m)
			rows, err := r.take(t.Context())
			if err != nil || len(rows) != 1 {
				t.Fatal(rows, err)
			}
			r.clock.Advance(time.Minute)
			if ok, err := r.try(t.Context(), rows[0]); ok || err != nil || len(r.sent()) != 0 {
				t.Errorf("sent %v, %v", ok, err)
			}
		})
	})
}

func TestAMessageWithoutAnEndIsTriedForThreeDays(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.fail = func(Envelope) error { return errors.New("later") }
		r.queue(Message{User: "u-1", To: "ironman@stark.example", Mail: templates.PasswordReset{Letter: templates.Letter{Tenant: "Avengers"}}})
		r.deliver(0)
		r.clock.Advance(keep - time.Second)
		r.deliver(0)
		if rows := r.rows(); rows[0].state != waiting {
			t.Errorf("%s a second before the three days are over", rows[0].state)
		}
		r.clock.Advance(time.Second)
		r.deliver(0)
		r.erased(expired)
	})
}

func TestTriesComeAtGrowingAndIrregularDistances(t *testing.T) {
	seen := map[time.Duration]bool{}
	for tries := int64(1); tries < 40; tries++ {
		full := min(10*time.Second<<min(tries, 20), time.Hour)
		for range 20 {
			d := pause(tries)
			if d < full/2 || d >= full || d < 10*time.Second || d > time.Hour {
				t.Fatalf("after %d tries a pause of %v, want %v to %v", tries, d, full/2, full)
			}
			seen[d] = true
		}
	}
	if len(seen) < 700 {
		t.Errorf("only %d different pauses in 780: no jitter", len(seen))
	}
	each(t, func(t *testing.T, r *room) {
		r.fail = func(Envelope) error { return errors.New("451 come back later") }
		r.queue(code("ironman@stark.example", "482913"))
		r.deliver(0)
		r.fail = nil
		r.clock.Advance(10*time.Second - time.Microsecond)
		r.deliver(0)
		r.clock.Advance(10*time.Second + time.Microsecond)
		r.deliver(1)
		r.erased(sent)
	})
}

func TestARefusalForGoodEndsIt(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.fail = func(Envelope) error { return fmt.Errorf("wrapped: %w", &PermanentError{errors.New("550 5.1.1")}) }
		r.queue(code("ironman@stark.example", "482913"))
		r.deliver(0)
		r.erased(failed)
		r.fail = nil
		r.clock.Advance(time.Hour)
		r.deliver(0)
		if r.tally[failed] != 1 || len(r.sent()) != 0 {
			t.Errorf("counted %v, sent %d", r.tally, len(r.sent()))
		}
	})
}

func TestASenderThatPanicsIsTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.fail = func(e Envelope) error { panic("cannot send " + e.Text) }
		r.queue(code("ironman@stark.example", "482913"))
		r.deliver(0)
		r.fail = nil
		r.clock.Advance(time.Minute)
		r.deliver(1)
		if strings.Contains(r.log.String(), "482913") {
			t.Error("LG-01 the log quotes the message")
		}
	})
}
