package store_test

import (
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func TestSQLiteIsAStore(t *testing.T) {
	storetest.Run(t, storetest.SQLiteURL)
}

func TestPostgresIsAStore(t *testing.T) {
	storetest.PostgresURL(t) // says why not, when there is none
	storetest.Run(t, storetest.PostgresURL)
}

func TestAURLIsCheckedWithoutOpeningAnythingAndKeepsItsPassword(t *testing.T) {
	for url, want := range map[string]string{
		"sqlite:x.db":                               "",
		"sqlite:":                                   "path",
		"postgres://sparekey@/sparekey":             "",
		"postgresql://sparekey:hunter2@h:5432/d":    "",
		"postgres://sparekey:hunter2@h/d?sslmode=x": "sslmode",
		"postgres://sparekey:hunter2@h:port/d":      "port",
		"mysql://sparekey:hunter2@h/d":              "sqlite: or postgres://",
		"":                                          "sqlite: or postgres://",
	} {
		err := store.CheckURL(url)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}
