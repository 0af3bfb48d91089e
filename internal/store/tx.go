package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Tx is one transaction of one tenant. It ends with the function it was given to and belongs to that function's goroutine.
//
// SQL must run unchanged on both engines: parameters are $1, $2 and so on, times are BIGINT microseconds, flags are BIGINT 0 or 1.
// $1 is the tenant and is bound already: the first argument is $2. Every table a statement names must be tied to it by "tenant = $1",
// and an OR stands in parentheses; otherwise the statement is refused. Arguments may be strings, integers, floats, bools (bound as 0 or 1)
// and bytes, named types of those, time.Time (bound as Micros) and nil. A text that holds a NUL or is not UTF-8 is refused.
type Tx interface {
	// Exec runs a statement and returns how many rows it touched. ErrExists: a unique key is taken.
	Exec(query string, args ...any) (int64, error)
	// Row runs a query of which the first row is wanted.
	Row(query string, args ...any) Row
	// Rows runs a query and reads its rows before it returns, so other statements may run while they are walked. Bound them with LIMIT.
	Rows(query string, args ...any) (Rows, error)
	// Now is the time the transaction began; it stands still.
	Now() time.Time
	// Tenant is the tenant's name, $1 of every statement.
	Tenant() string
	// Locking is appended to a SELECT whose rows are going to be changed: " FOR UPDATE" on PostgreSQL, "" on SQLite and when reading.
	Locking() string
	// After has f called once the commit is on disk, in the caller's goroutine; never when the transaction fails.
	After(f func())
}

// Row is the answer of a query for one row.
type Row interface {
	// Scan fills the destinations: pointers to the types Tx takes as arguments, or pointers to pointers for what may be NULL.
	// ErrNotFound: there was no row.
	Scan(dest ...any) error
}

// Rows are the answers of a query, read already. Close may be left out.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// transaction is the Tx of both engines.
type transaction struct {
	ctx     context.Context
	db      *DB
	link    link
	tenant  string // empty: the store's own work on all tenants
	now     time.Time
	reading bool
	over    bool
	err     error // of the statement that failed the transaction
	undo    []func()
	after   []func()
}

// run calls f and tells how the transaction should end.
func (t *transaction) run(f func(Tx) error) error {
	defer func() { t.over = true }()
	if err := f(t); err != nil {
		return err
	}
	if t.err != nil {
		return t.err
	}
	if t.ctx.Err() != nil {
		return gaveUp(t.ctx)
	}
	return nil
}

// undone puts back what a transaction that failed had changed in memory.
func (t *transaction) undone() {
	for i := len(t.undo) - 1; i >= 0; i-- {
		t.undo[i]()
	}
	t.undo = nil
}

// finished does what was to be done after the end of a transaction that went well.
func (t *transaction) finished() {
	for _, f := range t.after {
		f()
	}
}

func (t *transaction) Now() time.Time { return t.now }
func (t *transaction) Tenant() string { return t.tenant }
func (t *transaction) After(f func()) { t.after = append(t.after, f) }

func (t *transaction) Locking() string {
	if t.reading {
		return ""
	}
	return t.db.engine.locking()
}

func (t *transaction) Exec(query string, args ...any) (int64, error) {
	if t.reading {
		return 0, fmt.Errorf("store: a reader cannot run %q", query)
	}
	values, err := t.prepare("exec", query, args)
	if err != nil {
		return 0, err
	}
	n, err := t.link.exec(query, values)
	return n, t.fail(err)
}

func (t *transaction) Row(query string, args ...any) Row {
	rows, err := t.query(query, args, 1)
	return row{rows, err}
}

func (t *transaction) Rows(query string, args ...any) (Rows, error) {
	rows, err := t.query(query, args, 0)
	if err != nil {
		return nil, err
	}
	return &list{rows: rows}, nil
}

func (t *transaction) query(query string, args []any, most int) ([][]any, error) {
	values, err := t.prepare("query", query, args)
	if err != nil {
		return nil, err
	}
	rows, err := t.link.query(query, values, most)
	return rows, t.fail(err)
}

// prepare checks that the statement may run now and gives its arguments, the tenant in front.
func (t *transaction) prepare(op, query string, args []any) ([]any, error) {
	if t.over {
		return nil, errOver
	}
	if t.err != nil {
		return nil, fmt.Errorf("store: a statement of this transaction has failed: %w", t.err)
	}
	if t.ctx.Err() != nil {
		return nil, t.fail(gaveUp(t.ctx))
	}
	var values []any
	if t.tenant != "" {
		if err := t.db.checkStatement(query, len(args), t.reading); err != nil {
			return nil, t.fail(err)
		}
		values = append(make([]any, 0, len(args)+1), t.tenant)
	}
	for i, arg := range args {
		v, err := value(arg)
		if err != nil {
			return nil, t.fail(fmt.Errorf("store: argument $%d of %q: %w", i+2, query, err))
		}
		values = append(values, v)
	}
	if err := t.db.check(op); err != nil {
		return nil, t.fail(err)
	}
	return values, nil
}

// fail remembers the first error of a statement: from there on both engines refuse all others, as PostgreSQL does.
func (t *transaction) fail(err error) error {
	if err != nil && t.err == nil {
		t.err = err
	}
	return err
}

// row is the Row of both engines.
type row struct {
	rows [][]any
	err  error
}

func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	if len(r.rows) == 0 {
		return ErrNotFound
	}
	return scan(r.rows[0], dest)
}

// list is the Rows of both engines.
type list struct {
	rows [][]any
	next int
}

func (l *list) Next() bool {
	if l.next >= len(l.rows) {
		l.next = len(l.rows) + 1
		return false
	}
	l.next++
	return true
}

func (l *list) Scan(dest ...any) error {
	if l.next == 0 || l.next > len(l.rows) {
		return errors.New("store: Scan without a row")
	}
	return scan(l.rows[l.next-1], dest)
}

func (l *list) Err() error { return nil }

func (l *list) Close() error {
	l.next = len(l.rows) + 1
	return nil
}
