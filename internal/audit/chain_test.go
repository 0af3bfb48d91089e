package audit

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// some records n deeds, a second apart, and links them.
func (r *room) some(n int) {
	r.t.Helper()
	for i := range n {
		r.record(Event{Name: SignInOK, User: fmt.Sprintf("u-%d", i%3), Network: "192.0.2.7", Detail: map[string]string{"kind": "totp"}})
		r.clock.Advance(time.Second)
	}
	r.link()
}

func (r *room) verdict() Verdict {
	r.t.Helper()
	v, err := r.Verify(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *room) whole(linked, unlinked int64) {
	r.t.Helper()
	if v := r.verdict(); !v.OK() || v.Linked != linked || v.Unlinked != unlinked {
		r.t.Errorf("verdict %+v, want %d linked, %d unlinked and nothing broken", v, linked, unlinked)
	}
}

func TestRowsAreLinkedInTheOrderTheyWereCommitted(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.whole(0, 0)
		r.record(Event{Name: SignInOK}, Event{Name: SignOut})
		r.whole(0, 2)
		r.link()
		r.record(Event{Name: ResetDone})
		r.whole(2, 1)
		r.link()
		r.whole(3, 0)
		for i, e := range r.entries() {
			if e.Link != int64(i+1) || len(e.Hash) != 64 {
				t.Errorf("row %d has link %d and hash %q", i+1, e.Link, e.Hash)
			}
		}
		if n, err := r.Link(t.Context()); n != 0 || err != nil {
			t.Errorf("linking nothing: %d, %v", n, err)
		}
	})
}

func TestARowNumberedEarlierButCommittedLaterIsLinkedLater(t *testing.T) {
	onOne(t, storetest.PostgresURL(t), func(t *testing.T, r *room) { // one writer gives numbers in the order of the commits
		numbered, linked, over := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			over <- r.Journal.db.Write(context.Background(), func(tx store.Tx) error {
				defer func() { close(numbered); <-linked }()
				return r.Record(tx, Event{Name: ResetDone})
			})
		}()
		<-numbered
		write(t, r.Journal, Event{Name: SignInOK}, Event{Name: SignOut})
		r.link()
		close(linked)
		if err := <-over; err != nil {
			t.Fatal(err)
		}
		r.link()
		if e := r.entries()[0]; e.Event != "reset.done" || e.Link != 3 {
			t.Errorf("the row with the lowest number is %s at %d, want reset.done at 3", e.Event, e.Link)
		}
		r.whole(3, 0)
	})
}

func TestTheChainOfOneTenantSaysNothingOfAnother(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		wakanda := r.other("wakanda")
		r.some(2)
		write(t, wakanda, Event{Name: SignInOK})
		r.some(2)
		if v, err := wakanda.Verify(t.Context()); err != nil || v.Unlinked != 1 || v.Linked != 0 {
			t.Errorf("A10 verdict of the other %+v, %v", v, err)
		}
		if n, err := wakanda.Link(t.Context()); n != 1 || err != nil {
			t.Errorf("A10 linked %d, %v", n, err)
		}
		r.whole(4, 0)
	})
}

func TestOneNodeAtATimeKeepsTheChain(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		second := r.other("avengers")
		r.some(1)
		r.record(Event{Name: SignInOK})
		if n, err := second.Link(t.Context()); n != 0 || err != nil {
			t.Errorf("while the first holds the lease the second linked %d, %v", n, err)
		}
		r.clock.Advance(leaseFor)
		if n, err := second.Link(t.Context()); n != 1 || err != nil {
			t.Errorf("after the lease the second linked %d, %v", n, err)
		}
		r.record(Event{Name: SignInOK})
		r.clock.Advance(-time.Hour) // F-08: a lease that ends far in the future is none
		if n, err := r.Link(t.Context()); n != 1 || err != nil {
			t.Errorf("after the clock went back the first linked %d, %v", n, err)
		}
		r.whole(3, 0)
	})
}

