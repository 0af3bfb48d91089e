package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func TestADeadlockIsRunAgainUntilBothSucceed(t *testing.T) {
	db := storetest.Open(t, storetest.PostgresURL(t), store.Options{})
	h := db.Tenant("avengers")
	ok(t, h.Write(t.Context(), func(tx store.Tx) error { return errors.Join(note("a")(tx), note("b")(tx)) }))
	change := func(tx store.Tx, key, mark string) error {
		return notes.Change(tx, key, "", func(v *string, _ bool) (time.Time, error) { *v += mark; return time.Time{}, nil })
	}
	met := [2]chan bool{make(chan bool), make(chan bool)}
	errs := make(chan error, 2)
	for i, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		go func() {
			first := true
			errs <- h.Write(t.Context(), func(tx store.Tx) error {
				if err := change(tx, order[0], fmt.Sprint(i)); err != nil {
					return err
				}
				if first { // both hold one and want the other's
					first = false
					close(met[i])
					<-met[1-i]
				}
				return change(tx, order[1], fmt.Sprint(i))
			})
		}()
	}
	ok(t, errors.Join(<-errs, <-errs))
	ok(t, h.Read(t.Context(), func(tx store.Tx) error {
		for _, key := range []string{"a", "b"} {
			r, err := notes.Get(tx, key)
			if err != nil || len(r.Value) != 3 {
				t.Errorf("%s is %q (%v), want both marks once", key, r.Value, err)
			}
		}
		return nil
	}))
	if n := db.Stats()["retries"]; n < 1 {
		t.Errorf("%d retries", n)
	}
}

func TestATransactionRunAgainLeavesNoTraceOfTheFirstTry(t *testing.T) {
	db := storetest.Open(t, storetest.PostgresURL(t), store.Options{})
	h := db.Tenant("avengers")
	ok(t, h.Write(t.Context(), note("a")))
	var r store.Record[string]
	ok(t, h.Read(t.Context(), func(tx store.Tx) (err error) { r, err = notes.Get(tx, "a"); return err }))
	tries, after := 0, 0
	ok(t, store.Script(t.Context(), db, `CREATE FUNCTION collide() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $f$`))
	collide := func(tx store.Tx) error {
		tries++
		tx.After(func() { after++ })
		if err := notes.Save(tx, &r); err != nil {
			return err
		}
		if tries < 3 {
			return tx.Row(`SELECT collide() FROM shelf WHERE tenant = $1`).Scan(new(string))
		}
		return nil
	}
	ok(t, h.Write(t.Context(), collide))
	if tries != 3 || after != 1 || r.Version != 2 {
		t.Fatalf("%d tries, After ran %d times, version %d", tries, after, r.Version)
	}
	tries = -10
	if err := h.Write(t.Context(), collide); !errors.Is(err, store.ErrUnavailable) || tries != -5 || r.Version != 2 {
		t.Fatalf("got %v after %d tries, version %d; want an outage after five", err, tries+10, r.Version)
	}
}

func TestALockThatIsHeldTooLongIsAnOutage(t *testing.T) {
	db := storetest.Open(t, storetest.PostgresURL(t)+"&lock_timeout=100ms", store.Options{})
	h := db.Tenant("avengers")
	ok(t, h.Write(t.Context(), note("a")))
	ok(t, h.Write(t.Context(), func(tx store.Tx) error {
		if err := notes.Drop(tx, "a"); err != nil {
			return err
		}
		err := h.Write(t.Context(), func(tx store.Tx) error { _, err := notes.Take(tx, "a"); return err })
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		return nil
	}))
}

