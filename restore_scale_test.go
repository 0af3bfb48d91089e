package sparekey_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/crowd"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// TestF12_ABackupMadeUnderLoadIsRestoredInAMinute backs a store up while eight relying parties redeem codes and refresh without a pause, and restores it into an empty one of the same
// engine: whoever was there signs in, and nothing that was given out before is good. There are 2,000 users, and 100,000 with SPAREKEY_DEEP=1, which may take a minute.
func TestF12_ABackupMadeUnderLoadIsRestoredInAMinute(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		size, limit := crowd.Size{Tenants: 1, Users: 2_000, Rows: 4_000, Live: 1_000, Expired: 1_000}, 10*time.Second
		if deep() {
			size, limit = crowd.Size{Tenants: 1, Users: 100_000, Rows: 400_000, Live: 50_000, Expired: 50_000}, time.Minute
		}
		target := storetest.SQLiteURL(t)
		if !strings.HasPrefix(database, "sqlite:") {
			target = storetest.PostgresURL(t)
		}
		h := crowded(t, database, size)
		var stop atomic.Bool
		var all sync.WaitGroup
		var lock sync.Mutex
		var given []tokens
		var codes []page
		deeds := 0
		for i := range 8 {
			b := h.browser()
			b.signIn(crowd.Login(i), crowd.Password)
			all.Go(func() {
				for n := 0; !stop.Load(); n++ {
					at := b.authorize("scope", "openid offline_access")
					now := h.redeem(at)
					again := h.refresh(now.Refresh)
					if now.status != http.StatusOK || again.status != http.StatusOK {
						t.Errorf("while the backup is made: %s %s", now.raw, again.raw)
						return
					}
					lock.Lock()
					if deeds += 2; n%10 == 0 {
						given, codes = append(given, now, again), append(codes, at)
					}
					lock.Unlock()
				}
			})
		}
		for stop := time.Now().Add(time.Second); time.Now().Before(stop); time.Sleep(10 * time.Millisecond) {
		}
		began := time.Now()
		var file bytes.Buffer
		lock.Lock()
		before := deeds
		lock.Unlock()
		records, err := h.p.Backup(t.Context(), &file, nil)
		made := time.Since(began)
		lock.Lock()
		during := deeds - before
		lock.Unlock()
		stop.Store(true)
		all.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if during == 0 && deep() {
			t.Error("nothing was done while the backup was made")
		}

		h.close()
		h.cfg.Database = target
		began = time.Now()
		back, err := sparekey.Restore(t.Context(), h.cfg, bytes.NewReader(file.Bytes()), nil, sparekey.WithClock(h.clock.Now))
		took := time.Since(began)
		if err != nil {
			t.Fatal(err)
		}
		h.restart()
		if took > limit {
			t.Errorf("the restore took %v, want at most %v", took, limit)
		}
		if back.Users < int64(size.Users) {
			t.Errorf("%d of %d users are back", back.Users, size.Users)
		}
		for _, i := range []int{0, size.Users / 2, size.Users - 1} {
			if got := h.redeem(h.browser().signIn(crowd.Login(i), crowd.Password)); got.status != http.StatusOK {
				t.Errorf("%s does not get in: %s", crowd.Login(i), got.raw)
			}
		}
		good := 0
		for _, one := range given {
			if h.userinfo(one.Access) != http.StatusUnauthorized || h.refresh(one.Refresh).status != http.StatusBadRequest {
				good++
			}
		}
		for _, at := range codes {
			if h.redeem(at).status != http.StatusBadRequest {
				good++
			}
		}
		if good > 0 || len(given) == 0 {
			t.Errorf("%d of %d tokens and codes of before are good", good, len(given)+len(codes))
		}
		if v, err := h.admin("avengers").Journal.Verify(t.Context()); err != nil || !v.OK() {
			t.Errorf("the journal: %+v %v", v, err)
		}
		t.Log(fmt.Sprintf("%d records of %d users: backed up in %.1f s, with %d requests beside it, %d MiB; restored in %.1f s",
			records, size.Users, made.Seconds(), during, file.Len()>>20, took.Seconds()))
	})
}