func TestManyWritersAndTwoChainersMakeOneWholeChain(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		second := r.other("avengers")
		for _, j := range []*Journal{r.Journal, second} {
			j.log, j.metrics = slog.New(slog.DiscardHandler), func(string) {} // those of a room are for one goroutine
		}
		const writers, deeds = 8, 25
		var all, chainers sync.WaitGroup
		done := make(chan struct{})
		fail := func(err error) {
			if err != nil {
				t.Error(err)
			}
		}
		for w := range writers {
			all.Go(func() {
				for range deeds {
					fail(r.Journal.db.Write(t.Context(), func(tx store.Tx) error {
						return r.Record(tx, Event{Name: SignInOK, User: fmt.Sprint("u-", w%2)})
					}))
				}
			})
		}
		for _, j := range []*Journal{r.Journal, second} {
			chainers.Go(func() {
				for {
					_, err := j.Link(t.Context())
					fail(err)
					r.clock.Advance(time.Second) // leases change hands all the time
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		all.Wait()
		close(done)
		chainers.Wait()
		r.clock.Advance(leaseFor)
		r.link()
		r.whole(writers*deeds, 0)
		names := map[string]bool{}
		for _, e := range r.entries() {
			names[e.Who] = true
		}
		if len(names) != 2 {
			t.Errorf("two users have %d pseudonyms", len(names))
		}
	})
}

func TestTheChainStaysVerifiableWhenItsOldestRowsAreSwept(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.some(10)
		r.record(Event{Name: SignOut})
		sweep := func(keep time.Duration, want int64) {
			t.Helper()
			if n, err := r.Sweep(t.Context(), keep); n != want || err != nil {
				t.Errorf("swept %d, %v, want %d", n, err, want)
			}
		}
		sweep(0, 0)
		sweep(time.Hour, 0)
		r.whole(10, 1)
		sweep(4*time.Second, 6)
		r.whole(4, 1)
		r.link()
		r.whole(5, 0)
		first := r.entries()[0]
		if first.Link != 7 {
			t.Errorf("the chain begins at %d, want 7", first.Link)
		}
		r.exec(`UPDATE journal SET event = 'sign_out' WHERE tenant = $1 AND link = $2`, 7)
		if v := r.verdict(); !slices.Equal(v.Broken, []int64{7}) {
			t.Errorf("the first row after the anchor was changed: verdict %+v", v)
		}
		r.exec(`DELETE FROM journal WHERE tenant = $1 AND link = $2`, 7)
		if v := r.verdict(); !slices.Equal(v.Broken, []int64{7, 8}) {
			t.Errorf("the first row after the anchor was removed: verdict %+v", v)
		}
		r.clock.Advance(time.Hour)
		sweep(time.Minute, 4)
		r.whole(0, 0)
		r.some(2)
		r.whole(2, 0)
		if e := r.entries()[0]; e.Link != 12 {
			t.Errorf("after all was swept the chain goes on at %d, want 12", e.Link)
		}
	})
}

func TestMoreRowsThanAPageAreLinkedVerifiedExportedAndSwept(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		n := 2*page + 7
		err := r.Journal.db.Write(t.Context(), func(tx store.Tx) error {
			for range n {
				if err := r.Record(tx, Event{Name: SignInOK}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		r.link()
		r.whole(int64(n), 0)
		r.exec(`UPDATE journal SET hash = '' WHERE tenant = $1 AND link = $2`, page+1)
		if v := r.verdict(); !slices.Equal(v.Broken, []int64{page + 1, page + 2}) {
			t.Errorf("verdict %v, want the first of the second page broken", v.Broken)
		}
		r.clock.Advance(time.Hour)
		if swept, err := r.Sweep(t.Context(), time.Minute); swept != int64(n) || err != nil {
			t.Errorf("swept %d, %v, want %d", swept, err, n)
		}
		r.whole(0, 0)
	})
}

func TestRunLinksUntilItIsTold(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.record(Event{Name: SignInOK})
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() { defer close(over); Run(ctx, r.db, r.Journal) }()
		deadline := time.NewTimer(10 * time.Second)
		defer deadline.Stop()
		look := time.NewTicker(20 * time.Millisecond)
		defer look.Stop()
		for r.verdict().Linked == 0 {
			select {
			case <-look.C:
			case <-deadline.C:
				t.Fatal("nothing was linked in 10 s")
			}
		}
		stop()
		<-over
	})
}
