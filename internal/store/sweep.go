package store

import "context"

// sweepAtOnce is how many records one transaction removes, so that nobody waits long behind it.
const sweepAtOnce = 500

// Sweep removes the expired records of all shelves and tenants and returns how many there were.
func (db *DB) Sweep(ctx context.Context) (int64, error) {
	query := sweepText(db.engine)
	var total int64
	for {
		var n int64
		err := db.write(ctx, "", func(tx Tx) (err error) {
			n, err = tx.Exec(query, Micros(tx.Now()), sweepAtOnce)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
		db.count.swept.Add(n)
		if n < sweepAtOnce {
			return total, nil
		}
	}
}

// sweepText removes the oldest first. On PostgreSQL the records found are locked, and those that somebody else is changing are left for
// the next time. The end is named twice so that both the search and the removal come by the index on it.
func sweepText(e engine) string {
	return `DELETE FROM shelf WHERE (tenant, shelf, key) IN (SELECT tenant, shelf, key FROM shelf WHERE until <= $1 ORDER BY until LIMIT $2` +
		e.skipping() + `) AND until <= $1`
}
