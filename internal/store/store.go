// Package store keeps everything Sparekey remembers, in SQLite or in PostgreSQL.
//
// It owns the two engines, transactions, shelves, migrations and sweeping. It never knows what a record means.
//
// A room gets a Handle, which is bound to one tenant. Every statement carries that tenant as its parameter $1, and a statement
// without it is refused, so that a room cannot reach the records of another tenant even by mistake.
//
// What expires lies on a Shelf: a whole record, fetched by key, owned by a user, with an end. What lasts has a table of its own.
// A Write returns only after its commit is on disk.
package store

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Options of a store. The zero value is good.
type Options struct {
	Now    func() time.Time // the clock; time.Now when nil
	Logger *slog.Logger     // nil: silent
	// Fault is for tests: it is called before each storage call with "begin", "exec", "query" or "commit",
	// and an error it returns becomes the error of that call, as ErrUnavailable. Calls come from many goroutines.
	Fault func(op string) error
	// Seen is for tests: it is called with the text of each statement before it is run. Calls come from many goroutines.
	Seen func(query string)
}

// DB is an open store. It is safe for concurrent use.
type DB struct {
	engine engine
	now    func() time.Time
	log    *slog.Logger
	fault  func(op string) error
	fresh  bool
	count  counters

	statements sync.Map // text -> *statement: what was found out about it, since rooms run the same few texts for ever
}

// counters are what Stats tells.
type counters struct {
	writes, reads, commits, shared, retries, failures, swept atomic.Int64
}

// engine is one database product. write runs f in a durable transaction and read in a read-only one.
type engine interface {
	write(ctx context.Context, f func(link) error) error
	read(ctx context.Context, f func(link) error) error
	ping(ctx context.Context) error
	clock(ctx context.Context) (time.Time, error) // the database's own; zero: it has none
	close() error
	snapshot(ctx context.Context, f func(link) error) error // all that f reads is of one moment, however long it takes
	bulk(ctx context.Context, f func(link) error) error     // write without a limit on its time
	indexes(link) ([]index, error)                          // those that are no keys
	loaded(link) error                                      // after rows brought their own serial numbers
	loading() (override string, rows int)                   // what lets them, before VALUES, and how many rows one statement takes best
	locking() string                                        // the suffix that locks the rows a SELECT finds
	skipping() string                                       // the same, but passing by rows that others hold
}

// link is a connection within a transaction. Arguments are int64, float64, string, []byte or nil; values may be bool too.
// Errors come back translated.
type link interface {
	exec(query string, args []any) (int64, error)
	query(query string, args []any, most int) ([][]any, error) // most: how many rows are wanted, 0 for all
}

// Open opens the store at url, "sqlite:PATH" or "postgres://…", makes the schema in a new one and brings an older one up to date.
// It refuses a database of a newer version (ErrNewer), one that is damaged (ErrDamaged) and one that holds something else.
// It never replaces a file that is there.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	db := &DB{now: o.Now, log: o.Logger, fault: o.Fault}
	if db.now == nil {
		db.now = time.Now
	}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if err := CheckURL(url); err != nil {
		return nil, err
	}
	if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
		db.engine, db.fresh, err = openSQLite(ctx, file, db)
	} else {
		db.engine, db.fresh, err = openPostgres(ctx, url, db)
	}
	if err != nil {
		return nil, err
	}
	if o.Seen != nil {
		db.engine = watched{db.engine, o.Seen}
	}
	return db, nil
}

// CheckURL says what is wrong with a store's url, without opening anything and without repeating a password.
func CheckURL(url string) error {
	file, sqlite := strings.CutPrefix(url, "sqlite:")
	switch {
	case sqlite && file == "":
		return errors.New("a path is missing after sqlite:")
	case sqlite:
		return nil
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		_, err := pgxpool.ParseConfig(url)
		return err // pgx leaves the password out
	}
	return errors.New("must begin with sqlite: or postgres://") // what was given may hold a password
}

// Fresh reports whether this Open made the schema. Then, and only then, a key ring may be made.
func (db *DB) Fresh() bool { return db.fresh }

