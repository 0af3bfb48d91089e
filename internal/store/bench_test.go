package store_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// session is a record of about the size rooms keep.
type session struct {
	User, Subject, Agent, Network string
	Clients                       []string
	At, Seen                      time.Time
}

func sample(i int) session {
	return session{
		User: fmt.Sprint("user-", i), Subject: strings.Repeat("s", 26), Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:152.0) Gecko/20100101 Firefox/152.0",
		Network: "2001:db8:85a3::/64", Clients: []string{"wiki", "chat"}, At: time.Unix(1.8e9, 0).UTC(), Seen: time.Unix(1.8e9, 0).UTC(),
	}
}

var sessions = store.NewShelf[session]("session")

func key(i int) string {
	return fmt.Sprintf("%08d-zJ1yN5dQ2kP7mXwRtVbCfGhLsAeUoKi", (i*7919)%100000000)
}

// eachEngine runs a benchmark on a database on disk (in the folder for temporary files) and on PostgreSQL.
func eachEngine(b *testing.B, f func(b *testing.B, h *store.Handle)) {
	b.Run("sqlite", func(b *testing.B) {
		f(b, storetest.Open(b, "sqlite:"+b.TempDir()+"/sparekey.db", store.Options{}).Tenant("avengers"))
	})
	if os.Getenv("SPAREKEY_TEST_POSTGRES") != "" {
		b.Run("postgres", func(b *testing.B) {
			f(b, storetest.Open(b, storetest.PostgresURL(b), store.Options{}).Tenant("avengers"))
		})
	}
}

// measured resets the timer, runs f and reports the processor time of this process beside the wall time.
func measured(b *testing.B, f func()) {
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime()
	f()
	spent := processorTime() - before
	b.StopTimer()
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-µs/op")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// parallel spreads b.N calls over some goroutines.
func parallel(b *testing.B, callers int, f func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				f(i)
			}
		})
	}
	all.Wait()
}

func fill(b *testing.B, h *store.Handle, n int) {
	for at := 0; at < n; at += 500 {
		ok(b, h.Write(b.Context(), func(tx store.Tx) error {
			for i := at; i < min(at+500, n); i++ {
				if err := sessions.Add(tx, key(i), sample(i).User, tx.Now().Add(time.Hour), sample(i)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func BenchmarkAddAlone(b *testing.B) {
	eachEngine(b, func(b *testing.B, h *store.Handle) {
		measured(b, func() { parallel(b, 1, func(i int) { add(b, h, i) }) })
	})
}

func BenchmarkAdd64Parallel(b *testing.B) {
	eachEngine(b, func(b *testing.B, h *store.Handle) {
		measured(b, func() { parallel(b, 64, func(i int) { add(b, h, i) }) })
	})
}

func BenchmarkAddUnsynced(b *testing.B) {
	h := storetest.Open(b, storetest.SQLiteURL(b), store.Options{}).Tenant("avengers")
	measured(b, func() { parallel(b, 1, func(i int) { add(b, h, i) }) })
}

func add(b *testing.B, h *store.Handle, i int) {
	ok(b, h.Write(b.Context(), func(tx store.Tx) error {
		return sessions.Add(tx, key(i), sample(i).User, tx.Now().Add(time.Hour), sample(i))
	}))
}

func BenchmarkGet(b *testing.B) {
	eachEngine(b, func(b *testing.B, h *store.Handle) {
		fill(b, h, 20000)
		measured(b, func() {
			parallel(b, 2, func(i int) {
				ok(b, h.Read(b.Context(), func(tx store.Tx) error {
					_, err := sessions.Get(tx, key(i%20000))
					return err
				}))
			})
		})
	})
}

func BenchmarkTake64Parallel(b *testing.B) {
	eachEngine(b, func(b *testing.B, h *store.Handle) {
		fill(b, h, b.N)
		measured(b, func() {
			parallel(b, 64, func(i int) {
				ok(b, h.Write(b.Context(), func(tx store.Tx) error {
					_, err := sessions.Take(tx, key(i))
					return err
				}))
			})
		})
	})
}

func BenchmarkChange64Parallel(b *testing.B) {
	eachEngine(b, func(b *testing.B, h *store.Handle) {
		fill(b, h, 1000)
		measured(b, func() {
			parallel(b, 64, func(i int) {
				ok(b, h.Write(b.Context(), func(tx store.Tx) error {
					return sessions.Change(tx, key(i%1000), "", func(v *session, _ bool) (time.Time, error) {
						v.Seen = tx.Now()
						return tx.Now().Add(time.Hour), nil
					})
				}))
			})
		})
	})
}

func BenchmarkOpen(b *testing.B) {
	url := "sqlite:" + b.TempDir() + "/sparekey.db"
	fill(b, storetest.Open(b, url, store.Options{}).Tenant("avengers"), 2000)
	measured(b, func() {
		for range b.N {
			db, err := store.Open(b.Context(), url, store.Options{})
			ok(b, err)
			ok(b, db.Close())
		}
	})
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
