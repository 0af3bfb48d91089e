package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The statements that frame a transaction.
const (
	sqliteBegin     = "BEGIN IMMEDIATE"
	sqliteSnapshot  = "BEGIN"
	sqliteSavepoint = "SAVEPOINT job"
	sqliteRelease   = "RELEASE job"
	sqliteUndo      = "ROLLBACK TO job"
	sqliteCommit    = "COMMIT"
	sqliteRollback  = "ROLLBACK"
)

// statementLimit bounds the prepared statements a connection keeps. Rooms have far fewer texts.
const statementLimit = 256

// sqliteConn is one connection, used by one goroutine at a time. It speaks to the driver without database/sql, whose locking and
// bookkeeping cost about as much as a small statement itself.
type sqliteConn struct {
	conn   driver.Conn
	kept   map[string]sqliteStatement
	named  []driver.NamedValue // reused, as are the
	values []driver.Value      // of one row
	used   time.Time           // when it was given back, for readers
}

type sqliteStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// openSQLiteConn opens the file, which must exist. synchronous=FULL makes a commit wait for the disk.
func openSQLiteConn(path string, writer bool) (*sqliteConn, error) {
	mode, pragmas := "ro", []string{"query_only=1", "cache_size=-512"}
	if writer {
		mode, pragmas = "rw", []string{"journal_mode=WAL", "synchronous=FULL", "foreign_keys=1", "cache_size=-2048"}
	}
	connector, err := sqlite.NewConnector(sqliteURL(path, mode) + "&_error_rc=1&_dqs=0")
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(context.Background())
	if err != nil {
		return nil, sqliteError(err)
	}
	c := &sqliteConn{conn: conn, kept: map[string]sqliteStatement{}}
	for _, p := range append([]string{"busy_timeout=5000", "temp_store=MEMORY", "trusted_schema=0"}, pragmas...) {
		if err := c.script("PRAGMA " + p); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *sqliteConn) close() error {
	for _, s := range c.kept {
		s.Close()
	}
	c.kept = nil
	return sqliteError(c.conn.Close())
}

// prepare gives the statement for a text, prepared once.
func (c *sqliteConn) prepare(query string) (sqliteStatement, error) {
	if s, ok := c.kept[query]; ok {
		return s, nil
	}
	made, err := c.conn.Prepare(query)
	if err != nil {
		return nil, sqliteError(err)
	}
	s, ok := made.(sqliteStatement)
	if !ok {
		return nil, errors.New("store: the SQLite driver has changed")
	}
	if len(c.kept) >= statementLimit {
		for text, old := range c.kept {
			old.Close()
			delete(c.kept, text)
			break
		}
	}
	c.kept[query] = s
	return s, nil
}

func (c *sqliteConn) arguments(args []any) []driver.NamedValue {
	c.named = c.named[:0]
	for i, a := range args {
		c.named = append(c.named, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.named
}

// run executes a statement without arguments.
func (c *sqliteConn) run(query string) error {
	_, err := c.exec(query, nil)
	return err
}

func (c *sqliteConn) exec(query string, args []any) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(context.Background(), c.arguments(args))
	if err != nil {
		return 0, sqliteError(err)
	}
	return result.RowsAffected()
}

func (c *sqliteConn) query(query string, args []any, most int) ([][]any, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(context.Background(), c.arguments(args))
	if err != nil {
		return nil, sqliteError(err)
	}
	defer rows.Close()
	width := len(rows.Columns())
	values := slices.Grow(c.values[:0], width)[:width]
	c.values = values
	var all [][]any
	for {
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, sqliteError(err)
		}
		if most > 0 && len(all) == most {
			return all, nil // one step past the last wanted, so that a writing statement has done all its work
		}
		row := make([]any, width)
		for i, v := range values {
			row[i] = v
		}
		all = append(all, row)
	}
}

// script runs a text that may be several statements and is not kept.
func (c *sqliteConn) script(text string) error {
	_, err := c.conn.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return sqliteError(err)
}

// commit ends the transaction on the disk.
func (c *sqliteConn) commit() error {
	err := c.run(sqliteCommit)
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_IOERR {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return err
}

// isBusy reports that another process holds the lock.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// sqliteError says what an error of the driver means to a room.
func sqliteError(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrDamaged, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
