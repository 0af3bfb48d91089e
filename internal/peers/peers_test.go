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
		a, b, c := New(db, "a", slog.New(slog.NewTextHandler(&log, nil)), true), New(db, "b", slog.New(slog.DiscardHandler), true), New(db, "c", slog.New(slog.DiscardHandler), true)
		beat := func(p *Peers, config string) {
			t.Helper()
			if err := p.Beat(t.Context(), config); err != nil {
				t.Fatal(err)
			}
		}
		want := func(s State) {
			t.Helper()
			beat(a, "one")
			if got := a.State(); got.Others != s.Others || got.Different != s.Different || got.Skewed() {
				t.Errorf("%+v, want %+v", got, s)
			}
		}
		want(State{})
		beat(b, "one")
		beat(c, "two")
		want(State{Others: 2, Different: 1})
		beat(c, "one")
		want(State{Others: 2, Different: 0})
		if log.Len() > 0 {
			t.Errorf("a change that was made on one after the other is told: %s", &log)
		}

		for range 2 * patience / every { // it stays, and is told once
			beat(b, "one")
			beat(c, "two")
			want(State{Others: 2, Different: 1})
			clock.Advance(every)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Contains(log.String(), "two") {
			t.Errorf("%d warnings: %s", n, &log)
		}
		clock.Advance(lease - every) // c has died
		beat(b, "one")
		want(State{Others: 1, Different: 0})
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

// A node learns how far its clock is from the database's, where that has one, and from the others' by way of it; what stays is told once.
func TestF08_ANodeLearnsThatClocksAreApart(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		postgres := strings.HasPrefix(url, "postgres")
		var log bytes.Buffer
		var off [2]time.Duration
		var nodes [2]*Peers
		for i := range nodes {
			db := storetest.Open(t, url, store.Options{Now: func() time.Time { return time.Now().Add(off[i]) }})
			nodes[i] = New(db, string(rune('a'+i)), slog.New(slog.NewTextHandler(&log, nil)), false)
		}
		near := func(d, want time.Duration) bool { return (d - want).Abs() < 5*time.Second }
		for _, c := range []struct {
			a, b    time.Duration
			sa, sb  bool
			warning int
		}{
			{0, 0, false, false, 0},
			{20 * time.Second, 0, false, false, 0},
			{-20 * time.Second, 0, false, false, 0},
			{40 * time.Second, 0, true, true, 2},
			{-40 * time.Second, 0, true, true, 2},
			{20 * time.Second, -20 * time.Second, true, true, 2},
			{time.Hour, time.Hour, true, true, 2},
			{-time.Hour, 0, true, true, 2},
		} {
			off = [2]time.Duration{c.a, c.b}
			log.Reset()
			for range again + 2 {
				for _, n := range nodes {
					if err := n.Beat(t.Context(), "one"); err != nil {
						t.Fatal(err)
					}
				}
			}
			a, b := nodes[0].State(), nodes[1].State()
			if !postgres {
				c.a, c.b, c.sa, c.sb, c.warning = 0, 0, false, false, 0
			}
			if a.Skewed() != c.sa || b.Skewed() != c.sb || !near(a.Ahead, c.a) || !near(b.Ahead, c.b) || !near(a.Apart, (c.a-c.b).Abs()) || !near(b.Apart, (c.a-c.b).Abs()) {
				t.Errorf("%v and %v: %+v, %+v", c.a, c.b, a, b)
			}
			if n := strings.Count(log.String(), "level=WARN"); n != c.warning {
				t.Errorf("%v and %v: %d warnings, want %d: %s", c.a, c.b, n, c.warning, &log)
			}
			off = [2]time.Duration{}
			for range 2 {
				for _, n := range nodes {
					if err := n.Beat(t.Context(), "one"); err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := strings.Count(log.String(), "agrees"); n != c.warning || nodes[0].State().Skewed() {
				t.Errorf("%v and %v: told %d times that all is well", c.a, c.b, n)
			}
		}
	})
}
