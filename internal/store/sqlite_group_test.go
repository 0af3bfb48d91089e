package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// shared runs jobs that are certain to share one commit: the first holds the connection until all others wait for it.
// It returns what each got.
func shared(t *testing.T, db *store.DB, jobs ...func(tx store.Tx) error) []error {
	t.Helper()
	h := db.Tenant("avengers")
	errs := make([]error, len(jobs))
	var all sync.WaitGroup
	start := func(i int, f func(tx store.Tx) error) {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("panic: %v", p)
				}
			}()
			errs[i] = errEnded // for a job whose goroutine ends
			errs[i] = h.Write(t.Context(), f)
		})
	}
	holding, rest := make(chan bool), make(chan bool)
	start(0, func(tx store.Tx) error {
		close(holding)
		<-rest
		return jobs[0](tx)
	})
	<-holding
	for i, f := range jobs[1:] {
		start(i+1, f)
		until(t, func() bool { return store.Waiting(db) == i+1 }) // one after the other, so that they run in this order
	}
	close(rest)
	all.Wait()
	return errs
}

var (
	errEnded = errors.New("the goroutine ended")
	errOops  = errors.New("oops")
)

// until waits for a condition that other goroutines bring about.
func until(t testing.TB, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("waited for 20 seconds")
		}
	}
}

var notes = store.NewShelf[string]("note")

func note(key string) func(tx store.Tx) error {
	return func(tx store.Tx) error { return notes.Add(tx, key, "tony", time.Time{}, key) }
}

// noted lists the notes there are.
func noted(t testing.TB, db *store.DB) (keys []string) {
	t.Helper()
	ok(t, db.Tenant("avengers").Read(t.Context(), func(tx store.Tx) error {
		all, err := notes.Owned(tx, "tony")
		for _, r := range all {
			keys = append(keys, r.Key)
		}
		return err
	}))
	return keys
}

func TestWritersThatWaitShareOneCommit(t *testing.T) {
	db := storetest.SQLite(t)
	var jobs []func(store.Tx) error
	for i := range 20 {
		jobs = append(jobs, note(fmt.Sprintf("%02d", i)))
	}
	for _, err := range shared(t, db, jobs...) {
		ok(t, err)
	}
	if n := len(noted(t, db)); n != 20 {
		t.Fatalf("%d of 20 notes are there", n)
	}
	if s := db.Stats(); s["commits"] != 1 || s["shared"] != 20 {
		t.Fatalf("not shared: %v", s)
	}
}

func TestAJobThatFailsInASharedCommitDoesNotHurtItsNeighbours(t *testing.T) {
	broken := map[string]func(tx store.Tx) error{
		"an error":    func(tx store.Tx) error { ok(t, note("bad")(tx)); return errOops },
		"a panic":     func(tx store.Tx) error { ok(t, note("bad")(tx)); panic("oops") },
		"an end":      func(tx store.Tx) error { ok(t, note("bad")(tx)); runtime.Goexit(); return nil },
		"a taken key": func(tx store.Tx) error { ok(t, note("bad")(tx)); return note("bad")(tx) },
		"a wrong query": func(tx store.Tx) error {
			ok(t, note("bad")(tx))
			return tx.Row("SELECT x FROM shelf WHERE tenant = $1").Scan()
		},
		"a swallowed error": func(tx store.Tx) error {
			ok(t, note("bad")(tx))
			_, err := tx.Exec("INSERT INTO setting (tenant, name, value) VALUES ($1, 'x', 5)")
			if err == nil {
				t.Error("a number was stored as bytes")
			}
			return nil
		},
	}
	for name, bad := range broken {
		for place := range 3 {
			t.Run(fmt.Sprintf("%s in place %d of 3", name, place+1), func(t *testing.T) {
				db := storetest.SQLite(t)
				jobs := []func(store.Tx) error{note("good1"), note("good2")}
				jobs = append(jobs[:place], append([]func(store.Tx) error{bad}, jobs[place:]...)...)
				for i, err := range shared(t, db, jobs...) {
					if (err != nil) != (i == place) {
						t.Errorf("job %d got %v", i+1, err)
					}
				}
				if got := fmt.Sprint(noted(t, db)); got != "[good1 good2]" {
					t.Fatalf("notes are %s", got)
				}
				if commits := db.Stats()["commits"]; commits != 1 {
					t.Fatalf("%d commits", commits)
				}
				ok(t, db.Tenant("avengers").Write(t.Context(), note("later")))
			})
		}
	}
}

func TestACallerThatGivesUpWaitingLeavesTheRow(t *testing.T) {
	db := storetest.SQLite(t)
	h := db.Tenant("avengers")
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	for i, err := range shared(t, db, func(tx store.Tx) error {
		go func() { gaveUp <- h.Write(ctx, note("bad")) }()
		until(t, func() bool { return store.Waiting(db) == 2 })
		cancel()
		if err := <-gaveUp; !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		return note("good1")(tx)
	}, note("good2")) {
		if err != nil {
			t.Fatalf("job %d got %v", i+1, err)
		}
	}
	if got := fmt.Sprint(noted(t, db)); got != "[good1 good2]" {
		t.Fatalf("notes are %s", got)
	}
}

