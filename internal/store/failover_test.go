package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// A commit that waits for the standby is seen by nobody, neither when its caller has given up nor when the primary calls it done without it. So nothing
// is believed that is gone when the standby takes over.
func TestF09_WhatTheStandbyHasNotIsBelievedByNobody(t *testing.T) {
	t.Parallel()
	c := storetest.NewCluster(t)
	db := storetest.Open(t, c.URL(), store.Options{})
	h := db.Tenant("avengers")
	ok(t, h.Write(t.Context(), note("kept")))
	c.Cut()
	began := time.Now()
	err := h.Write(t.Context(), note("waits"))
	if spent := time.Since(began); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, store.ErrUnknown) || spent > 6*time.Second {
		t.Errorf("a commit without its standby: %v after %v", err, spent)
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got := noted(t, db); !slices.Equal(got, []string{"kept"}) {
			t.Fatalf("%q are seen, and the standby has one", got)
		}
	}
	told := make(chan error)
	go func() { told <- h.Write(t.Context(), note("cancelled")) }()
	until(t, func() bool {
		return c.Tell(`SELECT COUNT(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT' AND state_change > now() - interval '2s'`) != "0"
	})
	if err := <-told; !errors.Is(err, store.ErrUnknown) {
		t.Errorf("a commit that an operator has cut short: %v", err)
	}
	c.Kill()
	c.Promote()
	until(t, func() bool { return db.Ping(t.Context()) == nil })
	if got := noted(t, db); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("after the failover there are %q", got)
	}
	ok(t, h.Write(t.Context(), note("waits"))) // and nothing holds what is gone
}

// A standby that hangs costs nothing while there is a primary, and a primary that died is left by all connections at once.
func TestF09_AServerThatHangsIsPassedBy(t *testing.T) {
	t.Parallel()
	c := storetest.NewCluster(t)
	old := storetest.Open(t, c.URL(), store.Options{})
	ok(t, old.Tenant("avengers").Write(t.Context(), note("a")))
	c.Kill()
	c.Promote()
	until(t, func() bool { return old.Ping(t.Context()) == nil })
	c.Replace()
	c.Hang() // the first one that the URL names
	began := time.Now()
	young := storetest.Open(t, c.URL(), store.Options{})
	crowd := func(db *store.DB) {
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				err := db.Tenant("avengers").Read(t.Context(), func(tx store.Tx) error { _, err := notes.Get(tx, "a"); return err })
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	crowd(young)
	if spent := time.Since(began); spent > 7*time.Second {
		t.Errorf("a node that starts beside a server that hangs needs %v", spent)
	}
	for name, db := range map[string]*store.DB{"one that was there": old, "one that has just begun": young} {
		began := time.Now()
		crowd(db)
		if spent := time.Since(began); spent > time.Second {
			t.Errorf("%s waits %v for the server that hangs", name, spent)
		}
	}
}

// Whatever the URL says, a standby is not asked: it shows what may be over.
func TestF09_AStandbyIsNotAskedEvenWhenItComesFirst(t *testing.T) {
	t.Parallel()
	c := storetest.NewCluster(t)
	storetest.Open(t, c.URL(), store.Options{})
	if db, err := store.Open(t.Context(), c.Standby(), store.Options{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a store on a standby: %v", err)
		if err == nil {
			db.Close()
		}
	}
	c.Kill()
	c.Promote()
	c.Replace()
	for _, attrs := range []string{"", "&target_session_attrs=any", "&target_session_attrs=prefer-standby"} {
		db := storetest.Open(t, strings.Replace(c.URL(), "&target_session_attrs=read-write", attrs, 1), store.Options{})
		for i := range 20 {
			key := fmt.Sprint(attrs, i)
			ok(t, db.Tenant("avengers").Write(t.Context(), note(key)))
			if got := noted(t, db); !slices.Contains(got, key) {
				t.Fatalf("%q: what was written is not read", attrs)
			}
		}
	}
}
