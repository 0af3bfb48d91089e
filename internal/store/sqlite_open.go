package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// openSQLite opens the file at path. One that is missing is made beside its place and moved there when its schema is complete,
// so that a crash never leaves half a database, and a file that is there is never taken for a new one.
func openSQLite(ctx context.Context, path string, db *DB) (engine, bool, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, false, err
	}
	fresh := false
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if fresh, err = createSQLite(ctx, path, db); err != nil {
			return nil, false, fmt.Errorf("make database %s: %w", path, err)
		}
	}
	s, err := existingSQLite(ctx, path, db)
	if err != nil {
		return nil, false, fmt.Errorf("open database %s: %w", path, err)
	}
	return s, fresh, nil
}

func existingSQLite(ctx context.Context, path string, db *DB) (*sqliteEngine, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("it is a folder")
	}
	if info.Size() < 512 { // no database is that small, but SQLite would take the file for a new one
		return nil, fmt.Errorf("%w: the file is empty or nearly so; restore it, or remove it to begin anew", ErrDamaged)
	}
	s := newSQLite(db, path)
	if s.writer, err = openSQLiteConn(path, true); err != nil {
		return nil, err
	}
	if err = s.inspect(info.Size()); err == nil {
		err = s.migrate(ctx)
	}
	if err == nil {
		err = s.writer.script("PRAGMA busy_timeout=0") // lock waits in its own way
	}
	if err != nil {
		s.writer.close()
		return nil, err
	}
	return s, nil
}

// inspectLimit is the size up to which a file is read whole at start, about 30 ms. Damage in a larger one shows when it is read.
const inspectLimit = 16 << 20

// inspect refuses a file that is not ours or is damaged.
func (s *sqliteEngine) inspect(size int64) error {
	rows, err := s.writer.query("SELECT count(*) FROM sqlite_schema WHERE name = 'migration'", nil, 1)
	if err != nil {
		return err
	}
	if rows[0][0] != int64(1) {
		return errors.New("the file holds something else, not a Sparekey database")
	}
	if size > inspectLimit {
		return nil
	}
	rows, err = s.writer.query("PRAGMA quick_check(1)", nil, 1)
	if err != nil {
		return err
	}
	if len(rows) != 1 || rows[0][0] != "ok" {
		return fmt.Errorf("%w: %v; restore it from a backup", ErrDamaged, rows)
	}
	return nil
}

// sqliteWords are SQLite's names for the types in the migrations. A strict table refuses what is not of its column's type, as PostgreSQL does.
func sqliteWords() *strings.Replacer {
	return strings.NewReplacer("BYTES", "BLOB", "SERIAL", "INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT", "INTEGER", "\n);", "\n) STRICT;")
}

// migrate brings the schema up to date, each step in a transaction of its own that other processes wait for.
func (s *sqliteEngine) migrate(ctx context.Context) error {
	steps := migrations(sqliteWords())
	for {
		if ctx.Err() != nil {
			return gaveUp(ctx)
		}
		todo, err := s.lacking(steps)
		if err != nil || len(todo) == 0 {
			return err
		}
		if err := s.writer.run(sqliteBegin); err != nil {
			return err
		}
		if err := s.step(steps); err != nil {
			s.writer.run(sqliteRollback)
			return err
		}
		if err := s.writer.commit(); err != nil {
			s.writer.run(sqliteRollback)
			return err
		}
	}
}

func (s *sqliteEngine) lacking(steps []migration) ([]migration, error) {
	rows, err := s.writer.query(readMigration, nil, 1)
	if err != nil {
		return nil, err
	}
	have, _ := rows[0][0].(int64)
	return due(steps, have)
}

// step does the first step that is lacking, read again now that nobody else can write.
func (s *sqliteEngine) step(steps []migration) error {
	todo, err := s.lacking(steps)
	if err != nil || len(todo) == 0 {
		return err
	}
	m := todo[0]
	if err := s.writer.script(m.text); err != nil {
		return fmt.Errorf("migration %d %s: %w", m.number, m.name, err)
	}
	_, err = s.writer.exec(recordMigration, []any{m.number, m.name, Micros(s.db.now())})
	return err
}

// createSQLite makes a whole new database and puts it in its place; false when somebody else was first.
func createSQLite(ctx context.Context, path string, db *DB) (bool, error) {
	for _, left := range []string{path + "-wal", path + "-journal"} {
		if _, err := os.Stat(left); err == nil {
			if _, err := os.Stat(path); err == nil { // somebody else was first, and is at work already
				return false, nil
			}
			return false, fmt.Errorf("%w: the file is missing, but %s is there; restore it, or remove that too to begin anew", ErrDamaged, left)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return false, err
	}
	f.Close()
	draft := f.Name()
	defer func() {
		for _, end := range []string{"", "-wal", "-shm"} {
			os.Remove(draft + end)
		}
	}()
	s := newSQLite(db, draft)
	if s.writer, err = openSQLiteConn(draft, true); err != nil {
		return false, err
	}
	if err = s.writer.script(makeMigration); err == nil {
		err = s.migrate(ctx)
	}
	if e := s.writer.close(); err == nil { // the last connection writes all into the file itself and syncs it
		err = e
	}
	if err != nil {
		return false, err
	}
	if err := os.Link(draft, path); errors.Is(err, os.ErrExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
