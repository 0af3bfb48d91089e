package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// dumped is a record of any table.
type dumped struct {
	table store.Table
	row   []any
}

// dumpOf is everything in a store.
func dumpOf(t testing.TB, db *store.DB) (all []dumped) {
	t.Helper()
	must(t, db.Dump(context.Background(), func(at store.Table, row []any) error {
		all = append(all, dumped{at, slices.Clone(row)})
		return nil
	}))
	return all
}

// loading gives the records one after the other.
func loading(all []dumped) func() (store.Table, []any, error) {
	return func() (store.Table, []any, error) {
		if len(all) == 0 {
			return store.Table{}, nil, nil
		}
		one := all[0]
		all = all[1:]
		return one.table, one.row, nil
	}
}

// furnish puts records into every sort of table: more than are read at once, with NULL, bytes, text and numbers at their edges.
func furnish(t testing.TB, db *store.DB) {
	t.Helper()
	for _, tenant := range []string{"avengers", "x-men"} {
		h := db.Tenant(tenant)
		for i := range 3 {
			must(t, h.Write(context.Background(), func(tx store.Tx) error {
				for k := range 400 {
					if err := gadgets.Add(tx, fmt.Sprintf("%d-%d", i, k), "tony", time.Time{}, gadget{Name: "Ä\n\"", Count: k}); err != nil {
						return err
					}
				}
				if _, err := tx.Exec(putSetting, fmt.Sprint("name", i), []byte{0, 1, 0xff, byte(i)}); err != nil {
					return err
				}
				if _, err := tx.Exec(putSetting, fmt.Sprint("empty", i), []byte{}); err != nil {
					return err
				}
				_, err := tx.Exec(`INSERT INTO journal (tenant, at, event, link) VALUES ($1, $2, 'x', $3)`, int64(1)<<62, []any{nil, int64(7), int64(0)}[i])
				return err
			}))
		}
	}
}

func (s suite) dumps(t *testing.T) {
	t.Run("what is dumped and loaded is the same, and goes on from there", func(t *testing.T) {
		from, _ := s.open(t)
		furnish(t, from)
		all := dumpOf(t, from)
		equal(t, "the number of records", len(all), 2*3*(400+2+1))
		url := s.fresh(t)
		to := Open(t, url, store.Options{})
		must(t, to.Load(t.Context(), loading(all)))
		again := dumpOf(t, to)
		equal(t, "the number of records", len(again), len(all))
		for i := range all {
			if fmt.Sprintf("%#v", all[i].row) != fmt.Sprintf("%#v", again[i].row) || all[i].table.Name != again[i].table.Name {
				t.Fatalf("record %d: %s %#v became %s %#v", i, all[i].table.Name, all[i].row, again[i].table.Name, again[i].row)
			}
		}
		must(t, to.Tenant("avengers").Write(t.Context(), func(tx store.Tx) error {
			if _, err := tx.Exec(`INSERT INTO journal (tenant, at, event) VALUES ($1, 1, 'after')`); err != nil {
				return err
			}
			var before, after int64
			if err := tx.Row(`SELECT MAX(seq) FROM journal WHERE tenant = $1 AND event = 'x'`).Scan(&before); err != nil {
				return err
			}
			if err := tx.Row(`SELECT seq FROM journal WHERE tenant = $1 AND event = 'after'`).Scan(&after); err != nil {
				return err
			}
			if after <= before {
				t.Errorf("number %d follows %d", after, before)
			}
			r, err := gadgets.Get(tx, "2-399")
			equal(t, "a record", r.Value, gadget{Name: "Ä\n\"", Count: 399})
			return err
		}))
	})
	t.Run("a dump is of one moment, whatever is written meanwhile", func(t *testing.T) {
		db, _ := s.open(t)
		h := db.Tenant("avengers")
		// Each write adds a record to a table that is read early and to one that is read late.
		add := func(i int) error {
			return h.Write(context.Background(), func(tx store.Tx) error {
				if err := gadgets.Add(tx, fmt.Sprint(i), "", time.Time{}, gadget{}); err != nil {
					return err
				}
				_, err := tx.Exec(putSetting, fmt.Sprint(i), []byte("x"))
				return err
			})
		}
		var made atomic.Int64
		for i := range 30 {
			must(t, add(i))
		}
		stop := make(chan bool)
		done := make(chan error)
		go func() {
			for i := 30; ; i++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if err := add(i); err != nil {
					done <- err
					return
				}
				made.Add(1)
			}
		}()
		for range 10 {
			count := map[string]int{}
			must(t, db.Dump(t.Context(), func(at store.Table, _ []any) error {
				if count[at.Name]++; count[at.Name] == 1 {
					for was := made.Load(); made.Load() < was+2; { // let the other write
						time.Sleep(time.Millisecond)
					}
				}
				return nil
			}))
			if count["shelf"] < 30 || count["shelf"] != count["setting"] {
				t.Fatalf("%d records on the shelf and %d settings were never there at one moment", count["shelf"], count["setting"])
			}
		}
		close(stop)
		must(t, <-done)
	})
	t.Run("a load that fails leaves the store as empty as it was", func(t *testing.T) {
		from, _ := s.open(t)
		furnish(t, from)
		all := dumpOf(t, from)
		to, _ := s.open(t)
		oops := errors.New("oops")
		next, n := loading(all), 0
		wants(t, to.Load(t.Context(), func() (store.Table, []any, error) {
			if n++; n == len(all)-1 {
				return store.Table{}, nil, oops
			}
			return next()
		}), oops)
		equal(t, "the number of records", len(dumpOf(t, to)), 0)
		must(t, to.Load(t.Context(), loading(all)))
		wants(t, to.Load(t.Context(), loading(all)), store.ErrNotEmpty)
		equal(t, "the number of records", len(dumpOf(t, to)), len(all))
	})
}
