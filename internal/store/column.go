package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Column is a column of bytes whose values are gone through, and written anew one by one, while others go on reading and writing. The rest
// of a row is left alone. It may be a field, "sealed", of the records of a shelf instead.
type Column struct {
	What  string // what one row is, for people: "authenticator"
	Shelf string // the shelf whose records have the field; empty: a table with the primary key (tenant, id)
	Table string
	Name  string // of the column
	Owner string // a further column that comes with each value; empty: none is wanted
	Where string // which rows hold a value; empty: all
	// Renew gives a value anew, or the very same when it is good. It is called outside of transactions.
	Renew func(key, owner string, value []byte) ([]byte, error)
}

// Cell is one value of a Column.
type Cell struct {
	Key, Owner string
	Value      []byte
	row        []byte // the record of a shelf that it lies in
}

// cellsAtOnce is how many values one transaction writes, so that nobody waits long behind it.
const cellsAtOnce = 50

// Heads gives the first bytes, so many, with which the values of a table's column begin, in all tenants, each once and in order. Where the
// table has an index on them that is one step for each.
func (db *DB) Heads(ctx context.Context, c Column, size int) (heads [][]byte, err error) {
	head := c.head(size)
	next := "SELECT " + head + " FROM " + c.Table + " WHERE " + head + " > $1" + c.where() + " ORDER BY " + head + " LIMIT 1"
	err = db.engine.read(ctx, func(l link) error {
		heads = nil
		for after := []byte{0}; ; after = heads[len(heads)-1] {
			rows, err := l.query(next, []any{after}, 1)
			if err != nil || len(rows) == 0 {
				return err
			}
			one, _ := rows[0][0].([]byte)
			heads = append(heads, one)
		}
	})
	if err != nil {
		return nil, db.failed(err)
	}
	return heads, nil
}

// Count counts the values of a table's column by their first bytes, so many of them; in the tenants named, or in all there are.
func (db *DB) Count(ctx context.Context, c Column, size int, tenants ...string) (map[string]int64, error) {
	heads := map[string]int64{}
	head := c.head(size)
	where, args := strings.Replace(c.where(), " AND", " WHERE", 1), [][]any{nil}
	if len(tenants) > 0 {
		where, args = " WHERE tenant = $1"+c.where(), nil
		for _, name := range tenants {
			args = append(args, []any{name})
		}
	}
	text := "SELECT " + head + ", COUNT(*) FROM " + c.Table + where + " GROUP BY " + head
	err := db.engine.read(ctx, func(l link) error {
		clear(heads)
		for _, values := range args {
			rows, err := l.query(text, values, 0)
			if err != nil {
				return err
			}
			for _, row := range rows {
				head, _ := row[0].([]byte)
				n, _ := row[1].(int64)
				heads[string(head)] += n
			}
		}
		return nil
	})
	if err != nil {
		return nil, db.failed(err)
	}
	return heads, nil
}

// head is the beginning of the column's values, as the index on it has it.
func (c Column) head(size int) string { return fmt.Sprintf("substr(%s, 1, %d)", c.Name, size) }

func (c Column) where() string {
	if c.Where == "" {
		return ""
	}
	return " AND " + c.Where
}

// Cells gives the next values whose key comes after the one given, in order, but not those that begin with head; and the key after which to
// go on. There are no more when that is empty.
func (h *Handle) Cells(ctx context.Context, c Column, after string, head []byte) (list []Cell, last string, err error) {
	err = h.Read(ctx, func(tx Tx) (err error) {
		list, last = nil, ""
		if c.Shelf != "" {
			list, last, err = records(tx, c, after, head)
		} else {
			list, last, err = values(tx, c, after, head)
		}
		return err
	})
	return list, last, err
}

func values(tx Tx, c Column, after string, head []byte) (list []Cell, last string, err error) {
	owner := c.Owner
	if owner == "" {
		owner = "id"
	}
	rows, err := tx.Rows(fmt.Sprintf(`SELECT id, %s, %s FROM %s WHERE tenant = $1 AND id > $2 AND substr(%s, 1, %d) <> $3%s ORDER BY id LIMIT %d`,
		owner, c.Name, c.Table, c.Name, len(head), c.where(), cellsAtOnce), after, head)
	if err != nil {
		return nil, "", err
	}
	for rows.Next() {
		var one Cell
		if err := rows.Scan(&one.Key, &one.Owner, &one.Value); err != nil {
			return nil, "", err
		}
		list = append(list, one)
	}
	if len(list) == cellsAtOnce {
		last = list[len(list)-1].Key
	}
	return list, last, nil
}

