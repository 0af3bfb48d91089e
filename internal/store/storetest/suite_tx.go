package storetest

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

const (
	putSetting = `INSERT INTO setting (tenant, name, value) VALUES ($1, $2, $3)`
	getSetting = `SELECT value FROM setting WHERE tenant = $1 AND name = $2`
)

func (s suite) transactions(t *testing.T) {
	add := func(d desk, key string) func(store.Tx) error {
		return func(tx store.Tx) error { return gadgets.Add(tx, key, "", d.hour(), gadget{}) }
	}
	t.Run("an error undoes all the function did and comes back as it is", func(t *testing.T) {
		d, oops := s.desk(t), errors.New("oops")
		err := d.h.Write(t.Context(), func(tx store.Tx) error { must(t, add(d, "a")(tx)); return oops })
		if err != oops {
			t.Fatalf("got %v", err)
		}
		d.gone("a")
		d.write(add(d, "a"))
	})
	t.Run("a panic undoes all, passes on to the caller and leaves the store whole", func(t *testing.T) {
		d := s.desk(t)
		for range 20 { // more often than there are connections
			func() {
				defer func() { equal(t, "the panic", recover(), any("oops")) }()
				d.h.Write(t.Context(), func(tx store.Tx) error { must(t, add(d, "a")(tx)); panic("oops") })
			}()
			func() {
				defer func() { equal(t, "the panic", recover(), any("oops")) }()
				d.h.Read(t.Context(), func(tx store.Tx) error { panic("oops") })
			}()
		}
		d.gone("a")
		d.write(add(d, "a"))
	})
	t.Run("a goroutine that ends within a transaction leaves the store whole", func(t *testing.T) {
		d := s.desk(t)
		done := make(chan bool)
		go func() {
			defer close(done)
			d.h.Write(t.Context(), func(tx store.Tx) error { must(t, add(d, "a")(tx)); runtime.Goexit(); return nil })
		}()
		<-done
		d.gone("a")
		d.write(add(d, "a"))
	})
	t.Run("what a transaction wrote it reads, and others only after its commit", func(t *testing.T) {
		d := s.desk(t)
		d.write(func(tx store.Tx) error {
			must(t, add(d, "a")(tx))
			_, err := gadgets.Get(tx, "a")
			must(t, err)
			d.gone("a")
			return nil
		})
		d.get("a")
	})
	t.Run("a transaction that has ended runs nothing", func(t *testing.T) {
		d := s.desk(t)
		var kept store.Tx
		keep := func(tx store.Tx) error { kept = tx; return nil }
		for _, end := range []func(){func() { d.write(keep) }, func() { d.read(keep) }, func() {
			d.h.Write(t.Context(), func(tx store.Tx) error { kept = tx; return errors.New("oops") })
		}} {
			end()
			if err := gadgets.Add(kept, "late", "", d.hour(), gadget{}); err == nil {
				t.Fatal("a late write was done")
			}
			if _, err := gadgets.Get(kept, "late"); err == nil || errors.Is(err, store.ErrNotFound) {
				t.Fatalf("a late read got %v", err)
			}
			if _, err := kept.Rows(`SELECT name FROM setting WHERE tenant = $1`); err == nil {
				t.Fatal("a late query ran")
			}
		}
		d.gone("late")
	})
	t.Run("After runs once, when the commit is done, and never for a transaction that failed", func(t *testing.T) {
		d, ran := s.desk(t), 0
		d.write(func(tx store.Tx) error {
			tx.After(func() { ran++; d.get("a") })
			must(t, add(d, "a")(tx))
			equal(t, "the number of runs", ran, 0)
			return nil
		})
		equal(t, "the number of runs", ran, 1)
		d.h.Write(t.Context(), func(tx store.Tx) error { tx.After(func() { ran++ }); return errors.New("oops") })
		d.h.Write(t.Context(), func(tx store.Tx) error { tx.After(func() { ran++ }); return add(d, "a")(tx) })
		equal(t, "the number of runs", ran, 1)
		d.read(func(tx store.Tx) error { tx.After(func() { ran++ }); return nil })
		equal(t, "the number of runs", ran, 2)
	})
	t.Run("time stands still in a transaction", func(t *testing.T) {
		d := s.desk(t)
		d.write(func(tx store.Tx) error {
			now := tx.Now()
			d.clock.Advance(time.Hour)
			equal(t, "the time", tx.Now(), now)
			equal(t, "the store's time", d.h.Now(), now.Add(time.Hour))
			return nil
		})
	})
	t.Run("a reader writes nothing", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "tony", d.hour(), gadget{})
		var n int
		for _, try := range []func(tx store.Tx) error{
			add(d, "b"),
			func(tx store.Tx) error { _, err := gadgets.Take(tx, "a"); return err },
			func(tx store.Tx) error { _, err := gadgets.DropOwned(tx, "tony"); return err },
			func(tx store.Tx) error {
				return tx.Row(`WITH gone AS (DELETE FROM shelf WHERE tenant = $1 RETURNING 1) SELECT count(*) FROM gone WHERE tenant = $1`).Scan(&n)
			},
			func(tx store.Tx) error {
				return tx.Row(`INSERT INTO setting (tenant, name, value) VALUES ($1, 'x', 'y') RETURNING 1`).Scan(&n)
			},
		} {
			if d.h.Read(t.Context(), try) == nil {
				t.Fatal("a reader wrote")
			}
		}
		d.get("a")
		d.gone("b")
		d.read(func(tx store.Tx) error { equal(t, "the lock", tx.Locking(), ""); return nil })
	})
	t.Run("statements may run while rows are walked", func(t *testing.T) {
		d := s.desk(t)
		for _, name := range []string{"a", "b", "c"} {
			d.write(func(tx store.Tx) error { _, err := tx.Exec(putSetting, name, []byte(name)); return err })
		}
		d.write(func(tx store.Tx) error {
			rows, err := tx.Rows(`SELECT name FROM setting WHERE tenant = $1 ORDER BY name`)
			must(t, err)
			n := 0
			for rows.Next() {
				var name string
				var value []byte
				must(t, rows.Scan(&name))
				must(t, tx.Row(getSetting, name).Scan(&value))
				equal(t, "the value", string(value), name)
				_, err := tx.Exec(`DELETE FROM setting WHERE tenant = $1 AND name = $2`, name)
				must(t, err)
				n++
			}
			equal(t, "the number of rows", n, 3)
			if rows.Next() || rows.Scan(new(string)) == nil {
				t.Error("there is a row after the last")
			}
			return errors.Join(rows.Err(), rows.Close())
		})
	})
	t.Run("RETURNING does all its work, though one row is asked for", func(t *testing.T) {
		d := s.desk(t)
		for _, key := range []string{"a", "b", "c"} {
			d.add(key, "tony", d.hour(), gadget{})
		}
		var key string
		d.write(func(tx store.Tx) error {
			return tx.Row(`DELETE FROM shelf WHERE tenant = $1 AND owner = $2 RETURNING key`, "tony").Scan(&key)
		})
		equal(t, "the keys left", d.keys("tony"), "[]")
	})
}

