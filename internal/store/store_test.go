package store_test

import (
	"testing"

	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func TestSQLiteIsAStore(t *testing.T) {
	storetest.Run(t, storetest.SQLiteURL)
}

func TestPostgresIsAStore(t *testing.T) {
	storetest.PostgresURL(t) // says why not, when there is none
	storetest.Run(t, storetest.PostgresURL)
}