// records are what a shelf's records hold. Whether they begin with head is not the database's to see.
func records(tx Tx, c Column, after string, head []byte) (list []Cell, last string, err error) {
	rows, err := tx.Rows(fmt.Sprintf(`SELECT key, value FROM shelf WHERE tenant = $1 AND shelf = $2 AND key > $3 AND until > $4 ORDER BY key LIMIT %d`, cellsAtOnce),
		c.Shelf, after, Micros(tx.Now()))
	if err != nil {
		return nil, "", err
	}
	seen := 0
	for rows.Next() {
		var one Cell
		if err := rows.Scan(&one.Key, &one.row); err != nil {
			return nil, "", err
		}
		seen, last = seen+1, one.Key
		var record struct{ Sealed []byte }
		if err := json.Unmarshal(one.row, &record); err != nil {
			return nil, "", fmt.Errorf("read shelf %s: %w", c.Shelf, err)
		}
		if one.Value = record.Sealed; len(one.Value) > 0 && !bytes.HasPrefix(one.Value, head) {
			list = append(list, one)
		}
	}
	if seen < cellsAtOnce {
		last = ""
	}
	return list, last, nil
}

// Swap writes next in the place of value where the cell still holds that, in one transaction for all of them, and gives how many it wrote.
// A value that was changed since stays as it is, and so does a row that somebody else is changing right now: nobody is waited for.
func (h *Handle) Swap(ctx context.Context, c Column, cells []Cell, next [][]byte) (n int64, err error) {
	err = h.Write(ctx, func(tx Tx) error {
		n = 0
		skipping := tx.Locking()
		if skipping != "" {
			skipping += " SKIP LOCKED"
		}
		for i, one := range cells {
			did, err := swap(tx, c, one, next[i], skipping)
			if err != nil {
				return err
			}
			n += did
		}
		return nil
	})
	return n, err
}

// swap leaves a record's version alone: who has read the record goes on with it, and what is saved then takes the place of this.
func swap(tx Tx, c Column, one Cell, next []byte, skipping string) (int64, error) {
	if c.Shelf == "" {
		return tx.Exec(fmt.Sprintf(`UPDATE %[1]s SET %[2]s = $4 WHERE tenant = $1 AND %[2]s = $3
			AND id IN (SELECT id FROM %[1]s WHERE tenant = $1 AND id = $2 AND %[2]s = $3%[3]s)`, c.Table, c.Name, skipping), one.Key, one.Value, next)
	}
	text := base64.StdEncoding.EncodeToString // as JSON has it
	row := bytes.Replace(one.row, []byte(`"`+text(one.Value)+`"`), []byte(`"`+text(next)+`"`), 1)
	return tx.Exec(`UPDATE shelf SET value = $5 WHERE tenant = $1 AND shelf = $2 AND value = $4
		AND key IN (SELECT key FROM shelf WHERE tenant = $1 AND shelf = $2 AND key = $3 AND value = $4`+skipping+`)`, c.Shelf, one.Key, one.row, row)
}

// Holding names the tenants that have records in a table, in order; where, which may be empty, says which records count, with arguments
// from $2 on. It takes one step along an index that begins with the tenant for each of them, and is for work on all tenants.
func (db *DB) Holding(ctx context.Context, table, where string, args ...any) (names []string, err error) {
	next := "SELECT tenant FROM " + table + " WHERE tenant > $1"
	if where != "" {
		next += " AND " + where
	}
	next += " ORDER BY tenant LIMIT 1"
	values := make([]any, 1, len(args)+1)
	for _, a := range args {
		v, err := value(a)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	err = db.engine.read(ctx, func(l link) error {
		names = nil
		for after := ""; ; after = names[len(names)-1] {
			values[0] = after
			rows, err := l.query(next, values, 1)
			if err != nil || len(rows) == 0 {
				return err
			}
			name, _ := rows[0][0].(string)
			names = append(names, name)
		}
	})
	if err != nil {
		return nil, db.failed(err)
	}
	return names, nil
}
