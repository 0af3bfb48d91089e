package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// TestMain lets this program be run as another process that uses a store.
func TestMain(m *testing.M) {
	if task := os.Getenv("STORE_TASK"); task != "" {
		if err := otherProcess(task, os.Getenv("STORE_URL")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var counters = store.NewShelf[int]("counter")

func count(tx store.Tx) error {
	return counters.Change(tx, "c", "", func(n *int, _ bool) (time.Time, error) { *n++; return time.Time{}, nil })
}

// otherProcess does what a test wants another process to do.
func otherProcess(task, url string) error {
	background := context.Background()
	db, err := store.Open(background, url, store.Options{})
	if err != nil {
		return err
	}
	h := db.Tenant("avengers")
	switch task {
	case "open":
		return db.Close()
	case "count": // a hundred times
		for range 100 {
			if err := h.Write(background, count); err != nil {
				return err
			}
		}
		return db.Close()
	case "note": // for ever, eight at a time, telling each note that was acknowledged
		var mu sync.Mutex
		for n := range 8 {
			go func() {
				for i := 0; ; i++ {
					key := fmt.Sprintf("%d-%06d", n, i)
					if err := h.Write(background, func(tx store.Tx) error { // a note and its count: both or none
						if err := note(key)(tx); err != nil {
							return err
						}
						return count(tx)
					}); err != nil {
						fmt.Fprintln(os.Stderr, err)
						os.Exit(1)
					}
					mu.Lock()
					fmt.Println(key)
					mu.Unlock()
				}
			}()
		}
		select {}
	}
	return fmt.Errorf("unknown task %q", task)
}

// process starts another process.
func process(t *testing.T, task, url string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), "STORE_TASK="+task, "STORE_URL="+url)
	c.Stderr = os.Stderr
	return c
}

func rounds(many int) int {
	if testing.Short() {
		return 2
	}
	return many
}

func TestWhatWasAcknowledgedOutlivesAKill(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		acknowledged := map[string]bool{}
		for round := range rounds(8) {
			url := url
			if strings.HasPrefix(url, "sqlite:") {
				url = storetest.SQLiteURL(t)
				clear(acknowledged)
			}
			c := process(t, "note", url)
			out, err := c.StdoutPipe()
			ok(t, err)
			ok(t, c.Start())
			lines := bufio.NewScanner(out)
			for range 1 + 41*round {
				if !lines.Scan() {
					t.Fatal("the process ended by itself")
				}
				acknowledged[lines.Text()] = true
			}
			ok(t, c.Process.Kill())
			for lines.Scan() { // what it said before it died
				acknowledged[lines.Text()] = true
			}
			c.Wait()
			db := storetest.Open(t, url, store.Options{})
			there := map[string]bool{}
			for _, key := range noted(t, db) {
				there[key] = true
			}
			for key := range acknowledged {
				if len(key) == 8 && !there[key] {
					t.Fatalf("%s was acknowledged and is lost", key)
				}
			}
			if n := counted(t, db); n != len(there) {
				t.Fatalf("%d notes, but %d were counted in the same transactions", len(there), n)
			}
			if strings.HasPrefix(url, "sqlite:") {
				if found := store.Pragma(db, "integrity_check"); found != "ok" {
					t.Fatalf("integrity: %v", found)
				}
				ok(t, db.Tenant("avengers").Write(t.Context(), count))
				continue
			}
			break // its eight writers would begin with the same keys again
		}
	})
}

func counted(t *testing.T, db *store.DB) (n int) {
	t.Helper()
	ok(t, db.Tenant("avengers").Read(t.Context(), func(tx store.Tx) error {
		r, err := counters.Get(tx, "c")
		n = r.Value
		return err
	}))
	return n
}

func TestAKillWhileTheDatabaseIsMadeLeavesNoneOrAWholeOne(t *testing.T) {
	// F-14. The process is killed at each moment that can be seen from outside.
	for _, moment := range []string{"sparekey.db.new-*", "sparekey.db.new-*-wal", "sparekey.db"} {
		for range rounds(5) {
			url := storetest.SQLiteURL(t)
			path := strings.TrimPrefix(url, "sqlite:")
			c := process(t, "open", url)
			ok(t, c.Start())
			ended := make(chan bool)
			go func() { c.Wait(); close(ended) }()
			until(t, func() bool {
				select {
				case <-ended:
					return true
				default:
				}
				found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), moment))
				return len(found) > 0
			})
			c.Process.Kill()
			<-ended
			db := storetest.Open(t, url, store.Options{})
			ok(t, db.Tenant("avengers").Write(t.Context(), note("a")))
			if found := store.Pragma(db, "integrity_check"); found != "ok" {
				t.Fatalf("integrity: %v", found)
			}
		}
	}
}

func TestCommandsBesideARunningServerLoseNothing(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, store.Options{})
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := process(t, "count", url).Run(); err != nil {
					t.Error(err)
				}
			})
		}
		for range 4 {
			all.Go(func() {
				for range 100 {
					if err := db.Tenant("avengers").Write(t.Context(), count); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if n := counted(t, db); n != 700 {
			t.Fatalf("700 counts came to %d", n)
		}
	})
}

func TestAProcessThatWritesWithoutAPauseDoesNotShutOutAnother(t *testing.T) {
	url := storetest.SQLiteURL(t)
	busy, other := storetest.Open(t, url, store.Options{}), storetest.Open(t, url, store.Options{})
	store.SetPatience(busy, time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for ctx.Err() == nil {
				busy.Tenant("avengers").Write(ctx, count)
			}
		})
	}
	for i := range 20 {
		until(t, func() bool { return store.Waiting(busy) > 1 })
		began := time.Now()
		ok(t, other.Tenant("avengers").Write(t.Context(), note(fmt.Sprint(i))))
		if waited := time.Since(began); waited > 2*time.Second {
			t.Errorf("a write of the other process took %v", waited)
		}
	}
	stop()
	all.Wait()
}
