package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Script runs a text as it is, in a transaction of its own.
func Script(ctx context.Context, db *DB, text string) error {
	return db.engine.write(ctx, func(l link) error {
		_, err := l.exec(text, nil)
		return err
	})
}

// Ask runs a query as it is and gives the first column of each row.
func Ask(ctx context.Context, db *DB, text string, args ...any) (all []any, err error) {
	err = db.engine.write(ctx, func(l link) error {
		rows, err := l.query(text, args, 0)
		for _, r := range rows {
			all = append(all, r[len(r)-1])
		}
		return err
	})
	return all, err
}

// Waiting is the number of callers that wait for the writing connection of SQLite.
func Waiting(db *DB) int {
	b := &db.engine.(*sqliteEngine).baton
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.row)
}

// Wanted reports whether somebody is thought to wait for a lock of SQLite's that another process holds. Nobody may be writing.
func Wanted(db *DB) bool { return !db.engine.(*sqliteEngine).wanted.IsZero() }

// OpenReaders is the number of reading connections of SQLite.
func OpenReaders(db *DB) int {
	r := &db.engine.(*sqliteEngine).readers
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

// Pragma runs a PRAGMA on the writing connection of SQLite, which must be idle, and gives its answer.
func Pragma(db *DB, text string) any {
	rows, err := db.engine.(*sqliteEngine).writer.query("PRAGMA "+text, nil, 1)
	if err != nil || len(rows) == 0 {
		return err
	}
	return rows[0][0]
}

// LoseTransaction makes SQLite give up the whole transaction within a job, as it does by itself when the disk is full.
func LoseTransaction(tx Tx) error {
	return tx.(*transaction).link.(*sqliteConn).run(sqliteRollback)
}

// ShelfStatements are the texts a shelf runs, and the sweeper's.
func ShelfStatements() []string {
	return []string{shelfAdd, shelfGet, shelfSave, shelfNote, shelfTake, shelfDrop, shelfHold, shelfPut, shelfFirst, shelfOwned, shelfDropAll}
}

// ShelfSweep is the sweeper's text on an engine.
func ShelfSweep(db *DB) string { return sweepText(db.engine) }

// Migrations is the number of steps this program knows.
func Migrations() int { return len(migrations(sqliteWords())) }

// SetPatience says how long SQLite waits for another process.
func SetPatience(db *DB, d time.Duration) { db.engine.(*sqliteEngine).patience = d }

// RestReaders makes all free readers look as if they had lain unused for a long time.
func RestReaders(db *DB) {
	r := &db.engine.(*sqliteEngine).readers
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.free {
		c.used = c.used.Add(-readerRest)
	}
}

// CreateSQLite is what Open does when it has just seen no file at path.
func CreateSQLite(ctx context.Context, path string) (fresh bool, err error) {
	return createSQLite(ctx, path, nil)
}

// Steps are the texts that bring an empty database of the url's engine to the schema of that number.
func Steps(url string, number int) []string {
	words := postgresWords()
	if strings.HasPrefix(url, "sqlite:") {
		words = sqliteWords()
	}
	texts := []string{makeMigration}
	for _, m := range migrations(words)[:number] {
		texts = append(texts, m.text, fmt.Sprintf("INSERT INTO migration (number, name, at) VALUES (%d, '%s', 1)", m.number, m.name))
	}
	return texts
}
