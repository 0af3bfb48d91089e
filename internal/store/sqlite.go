package store

import (
	"context"
	"fmt"
	"net/url"
	"runtime"
	"sync"
	"time"
)

// Connections to SQLite are few, since each has a page cache of its own: one writer and at most this many readers, opened when needed.
const sqliteReaders = 4

// sqliteEngine is the engine for one machine: a file in WAL mode.
//
// There is one writing connection. It is handed from caller to caller like a baton, and each runs its work on it in its own goroutine,
// within a savepoint of its own, while the transaction stays open. The last in the row commits for all of them, and those who arrive
// while the disk is busy with that form the next group. So a lone writer pays one fsync, and many writers share one.
type sqliteEngine struct {
	db      *DB
	path    string
	writer  *sqliteConn
	group   *group // the open transaction; belongs to whoever holds the baton
	baton   baton
	readers readers
	closing sync.Once

	patience time.Duration
	wanted   time.Time // since when another process has kept the lock from us; zero: it does not, or nobody here waits
	busy     bool      // whether somebody waited when the last transaction ended
	since    time.Time // how long that has been so
}

// group is a transaction that several callers share.
type group struct {
	jobs int           // how many have done their work in it
	done chan struct{} // closed when it has ended
	err  error         // how; read after done
}

// groupLimit bounds how many share a commit, so that the first does not wait for ever.
const groupLimit = 128

func newSQLite(db *DB, path string) *sqliteEngine {
	s := &sqliteEngine{db: db, path: path, patience: sqlitePatience}
	s.baton.laid = func() { s.wanted = time.Time{} }
	return s
}

func (s *sqliteEngine) write(ctx context.Context, f func(link) error) error {
	if err := s.baton.take(ctx, s.pass); err != nil {
		return err
	}
	g, err := s.job(ctx, f)
	if err != nil {
		return err
	}
	<-g.done
	return g.err
}

// job runs f in the open group, or a new one, and hands the baton on. It needs the baton.
func (s *sqliteEngine) job(ctx context.Context, f func(link) error) (*group, error) {
	if s.group == nil {
		if err := s.begin(ctx); err != nil {
			if ctx.Err() == nil {
				s.baton.refuse(err) // what is in our way is in theirs
			}
			s.pass()
			return nil, err
		}
	}
	g := s.group
	shared := g.jobs > 0 // the first needs no savepoint: undoing it is undoing all
	finished := false
	defer func() {
		if !finished { // f panicked, or its goroutine is ending
			s.undo(shared)
		}
		s.pass()
	}()
	var err error
	if shared {
		err = faulty(s.writer.run(sqliteSavepoint))
	}
	if err == nil {
		if err = f(s.writer); err == nil && shared {
			err = faulty(s.writer.run(sqliteRelease))
		}
	}
	finished = true
	if err != nil {
		s.undo(shared)
		return nil, err
	}
	g.jobs++
	return g, nil
}

func (s *sqliteEngine) begin(ctx context.Context) error {
	if err := s.db.check("begin"); err != nil {
		return err
	}
	if err := faulty(s.lock(ctx)); err != nil {
		return err
	}
	s.group = &group{done: make(chan struct{})}
	return nil
}

// How processes share the file. SQLite's own waiting sleeps up to 100 ms at a time, so that a process which writes without a pause shuts
// all others out. Asking every millisecond or so finds the short gaps between its transactions, and a process that has been at it for a
// while leaves one.
const (
	sqlitePatience = 4 * time.Second        // for a lock that another process holds
	sqliteAgain    = time.Millisecond       // between two tries, on average
	sqliteStint    = 100 * time.Millisecond // of writing without a pause
	sqlitePause    = 2 * time.Millisecond
)

// lock begins a transaction that may write. A caller who leaves hands the waiting on, and whoever goes on with it waits for the rest of the
// time.
func (s *sqliteEngine) lock(ctx context.Context) error {
	now := time.Now()
	if s.wanted.IsZero() {
		s.wanted = now
	}
	if now.Sub(s.since) > sqliteStint {
		if s.busy {
			time.Sleep(sqlitePause)
		}
		s.since = now
	}
	for end := s.wanted.Add(s.patience); ; {
		err := s.writer.run(sqliteBegin)
		if err == nil || !isBusy(err) || !time.Now().Before(end) {
			s.wanted = time.Time{}
			return err
		}
		if ctx.Err() != nil {
			return gaveUp(ctx)
		}
		time.Sleep(time.Duration(time.Now().UnixNano()) % (2 * sqliteAgain)) // uneven, so as not to keep step with the other
	}
}

