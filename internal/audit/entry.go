package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// Entry is one row of the journal.
type Entry struct {
	Seq     int64             `json:"seq"`
	At      time.Time         `json:"at"`
	Event   string            `json:"event"`
	Who     string            `json:"who,omitempty"` // pseudonym
	Actor   string            `json:"actor"`
	Flow    string            `json:"flow,omitempty"`
	Client  string            `json:"client,omitempty"`
	Network string            `json:"network,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
	Link    int64             `json:"link,omitempty"` // position in the chain; 0: not linked yet
	Hash    string            `json:"hash,omitempty"`
	raw     string            // the detail as it is stored, which is what the chain covers
}

const columns = `seq, at, event, who, actor, flow, client, network, detail, link, hash`

// page is how many rows are read at a time.
const page = 500

// Recent gives the user's last n entries, the newest first.
func (j *Journal) Recent(tx store.Tx, user string, n int) ([]Entry, error) {
	who, err := j.known(tx, user)
	if errors.Is(err, store.ErrNotFound) || err == nil && who == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return read(tx, `who = $2 ORDER BY seq DESC LIMIT $3`, who, n)
}

// Tail gives at most n entries numbered above after, oldest first; with a negative after, the newest n. Numbers are given before the
// commit, so a follower on PostgreSQL may see one appear a moment later than a higher one: it should ask again a little further back.
func (j *Journal) Tail(ctx context.Context, after int64, n int) (list []Entry, err error) {
	err = j.db.Read(ctx, func(tx store.Tx) error {
		if after >= 0 {
			list, err = read(tx, `seq > $2 ORDER BY seq LIMIT $3`, after, n)
			return err
		}
		list, err = read(tx, `seq > $2 ORDER BY seq DESC LIMIT $3`, 0, n)
		slices.Reverse(list)
		return err
	})
	return list, err
}

// Find gives the entries of a flow, oldest first, at most 500. The reference is the flow's id, its first six characters or more,
// or what a detail calls "reference". Spaces, hyphens and case do not matter.
func (j *Journal) Find(ctx context.Context, reference string) ([]Entry, error) {
	key := bare(reference)
	if len(key) < 6 || len(key) > 64 {
		return nil, nil
	}
	var found []Entry
	err := j.db.Read(ctx, func(tx store.Tx) (err error) {
		// A flow's id has letters and digits alone, all of them before "{". Two statements, since each has an index of its own.
		found, err = read(tx, `flow <> '' AND flow >= $2 AND flow < $3 LIMIT $4`, key, key+"{", page)
		if err != nil {
			return err
		}
		shown, err := read(tx, `detail LIKE '%"reference":"%' AND detail LIKE $2 ORDER BY seq LIMIT $3`, `%"reference":"`+key+`"%`, page)
		found = append(found, shown...)
		return err
	})
	slices.SortFunc(found, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	found = slices.CompactFunc(found, func(a, b Entry) bool { return a.Seq == b.Seq })
	return found[:min(len(found), page)], err
}

// bare is a reference without what people add or lose when they pass it on: letters and digits alone, so that it is no pattern either.
func bare(reference string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, reference)
}

func read(tx store.Tx, where string, args ...any) ([]Entry, error) {
	rows, err := tx.Rows(`SELECT `+columns+` FROM journal WHERE tenant = $1 AND `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer rows.Close()
	var list []Entry
	for rows.Next() {
		var e Entry
		var at int64
		var link *int64
		var hash *string
		if err := rows.Scan(&e.Seq, &at, &e.Event, &e.Who, &e.Actor, &e.Flow, &e.Client, &e.Network, &e.raw, &link, &hash); err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		e.At = store.Time(at).UTC()
		if link != nil {
			e.Link = *link
		}
		if hash != nil {
			e.Hash = *hash
		}
		if e.raw != "" && json.Unmarshal([]byte(e.raw), &e.Detail) != nil {
			e.Detail = map[string]string{"dropped": "unreadable"} // somebody changed it: Verify tells
		}
		list = append(list, e)
	}
	return list, rows.Err()
}
