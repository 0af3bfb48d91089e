package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"modernc.org/libc"
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

// sqliteConn is one connection, used by one goroutine at a time. It calls SQLite's own interface (https://sqlite.org/c3ref/intro.html), without
// what database/sql and its driver do for every statement: asking for the names of parameters and columns, locking, allocating.
type sqliteConn struct {
	tls    *libc.TLS
	db     uintptr
	kept   map[string]*sqliteStatement
	bound  sqliteMemory // what the parameters of the statement that runs point to
	places uintptr      // for what a call gives back, or is given besides
	used   time.Time    // when it was given back, for readers
}

// sqliteStatement is a prepared statement.
type sqliteStatement struct {
	at      uintptr
	params  []int // the place among the arguments, from 0, of each; SQLite numbers them as they come in the text
	columns int32
}

// sqliteMemory is memory that SQLite may read while a statement runs. Go's own is none of it.
type sqliteMemory struct {
	at         uintptr
	size, used int
}

// sqlitePlaces is how much: two pointers.
const sqlitePlaces = 16

// openSQLiteConn opens the file, which must exist. synchronous=FULL makes a commit wait for the disk.
func openSQLiteConn(path string, writer bool) (*sqliteConn, error) {
	mode, pragmas := "ro", []string{"query_only=1", "cache_size=-512"}
	flags := int32(sqlite3.SQLITE_OPEN_READONLY)
	if writer {
		mode, pragmas = "rw", []string{"journal_mode=WAL", "synchronous=FULL", "foreign_keys=1", "cache_size=-2048"}
		flags = sqlite3.SQLITE_OPEN_READWRITE
	}
	c := &sqliteConn{tls: libc.NewTLS(), kept: map[string]*sqliteStatement{}}
	if err := c.open(sqliteURL(path, mode), flags); err != nil {
		c.close()
		return nil, err
	}
	for _, p := range append([]string{"busy_timeout=5000", "temp_store=MEMORY", "trusted_schema=0"}, pragmas...) {
		if err := c.script("PRAGMA " + p); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// open needs no lock of SQLite's around the connection: it has one user at a time.
func (c *sqliteConn) open(url string, flags int32) error {
	if c.places = sqlite3.Xsqlite3_malloc64(c.tls, sqlitePlaces); c.places == 0 {
		return c.fault(sqlite3.SQLITE_NOMEM)
	}
	name, err := libc.CString(url)
	if err != nil {
		return c.fault(sqlite3.SQLITE_NOMEM)
	}
	defer libc.Xfree(c.tls, name)
	rc := sqlite3.Xsqlite3_open_v2(c.tls, name, c.places, flags|sqlite3.SQLITE_OPEN_URI|sqlite3.SQLITE_OPEN_NOMUTEX, 0)
	c.db = c.place()
	if rc != sqlite3.SQLITE_OK {
		return c.fault(rc)
	}
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	for _, option := range []int32{sqlite3.SQLITE_DBCONFIG_DQS_DML, sqlite3.SQLITE_DBCONFIG_DQS_DDL} { // "text" is never a string
		if rc := sqlite3.Xsqlite3_db_config(c.tls, c.db, option, libc.VaList(c.places, int32(0), uintptr(0))); rc != sqlite3.SQLITE_OK {
			return c.fault(rc)
		}
	}
	return nil
}

// place is the pointer that a call gave back.
func (c *sqliteConn) place() uintptr {
	return *(*uintptr)(unsafe.Pointer(unsafe.SliceData(libc.GoBytes(c.places, sqlitePlaces))))
}

func (c *sqliteConn) close() error {
	for _, s := range c.kept {
		sqlite3.Xsqlite3_finalize(c.tls, s.at)
	}
	c.kept = nil
	var err error
	if rc := sqlite3.Xsqlite3_close_v2(c.tls, c.db); rc != sqlite3.SQLITE_OK {
		err = c.fault(rc)
	}
	sqlite3.Xsqlite3_free(c.tls, c.bound.at)
	sqlite3.Xsqlite3_free(c.tls, c.places)
	c.tls.Close()
	return err
}

// prepare gives the statement for a text, prepared once.
func (c *sqliteConn) prepare(query string) (*sqliteStatement, error) {
	if s, ok := c.kept[query]; ok {
		return s, nil
	}
	text, err := libc.CString(query)
	if err != nil {
		return nil, c.fault(sqlite3.SQLITE_NOMEM)
	}
	defer libc.Xfree(c.tls, text)
	rc := sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, text, int32(len(query)+1), sqlite3.SQLITE_PREPARE_PERSISTENT, c.places, 0)
	if rc != sqlite3.SQLITE_OK {
		return nil, c.fault(rc)
	}
	s := &sqliteStatement{at: c.place()}
	if s.at == 0 {
		return nil, errors.New("store: a statement that is empty")
	}
	for n := int32(1); n <= sqlite3.Xsqlite3_bind_parameter_count(c.tls, s.at); n++ {
		place, err := strconv.Atoi(strings.TrimPrefix(libc.GoString(sqlite3.Xsqlite3_bind_parameter_name(c.tls, s.at, n)), "$"))
		if err != nil || place < 1 {
			sqlite3.Xsqlite3_finalize(c.tls, s.at)
			return nil, fmt.Errorf("store: a parameter that is not $1, $2 and so on: %q", query)
		}
		s.params = append(s.params, place-1)
	}
	s.columns = sqlite3.Xsqlite3_column_count(c.tls, s.at)
	if len(c.kept) >= statementLimit {
		for text, old := range c.kept {
			sqlite3.Xsqlite3_finalize(c.tls, old.at)
			delete(c.kept, text)
			break
		}
	}
	c.kept[query] = s
	return s, nil
}

// bind gives the statement its arguments. Texts and bytes are copied to where SQLite reads them until the statement is bound anew.
func (c *sqliteConn) bind(s *sqliteStatement, args []any) error {
	size := 0
	for _, place := range s.params {
		if place >= len(args) {
			return fmt.Errorf("store: no argument for $%d", place+1)
		}
		switch v := args[place].(type) {
		case string:
			size += len(v)
		case []byte:
			size += len(v)
		}
	}
	if err := c.room(size); err != nil {
		return err
	}
	for i, place := range s.params {
		n, rc := int32(i+1), int32(sqlite3.SQLITE_OK)
		switch v := args[place].(type) {
		case nil:
			rc = sqlite3.Xsqlite3_bind_null(c.tls, s.at, n)
		case int64:
			rc = sqlite3.Xsqlite3_bind_int64(c.tls, s.at, n, v)
		case float64:
			rc = sqlite3.Xsqlite3_bind_double(c.tls, s.at, n, v)
		case string:
			at, to := c.bound.take(len(v))
			copy(to, v)
			rc = sqlite3.Xsqlite3_bind_text64(c.tls, s.at, n, at, uint64(len(v)), sqliteStatic, sqlite3.SQLITE_UTF8)
		case []byte:
			at, to := c.bound.take(len(v))
			copy(to, v)
			rc = sqlite3.Xsqlite3_bind_blob64(c.tls, s.at, n, at, uint64(len(v)), sqliteStatic)
		default:
			return fmt.Errorf("store: argument $%d: type %T cannot be stored", place+1, v)
		}
		if rc != sqlite3.SQLITE_OK {
			return c.fault(rc)
		}
	}
	return nil
}

// sqliteStatic tells SQLite to leave the memory of an argument alone.
const sqliteStatic = 0

// boundRest is how much memory for arguments a connection keeps between statements.
const boundRest = 64 << 10

// room makes the memory for arguments large enough, and empty.
func (c *sqliteConn) room(size int) error {
	m := &c.bound
	m.used = 0
	if size++; size <= m.size && (m.size <= boundRest || size > boundRest) {
		return nil
	}
	sqlite3.Xsqlite3_free(c.tls, m.at)
	m.size = max(size, 1<<10)
	if m.at = sqlite3.Xsqlite3_malloc64(c.tls, uint64(m.size)); m.at == 0 {
		m.size = 0
		return c.fault(sqlite3.SQLITE_NOMEM)
	}
	return nil
}

// take gives the next n bytes.
func (m *sqliteMemory) take(n int) (uintptr, []byte) {
	at := m.at + uintptr(m.used)
	m.used += n
	return at, libc.GoBytes(at, n)
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
	if err := c.bind(s, args); err != nil {
		return 0, err
	}
	rc := int32(sqlite3.SQLITE_ROW)
	for rc == sqlite3.SQLITE_ROW {
		rc = sqlite3.Xsqlite3_step(c.tls, s.at)
	}
	if rc != sqlite3.SQLITE_DONE {
		err = c.fault(rc)
	}
	sqlite3.Xsqlite3_reset(c.tls, s.at)
	if err != nil {
		return 0, err
	}
	return sqlite3.Xsqlite3_changes64(c.tls, c.db), nil
}

func (c *sqliteConn) query(query string, args []any, most int) ([][]any, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	if err := c.bind(s, args); err != nil {
		return nil, err
	}
	defer sqlite3.Xsqlite3_reset(c.tls, s.at)
	var all [][]any
	for {
		switch rc := sqlite3.Xsqlite3_step(c.tls, s.at); rc {
		case sqlite3.SQLITE_ROW:
		case sqlite3.SQLITE_DONE:
			return all, nil
		default:
			return nil, c.fault(rc)
		}
		if most > 0 && len(all) == most {
			return all, nil // one step past the last wanted, so that a writing statement has done all its work
		}
		row := make([]any, s.columns)
		for i := range row {
			row[i] = c.column(s, int32(i))
		}
		all = append(all, row)
	}
}

// column is a value of the row a statement is at, copied.
func (c *sqliteConn) column(s *sqliteStatement, i int32) any {
	switch sqlite3.Xsqlite3_column_type(c.tls, s.at, i) {
	case sqlite3.SQLITE_INTEGER:
		return sqlite3.Xsqlite3_column_int64(c.tls, s.at, i)
	case sqlite3.SQLITE_FLOAT:
		return sqlite3.Xsqlite3_column_double(c.tls, s.at, i)
	case sqlite3.SQLITE_TEXT:
		at := sqlite3.Xsqlite3_column_text(c.tls, s.at, i)
		return string(libc.GoBytes(at, int(sqlite3.Xsqlite3_column_bytes(c.tls, s.at, i))))
	case sqlite3.SQLITE_BLOB:
		at := sqlite3.Xsqlite3_column_blob(c.tls, s.at, i)
		return append([]byte{}, libc.GoBytes(at, int(sqlite3.Xsqlite3_column_bytes(c.tls, s.at, i)))...)
	}
	return nil
}

// script runs a text that may be several statements and is not kept.
func (c *sqliteConn) script(text string) error {
	at, err := libc.CString(text)
	if err != nil {
		return c.fault(sqlite3.SQLITE_NOMEM)
	}
	defer libc.Xfree(c.tls, at)
	if rc := sqlite3.Xsqlite3_exec(c.tls, c.db, at, 0, 0, 0); rc != sqlite3.SQLITE_OK {
		return c.fault(rc)
	}
	return nil
}

// commit ends the transaction on the disk.
func (c *sqliteConn) commit() error {
	err := c.run(sqliteCommit)
	var e *sqliteFault
	if errors.As(err, &e) && e.code&0xff == sqlite3.SQLITE_IOERR {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return err
}

// sqliteFault is an answer of SQLite that is none of success (https://sqlite.org/rescode.html).
type sqliteFault struct {
	code int32
	text string
}

func (e *sqliteFault) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.text, e.code) }

// isBusy reports that another process holds the lock.
func isBusy(err error) bool {
	var e *sqliteFault
	return errors.As(err, &e) && e.code&0xff == sqlite3.SQLITE_BUSY
}

// fault says what a result code means to a room. SQLite's own words are added when they are about the same.
func (c *sqliteConn) fault(rc int32) error {
	e := &sqliteFault{rc, libc.GoString(sqlite3.Xsqlite3_errstr(c.tls, rc))}
	if c.db != 0 && sqlite3.Xsqlite3_extended_errcode(c.tls, c.db)&0xff == rc&0xff {
		e.text = libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db))
	}
	switch rc {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%w: %w", ErrExists, e)
	}
	switch rc & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrDamaged, e)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return fmt.Errorf("%w: %w", ErrUnavailable, e)
	}
	return e
}
