package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Table is one table as Dump gives it and Load takes it. A value is an int64, a string, or nil where it is NULL; in a column of Bytes it is
// a []byte, and never nil.
type Table struct {
	Name    string
	Columns []string
	Bytes   []bool
	key     int // so many columns, the first ones, are its primary key
}

// tables are all that hold records, with the schema's columns, key first. A star is behind those that hold bytes.
var tables = []Table{
	table("shelf", 3, "tenant shelf key owner version until value*"),
	table("account", 2, "tenant user_id subject epoch created_at registered_at skips snoozed_until confirmed_at require_again_at frozen_until intent intent_at frozen_since doubted"),
	table("authenticator", 2, "tenant id user_id kind label data* bound_at used_at bound_from suspended_at preferred step"),
	table("local_user", 3, "tenant directory id login login_key name email email_key phone email_verified password password_at previous disabled admin_locked expired must_change privileged locked_until created_at"),
	table("local_member", 4, "tenant directory user_id group_name"),
	table("signing_key", 2, "tenant id alg state created_at active_at retired_at key* life"),
	table("outbox", 2, "tenant id user_id recipient* body* created_at due_at until tries leased_until sent_at state kind"),
	table("journal", 1, "seq tenant at event who actor flow client network detail link hash"),
	table("pseudonym", 2, "tenant user_id name"),
	table("setting", 2, "tenant name value*"),
}

func table(name string, key int, columns string) Table {
	t := Table{Name: name, key: key}
	for _, c := range strings.Fields(columns) {
		c, bytes := strings.CutSuffix(c, "*")
		t.Columns, t.Bytes = append(t.Columns, c), append(t.Bytes, bytes)
	}
	return t
}

// Column is where a column stands; -1 when there is none of the name.
func (t Table) Column(name string) int { return slices.Index(t.Columns, name) }

// Tables are all that hold records.
func Tables() []Table { return slices.Clone(tables) }

// Schema is the number of the schema that this program writes.
func Schema() int64 { return int64(len(migrations(sqliteWords()))) }

// index is one that is no key, and the text that makes it.
type index struct{ name, text string }

func indexesOf(rows [][]any) (list []index) {
	for _, row := range rows {
		name, _ := row[0].(string)
		text, _ := row[1].(string)
		list = append(list, index{name, text})
	}
	return list
}

// dumpAtOnce is how many records are read at once.
const dumpAtOnce = 1000

// Dump gives every record of every tenant as of one moment, while others go on reading and writing. f keeps no row.
func (db *DB) Dump(ctx context.Context, f func(t Table, row []any) error) error {
	return db.engine.snapshot(ctx, func(l link) error {
		for _, t := range tables {
			if err := dump(ctx, l, t, f); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
		}
		return nil
	})
}

// dump walks along the primary key, so that a table of any length takes little memory.
func dump(ctx context.Context, l link, t Table, f func(Table, []any) error) error {
	key := strings.Join(t.Columns[:t.key], ", ")
	all := "SELECT " + strings.Join(t.Columns, ", ") + " FROM " + t.Name
	order := " ORDER BY " + key + " LIMIT " + strconv.Itoa(dumpAtOnce)
	query := all + order
	var after []any
	for {
		rows, err := l.query(query, after, 0)
		if err != nil {
			return err
		}
		for _, row := range rows {
			for i, bytes := range t.Bytes {
				if v, _ := row[i].([]byte); bytes && v == nil {
					row[i] = []byte{} // the driver of SQLite gives nothing for an empty one
				}
			}
			if err := f(t, row); err != nil {
				return err
			}
		}
		if len(rows) < dumpAtOnce {
			return nil
		}
		if ctx.Err() != nil {
			return gaveUp(ctx)
		}
		after = slices.Clone(rows[len(rows)-1][:t.key])
		query = all + " WHERE (" + key + ") > (" + places(1, t.key) + ")" + order
	}
}

// places are n parameters from the i-th on: "$1, $2".
func places(i, n int) string {
	var b strings.Builder
	for k := range n {
		if k > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + k))
	}
	return b.String()
}

// ErrNotEmpty says that a store which should be empty holds records.
var ErrNotEmpty = errors.New("the database holds records already")

// Load fills an empty store with what next gives, table by table; a row without a table is the end. All of it is one transaction: after an
// error, or a crash, the store is as empty as before. ErrNotEmpty when it was not. Indexes other than keys are made when all rows are there:
// millions of rows that each look for their place in every index would take hours.
func (db *DB) Load(ctx context.Context, next func() (Table, []any, error)) error {
	return db.engine.bulk(ctx, func(l link) error {
		for _, t := range tables {
			rows, err := l.query("SELECT 1 FROM "+t.Name+" LIMIT 1", nil, 1)
			if err != nil {
				return err
			}
			if len(rows) > 0 {
				return ErrNotEmpty
			}
		}
		indexes, err := db.engine.indexes(l)
		if err != nil {
			return err
		}
		for _, i := range indexes {
			if _, err := l.exec("DROP INDEX "+i.name, nil); err != nil {
				return err
			}
		}
		override, atOnce := db.engine.loading()
		var at Table
		var args []any
		rows, text := 0, "" // of the statement
		flush := func() error {
			if len(args) == 0 {
				return nil
			}
			if n := len(args) / len(at.Columns); n != rows || text == "" {
				groups := make([]string, n)
				for i := range groups {
					groups[i] = "(" + places(1+i*len(at.Columns), len(at.Columns)) + ")"
				}
				rows, text = n, "INSERT INTO "+at.Name+" ("+strings.Join(at.Columns, ", ")+")"+override+" VALUES "+strings.Join(groups, ", ")
			}
			_, err := l.exec(text, args)
			args = args[:0]
			if err != nil {
				return fmt.Errorf("table %s: %w", at.Name, err)
			}
			return nil
		}
		for {
			t, row, err := next()
			if err != nil {
				return err
			}
			if row == nil || t.Name != at.Name || len(args) == atOnce*len(at.Columns) {
				if err := flush(); err != nil {
					return err
				}
			}
			if row == nil {
				for _, i := range indexes {
					if _, err := l.exec(i.text, nil); err != nil {
						return fmt.Errorf("index %s: %w", i.name, err)
					}
				}
				return db.engine.loaded(l)
			}
			if ctx.Err() != nil {
				return gaveUp(ctx)
			}
			if t.Name != at.Name {
				at, text = t, ""
			}
			args = append(args, row...)
		}
	})
}
