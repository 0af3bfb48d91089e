// Package reseal seals anew, with the newest key of the ring, what a store holds that was sealed with an older one, while servers go on, and
// counts what hangs on each key. It keeps no state: what is left to do stands in the values themselves, so it may be killed at any moment
// and begun again. It does not know what a value is; the rooms that seal say where theirs are.
package reseal

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Store is what is sealed in one store.
type Store struct {
	DB      *store.DB
	Ring    *secret.Ring
	Columns func(tenant string) []store.Column // where the values of a tenant are
}

// Key is a seal key and what hangs on it.
type Key struct {
	ID      string           `json:"id"`
	Newest  bool             `json:"newest"`            // what is sealed now is sealed with it
	Missing bool             `json:"missing,omitempty"` // it is not in the ring: what hangs on it cannot be opened
	Values  int64            `json:"values"`
	Kinds   map[string]int64 `json:"kinds,omitempty"` // the same by what they are
}

// rounds is how often all is gone through: what changed meanwhile, or was sealed by a server that does not know the newest key yet, is met by the next.
const rounds = 5

// Keys counts what hangs on each key, in all of the store: the keys that are missing first, then those of the ring, oldest first.
func (s Store) Keys(ctx context.Context) ([]Key, error) {
	tenants, err := s.tenants(ctx)
	if err != nil {
		return nil, err
	}
	found := tally{}
	if err := s.tables(ctx, found); err != nil {
		return nil, err
	}
	for _, name := range tenants {
		h := s.DB.Tenant(name)
		for _, c := range s.Columns(name) {
			if c.Shelf == "" {
				continue
			}
			err := each(ctx, h, c, []byte{0}, func(list []store.Cell) error { // no head begins with 0
				for _, one := range list {
					found.add(one.Value, c.What, 1)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return s.list(found), nil
}

// Lasting is Keys for what lasts in the given tenants and hangs on a key that is missing; what lies on shelves and expires by itself is left
// out. older are the ids of the keys before the newest on which something lasts in any tenant. As long as no key is missing nothing is
// counted, so that it takes the same time however much there is.
func (s Store) Lasting(ctx context.Context, tenants ...string) (keys []Key, older []string, err error) {
	ids := s.Ring.Keys()
	missing := false
	for _, c := range s.Columns("any") {
		if c.Shelf != "" {
			continue
		}
		heads, err := s.DB.Heads(ctx, c, secret.HeadSize)
		if err != nil {
			return nil, nil, err
		}
		for _, head := range heads {
			id := secret.SealedWith(head)
			switch {
			case id == "": // no Box made it: whoever opens it will say so
			case !slices.Contains(ids, id):
				missing = true
			case id != ids[len(ids)-1] && !slices.Contains(older, id):
				older = append(older, id)
			}
		}
	}
	found := tally{}
	if missing {
		if err := s.tables(ctx, found, tenants...); err != nil {
			return nil, nil, err
		}
	}
	return s.list(found), older, nil
}

// tally counts by key and kind.
type tally map[string]map[string]int64

func (t tally) add(head []byte, what string, n int64) {
	id := secret.SealedWith(head)
	if id == "" {
		return // no Box made it: whoever opens it will say so
	}
	if t[id] == nil {
		t[id] = map[string]int64{}
	}
	t[id][what] += n
}

// tables counts what lies in tables, of the given tenants or of all.
func (s Store) tables(ctx context.Context, found tally, tenants ...string) error {
	for _, c := range s.Columns("any") {
		if c.Shelf != "" {
			continue
		}
		heads, err := s.DB.Count(ctx, c, secret.HeadSize, tenants...)
		if err != nil {
			return err
		}
		for head, n := range heads {
			found.add([]byte(head), c.What, n)
		}
	}
	return nil
}

func (s Store) list(found tally) []Key {
	var missing, held []Key
	key := func(id string) Key {
		k := Key{ID: id, Kinds: found[id]}
		for _, n := range k.Kinds {
			k.Values += n
		}
		delete(found, id)
		return k
	}
	for _, id := range s.Ring.Keys() {
		held = append(held, key(id))
	}
	held[len(held)-1].Newest = true
	for id := range found {
		k := key(id)
		k.Missing = true
		missing = append(missing, k)
	}
	slices.SortFunc(missing, func(a, b Key) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return append(missing, held...)
}

// Stale is how many values hang on keys other than the newest.
func Stale(keys []Key) (n int64) {
	for _, k := range keys {
		if !k.Newest {
			n += k.Values
		}
	}
	return n
}

// Run seals everything anew that hangs on an older key and gives how many values it did. Each is written only where it is still what was read.
// What cannot be opened is left, and so is what others keep changing: Keys tells what is left. progress may be nil; it is called with the number done.
func (s Store) Run(ctx context.Context, progress func(done int64)) (done int64, err error) {
	tenants, err := s.tenants(ctx)
	if err != nil {
		return 0, err
	}
	for range rounds {
		found, did := 0, int64(0)
		for _, name := range tenants {
			for _, c := range s.Columns(name) {
				f, d, err := s.round(ctx, s.DB.Tenant(name), c, func(n int64) {
					if done += n; progress != nil {
						progress(done)
					}
				})
				if err != nil {
					return done, err
				}
				found, did = found+f, did+d
			}
		}
		if found == 0 {
			return done, nil
		}
		if did == 0 { // others hold them: a moment later they do not
			if err := pause(ctx, 200*time.Millisecond); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// round goes through one column. What is found lies on an older key; did is how much of it was written.
func (s Store) round(ctx context.Context, h *store.Handle, c store.Column, tell func(int64)) (found int, did int64, err error) {
	err = each(ctx, h, c, s.Ring.Head(), func(list []store.Cell) error {
		var cells []store.Cell
		var next [][]byte
		for _, one := range list {
			fresh, err := c.Renew(one.Key, one.Owner, one.Value)
			if err != nil && !errors.Is(err, secret.ErrSealed) {
				return err
			}
			if err == nil && !bytes.Equal(fresh, one.Value) {
				cells, next = append(cells, one), append(next, fresh)
			}
		}
		found += len(cells)
		if len(cells) == 0 {
			return nil
		}
		n, err := h.Swap(ctx, c, cells, next)
		if err == nil {
			did += n
			tell(n)
		}
		return err
	})
	return found, did, err
}

// each gives the values of a column that do not begin with head, some at a time.
func each(ctx context.Context, h *store.Handle, c store.Column, head []byte, f func([]store.Cell) error) error {
	for after := ""; ; {
		list, last, err := h.Cells(ctx, c, after, head)
		if err == nil && len(list) > 0 {
			err = f(list)
		}
		if err != nil || last == "" {
			return err
		}
		after = last
	}
}

// tenants are all that have something sealed, those that no configuration names any more among them.
func (s Store) tenants(ctx context.Context) ([]string, error) {
	var all, tables []string
	for _, c := range s.Columns("any") {
		if slices.Contains(tables, c.Table) {
			continue
		}
		tables = append(tables, c.Table)
		names, err := s.DB.Holding(ctx, c.Table, "")
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
