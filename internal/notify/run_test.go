package notify

import (
	"context"
	"testing"
	"time"
)

// running starts Run and ends it with the test.
func (r *room) running() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); Run(ctx, nil, r.db, r.Outbox) }()
	stop = func() { cancel(); <-over }
	r.t.Cleanup(stop)
	return stop
}

func (r *room) arrives(c <-chan Envelope, to string) {
	r.t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	select {
	case e := <-c:
		if e.To != to {
			r.t.Errorf("a message to %s arrived, want one to %s", e.To, to)
		}
	case <-limit.C:
		r.t.Fatalf("the message to %s did not arrive", to)
	}
}

func TestRunWakesWhenADeedIsCommitted(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		c := make(chan Envelope, 1)
		r.fail = func(e Envelope) error { c <- e; return nil }
		r.running()
		begin := time.Now()
		for range 6 {
			r.queue(code("ironman@stark.example", "482913"))
			r.arrives(c, "ironman@stark.example")
		}
		if took := time.Since(begin); took > 3*time.Second { // looking once a second alone would take six
			t.Errorf("six messages, one after another, took %v", took)
		}
	})
}

func TestRS02_ARoundBeginsWhenThePageHasBeenAnswered(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		c := make(chan Envelope, 1)
		r.fail = func(e Envelope) error { c <- e; return nil }
		r.running() // it looks by itself in a second
		begin := time.Now()
		r.queue(code("ironman@stark.example", "482913"))
		r.arrives(c, "ironman@stark.example")
		if took := time.Since(begin); took < breath {
			t.Errorf("sent %v after it was queued, while the page was still being answered", took)
		}
	})
}

func TestRunFindsWhatAnotherProcessQueued(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		c := make(chan Envelope, 1)
		r.fail = func(e Envelope) error { c <- e; return nil }
		r.running()
		command := open(t, r.db, r.clock)
		command.ring, command.box = r.ring, r.box
		command.queue(code("ironman@stark.example", "482913"))
		r.arrives(c, "ironman@stark.example")
	})
}

func TestASlowRecipientDoesNotHoldUpTheOthers(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		c, under, release := make(chan Envelope, 1), make(chan struct{}), make(chan struct{})
		r.fail = func(e Envelope) error {
			if e.To == "slow@stark.example" {
				close(under)
				<-release
				return nil
			}
			c <- e
			return nil
		}
		stop := r.running()
		r.queue(code("slow@stark.example", "482913"))
		<-under
		r.queue(code("ironman@stark.example", "482913"))
		r.arrives(c, "ironman@stark.example")
		close(release)
		stop()
		for _, row := range r.rows() {
			if row.state != sent {
				t.Errorf("Run returned and left a row %s that was under way", row.state)
			}
		}
	})
}

// Whoever takes an outbox's place does not cut short what it is sending: it would be sent twice.
func TestWhatIsUnderWayIsSentAfterTheLastRound(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		entered, leave := make(chan bool), make(chan bool)
		r.fail = func(Envelope) error { entered <- true; <-leave; return nil }
		until, over := make(chan struct{}), make(chan struct{})
		go func() { defer close(over); Run(t.Context(), until, r.db, r.Outbox) }()
		r.queue(code("ironman@stark.example", "482913"))
		<-entered
		close(until)
		close(leave)
		<-over
		if list := r.sent(); len(list) != 1 {
			t.Errorf("%d were sent, want the one under way", len(list))
		}
		r.erased("sent")
		r.queue(code("pepper@stark.example", "482914"))
		if list := r.sent(); len(list) != 1 {
			t.Errorf("%d were sent after the end", len(list))
		}
	})
}
