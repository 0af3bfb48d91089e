package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// How long PostgreSQL is waited for. A caller should have its answer, good or bad, within about five seconds.
const (
	postgresPatience = 4 * time.Second  // for a connection of the pool, and for a lock
	postgresLimit    = 10 * time.Second // for a whole transaction, all its tries together
	postgresTries    = 5
)

// postgres is the engine for several nodes: a pool of connections, READ COMMITTED, statements prepared once a connection.
type postgres struct {
	db   *DB
	pool *pgxpool.Pool
}

func (p *postgres) write(ctx context.Context, f func(link) error) error {
	ctx, cancel := context.WithTimeout(ctx, postgresLimit)
	defer cancel()
	for try := 1; ; try++ {
		err := p.try(ctx, f)
		if err == nil {
			p.db.count.commits.Add(1)
			return nil
		}
		if try == postgresTries || ctx.Err() != nil || !collided(err) {
			return err
		}
		p.db.count.retries.Add(1)
	}
}

// try is one transaction from begin to commit.
func (p *postgres) try(ctx context.Context, f func(link) error) error {
	l, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	l.writing = true
	defer l.release() // after a panic too
	if err := f(l); err != nil {
		return err
	}
	if err := p.db.check("commit"); err != nil {
		return err
	}
	return l.commit()
}

func (p *postgres) read(ctx context.Context, f func(link) error) error {
	ctx, cancel := context.WithTimeout(ctx, postgresLimit)
	defer cancel()
	l, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer l.release()
	return f(l)
}

// acquire takes a connection from the pool.
func (p *postgres) acquire(ctx context.Context) (*postgresLink, error) {
	if err := p.db.check("begin"); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, postgresPatience)
	defer cancel()
	conn, err := p.pool.Acquire(waiting)
	if err != nil {
		if ctx.Err() != nil {
			return nil, gaveUp(ctx)
		}
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return &postgresLink{ctx: ctx, conn: conn}, nil
}

func (p *postgres) ping(ctx context.Context) error {
	return p.read(ctx, func(l link) error {
		_, err := l.query(readMigration, nil, 1)
		return err
	})
}

func (p *postgres) clock(ctx context.Context) (at time.Time, err error) {
	err = p.read(ctx, func(l link) error {
		rows, err := l.query("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", nil, 1)
		if err == nil {
			at = time.UnixMicro(rows[0][0].(int64))
		}
		return err
	})
	return at, err
}

func (p *postgres) close() error {
	p.pool.Close()
	return nil
}

func (p *postgres) locking() string  { return " FOR UPDATE" }
func (p *postgres) skipping() string { return " FOR UPDATE SKIP LOCKED" }

// postgresLink is a connection that serves one transaction. BEGIN travels together with the first statement.
type postgresLink struct {
	ctx     context.Context
	conn    *pgxpool.Conn
	writing bool
	begun   bool
}

const postgresBegin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE" // whatever the role's defaults are

func (l *postgresLink) exec(query string, args []any) (int64, error) {
	if l.writing && !l.begun {
		var n int64
		err := l.first(query, args, func(r pgx.BatchResults) error {
			tag, err := r.Exec()
			n = tag.RowsAffected()
			return err
		})
		return n, err
	}
	tag, err := l.conn.Exec(l.ctx, query, args...)
	return tag.RowsAffected(), l.translate(err)
}

func (l *postgresLink) query(query string, args []any, most int) (all [][]any, err error) {
	if l.writing && !l.begun {
		err := l.first(query, args, func(r pgx.BatchResults) error {
			rows, err := r.Query()
			if err == nil {
				all, err = readPostgres(rows, most)
			}
			return err
		})
		return all, err
	}
	rows, err := l.conn.Query(l.ctx, query, args...)
	if err == nil {
		all, err = readPostgres(rows, most)
	}
	return all, l.translate(err)
}

