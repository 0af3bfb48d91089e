package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

const (
	headName = "journal.head"
	batch    = 200             // rows linked in one transaction
	leaseFor = 5 * time.Second // so long the other nodes leave the chain to the one that linked last
)

// head says where the chain begins and ends. It is kept with a keyed mark, so that nobody who can only write to the database
// can shorten the chain or make it anew.
type head struct {
	Link       int64     `json:"link"` // the last one
	Hash       string    `json:"hash"`
	Anchor     int64     `json:"anchor"` // the last one swept: the chain begins after it
	AnchorHash string    `json:"anchor_hash"`
	Changed    int64     `json:"changed,omitempty"` // the head was found changed when the chain ended here
	Holder     string    `json:"holder,omitempty"`
	Until      time.Time `json:"until"`
}

// Link puts rows that are not linked yet at the end of the chain, at most 200, and says how many. While another node has linked
// something within the last seconds it leaves the work to that one and gives 0.
func (j *Journal) Link(ctx context.Context) (n int, err error) {
	err = j.db.Read(ctx, func(tx store.Tx) (err error) {
		n, err = count(tx, `SELECT seq FROM journal WHERE tenant = $1 AND link IS NULL LIMIT 1`)
		return err
	})
	if n == 0 || err != nil {
		return 0, err
	}
	return j.link(ctx)
}

func (j *Journal) link(ctx context.Context) (n int, err error) {
	err = j.db.Write(ctx, func(tx store.Tx) error {
		n = 0
		h, err := j.lock(tx)
		if err != nil {
			return err
		}
		now := j.now()
		if left := h.Until.Sub(now); h.Holder != j.identity && left > 0 && left <= leaseFor {
			return nil
		}
		rows, err := read(tx, `link IS NULL ORDER BY seq LIMIT $2`, batch)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, e := range rows {
			e.Link = h.Link + 1
			h.Hash = hash(tx.Tenant(), h.Hash, e)
			h.Link = e.Link
			if _, err := tx.Exec(`UPDATE journal SET link = $3, hash = $4 WHERE tenant = $1 AND seq = $2`, e.Seq, h.Link, h.Hash); err != nil {
				return err
			}
		}
		n = len(rows)
		h.Holder, h.Until = j.identity, now.Add(leaseFor).UTC()
		return j.save(tx, h)
	})
	if err != nil {
		return 0, fmt.Errorf("link journal: %w", err)
	}
	return n, nil
}

// hash is SHA-256 over the hash before and the row, each part with its length in front, in hexadecimal.
func hash(tenant, before string, e Entry) string {
	h := sha256.New()
	var size [8]byte
	for _, part := range []string{
		"sparekey journal 1", before, tenant, strconv.FormatInt(e.Link, 10), strconv.FormatInt(e.Seq, 10),
		strconv.FormatInt(store.Micros(e.At), 10), e.Event, e.Who, e.Actor, e.Flow, e.Client, e.Network, e.raw,
	} {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// lock gives the head and keeps all other chainers and sweepers out until the transaction ends.
func (j *Journal) lock(tx store.Tx) (head, error) {
	h, found, err := j.head(tx)
	if err != nil || found {
		return h, err
	}
	// The first row of a tenant. On PostgreSQL two nodes may come here at once: the second finds the first one's head.
	b, err := j.marked(h)
	if err != nil {
		return head{}, err
	}
	_, err = tx.Exec(`INSERT INTO setting (tenant, name, value) VALUES ($1, $2, $3) ON CONFLICT (tenant, name) DO NOTHING`, headName, b)
	if err != nil {
		return head{}, err
	}
	h, _, err = j.head(tx)
	return h, err
}

// head reads the head and whether there is one. One that is not ours is made anew from the rows and remembered as changed,
// so that the journal goes on and Verify tells.
func (j *Journal) head(tx store.Tx) (h head, found bool, err error) {
	h, found, ours, err := j.kept(tx)
	if err != nil || ours {
		return h, found, err
	}
	first, err := read(tx, `link IS NOT NULL ORDER BY link LIMIT $2`, 1)
	if err != nil || len(first) == 0 && !found {
		return head{}, found, err
	}
	// On PostgreSQL each statement sees what was committed before it. Another node that links the first rows of all commits its head with them:
	// it may have done so since the last look.
	if h, found, ours, err = j.kept(tx); err != nil || ours {
		return h, found, err
	}
	last, err := read(tx, `link IS NOT NULL ORDER BY link DESC LIMIT $2`, 1)
	if err != nil {
		return head{}, false, err
	}
	h = head{Changed: 1}
	if len(last) > 0 {
		h.Anchor, h.Link, h.Hash = first[0].Link-1, last[0].Link, last[0].Hash
		h.Changed = max(h.Link, 1)
	}
	return h, found, nil
}

// kept is the head as it stands in the store, whether there is one, and whether it is ours.
func (j *Journal) kept(tx store.Tx) (h head, found, ours bool, err error) {
	var b []byte
	err = tx.Row(`SELECT value FROM setting WHERE tenant = $1 AND name = $2`+tx.Locking(), headName).Scan(&b)
	if errors.Is(err, store.ErrNotFound) {
		return head{}, false, false, nil
	}
	if err != nil {
		return head{}, false, false, err
	}
	var m marked
	ours = json.Unmarshal(b, &m) == nil && j.mark.Check(m.Mark, string(m.Head)) && json.Unmarshal(m.Head, &h) == nil
	return h, true, ours, nil
}

type marked struct {
	Head json.RawMessage `json:"head"`
	Mark string          `json:"mark"`
}

func (j *Journal) marked(h head) ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return json.Marshal(marked{Head: b, Mark: j.mark.Sum(string(b))})
}

func (j *Journal) save(tx store.Tx, h head) error {
	b, err := j.marked(h)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE setting SET value = $3 WHERE tenant = $1 AND name = $2`, headName, b)
	return err
}

func count(tx store.Tx, query string, args ...any) (int, error) {
	rows, err := tx.Rows(query, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	return n, rows.Err()
}
