package peers

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func TestANodeLearnsWhetherTheOthersServeTheSame(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		var log bytes.Buffer
		a, b, c := New(db, "a", slog.New(slog.NewTextHandler(&log, nil))), New(db, "b", slog.New(slog.DiscardHandler)), New(db, "c", slog.New(slog.DiscardHandler))
		beat := func(p *Peers, config string) {
			t.Helper()
			if err := p.Beat(t.Context(), config); err != nil {
				t.Fatal(err)
			}
		}
		want := func(s State) {
			t.Helper()
			if beat(a, "one"); a.State() != s {
				t.Errorf("%+v, want %+v", a.State(), s)
			}
		}
		want(State{})
		beat(b, "one")
		beat(c, "two")
		want(State{2, 1})
		beat(c, "one")
		want(State{2, 0})
		if log.Len() > 0 {
			t.Errorf("a change that was made on one after the other is told: %s", &log)
		}

		for range 2 * patience / every { // it stays, and is told once
			beat(b, "one")
			beat(c, "two")
			want(State{2, 1})
			clock.Advance(every)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Contains(log.String(), "two") {
			t.Errorf("%d warnings: %s", n, &log)
		}
		clock.Advance(lease - every) // c has died
		beat(b, "one")
		want(State{1, 0})
		if n := strings.Count(log.String(), "the same again"); n != 1 {
			t.Errorf("told %d times: %s", n, &log)
		}
		if n, err := db.Sweep(t.Context()); n != 1 || err != nil {
			t.Errorf("%d records are swept: %v", n, err)
		}
		if err := b.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(State{})

		// What a node left that died a moment ago, before it came back with another configuration, is no fault.
		beat(b, "two")
		log.Reset()
		for range lease/every + 1 {
			beat(a, "one")
			clock.Advance(every)
		}
		if want(State{}); log.Len() > 0 {
			t.Errorf("told: %s", &log)
		}
		if patience <= lease || time.Duration(every)*3 > lease {
			t.Error("what is no fault would be told, or a beat that is late lets a node die")
		}
	})
}
