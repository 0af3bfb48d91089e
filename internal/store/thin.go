package store

import (
	"context"
	"time"
)

const (
	shelfLoose = `SELECT count(*) FROM shelf WHERE tenant = $1 AND shelf = $2 AND owner = '' AND until > $3 AND until <= $4`
	shelfThin  = `DELETE FROM shelf WHERE tenant = $1 AND shelf = $2 AND owner = '' AND key IN (SELECT key FROM shelf WHERE tenant = $1 AND shelf = $2 AND owner = '' AND until > $3 AND until <= $4 ORDER BY until LIMIT $5)`
)

// Thin keeps, of the records that nobody owns and whose end lies after one moment and not after another, no more than most: those that end
// last. It gives how many it removed. It is for what anybody can begin and leave: a flood of that crowds out itself (SECURITY A50).
func (s Shelf[T]) Thin(ctx context.Context, h *Handle, after, until time.Time, most int) (removed int64, err error) {
	var pace Pace
	for {
		var loose, n int64
		var took time.Duration
		err := h.Read(ctx, func(tx Tx) error {
			return tx.Row(shelfLoose, s.name, Micros(after), Micros(until)).Scan(&loose)
		})
		if err == nil && loose <= int64(most) {
			return removed, nil
		}
		if err == nil {
			err = h.Write(ctx, func(tx Tx) (err error) {
				began := time.Now()
				n, err = tx.Exec(shelfThin, s.name, Micros(after), Micros(until), min(loose-int64(most), int64(pace.Size())))
				took = time.Since(began)
				return err
			})
		}
		if removed += n; err != nil || n == 0 {
			return removed, s.wrap("thin", err)
		}
		pace.Rest(ctx, took)
	}
}
