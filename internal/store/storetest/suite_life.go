package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

func (s suite) lifetime(t *testing.T) {
	t.Run("records outlive the program, and only the first Open is fresh", func(t *testing.T) {
		url := s.fresh(t)
		for i := range 3 {
			db, err := store.Open(t.Context(), url, store.Options{})
			must(t, err)
			equal(t, "freshness", db.Fresh(), i == 0)
			h := db.Tenant("avengers")
			must(t, h.Read(t.Context(), func(tx store.Tx) error {
				all, err := gadgets.Owned(tx, "tony")
				equal(t, "the number of records", len(all), i)
				return err
			}))
			must(t, h.Write(t.Context(), func(tx store.Tx) error { return gadgets.Add(tx, fmt.Sprint(i), "tony", time.Time{}, gadget{}) }))
			must(t, db.Close())
		}
	})
	t.Run("of several that open an empty database at once, one is fresh", func(t *testing.T) {
		url := s.fresh(t)
		var mu sync.Mutex
		var all sync.WaitGroup
		fresh := 0
		for i := range 8 {
			all.Go(func() {
				db, err := store.Open(t.Context(), url, store.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				defer db.Close()
				if err := db.Tenant("avengers").Write(t.Context(), func(tx store.Tx) error {
					return gadgets.Add(tx, fmt.Sprint(i), "tony", time.Time{}, gadget{})
				}); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if db.Fresh() {
					fresh++
				}
			})
		}
		all.Wait()
		equal(t, "the number of fresh ones", fresh, 1)
		db := Open(t, url, store.Options{})
		must(t, db.Tenant("avengers").Read(t.Context(), func(tx store.Tx) error {
			all, err := gadgets.Owned(tx, "tony")
			equal(t, "the number of records", len(all), 8)
			return err
		}))
	})
	t.Run("what two nodes write both see", func(t *testing.T) {
		url := s.fresh(t)
		one, two := Open(t, url, store.Options{}).Tenant("avengers"), Open(t, url, store.Options{}).Tenant("avengers")
		for i := range 10 {
			must(t, one.Write(t.Context(), func(tx store.Tx) error { return gadgets.Add(tx, fmt.Sprint(i), "tony", time.Time{}, gadget{}) }))
			must(t, two.Read(t.Context(), func(tx store.Tx) error { _, err := gadgets.Get(tx, fmt.Sprint(i)); return err }))
			one, two = two, one
		}
	})
	t.Run("a store that is closed says it is not available", func(t *testing.T) {
		db, err := store.Open(t.Context(), s.fresh(t), store.Options{})
		must(t, err)
		must(t, db.Ping(t.Context()))
		must(t, db.Close())
		must(t, db.Close())
		h := db.Tenant("avengers")
		wants(t, h.Write(t.Context(), func(store.Tx) error { return nil }), store.ErrUnavailable)
		wants(t, h.Read(t.Context(), func(store.Tx) error { return nil }), store.ErrUnavailable)
		wants(t, db.Ping(t.Context()), store.ErrUnavailable)
		_, err = db.Sweep(t.Context())
		wants(t, err, store.ErrUnavailable)
	})
	t.Run("Close waits for writes under way", func(t *testing.T) {
		url := s.fresh(t)
		db, err := store.Open(t.Context(), url, store.Options{})
		must(t, err)
		inside, closed := make(chan bool), make(chan bool)
		wrote := make(chan error)
		go func() {
			wrote <- db.Tenant("avengers").Write(t.Context(), func(tx store.Tx) error {
				close(inside)
				return gadgets.Add(tx, "a", "tony", time.Time{}, gadget{})
			})
		}()
		<-inside
		go func() { db.Close(); close(closed) }()
		must(t, <-wrote)
		<-closed
		must(t, Open(t, url, store.Options{}).Tenant("avengers").Read(t.Context(), func(tx store.Tx) error { _, err := gadgets.Get(tx, "a"); return err }))
	})
	t.Run("Open gives up with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if db, err := store.Open(ctx, s.fresh(t), store.Options{}); err == nil {
			db.Close()
			t.Fatal("it opened")
		}
	})
	t.Run("Stats counts", func(t *testing.T) {
		d := s.desk(t)
		db, _ := s.open(t)
		d.h = db.Tenant("avengers")
		d.add("a", "", time.Time{}, gadget{})
		d.get("a")
		stats := db.Stats()
		if stats["writes"] != 1 || stats["reads"] != 1 || stats["commits"] != 1 || stats["failures"] != 0 {
			t.Fatalf("got %v", stats)
		}
	})
}

// thinning asserts that of what nobody owns the youngest are kept, as many as may be, and nothing else goes (SECURITY A50).
func (s suite) thinning(t *testing.T) {
	db, clock := s.open(t)
	d, other := desk{t, db.Tenant("avengers"), clock}, desk{t, db.Tenant("wakanda"), clock}
	d.write(func(tx store.Tx) (err error) {
		for i := range 700 { // more than one transaction removes
			at := clock.Now().Add(time.Duration(i%350) * time.Second)
			err = errors.Join(err, gadgets.Add(tx, fmt.Sprint("loose", i), "", at.Add(time.Hour), gadget{}))
		}
		return err
	})
	d.add("owned", "tony", clock.Now().Add(time.Minute+time.Hour), gadget{})
	d.add("sooner", "", clock.Now().Add(time.Hour-time.Second), gadget{})
	d.add("later", "", clock.Now().Add(2*time.Hour), gadget{})
	other.add("theirs", "", clock.Now().Add(time.Hour), gadget{})
	after, until := clock.Now().Add(time.Hour-time.Second), clock.Now().Add(2*time.Hour-time.Second)
	for _, c := range []struct {
		most int
		want int64
	}{{700, 0}, {100, 600}, {100, 0}, {0, 100}} {
		n, err := gadgets.Thin(t.Context(), d.h, after, until, c.most)
		must(t, err)
		equal(t, fmt.Sprint("the number removed to keep ", c.most), n, c.want)
		if c.want == 600 {
			for _, i := range []int{349, 349 + 350, 301} {
				d.get(fmt.Sprint("loose", i))
			}
			d.gone("loose0")
		}
	}
	for _, key := range []string{"owned", "sooner", "later"} {
		d.get(key)
	}
	other.get("theirs")
	d.gone("loose349")
}
