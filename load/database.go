package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sparekey-id/sparekey/internal/secret"
)

// ownSchema gives the URL of a new schema in a PostgreSQL database, and drop, which removes it. Of SQLite there is nothing to do.
func ownSchema(database string) (own string, drop func(), err error) {
	if !strings.HasPrefix(database, "postgres") {
		return database, func() {}, nil
	}
	u, err := url.Parse(database)
	if err != nil {
		return "", nil, fmt.Errorf("database: not a URL") // the error would show the password
	}
	schema := "load_" + strings.ToLower(secret.ID())
	if err := execute(database, "CREATE SCHEMA "+schema); err != nil {
		return "", nil, err
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String(), func() { _ = execute(database, "DROP SCHEMA "+schema+" CASCADE") }, nil
}

func execute(database, statement string) error {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statement)
	return err
}
