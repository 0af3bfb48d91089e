package store

import (
	"context"
	"errors"
)

func openPostgres(ctx context.Context, url string, db *DB) (engine, bool, error) {
	return nil, false, errors.New("not yet")
}