func (s suite) failures(t *testing.T) {
	t.Run("a statement that failed fails the transaction, though the function goes on", func(t *testing.T) {
		d := s.desk(t)
		d.write(func(tx store.Tx) error { _, err := tx.Exec(putSetting, "taken", []byte("1")); return err })
		d.writeWant(store.ErrExists, func(tx store.Tx) error {
			must(t, gadgets.Add(tx, "a", "", d.hour(), gadget{}))
			_, err := tx.Exec(putSetting, "taken", []byte("2"))
			wants(t, err, store.ErrExists)
			if _, err := tx.Exec(putSetting, "free", []byte("2")); err == nil {
				t.Error("a statement ran after one that failed")
			}
			return nil
		})
		d.gone("a")
		d.writeWant(store.ErrNotFound, func(tx store.Tx) error { return tx.Row(getSetting, "free").Scan(new([]byte)) })
	})
	t.Run("finding nothing is no failure", func(t *testing.T) {
		d := s.desk(t)
		d.write(func(tx store.Tx) error {
			wants(t, tx.Row(getSetting, "none").Scan(new([]byte)), store.ErrNotFound)
			_, err := gadgets.Take(tx, "none")
			wants(t, err, store.ErrNotFound)
			return gadgets.Add(tx, "a", "", d.hour(), gadget{})
		})
		d.get("a")
	})
	t.Run("SQL that makes no sense is an error of its own, not an outage", func(t *testing.T) {
		d := s.desk(t)
		for _, text := range []string{`SELECT wings FROM shelf WHERE tenant = $1`, `SELECT FROM shelf WHERE tenant = $1 AND AND`} {
			err := d.h.Write(t.Context(), func(tx store.Tx) error { return tx.Row(text).Scan(new(string)) })
			if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) {
				t.Fatalf("got %v", err)
			}
		}
		d.add("a", "", d.hour(), gadget{})
	})
	t.Run("a context that has ended runs nothing", func(t *testing.T) {
		d := s.desk(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, run := range []func(context.Context, func(store.Tx) error) error{d.h.Write, d.h.Read} {
			err := run(ctx, func(tx store.Tx) error { _, err := gadgets.Get(tx, "a"); return err })
			wants(t, err, store.ErrUnavailable)
			wants(t, err, context.Canceled)
		}
	})
	t.Run("a context that ends within a transaction undoes it", func(t *testing.T) {
		d := s.desk(t)
		for _, again := range []bool{true, false} {
			ctx, cancel := context.WithCancel(t.Context())
			err := d.h.Write(ctx, func(tx store.Tx) error {
				must(t, gadgets.Add(tx, "a", "", d.hour(), gadget{}))
				cancel()
				if again {
					return gadgets.Add(tx, "b", "", d.hour(), gadget{})
				}
				return nil
			})
			wants(t, err, store.ErrUnavailable)
			wants(t, err, context.Canceled)
			d.gone("a")
			d.gone("b")
		}
		d.add("a", "", d.hour(), gadget{})
	})
}