func TestAPoolThatIsUsedUpIsAnOutageWithinSeconds(t *testing.T) {
	t.Parallel()
	h := storetest.Open(t, storetest.PostgresURL(t)+"&pool_max_conns=1", store.Options{}).Tenant("avengers")
	ok(t, h.Write(t.Context(), func(store.Tx) error {
		began := time.Now()
		err := h.Read(t.Context(), func(store.Tx) error { return nil })
		if spent := time.Since(began); !errors.Is(err, store.ErrUnavailable) || spent > 6*time.Second {
			t.Errorf("got %v after %v", err, spent)
		}
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := h.Write(short, func(store.Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		return nil
	}))
	ok(t, h.Write(t.Context(), note("a")))
}

func TestALostConnectionIsAnOutageAndThenAllIsWell(t *testing.T) {
	url := storetest.PostgresURL(t)
	db, operator := storetest.Open(t, url, store.Options{}), storetest.Open(t, url, store.Options{})
	h := db.Tenant("avengers")
	kill := func() {
		_, err := store.Ask(t.Context(), operator, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND pid IN
			(SELECT pid FROM pg_locks WHERE relation = (current_schema() || '.shelf')::regclass)`)
		ok(t, err)
	}
	err := h.Write(t.Context(), func(tx store.Tx) error {
		ok(t, note("a")(tx))
		kill()
		return note("b")(tx)
	})
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) {
		t.Fatalf("lost before a statement: got %v", err)
	}
	err = h.Write(t.Context(), func(tx store.Tx) error {
		ok(t, note("a")(tx))
		kill()
		return nil
	})
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, store.ErrUnknown) {
		t.Fatalf("lost before COMMIT: got %v", err)
	}
	if got := noted(t, db); len(got) != 0 {
		t.Fatalf("notes are %v", got)
	}
	ok(t, h.Write(t.Context(), note("a")))
}

func TestACommitWhoseAnswerIsLostIsUnknown(t *testing.T) {
	url := storetest.PostgresURL(t)
	direct := storetest.Open(t, url, store.Options{})
	for _, delivered := range []bool{true, false} {
		var next atomic.Bool
		db := storetest.Open(t, storetest.Cutter(t, url, func() (bool, bool) { return next.CompareAndSwap(true, false), delivered }), store.Options{})
		h := db.Tenant("avengers")
		key := fmt.Sprint("delivered ", delivered)
		next.Store(true)
		err := h.Write(t.Context(), note(key))
		if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("%s: got %v", key, err)
		}
		until(t, func() bool { return strings.Contains(fmt.Sprint(noted(t, direct)), key) == delivered })
		ok(t, h.Write(t.Context(), note(key+" later")))
	}
}

func TestACallerThatLeavesDuringTheCommitDoesNotMakeItUnknown(t *testing.T) {
	leave := func() {}
	db := storetest.Open(t, storetest.PostgresURL(t), store.Options{Fault: func(op string) error {
		if op == "commit" {
			leave()
		}
		return nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	leave = cancel
	ok(t, db.Tenant("avengers").Write(ctx, note("a")))
	if got := noted(t, db); len(got) != 1 {
		t.Fatalf("notes are %v", got)
	}
}

func TestAServerThatDoesNotWaitForTheDiskIsToldTo(t *testing.T) {
	url := storetest.PostgresURL(t)
	for setting, want := range map[string]string{"off": "on", "on": "on", "remote_apply": "remote_apply"} {
		db := storetest.Open(t, url+"&synchronous_commit="+setting, store.Options{})
		got, err := store.Ask(t.Context(), db, "SHOW synchronous_commit")
		ok(t, err)
		if got[0] != want {
			t.Errorf("%s became %v, want %s", setting, got[0], want)
		}
	}
}

func TestAServerThatIsNotThereIsAnOutageAndNoErrorTellsThePassword(t *testing.T) {
	for _, url := range []string{
		"postgres://sparekey:sesame@127.0.0.1:1/sparekey?connect_timeout=2", "postgres://sparekey:sesame@127.0.0.1:x/sparekey",
		"postgres://sparekey:sesame@/sparekey?host=/nowhere", "postgres://sparekey:sesame@/sparekey?pool_max_conns=none", "mysql://sparekey:sesame@db/sparekey",
		"sesame", "",
	} {
		db, err := store.Open(t.Context(), url, store.Options{})
		if err == nil {
			db.Close()
			t.Fatalf("%s was opened", url)
		}
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("the error tells the password: %v", err)
		}
		if strings.Contains(url, "host=") && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func TestAReadOnlyPostgresIsAnOutage(t *testing.T) {
	url := storetest.PostgresURL(t)
	ok(t, storetest.Open(t, url, store.Options{}).Ping(t.Context()))
	db := storetest.Open(t, url+"&default_transaction_read_only=on", store.Options{}) // a role's default does not keep us from writing
	ok(t, db.Tenant("avengers").Write(t.Context(), note("a")))
}
