package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// Sweep drops the oldest rows of the chain as far as they are older than keep, some at a time so that nobody waits long, and says how many. The hash of
// the last one dropped stays as the anchor on which the rest is verified. Rows not linked yet stay. A keep of 0 or less keeps everything.
func (j *Journal) Sweep(ctx context.Context, keep time.Duration) (int64, error) {
	if keep <= 0 {
		return 0, nil
	}
	var all int64
	var pace store.Pace
	for {
		most := pace.Size()
		n, took, err := j.sweep(ctx, j.now().Add(-keep), most)
		all += n
		if err != nil {
			return all, fmt.Errorf("sweep journal: %w", err)
		}
		if n < int64(most) {
			return all, nil
		}
		pace.Rest(ctx, took)
	}
}

func (j *Journal) sweep(ctx context.Context, before time.Time, most int) (n int64, took time.Duration, err error) {
	old := func(tx store.Tx, most int) (rows []Entry, err error) {
		rows, err = read(tx, `link IS NOT NULL ORDER BY link LIMIT $2`, most)
		for i, e := range rows {
			if !e.At.Before(before) {
				return rows[:i], err
			}
		}
		return rows, err
	}
	var due []Entry
	err = j.db.Read(ctx, func(tx store.Tx) error {
		due, err = old(tx, 1)
		return err
	})
	if err != nil || len(due) == 0 {
		return 0, 0, err
	}
	err = j.db.Write(ctx, func(tx store.Tx) error {
		n = 0
		began := time.Now()
		defer func() { took = time.Since(began) }()
		h, err := j.lock(tx)
		if err != nil {
			return err
		}
		rows, err := old(tx, most)
		if err != nil || len(rows) == 0 {
			return err
		}
		last := rows[len(rows)-1]
		if n, err = tx.Exec(`DELETE FROM journal WHERE tenant = $1 AND link IS NOT NULL AND link <= $2`, last.Link); err != nil {
			return err
		}
		h.Anchor, h.AnchorHash = last.Link, last.Hash
		if h.Anchor >= h.Changed {
			h.Changed = 0
		}
		return j.save(tx, h)
	})
	if err != nil {
		return 0, took, err
	}
	return n, took, nil
}
