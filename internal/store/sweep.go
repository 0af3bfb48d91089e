package store

import (
	"context"
	"time"
)

// Sweep removes the expired records of all shelves and tenants and returns how many there were. It takes its time: nobody waits long behind it.
func (db *DB) Sweep(ctx context.Context) (int64, error) {
	query := sweepText(db.engine)
	var total int64
	var pace Pace
	for {
		var n int64
		var took time.Duration
		size := pace.Size()
		err := db.write(ctx, "", func(tx Tx) (err error) {
			began := time.Now()
			n, err = tx.Exec(query, Micros(tx.Now()), size)
			took = time.Since(began)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
		db.count.swept.Add(n)
		if n < int64(size) {
			return total, nil
		}
		pace.Rest(ctx, took)
	}
}

// sweepText removes the oldest first. On PostgreSQL the records found are locked, and those that somebody else is changing are left for
// the next time. The end is named twice so that both the search and the removal come by the index on it.
func sweepText(e engine) string {
	return `DELETE FROM shelf WHERE (tenant, shelf, key) IN (SELECT tenant, shelf, key FROM shelf WHERE until <= $1 ORDER BY until LIMIT $2` +
		e.skipping() + `) AND until <= $1`
}
