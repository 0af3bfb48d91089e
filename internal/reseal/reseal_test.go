package reseal

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

type note struct {
	Sealed []byte `json:"sealed,omitempty"`
	Count  int    `json:"count"`
}

var notes = store.NewShelf[note]("note")

// box seals what the tests keep: one row for each key, by itself and on a shelf.
type box struct {
	t    *testing.T
	ring *secret.Ring
	h    *store.Handle
	Store
	met func() // called before a value is sealed anew
}

func newBox(t *testing.T, url string) *box {
	db, ring := storetest.Open(t, url, store.Options{}), secret.NewRing()
	b := &box{t: t, ring: ring, h: db.Tenant("avengers"), met: func() {}}
	b.Store = Store{DB: db, Ring: ring, Columns: func(tenant string) []store.Column {
		renew := func(key, _ string, v []byte) ([]byte, error) {
			b.met()
			return ring.Box("x/"+tenant).Reseal(key, v)
		}
		return []store.Column{{What: "key", Table: "signing_key", Name: "key", Renew: renew}, {What: "note", Table: "shelf", Shelf: "note", Name: "sealed", Renew: renew}}
	}}
	return b
}

func (b *box) write(f func(store.Tx) error) {
	b.t.Helper()
	if err := b.h.Write(b.t.Context(), f); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) add(n int) {
	b.t.Helper()
	b.write(func(tx store.Tx) error {
		for i := range n {
			id := fmt.Sprintf("key%04d", i)
			sealed := b.ring.Box("x/avengers").Seal(id, []byte(id))
			if _, err := tx.Exec(`INSERT INTO signing_key (tenant, id, alg, state, created_at, key) VALUES ($1, $2, 'RS256', 'retired', 1, $3)`, id, sealed); err != nil {
				return err
			}
			if err := notes.Add(tx, id, "", time.Time{}, note{sealed, i}); err != nil {
				return err
			}
		}
		return notes.Add(tx, "plain", "", time.Time{}, note{Count: 1})
	})
}

func (b *box) stale() int64 {
	b.t.Helper()
	keys, err := b.Keys(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return Stale(keys)
}

func (b *box) run() int64 {
	b.t.Helper()
	n, err := b.Run(b.t.Context(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestF13_AllIsSealedAnewOnceAndNothingElseChanges(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		b := newBox(t, url)
		b.add(120)
		if n := b.run(); n != 0 {
			t.Errorf("%d values of the newest key were sealed anew", n)
		}
		if err := b.ring.Rotate(); err != nil {
			t.Fatal(err)
		}
		if n := b.stale(); n != 240 {
			t.Errorf("%d values hang on the older key, want 240", n)
		}
		if _, older, err := b.Lasting(t.Context(), "avengers", "wakanda"); err != nil || len(older) != 1 || older[0] != b.ring.Keys()[0] {
			t.Errorf("%v, %v", older, err)
		}
		if n := b.run(); n != 240 || b.stale() != 0 {
			t.Errorf("%d were sealed anew, %d are left", n, b.stale())
		}
		if n := b.run(); n != 0 {
			t.Errorf("%d were sealed anew a second time", n)
		}
		b.write(func(tx store.Tx) error {
			for i := range 120 {
				id := fmt.Sprintf("key%04d", i)
				r, err := notes.Get(tx, id)
				if err != nil {
					return err
				}
				plain, err := b.ring.Box("x/avengers").Open(id, r.Value.Sealed)
				if err != nil || string(plain) != id || r.Value.Count != i || r.Version != 1 {
					t.Errorf("%+v, %q, %v", r, plain, err)
				}
			}
			return nil
		})
	})
}

// A value that was changed between reading and writing is left.
func TestF13_WhatOthersWriteMeanwhileStands(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		b := newBox(t, url)
		b.add(1)
		if err := b.ring.Rotate(); err != nil {
			t.Fatal(err)
		}
		mine := b.ring.Box("x/avengers").Seal("key0000", []byte("mine"))
		once := true
		b.met = func() {
			if once {
				once = false
				b.write(func(tx store.Tx) error {
					if err := notes.Note(tx, store.Record[note]{Key: "key0000", Version: 1, Value: note{mine, 7}}); err != nil {
						return err
					}
					_, err := tx.Exec(`UPDATE signing_key SET key = $3 WHERE tenant = $1 AND id = $2`, "key0000", mine)
					return err
				})
			}
		}
		b.run()
		b.write(func(tx store.Tx) error {
			var key []byte
			if err := tx.Row(`SELECT key FROM signing_key WHERE tenant = $1 AND id = $2`, "key0000").Scan(&key); err != nil {
				return err
			}
			r, err := notes.Get(tx, "key0000")
			if string(key) != string(mine) || string(r.Value.Sealed) != string(mine) || r.Value.Count != 7 {
				t.Error("what was written meanwhile is lost")
			}
			return err
		})
	})
}