// undo takes back what one job did. When even that fails, as when the disk was full and SQLite gave up the whole transaction,
// all who shared it fail.
func (s *sqliteEngine) undo(shared bool) {
	if !shared {
		s.writer.run(sqliteRollback) // it may be gone already
		s.group = nil
		return
	}
	err := s.writer.run(sqliteUndo)
	if err == nil {
		err = s.writer.run(sqliteRelease)
	}
	if err != nil {
		s.writer.run(sqliteRollback)
		s.end(fmt.Errorf("%w: the shared transaction was lost: %w", ErrUnavailable, err))
	}
}

// pass hands the baton to the next in the row, who goes on in the same group. When there is none, or the group is full, it commits first,
// but not before those goroutines had their turn that are ready to run and may be about to write: their work then shares the commit.
func (s *sqliteEngine) pass() {
	if s.group != nil && !s.baton.waited() {
		runtime.Gosched()
	}
	for !s.baton.pass(s.group == nil || s.group.jobs < groupLimit, s.group == nil) {
		s.commit()
		s.busy = s.baton.waited()
	}
}

func (s *sqliteEngine) commit() {
	err := s.db.check("commit")
	if err == nil {
		err = faulty(s.writer.commit())
	}
	if err != nil {
		s.writer.run(sqliteRollback)
	} else {
		s.db.count.commits.Add(1)
		if s.group.jobs > 1 {
			s.db.count.shared.Add(int64(s.group.jobs))
		}
	}
	s.end(err)
}

// end tells all of the group how it ended.
func (s *sqliteEngine) end(err error) {
	s.group.err = err
	close(s.group.done)
	s.group = nil
}

func (s *sqliteEngine) read(ctx context.Context, f func(link) error) error {
	if err := s.db.check("begin"); err != nil {
		return err
	}
	c, err := s.readers.take(ctx, s.openReader)
	if err != nil {
		return err
	}
	defer s.readers.give(c)
	if err := c.run(sqliteSnapshot); err != nil {
		return err
	}
	defer c.run(sqliteRollback)
	return f(c)
}

func (s *sqliteEngine) ping(ctx context.Context) error {
	return s.read(ctx, func(l link) error {
		_, err := l.query(readMigration, nil, 1)
		return err
	})
}

func (s *sqliteEngine) clock(context.Context) (time.Time, error) { return time.Time{}, nil }

func (s *sqliteEngine) close() (err error) {
	s.closing.Do(func() {
		s.readers.close()
		if s.baton.take(context.Background(), s.pass) == nil {
			if s.group != nil {
				s.commit()
			}
			s.baton.close()
			err = s.writer.close()
		}
	})
	return err
}

func (s *sqliteEngine) locking() string  { return "" }
func (s *sqliteEngine) skipping() string { return "" }

func (s *sqliteEngine) openReader() (*sqliteConn, error) { return openSQLiteConn(s.path, false) }

// sqliteURL names a file so that no character in its path is taken for an option.
func sqliteURL(path, mode string) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "mode=" + mode}).String()
}

// loading: the driver's time to bind parameters grows with the square of their number.
func (s *sqliteEngine) loading() (string, int) { return "", 1 }
func (s *sqliteEngine) loaded(link) error      { return nil } // SQLite goes on from the greatest number

// snapshot reads on a connection of its own, so that requests keep theirs.
func (s *sqliteEngine) snapshot(ctx context.Context, f func(link) error) error {
	if err := s.db.check("begin"); err != nil {
		return err
	}
	c, err := s.openReader()
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.run(sqliteSnapshot); err != nil {
		return err
	}
	defer c.run(sqliteRollback)
	return f(c)
}

func (s *sqliteEngine) indexes(l link) ([]index, error) {
	rows, err := l.query("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name", nil, 0)
	return indexesOf(rows), err
}

// bulk writes on a connection of its own, with more cache than requests need, and files for what it sorts: that may be more than there is memory.
func (s *sqliteEngine) bulk(_ context.Context, f func(link) error) error {
	if err := s.db.check("begin"); err != nil {
		return err
	}
	c, err := openSQLiteConn(s.path, true)
	if err != nil {
		return err
	}
	defer c.close()
	for _, text := range []string{"PRAGMA cache_size=-65536", "PRAGMA temp_store=FILE", sqliteBegin} {
		if err := c.script(text); err != nil {
			return faulty(err)
		}
	}
	if err := f(c); err != nil {
		c.run(sqliteRollback)
		return err
	}
	if err = s.db.check("commit"); err == nil {
		err = faulty(c.commit())
	}
	if err != nil {
		c.run(sqliteRollback)
	}
	return err
}
