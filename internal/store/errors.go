package store

import (
	"context"
	"errors"
	"fmt"
)

// What a store answers with, always wrapped: ask with errors.Is.
var (
	ErrNotFound    = errors.New("no such record")
	ErrExists      = errors.New("it exists already")             // a unique key is taken
	ErrChanged     = errors.New("it was changed meanwhile")      // somebody was first
	ErrUnavailable = errors.New("store unavailable")             // busy, full, disconnected, given up waiting: try again later
	ErrUnknown     = errors.New("the commit may have been done") // always together with ErrUnavailable: read again before believing either
	ErrNewer       = errors.New("the database was made by a newer version of Sparekey")
	ErrDamaged     = errors.New("the database is damaged")
)

// errOver answers a statement on a transaction that has ended.
var errOver = errors.New("store: the transaction is over")

// gaveUp is the error of a caller whose context ended before the store could serve it.
func gaveUp(ctx context.Context) error {
	return fmt.Errorf("%w: gave up waiting: %w", ErrUnavailable, context.Cause(ctx))
}

// faulty is an error of Options.Fault, or of a statement that frames a transaction: whatever it is, the store did not do its work.
func faulty(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
