package store_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// parameters is the number of parameters a text has.
func parameters(text string) int {
	highest := 0
	for _, m := range regexp.MustCompile(`\$(\d+)`).FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		highest = max(highest, n)
	}
	return highest
}

// access is the index a statement must come by, and the columns it must compare in it: on SQLite and on PostgreSQL.
func access(text string) (sqlite, postgres, column string) {
	switch {
	case strings.Contains(text, "owner = $2"):
		return "shelf_owner (tenant=? AND owner=? AND shelf=?)", "shelf_owner", "owner ="
	case strings.Contains(text, "LIMIT"):
		return "shelf_until (until<?)", "shelf_until", "until <="
	}
	return "(tenant=? AND shelf=? AND key=?)", "shelf_pkey", "key ="
}

func TestEveryStatementOfAShelfUsesItsIndexOnSQLite(t *testing.T) {
	db := storetest.SQLite(t)
	for _, text := range append(store.ShelfStatements(), store.ShelfSweep(db)) {
		steps, err := store.Ask(t.Context(), db, "EXPLAIN QUERY PLAN "+text, arguments(text)...)
		ok(t, err)
		want, _, _ := access(text)
		plan := fmt.Sprint(steps)
		if strings.HasPrefix(text, "INSERT") {
			want = "" // it comes by its key or not at all
		}
		if strings.Contains(plan, "SCAN") || !strings.Contains(plan, want) {
			t.Errorf("%s\nis run by %s, want %s", text, plan, want)
		}
	}
}

func TestEveryStatementOfAShelfUsesItsIndexOnPostgres(t *testing.T) {
	db := storetest.Open(t, storetest.PostgresURL(t)+"&pool_max_conns=1", store.Options{})
	fillPlans(t, db)
	for i, text := range append(store.ShelfStatements(), store.ShelfSweep(db)) {
		// A plan made once for all values must use the index too, since statements are prepared.
		name := fmt.Sprint("statement", i)
		ok(t, store.Script(t.Context(), db, "PREPARE "+name+" AS "+text))
		literals := strings.TrimSuffix(strings.Repeat("'1', ", parameters(text)), ", ")
		steps, err := store.Ask(t.Context(), db, "EXPLAIN EXECUTE "+name+"("+literals+")")
		ok(t, err)
		_, want, column := access(text)
		plan := fmt.Sprint(steps)
		if strings.HasPrefix(text, "INSERT") {
			want, column = "", ""
		}
		if strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, want) || !strings.Contains(plan, column) {
			t.Errorf("%s\nis run by %s, want %s", text, plan, want)
		}
	}
}

// fillPlans gives the planner something to plan for.
func fillPlans(t *testing.T, db *store.DB) {
	ok(t, db.Tenant("avengers").Write(t.Context(), func(tx store.Tx) error {
		for i := range 3000 {
			if err := sessions.Add(tx, key(i), fmt.Sprint("user", i%1000), tx.Now().Add(time.Duration(i-10)*time.Second), sample(i)); err != nil {
				return err
			}
		}
		return nil
	}))
	ok(t, store.Script(t.Context(), db, "ANALYZE shelf"))
	ok(t, store.Script(t.Context(), db, "SET plan_cache_mode = force_generic_plan"))
}

func arguments(text string) []any {
	args := make([]any, parameters(text))
	for i := range args {
		args[i] = int64(1)
	}
	return args
}
