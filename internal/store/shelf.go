package store

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	json "github.com/go-json-experiment/json/v1" // what encoding/json is from Go 1.27 on: records are read in half the time
)

// Shelf keeps records of one sort until they expire, as JSON. It is a plain value: keep one in a struct field.
// A record whose end has come is gone for every method, whether it was swept or not.
type Shelf[T any] struct {
	name string
}

// NewShelf names a shelf. The name is stored: it must never change, and no two sorts of record may share one.
func NewShelf[T any](name string) Shelf[T] { return Shelf[T]{name} }

// Record is one thing on a shelf.
type Record[T any] struct {
	Key     string
	Owner   string    // a user's id, or empty for nobody
	Version int64     // rises with every change; Save compares it
	Until   time.Time // it is gone from this moment on; zero: it stays until it is dropped
	Value   T
}

// endless is how a record without an end is stored, so that one comparison decides.
const endless = math.MaxInt64

const (
	shelfAdd = `INSERT INTO shelf (tenant, shelf, key, owner, version, until, value) VALUES ($1, $2, $3, $4, 1, $5, $6)
ON CONFLICT (tenant, shelf, key) DO UPDATE SET owner = excluded.owner, version = shelf.version + 1, until = excluded.until, value = excluded.value
WHERE shelf.until <= $7`
	shelfGet     = `SELECT key, owner, version, until, value FROM shelf WHERE tenant = $1 AND shelf = $2 AND key = $3 AND until > $4`
	shelfSave    = `UPDATE shelf SET owner = $4, version = version + 1, until = $5, value = $6 WHERE tenant = $1 AND shelf = $2 AND key = $3 AND version = $7 AND until > $8`
	shelfNote    = `UPDATE shelf SET value = $4 WHERE tenant = $1 AND shelf = $2 AND key = $3 AND version = $5 AND until > $6`
	shelfTake    = `DELETE FROM shelf WHERE tenant = $1 AND shelf = $2 AND key = $3 AND until > $4 RETURNING key, owner, version, until, value`
	shelfDrop    = `DELETE FROM shelf WHERE tenant = $1 AND shelf = $2 AND key = $3`
	shelfHold    = `SELECT key, owner, version, until, value FROM shelf WHERE tenant = $1 AND shelf = $2 AND key = $3`
	shelfPut     = `UPDATE shelf SET owner = $4, version = version + 1, until = $5, value = $6 WHERE tenant = $1 AND shelf = $2 AND key = $3`
	shelfFirst   = `INSERT INTO shelf (tenant, shelf, key, owner, version, until, value) VALUES ($1, $2, $3, $4, 1, $5, $6) ON CONFLICT (tenant, shelf, key) DO NOTHING`
	shelfOwned   = `SELECT key, owner, version, until, value FROM shelf WHERE tenant = $1 AND owner = $2 AND shelf = $3 AND until > $4 AND owner <> ''`
	shelfDropAll = `DELETE FROM shelf WHERE tenant = $1 AND owner = $2 AND shelf = $3 AND owner <> '' RETURNING key, owner, version, until, value`
)

// Add puts a new record on the shelf. ErrExists: the key is taken by one that has not expired.
func (s Shelf[T]) Add(tx Tx, key, owner string, until time.Time, v T) error {
	value, err := json.Marshal(v)
	if err != nil {
		return s.wrap("add", err)
	}
	n, err := tx.Exec(shelfAdd, s.name, key, owner, end(until), value, Micros(tx.Now()))
	if err != nil {
		return s.wrap("add", err)
	}
	if n == 0 {
		return s.wrap("add", ErrExists)
	}
	return nil
}

// Get reads a record. ErrNotFound: there is none, or it has expired, or the key is one that no record can have.
func (s Shelf[T]) Get(tx Tx, key string) (Record[T], error) {
	if noKey(key) {
		return Record[T]{}, s.wrap("get", ErrNotFound)
	}
	r, err := s.scan(tx.Row(shelfGet, s.name, key, Micros(tx.Now())))
	return r, s.wrap("get", err)
}

// Save writes Owner, Until and Value of a record that was read before, and raises its Version.
// ErrChanged: it has been changed, taken or dropped since, or has expired. If the transaction fails later, r.Version is put back.
func (s Shelf[T]) Save(tx Tx, r *Record[T]) error {
	value, err := json.Marshal(r.Value)
	if err != nil {
		return s.wrap("save", err)
	}
	n, err := tx.Exec(shelfSave, s.name, r.Key, r.Owner, end(r.Until), value, r.Version, Micros(tx.Now()))
	if err != nil {
		return s.wrap("save", err)
	}
	if n == 0 {
		return s.wrap("save", ErrChanged)
	}
	old := r.Version
	r.Version++
	if t, ok := tx.(*transaction); ok {
		t.undo = append(t.undo, func() { r.Version = old })
	}
	return nil
}

