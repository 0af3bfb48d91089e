package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresConnections is how many a node opens at most, unless the URL says pool_max_conns.
const postgresConnections = 16

// openPostgres connects and brings the schema up to date. Several nodes may do so at once: one works, the others wait for it.
func openPostgres(ctx context.Context, url string, db *DB) (engine, bool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, false, err // pgx leaves the password out
	}
	if !strings.Contains(url, "pool_max_conns=") {
		config.MaxConns = postgresConnections
	}
	config.MaxConnIdleTime = 5 * time.Minute
	connection := config.ConnConfig
	where := &servers{}
	where.prepare(connection)
	where.pool(config)
	connection.StatementCacheCapacity = statementLimit
	for name, setting := range map[string]string{
		"application_name":                    "sparekey",
		"lock_timeout":                        "4s",
		"statement_timeout":                   "8s",
		"idle_in_transaction_session_timeout": "15s",
	} {
		if _, ok := connection.RuntimeParams[name]; !ok {
			connection.RuntimeParams[name] = setting
		}
	}
	p := &postgres{db: db}
	fresh, err := p.migrate(ctx, connection)
	if err != nil {
		return nil, false, fmt.Errorf("open database at %s: %w", connection.Host, err)
	}
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, false, fmt.Errorf("open database at %s: %w", connection.Host, err)
	}
	return p, fresh, nil
}

// migrate does the steps the schema lacks, on a connection of its own, and makes sure that a commit waits for the disk.
func (p *postgres) migrate(ctx context.Context, config *pgx.ConnConfig) (fresh bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var durable string
	if err := conn.QueryRow(ctx, "SHOW synchronous_commit").Scan(&durable); err != nil {
		return false, postgresError(err)
	}
	if durable == "off" {
		config.RuntimeParams["synchronous_commit"] = "on"
	}
	steps := migrations(postgresWords())
	if have, err := p.version(ctx, conn); err != nil {
		return false, err
	} else if todo, err := due(steps, have); err != nil || len(todo) == 0 {
		return false, err
	}
	for range len(steps) + 1 {
		step, err := p.step(ctx, conn, steps)
		if err != nil {
			return false, postgresError(err)
		}
		if step == 0 {
			return fresh, nil
		}
		fresh = fresh || step == 1
	}
	return false, errors.New("the migrations do not come to an end")
}

// version is the number of the schema's last step, 0 when there is none.
func (p *postgres) version(ctx context.Context, conn *pgx.Conn) (have int64, err error) {
	var e *pgconn.PgError
	if err = conn.QueryRow(ctx, readMigration).Scan(&have); errors.As(err, &e) && e.Code == "42P01" { // no such table
		return 0, nil
	}
	return have, postgresError(err)
}

// step does the first step that is lacking, 0 for none, while all other nodes wait.
func (p *postgres) step(ctx context.Context, conn *pgx.Conn, steps []migration) (number int64, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	for _, text := range []string{
		"SET LOCAL lock_timeout = '60s'", "SET LOCAL statement_timeout = 0",
		"SELECT pg_advisory_xact_lock(hashtext('sparekey'), hashtext(current_schema()))", makeMigration,
	} {
		if _, err := tx.Exec(ctx, text); err != nil {
			return 0, err
		}
	}
	have, err := p.version(ctx, tx.Conn())
	if err != nil {
		return 0, err
	}
	todo, err := due(steps, have)
	if err != nil || len(todo) == 0 {
		return 0, err
	}
	m := todo[0]
	if _, err := tx.Exec(ctx, m.text); err != nil {
		return 0, fmt.Errorf("migration %d %s: %w", m.number, m.name, err)
	}
	if _, err := tx.Exec(ctx, recordMigration, m.number, m.name, Micros(p.db.now())); err != nil {
		return 0, err
	}
	return m.number, tx.Commit(ctx)
}

// postgresWords are PostgreSQL's names for the types in the migrations. The "C" collation compares bytes, as SQLite does.
func postgresWords() *strings.Replacer {
	return strings.NewReplacer("BYTES", "BYTEA", "SERIAL", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "TEXT", `TEXT COLLATE "C"`)
}
