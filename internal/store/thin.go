package store

import (
	"context"
	"errors"
	"time"
)

const (
	shelfLoose = `SELECT count(*) FROM shelf WHERE tenant = $1 AND shelf = $2 AND owner = '' AND until > $3 AND until <= $4`
	shelfSpare = `SELECT until FROM shelf WHERE tenant = $1 AND shelf = $2 AND owner = '' AND until > $3 AND until <= $4 ORDER BY until DESC LIMIT 1 OFFSET $5`
	shelfThin  = `DELETE FROM shelf WHERE tenant = $1 AND shelf = $2 AND owner = '' AND key IN (SELECT key FROM shelf WHERE tenant = $1 AND shelf = $2 AND owner = '' AND until > $3 AND until <= $4 LIMIT $5)`
)

// Thin keeps, of the records that nobody owns and whose end lies after one moment and not after another, no more than most: those that end
// last. It gives how many it removed. It is for what anybody can begin and leave: a flood of that crowds out itself (SECURITY A50).
func (s Shelf[T]) Thin(ctx context.Context, h *Handle, after, until time.Time, most int) (removed int64, err error) {
	var last int64 // the end of the youngest that goes
	err = h.Read(ctx, func(tx Tx) error {
		var loose int64
		if err := tx.Row(shelfLoose, s.name, Micros(after), Micros(until)).Scan(&loose); err != nil || loose <= int64(most) {
			return err
		}
		err := tx.Row(shelfSpare, s.name, Micros(after), Micros(until), most).Scan(&last)
		if errors.Is(err, ErrNotFound) {
			return nil // others took some meanwhile
		}
		return err
	})
	if err != nil || last == 0 {
		return 0, s.wrap("thin", err)
	}
	var pace Pace
	for {
		var n int64
		var took time.Duration
		size := int64(pace.Size())
		err := h.Write(ctx, func(tx Tx) (err error) {
			began := time.Now()
			n, err = tx.Exec(shelfThin, s.name, Micros(after), last, size)
			took = time.Since(began)
			return err
		})
		if removed += n; err != nil || n < size {
			return removed, s.wrap("thin", err)
		}
		pace.Rest(ctx, took)
	}
}