func TestCallersThatGiveUpAtAnyMomentNeverStopTheRow(t *testing.T) {
	db := storetest.SQLite(t)
	h := db.Tenant("avengers")
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				go cancel()
				if err := h.Write(ctx, func(tx store.Tx) error { return notes.Drop(tx, "x") }); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	ok(t, h.Write(t.Context(), note("still there")))
}

// Those who gave up waiting for another process leave nothing behind that the next one would be refused for.
func TestCallersThatGiveUpWaitingForAnotherProcessWaitForNothing(t *testing.T) {
	url := storetest.SQLiteURL(t)
	db, other := storetest.Open(t, url, store.Options{}), storetest.Open(t, url, store.Options{})
	for range 20 {
		holding, rest, over := make(chan bool), make(chan bool), make(chan bool)
		go func() {
			defer close(over)
			if err := other.Tenant("avengers").Write(t.Context(), func(store.Tx) error { close(holding); <-rest; return nil }); err != nil {
				t.Error(err)
			}
		}()
		<-holding
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := db.Tenant("avengers").Write(ctx, note("never")); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		until(t, func() bool { return store.Waiting(db) == 7 })
		cancel()
		all.Wait()
		if store.Wanted(db) {
			t.Error("nobody waits, and the lock is thought to be wanted")
		}
		close(rest)
		<-over
	}
	if got := noted(t, db); len(got) != 0 {
		t.Errorf("notes are %v", got)
	}
}

func TestWhenATransactionIsLostNobodyIsToldItWasDone(t *testing.T) {
	lose := func(tx store.Tx) error { ok(t, note("lost")(tx)); return store.LoseTransaction(tx) }
	db := storetest.SQLite(t)
	errs := shared(t, db, note("a"), note("b"), lose)
	for i, err := range errs {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("job %d got %v", i+1, err)
		}
	}
	if got := noted(t, db); len(got) != 0 {
		t.Fatalf("notes are %v", got)
	}
	if err := db.Tenant("avengers").Write(t.Context(), lose); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("alone it got %v", err)
	}
	ok(t, db.Tenant("avengers").Write(t.Context(), note("later")))
}

func TestA47ASharedCommitThatFailsFailsForAll(t *testing.T) {
	broken := false
	db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{Fault: func(op string) error {
		if broken && op == "commit" {
			broken = false
			return errOops
		}
		return nil
	}})
	errs := shared(t, db, func(tx store.Tx) error { broken = true; return note("a")(tx) }, note("b"), note("c"))
	for i, err := range errs {
		if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, errOops) {
			t.Errorf("job %d got %v", i+1, err)
		}
	}
	if got := noted(t, db); len(got) != 0 {
		t.Fatalf("notes are %v", got)
	}
	ok(t, db.Tenant("avengers").Write(t.Context(), note("later")))
}

func TestAGroupHasALimit(t *testing.T) {
	db := storetest.SQLite(t)
	var jobs []func(store.Tx) error
	for i := range 300 {
		jobs = append(jobs, note(fmt.Sprintf("%03d", i)))
	}
	for _, err := range shared(t, db, jobs...) {
		ok(t, err)
	}
	if s := db.Stats(); s["commits"] != 3 {
		t.Fatalf("300 jobs took %d commits, want 3", s["commits"])
	}
}

func TestReadersAreFewAndOpenedWhenNeeded(t *testing.T) {
	db := storetest.SQLite(t)
	h := db.Tenant("avengers")
	if n := store.OpenReaders(db); n != 0 {
		t.Fatalf("%d readers are open at first", n)
	}
	noted(t, db)
	noted(t, db)
	if n := store.OpenReaders(db); n != 1 {
		t.Fatalf("%d readers are open after one read at a time", n)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				go cancel()
				if err := h.Read(ctx, func(tx store.Tx) error { _, err := notes.Owned(tx, "tony"); return err }); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				ok(t, h.Read(t.Context(), func(tx store.Tx) error { _, err := notes.Owned(tx, "tony"); return err }))
			}
		})
	}
	all.Wait()
	if n := store.OpenReaders(db); n < 1 || n > 4 {
		t.Fatalf("%d readers are open", n)
	}
	store.RestReaders(db)
	for range 4 {
		noted(t, db)
	}
	if n := store.OpenReaders(db); n != 1 {
		t.Fatalf("%d readers are open after a quiet time", n)
	}
}

func TestAReaderSeesOneMoment(t *testing.T) {
	db := storetest.SQLite(t)
	h := db.Tenant("avengers")
	ok(t, h.Read(t.Context(), func(tx store.Tx) error {
		if _, err := notes.Owned(tx, "tony"); err != nil {
			return err
		}
		ok(t, h.Write(t.Context(), note("meanwhile")))
		all, err := notes.Owned(tx, "tony")
		if len(all) != 0 {
			t.Error("a record appeared within a read")
		}
		return err
	}))
}