// first sends BEGIN and a statement in one message.
func (l *postgresLink) first(query string, args []any, read func(pgx.BatchResults) error) error {
	l.begun = true
	batch := &pgx.Batch{}
	batch.Queue(postgresBegin)
	batch.Queue(query, args...)
	results := l.conn.SendBatch(l.ctx, batch)
	_, err := results.Exec()
	if err == nil {
		err = read(results)
	}
	if e := results.Close(); err == nil {
		err = e
	}
	return l.translate(err)
}

// commit waits for the disk, and for a synchronous standby where there is one. When the answer is lost the outcome is unknown: the caller's context
// must not cause that. So it is when the server warns, as it does of what the standby has not got. The driver's SafeToRetry is not asked, since
// it calls a COMMIT safe to retry whose answer was cut off.
func (l *postgresLink) commit() error {
	if !l.begun {
		return nil
	}
	if l.conn.Conn().IsClosed() {
		return fmt.Errorf("%w: the connection was lost before COMMIT", ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), postgresPatience)
	defer cancel()
	line := lineOf(l.conn.Conn().PgConn())
	tag, err := line.commit(ctx, l.conn)
	var refusal *pgconn.PgError
	switch {
	case err == nil && line.warned.Load():
		l.begun = false
		return fmt.Errorf("%w: %w: PostgreSQL warns of a COMMIT it calls done", ErrUnavailable, ErrUnknown)
	case err == nil && tag.String() == "COMMIT":
		l.begun = false
		return nil
	case err == nil: // PostgreSQL answers ROLLBACK to the COMMIT of a failed transaction
		l.begun = false
		return fmt.Errorf("store: the transaction had failed: %s", tag)
	case errors.As(err, &refusal) && !vanished(refusal.Code):
		return l.translate(err)
	}
	return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrUnknown, err)
}

// release gives the connection back, rolled back if it is still in a transaction. The pool discards one that is not idle.
func (l *postgresLink) release() {
	if l.begun && !l.conn.Conn().IsClosed() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), time.Second)
		defer cancel()
		l.conn.Exec(ctx, "ROLLBACK")
	}
	l.conn.Release()
}

// translate says what an error means to a room.
func (l *postgresLink) translate(err error) error {
	if err != nil && l.ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", gaveUp(l.ctx), err)
	}
	if err != nil && l.conn.Conn().IsClosed() {
		if err := postgresError(err); errors.Is(err, ErrUnavailable) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return postgresError(err)
}

func (p *postgres) loading() (string, int) { return " OVERRIDING SYSTEM VALUE", 100 }

func (p *postgres) indexes(l link) ([]index, error) {
	rows, err := l.query(`SELECT i.indexname::text, i.indexdef FROM pg_indexes i WHERE i.schemaname = current_schema()
		AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname AND c.connamespace = current_schema()::regnamespace) ORDER BY i.indexname`, nil, 0)
	return indexesOf(rows), err
}

// loaded lets the numbers of the journal go on behind the greatest, and the planner know at once what there is.
func (p *postgres) loaded(l link) error {
	for _, t := range tables {
		if _, err := l.exec("ANALYZE "+t.Name, nil); err != nil {
			return err
		}
	}
	_, err := l.query("SELECT setval(pg_get_serial_sequence('journal', 'seq'), MAX(seq)) FROM journal", nil, 1)
	return err
}

// snapshot holds one connection of the pool, in a transaction that sees one moment.
func (p *postgres) snapshot(ctx context.Context, f func(link) error) error {
	return p.long(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", func(l *postgresLink) error { return f(l) })
}

func (p *postgres) bulk(ctx context.Context, f func(link) error) error {
	return p.long(ctx, postgresBegin, func(l *postgresLink) error {
		if err := f(l); err != nil {
			return err
		}
		if err := p.db.check("commit"); err != nil {
			return err
		}
		return l.commit()
	})
}

// long is a transaction without limits on its time.
func (p *postgres) long(ctx context.Context, begin string, f func(*postgresLink) error) error {
	l, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer l.release()
	for _, text := range []string{begin, "SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0"} {
		if _, err := l.conn.Exec(ctx, text); err != nil {
			return l.translate(err)
		}
		l.begun = true
	}
	return f(l)
}
