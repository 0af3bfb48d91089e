// Package storetest proves store engines and lends open stores to the tests of other rooms.
//
// It owns the conformance suite (Run) and throw-away databases. It is for tests only and holds no rule of its own.
package storetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sparekey-id/sparekey/internal/store"
)

// SQLite lends an empty store of the SQLite engine, closed and removed when the test ends.
func SQLite(t testing.TB) *store.DB {
	t.Helper()
	return Open(t, SQLiteURL(t), store.Options{})
}

// SQLiteClock is SQLite with a clock the test sets.
func SQLiteClock(t testing.TB) (*store.DB, *Clock) {
	t.Helper()
	clock := NewClock()
	return Open(t, SQLiteURL(t), store.Options{Now: clock.Now}), clock
}

// Open opens a store and closes it when the test ends. Opening the same URL again gives the same records.
func Open(t testing.TB, url string, o store.Options) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url, o)
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return db
}

// SQLiteURL names a database file that does not exist yet, in memory where the machine offers that, and removed when the test ends.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp(memory(), "sparekey-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return "sqlite:" + filepath.Join(folder, "sparekey.db")
}

// memory is a folder on which syncing costs nothing, or the usual one for temporary files.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		if f, err := os.CreateTemp("/dev/shm", "sparekey-test-*"); err == nil {
			f.Close()
			os.Remove(f.Name())
			return "/dev/shm"
		}
	}
	return ""
}
