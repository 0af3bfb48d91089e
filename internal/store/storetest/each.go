package storetest

import (
	"testing"

	"github.com/sparekey-id/sparekey/internal/store"
)

// Each runs a test on every engine: SQLite always, PostgreSQL where there is one (PostgresURL says when).
func Each(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	eachURL(t, func(t *testing.T, url string) { f(t, Open(t, url, store.Options{})) })
}

// EachClock is Each with a clock the test sets.
func EachClock(t *testing.T, f func(t *testing.T, db *store.DB, clock *Clock)) {
	t.Helper()
	eachURL(t, func(t *testing.T, url string) {
		clock := NewClock()
		f(t, Open(t, url, store.Options{Now: clock.Now}), clock)
	})
}

// EachURL is Each for a test that opens the store itself.
func EachURL(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	eachURL(t, f)
}

func eachURL(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLiteURL(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, PostgresURL(t)) })
}
