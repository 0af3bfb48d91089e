package store_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// expired puts n records of that owner on the shelf, which have expired.
func expired(t *testing.T, h *store.Handle, n int) {
	t.Helper()
	ok(t, h.Write(t.Context(), func(tx store.Tx) error {
		for i := range n {
			if err := sessions.Add(tx, key(i), fmt.Sprint("user", i), tx.Now().Add(time.Duration(i-n)*time.Millisecond), sample(i)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Between two transactions of a long sweep those who write have their turn, and none of them removes more than a few hundred records.
func TestASweepLeavesTheOthersTheirTurn(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		var turns []string
		db := storetest.Open(t, url, store.Options{Seen: func(text string) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.HasPrefix(text, "DELETE FROM shelf WHERE (tenant, shelf, key) IN"):
				turns = append(turns, "sweep")
			case strings.HasPrefix(text, "INSERT INTO shelf"):
				turns = append(turns, "write")
			}
		}})
		h := db.Tenant("avengers")
		const many = 4000
		expired(t, h, many)
		mu.Lock()
		turns = nil
		mu.Unlock()
		var over atomic.Bool
		var writers sync.WaitGroup
		for w := range 2 {
			writers.Go(func() {
				for i := 0; !over.Load(); i++ {
					err := h.Write(t.Context(), func(tx store.Tx) error {
						return sessions.Add(tx, fmt.Sprint("new-", w, "-", i), "", tx.Now().Add(time.Hour), sample(i))
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		n, err := db.Sweep(t.Context())
		over.Store(true)
		writers.Wait()
		ok(t, err)
		if n != many {
			t.Errorf("%d records were swept, want %d", n, many)
		}
		sweeps, alone := 0, 0
		for i, turn := range turns {
			if turn == "sweep" {
				sweeps++
				if i > 0 && turns[i-1] == "sweep" {
					alone++
				}
			}
		}
		if sweeps < many/500 || alone > sweeps/5 {
			t.Errorf("%d transactions swept, and %d of them came right after another", sweeps, alone)
		}
	})
}

// A record that somebody is changing is left for the next time: the sweep does not wait for it.
func TestASweepPassesByWhatOthersHold(t *testing.T) {
	db := storetest.Open(t, storetest.PostgresURL(t), store.Options{})
	h := db.Tenant("avengers")
	expired(t, h, 10)
	held, leave := make(chan bool), make(chan bool)
	var holder sync.WaitGroup
	holder.Go(func() {
		err := h.Write(t.Context(), func(tx store.Tx) error {
			err := sessions.Drop(tx, key(3))
			held <- true
			<-leave
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	n, err := db.Sweep(t.Context())
	close(leave)
	holder.Wait()
	if n != 9 || err != nil {
		t.Errorf("%d records were swept beside the one that is held: %v", n, err)
	}
}

// Filling an empty store leaves the indexes that it was made with, and no others.
func TestLoadLeavesTheIndexesAsTheyWere(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, store.Options{})
		indexes := func() string {
			query := "SELECT name || coalesce(sql, '') FROM sqlite_schema WHERE type = 'index' ORDER BY name"
			if strings.HasPrefix(url, "postgres") {
				query = "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY indexname"
			}
			all, err := store.Ask(t.Context(), db, query)
			ok(t, err)
			return strings.Join(strings.Fields(fmt.Sprint(all)), " ")
		}
		before := indexes()
		given := false
		ok(t, db.Load(t.Context(), func() (store.Table, []any, error) {
			if given {
				return store.Table{}, nil, nil
			}
			given = true
			for _, table := range store.Tables() {
				if table.Name == "pseudonym" {
					return table, []any{"avengers", "u-1", "user:x"}, nil
				}
			}
			return store.Table{}, nil, nil
		}))
		if after := indexes(); after != before || !strings.Contains(after, "journal_unlinked") {
			t.Errorf("before: %s\nafter: %s", before, after)
		}
	})
}
