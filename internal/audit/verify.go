package audit

import (
	"context"
	"fmt"
	"math"

	"github.com/sparekey-id/sparekey/internal/store"
)

// Verdict is what Verify found.
type Verdict struct {
	Linked, Unlinked int64   // rows in the chain, and rows waiting to be linked
	Broken           []int64 // positions (Entry.Link) whose row is missing, changed or not in its place; at most 1000
	Marked           bool    // the record of where the chain begins and ends is ours; false until the rows of that time are swept
}

// OK reports whether nothing was changed.
func (v Verdict) OK() bool { return len(v.Broken) == 0 && v.Marked }

const mostBroken = 1000

// Verify computes the chain anew. A row that was changed, removed, added or put elsewhere after it was linked is Broken;
// so may be the one that follows it, since it rests on the hash that is gone. Rows not linked yet prove nothing and are counted.
func (j *Journal) Verify(ctx context.Context) (Verdict, error) {
	for {
		v, swept, err := j.verify(ctx)
		if err != nil {
			return Verdict{}, fmt.Errorf("verify journal: %w", err)
		}
		if !swept {
			return v, nil
		}
	}
}

// verify walks the chain once; swept says that rows went meanwhile and the walk proves nothing.
func (j *Journal) verify(ctx context.Context) (v Verdict, swept bool, err error) {
	var begin, end head
	if begin, _, err = j.peek(ctx); err != nil {
		return v, false, err
	}
	w := walk{tenant: j.db.Name(), last: begin.Anchor, hash: begin.AnchorHash}
	at, seq := int64(math.MinInt64), int64(-1) // rows before the anchor do not belong there: they are walked, too
	for {
		var rows []Entry
		err = j.db.Read(ctx, func(tx store.Tx) error {
			rows, err = read(tx, `link >= $2 AND (link > $2 OR seq > $3) ORDER BY link, seq LIMIT $4`, at, seq, page)
			return err
		})
		if err != nil {
			return v, false, err
		}
		for _, e := range rows {
			w.step(e)
		}
		if len(rows) < page {
			break
		}
		at, seq = rows[len(rows)-1].Link, rows[len(rows)-1].Seq
	}
	if end, v.Unlinked, err = j.peek(ctx); err != nil {
		return v, false, err
	}
	for _, link := range w.beyond(end.Link) {
		w.fault(link)
	}
	for n := w.last + 1; n <= begin.Link; n++ {
		if !w.fault(n) {
			break
		}
	}
	v.Linked, v.Broken, v.Marked = w.linked, w.broken, end.Changed == 0
	return v, begin.Anchor != end.Anchor, nil
}

// peek reads the head, and how many rows wait for the chain.
func (j *Journal) peek(ctx context.Context) (h head, unlinked int64, err error) {
	err = j.db.Read(ctx, func(tx store.Tx) error {
		if h, _, err = j.head(tx); err != nil {
			return err
		}
		return tx.Row(`SELECT COUNT(*) FROM journal WHERE tenant = $1 AND link IS NULL`).Scan(&unlinked)
	})
	return h, unlinked, err
}

// walk goes along the chain.
type walk struct {
	tenant  string
	last    int64  // the position reached
	hash    string // and its hash as it is stored
	linked  int64
	tail    []int64 // the last positions, which may lie beyond the end
	broken  []int64
	flagged int64
}

func (w *walk) step(e Entry) {
	w.linked++
	if e.Link <= w.last { // a second row at a position, or one before the beginning
		w.fault(e.Link)
		return
	}
	for n := w.last + 1; n < e.Link; n++ {
		if !w.fault(n) {
			break
		}
	}
	if e.Hash != hash(w.tenant, w.hash, e) {
		w.fault(e.Link)
	}
	w.last, w.hash = e.Link, e.Hash
	if w.tail = append(w.tail, e.Link); len(w.tail) > mostBroken {
		w.tail = w.tail[1:]
	}
}

func (w *walk) beyond(end int64) (list []int64) {
	for _, link := range w.tail {
		if link > end {
			list = append(list, link)
		}
	}
	return list
}

// fault notes a position once; false when enough are noted.
func (w *walk) fault(link int64) bool {
	if len(w.broken) >= mostBroken {
		return false
	}
	if link != w.flagged || len(w.broken) == 0 {
		w.broken = append(w.broken, link)
	}
	w.flagged = link
	return true
}
