package store_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// TestF14_AnUpgradeIsFinishedAfterAnyKill brings a database of each earlier schema up to date in another process, which is killed at any moment,
// and then opens it: the schema is that of a new database and what was kept is there. SPAREKEY_DEEP=1 kills 200 times.
func TestF14_AnUpgradeIsFinishedAfterAnyKill(t *testing.T) {
	kills := 8
	if os.Getenv("SPAREKEY_DEEP") == "1" {
		kills = 200
	}
	storetest.EachURL(t, func(t *testing.T, url string) {
		fresh := storetest.Open(t, url, store.Options{})
		want := schema(t, url)
		if len(want) < 20 {
			t.Fatalf("the schema is %q", want)
		}
		ok(t, fresh.Close())
		cut := 0
		for i := range kills {
			number := 1 + i%(store.Migrations()-1)
			old := earlier(t, url, number)
			c := process(t, "open", old)
			ok(t, c.Start())
			ended := make(chan bool)
			go func() { c.Wait(); close(ended) }()
			select {
			case <-time.After(time.Duration(rand.Int64N(int64(40 * time.Millisecond)))):
				c.Process.Kill()
				<-ended
			case <-ended:
			}
			if version(t, old) < store.Migrations() {
				cut++
			}
			db := storetest.Open(t, old, store.Options{})
			if got := schema(t, old); !slices.Equal(got, want) {
				t.Fatalf("from schema %d it came to\n%s\nnot\n%s", number, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if all, err := store.Ask(t.Context(), db, "SELECT subject FROM account ORDER BY subject"); err != nil || len(all) != 500 || all[0] != "subject-000" {
				t.Fatalf("of 500 accounts %d are left: %v", len(all), err)
			}
			ok(t, db.Close())
		}
		t.Logf("%d kills, %d of them before the end", kills, cut)
	})
}

// earlier makes a database of an earlier schema with five hundred accounts, beside the one at url.
func earlier(t *testing.T, url string, number int) string {
	t.Helper()
	if strings.HasPrefix(url, "sqlite:") {
		url = "sqlite:" + filepath.Join(t.TempDir(), "sparekey.db")
	} else {
		url = storetest.PostgresURL(t)
	}
	db := raw(t, url)
	texts := store.Steps(url, number)
	if strings.HasPrefix(url, "sqlite:") {
		texts = append([]string{"PRAGMA journal_mode=WAL"}, texts...)
	}
	for i := range 500 {
		texts = append(texts, fmt.Sprintf("INSERT INTO account (tenant, user_id, subject) VALUES ('avengers', 'user-%03d', 'subject-%03d')", i, i))
	}
	for _, text := range texts {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return url
}

// raw opens a database without the store.
func raw(t *testing.T, url string) *sql.DB {
	t.Helper()
	name, source := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		name, source = "sqlite", path
	}
	db, err := sql.Open(name, source)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// column reads a query's only column.
func column(t *testing.T, url, query string) (all []string) {
	t.Helper()
	rows, err := raw(t, url).Query(query)
	ok(t, err)
	defer rows.Close()
	for rows.Next() {
		var one string
		ok(t, rows.Scan(&one))
		all = append(all, one)
	}
	ok(t, rows.Err())
	return all
}

func version(t *testing.T, url string) int {
	t.Helper()
	return len(column(t, url, "SELECT name FROM migration"))
}

// schema lists all columns and indexes.
func schema(t *testing.T, url string) []string {
	t.Helper()
	if strings.HasPrefix(url, "sqlite:") {
		return column(t, url, `SELECT m.name || ' ' || c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || COALESCE(c.dflt_value, '') FROM sqlite_schema m JOIN pragma_table_info(m.name) c
			WHERE m.type = 'table' UNION ALL SELECT name || ' ' || sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1`)
	}
	return column(t, url, `SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '')
		FROM information_schema.columns WHERE table_schema = current_schema()
		UNION ALL SELECT replace(indexdef, current_schema(), '') FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1`)
}