// Close ends the store. Writes under way are finished first; later calls fail with ErrUnavailable.
func (db *DB) Close() error { return db.engine.close() }

// Ping reports whether the store answers.
func (db *DB) Ping(ctx context.Context) error { return db.engine.ping(ctx) }

// Ahead is how far this process's clock is ahead of the database's, or behind it when that is negative, as far as it is certain while the
// question was under way. SQLite has no clock of its own.
func (db *DB) Ahead(ctx context.Context) (time.Duration, error) {
	before := db.now()
	theirs, err := db.engine.clock(ctx)
	after := db.now()
	switch {
	case err != nil:
		return 0, db.failed(err)
	case theirs.IsZero():
		return 0, nil
	case theirs.Before(before):
		return before.Sub(theirs), nil
	case theirs.After(after):
		return after.Sub(theirs), nil
	}
	return 0, nil
}

// Stats counts since Open: writes and reads asked for, commits made, writes that shared a commit with another,
// transactions run again after a conflict, calls that failed for want of the database, and records swept.
func (db *DB) Stats() map[string]int64 {
	return map[string]int64{
		"writes": db.count.writes.Load(), "reads": db.count.reads.Load(),
		"commits": db.count.commits.Load(), "shared": db.count.shared.Load(),
		"retries": db.count.retries.Load(), "failures": db.count.failures.Load(),
		"swept": db.count.swept.Load(),
	}
}

// check asks the fault hook.
func (db *DB) check(op string) error {
	if db.fault == nil {
		return nil
	}
	return faulty(db.fault(op))
}

// Tenant gives the handle of one tenant. Nothing is read or made: a tenant is a name in the records.
func (db *DB) Tenant(name string) *Handle {
	if name == "" {
		panic("store: a tenant needs a name")
	}
	return &Handle{db: db, tenant: name}
}

// Installation stands where a tenant's name does in what belongs to none of them. No configuration can give a tenant that name.
const Installation = "*"

// Handle is the store as one tenant sees it. It is safe for concurrent use.
type Handle struct {
	db     *DB
	tenant string
}

// Name is the tenant's.
func (h *Handle) Name() string { return h.tenant }

// Now is the store's clock.
func (h *Handle) Now() time.Time { return h.db.now() }

// Write runs f in one transaction and returns only after its commit is on disk. An error of f undoes what it did and is returned.
// A statement that failed fails the transaction, even if f goes on. f runs in the caller's goroutine. On PostgreSQL it may run again,
// up to five times, after a conflict with another transaction, so it must leave no trace in memory when it fails. f must not sleep,
// hash, sign, talk to a network, or call Write: on SQLite all writers wait for it.
func (h *Handle) Write(ctx context.Context, f func(Tx) error) error {
	h.db.count.writes.Add(1)
	return h.db.write(ctx, h.tenant, f)
}

// Read runs f on a snapshot (SQLite) or statement by statement (PostgreSQL). f cannot write.
func (h *Handle) Read(ctx context.Context, f func(Tx) error) error {
	db := h.db
	db.count.reads.Add(1)
	var t *transaction
	err := db.engine.read(ctx, func(l link) error {
		t = &transaction{ctx: ctx, db: db, link: l, tenant: h.tenant, now: db.now(), reading: true}
		return t.run(f)
	})
	if err != nil {
		return db.failed(err)
	}
	t.finished()
	return nil
}

// write is Write for a tenant, or for all of them when the name is empty.
func (db *DB) write(ctx context.Context, tenant string, f func(Tx) error) error {
	var t *transaction
	done := false
	defer func() {
		if !done && t != nil {
			t.undone()
		}
	}()
	err := db.engine.write(ctx, func(l link) error {
		if t != nil {
			t.undone()
		}
		t = &transaction{ctx: ctx, db: db, link: l, tenant: tenant, now: db.now()}
		return t.run(f)
	})
	if err != nil {
		return db.failed(err)
	}
	done = true
	t.finished()
	return nil
}

// failed counts what went wrong for want of the database.
func (db *DB) failed(err error) error {
	if errors.Is(err, ErrUnavailable) {
		db.count.failures.Add(1)
	}
	return err
}