// Note writes Value of a record that was read before and leaves its Version: for what may be lost, and must not make anybody else's Save fail.
// ErrChanged as with Save.
func (s Shelf[T]) Note(tx Tx, r Record[T]) error {
	value, err := json.Marshal(r.Value)
	if err != nil {
		return s.wrap("note", err)
	}
	n, err := tx.Exec(shelfNote, s.name, r.Key, value, r.Version, Micros(tx.Now()))
	if err == nil && n == 0 {
		err = ErrChanged
	}
	return s.wrap("note", err)
}

// Take removes a record and hands it to exactly one caller; all others get ErrNotFound.
func (s Shelf[T]) Take(tx Tx, key string) (Record[T], error) {
	if noKey(key) {
		return Record[T]{}, s.wrap("take", ErrNotFound)
	}
	r, err := s.scan(tx.Row(shelfTake, s.name, key, Micros(tx.Now())))
	return r, s.wrap("take", err)
}

// Drop removes a record if it is there.
func (s Shelf[T]) Drop(tx Tx, key string) error {
	_, err := tx.Exec(shelfDrop, s.name, key)
	return s.wrap("drop", err)
}

// Change reads a record, lets f alter the value and writes it, with no other change in between. When there is none (found is false and
// the value is zero) it is made with the owner given; an owner given for one that is there replaces the older, an empty one leaves it. f returns the record's new end; one
// that has passed removes the record. An error of f changes nothing and is returned. f may run twice.
func (s Shelf[T]) Change(tx Tx, key, owner string, f func(v *T, found bool) (until time.Time, err error)) error {
	now := Micros(tx.Now())
	for {
		var r Record[T]
		held, err := s.scan(tx.Row(shelfHold+tx.Locking(), s.name, key))
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return s.wrap("change", err)
		case end(held.Until) > now:
			r = held
		}
		there, found := err == nil, err == nil && end(held.Until) > now
		if owner != "" {
			r.Owner = owner
		}
		until, err := f(&r.Value, found)
		if err != nil {
			return err
		}
		if end(until) <= now {
			if !there {
				return nil
			}
			return s.Drop(tx, key)
		}
		value, err := json.Marshal(r.Value)
		if err != nil {
			return s.wrap("change", err)
		}
		put := shelfFirst
		if there {
			put = shelfPut
		}
		n, err := tx.Exec(put, s.name, key, r.Owner, end(until), value)
		if err != nil {
			return s.wrap("change", err)
		}
		if n == 1 {
			return nil
		}
		// Another transaction made the record since we looked: now it can be locked.
	}
}

// Owned reads all records of one owner, in order of their keys. An empty owner owns nothing.
func (s Shelf[T]) Owned(tx Tx, owner string) ([]Record[T], error) {
	return s.all(tx, "owned", shelfOwned, owner, s.name, Micros(tx.Now()))
}

// DropOwned removes all records of one owner and gives those that had not expired, in order of their keys.
func (s Shelf[T]) DropOwned(tx Tx, owner string) ([]Record[T], error) {
	all, err := s.all(tx, "drop owned", shelfDropAll, owner, s.name)
	if err != nil {
		return nil, err
	}
	now, live := Micros(tx.Now()), all[:0]
	for _, r := range all {
		if end(r.Until) > now {
			live = append(live, r)
		}
	}
	return live, nil
}

func (s Shelf[T]) all(tx Tx, what, query string, args ...any) ([]Record[T], error) {
	rows, err := tx.Rows(query, args...)
	if err != nil {
		return nil, s.wrap(what, err)
	}
	defer rows.Close()
	var all []Record[T]
	for rows.Next() {
		r, err := s.scan(rows)
		if err != nil {
			return nil, s.wrap(what, err)
		}
		all = append(all, r)
	}
	// Sorted here: asked to sort, SQLite would walk the whole shelf in order of its keys instead of the owner's few records.
	slices.SortFunc(all, func(a, b Record[T]) int { return strings.Compare(a.Key, b.Key) })
	return all, s.wrap(what, rows.Err())
}

// scan reads the columns key, owner, version, until, value.
func (s Shelf[T]) scan(row Row) (Record[T], error) {
	var r Record[T]
	var until int64
	var value []byte
	if err := row.Scan(&r.Key, &r.Owner, &r.Version, &until, &value); err != nil {
		return Record[T]{}, err
	}
	if until != endless {
		r.Until = Time(until)
	}
	if err := json.Unmarshal(value, &r.Value); err != nil {
		return Record[T]{}, err
	}
	return r, nil
}

// wrap says which shelf was asked for what; never the key, which may be worth hiding.
func (s Shelf[T]) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, s.name, err)
}

// noKey reports that no record can have the key. Whoever makes one up asks for nothing that is there, and breaks nothing.
func noKey(key string) bool {
	_, err := text(key)
	return err != nil
}

// end is when a record expires, as stored.
func end(until time.Time) int64 {
	if until.IsZero() {
		return endless
	}
	return until.UnixMicro()
}
