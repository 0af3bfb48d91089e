package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgresError says what the server's error means to a room. Codes: PostgreSQL documentation, appendix A.
func postgresError(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		return err
	}
	switch {
	case e.Code == "23505":
		return fmt.Errorf("%w: %w", ErrExists, err)
	case e.Code == "XX001", e.Code == "XX002":
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrDamaged, err)
	case collided(err), vanished(e.Code), e.Code == "55P03", e.Code == "57014", e.Code == "25006", e.Code[:2] == "53", e.Code[:2] == "58":
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// collided reports that the transaction lost against another and is worth running again: a serialization failure, a deadlock, or a
// statement prepared before another node changed the schema.
func collided(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01" || e.Code == "0A000")
}

// vanished reports that the server or the connection went away.
func vanished(code string) bool {
	return code[:2] == "08" || code == "57P01" || code == "57P02" || code == "57P03" || code == "57P05"
}
