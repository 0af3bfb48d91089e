package audit

import (
	"encoding/json"

	"github.com/sparekey-id/sparekey/internal/store"
)

// Past makes rows of a journal for whoever fills an empty store with deeds of long ago (store.DB.Load): each linked to the one before, as the
// chainer would have done it, so that Verify finds the journal whole.
type Past struct {
	j *Journal
	h head
}

// Past begins a journal that has no rows.
func (j *Journal) Past() *Past { return &Past{j: j} }

// Row gives the next row of table journal, with the columns as that table lists them. Of the entry the chain's part and the number of the
// row are set here; rows of all tenants share the numbers.
func (p *Past) Row(seq int64, e Entry) ([]any, error) {
	if len(e.Detail) > 0 {
		text, err := json.Marshal(e.Detail)
		if err != nil {
			return nil, err
		}
		e.raw = string(text)
	}
	e.Seq, e.Link = seq, p.h.Link+1
	p.h.Link, p.h.Hash = e.Link, hash(p.j.db.Name(), p.h.Hash, e)
	return []any{seq, p.j.db.Name(), store.Micros(e.At), e.Event, e.Who, e.Actor, e.Flow, e.Client, e.Network, e.raw, e.Link, p.h.Hash}, nil
}

// End gives the row of table setting that says where the chain ends.
func (p *Past) End() ([]any, error) {
	value, err := p.j.marked(p.h)
	return []any{p.j.db.Name(), headName, value}, err
}
