package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

const (
	chainers = 8  // tenants whose rows are linked at the same time, so that they share commits
	turn     = 10 // batches of one tenant before the others have their turn
)

// Run links what was written in these journals of one store, every second, until ctx ends. One look finds the tenants that have something
// to link, so that a thousand that have nothing cost no more than one.
func Run(ctx context.Context, db *store.DB, journals ...*Journal) {
	byTenant := map[string]*Journal{}
	for _, j := range journals {
		byTenant[j.db.Name()] = j
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for more := true; more && ctx.Err() == nil; {
			more = linkAll(ctx, db, byTenant)
		}
	}
}

// linkAll gives every tenant its turn; true: some have more.
func linkAll(ctx context.Context, db *store.DB, journals map[string]*Journal) (more bool) {
	names, err := db.Holding(ctx, "journal", "link IS NULL")
	if err != nil {
		for _, j := range journals {
			j.trouble(ctx, err)
			break
		}
		return false
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	places := make(chan struct{}, chainers)
	for _, name := range names {
		j := journals[name]
		if j == nil {
			continue // no configuration names that tenant
		}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			n, err := batch, error(nil)
			for i := 0; i < turn && n == batch && err == nil; i++ {
				n, err = j.link(ctx)
			}
			if err != nil {
				j.trouble(ctx, err)
			}
			mu.Lock()
			more = more || n == batch && err == nil
			mu.Unlock()
		})
	}
	all.Wait()
	return more
}

// trouble tells the log, once a minute, that nothing could be linked.
func (j *Journal) trouble(ctx context.Context, err error) {
	now, told := j.now(), j.told.Load()
	if ctx.Err() == nil && now.Sub(time.UnixMicro(told)).Abs() >= time.Minute && j.told.CompareAndSwap(told, now.UnixMicro()) {
		j.log.Error("audit: the journal could not be linked", slog.String("tenant", j.db.Name()), slog.Any("error", err))
	}
}