// A row that another transaction holds is passed by, and the next run does it: nobody waits. SQLite has one writer at a time and no such rows.
func TestF13_ARowThatOthersHoldIsPassedBy(t *testing.T) {
	b := newBox(t, storetest.PostgresURL(t))
	b.add(60)
	if err := b.ring.Rotate(); err != nil {
		t.Fatal(err)
	}
	held, free, over := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	release := sync.OnceFunc(func() { close(free) })
	defer release()
	go func() {
		over <- b.h.Write(t.Context(), func(tx store.Tx) error {
			var n int64
			if err := tx.Row(`SELECT created_at FROM signing_key WHERE tenant = $1 AND id = $2`+tx.Locking(), "key0007").Scan(&n); err != nil {
				return err
			}
			if err := tx.Row(`SELECT version FROM shelf WHERE tenant = $1 AND shelf = $2 AND key = $3`+tx.Locking(), "note", "key0008").Scan(&n); err != nil {
				return err
			}
			close(held)
			<-free
			return nil
		})
	}()
	select {
	case <-held:
	case err := <-over:
		t.Fatal(err)
	}
	began := time.Now()
	n := b.run()
	took := time.Since(began)
	if left := b.stale(); n != 118 || left != 2 || took > 3*time.Second {
		t.Errorf("%d done, %d left, after %v", n, left, took)
	}
	release()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if n := b.run(); n != 2 || b.stale() != 0 {
		t.Errorf("%d done afterwards, %d left", n, b.stale())
	}
}

// Two that run at once share the work: each value is written once, by one of them, and none is missed.
func TestF13_TwoThatSealAnewAtOnceShareTheWork(t *testing.T) {
	url := storetest.PostgresURL(t)
	one := newBox(t, url)
	one.add(600)
	if err := one.ring.Rotate(); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Add(2)
	var done [2]int64
	var all sync.WaitGroup
	for i := range done {
		s := one.Store
		s.DB = storetest.Open(t, url, store.Options{})
		first, columns := true, s.Columns
		s.Columns = func(tenant string) []store.Column {
			list := columns(tenant)
			for at := range list {
				list[at].Renew = func(key, _ string, v []byte) ([]byte, error) {
					if first { // both have read the same values before either writes
						first = false
						both.Done()
						both.Wait()
					}
					return one.ring.Box("x/"+tenant).Reseal(key, v)
				}
			}
			return list
		}
		all.Go(func() {
			n, err := s.Run(t.Context(), nil)
			if err != nil {
				t.Error(err)
			}
			done[i] = n
		})
	}
	all.Wait()
	if done[0]+done[1] != 1200 || one.stale() != 0 || done[0] == 0 || done[1] == 0 {
		t.Errorf("%d and %d done of 1200, %d left", done[0], done[1], one.stale())
	}
	t.Logf("%d and %d", done[0], done[1])
}

func TestF13_WhatCannotBeOpenedIsLeftAndCounted(t *testing.T) {
	b := newBox(t, storetest.SQLiteURL(t))
	b.add(3)
	strange := secret.NewRing().Box("x/avengers").Seal("key0000", nil)
	b.write(func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE signing_key SET key = $3 WHERE tenant = $1 AND id = $2`, "key0000", strange)
		return err
	})
	if err := b.ring.Rotate(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if n, err := b.Run(ctx, nil); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	keys, err := b.Keys(t.Context())
	if err != nil || len(keys) != 3 || !keys[0].Missing || keys[0].ID != secret.SealedWith(strange) || keys[0].Kinds["key"] != 1 || Stale(keys) != 1 {
		t.Errorf("%+v, %v", keys, err)
	}
}

// What a run that was cut short has done stays done, and the next one does the rest.
func TestF13_ACutRunGoesOn(t *testing.T) {
	url := storetest.SQLiteURL(t)
	b := newBox(t, url)
	ring, err := secret.CreateRing(filepath.Join(t.TempDir(), "keyring"))
	if err != nil {
		t.Fatal(err)
	}
	b.ring, b.Ring = ring, ring
	b.Columns = func(tenant string) []store.Column {
		return []store.Column{{What: "key", Table: "signing_key", Name: "key", Renew: func(key, _ string, v []byte) ([]byte, error) { b.met(); return ring.Box("x/"+tenant).Reseal(key, v) }}}
	}
	b.add(200)
	if err := ring.Rotate(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	seen := 0
	b.met = func() {
		if seen++; seen == 120 {
			stop()
		}
	}
	n, err := b.Run(ctx, nil)
	if err == nil || n == 0 || b.stale() != 200-n {
		t.Errorf("%d done, %d left: %v", n, b.stale(), err)
	}
	if b.run(); b.stale() != 0 {
		t.Errorf("%d left", b.stale())
	}
}
