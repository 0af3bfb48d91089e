package storetest

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // to ask for plans without a store's own rules in between

	"github.com/sparekey-id/sparekey/internal/store"
)

// Statements are the texts that stores were seen to run (store.Options.Seen). It is safe for concurrent use.
type Statements struct{ texts sync.Map }

// Add keeps a text.
func (s *Statements) Add(text string) { s.texts.LoadOrStore(text, true) }

// All are the texts, in order.
func (s *Statements) All() (all []string) {
	s.texts.Range(func(text, _ any) bool { all = append(all, text.(string)); return true })
	slices.Sort(all)
	return all
}

// few are the tables of which a tenant has a handful of rows, so that looking through those of one tenant is no scan.
var few = []string{"signing_key", "migration"}

// partial are the indexes that hold only what waits for something, and is few whatever else there is.
var partial = []string{"account_intent", "journal_unlinked", "journal_reference", "outbox_waiting"}

// small are statements that sort few rows, or are an operator's, by a part of their text.
var small = map[string]string{
	"ORDER BY place LIMIT 3":                      "at most one by login, a few by address, and nobody",
	"AND user_id = $2 ORDER BY bound_at, id":      "what one user has bound",
	"suspended_at = 0 ORDER BY preferred":         "what one user has bound",
	"state = 'waiting' AND due_at <= $2":          "what waits for the mail server",
	"FROM outbox WHERE substr(":                   "what waits for the mail server",
	"FROM outbox WHERE state = 'waiting' GR":      "what waits for the mail server",
	"link >= $2 AND (link > $2 OR":                "PostgreSQL sorts rows of one link",
	"detail LIKE '%\"reference\":\"%' AND":        "those that show a reference number",
	"FROM signing_key WHERE tenant = $1 ORDER BY": "a handful a tenant",
	"GROUP BY substr(":                            "an operator counts what hangs on each key",
	"ORDER BY until DESC LIMIT 1 OFFSET":          "once, when there are too many",
	") <> $3 AND state = 'waiting' ORDER BY id":   "what waits for the mail server",
	"FROM authenticator WHERE tenant = $1 AND id": "PostgreSQL takes the few there are here; of many it takes the first in the order of the key",
	"SELECT key, value FROM shelf":                "an operator has all of a shelf sealed anew",
}

// Slow says which of the statements SQLite would run by looking through a table, or through all that a tenant has in it, or by sorting it;
// each with how. The database at url is an empty store: without statistics SQLite decides by the indexes there are.
func Slow(ctx context.Context, url string, texts []string) (faults []string, err error) {
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	for _, text := range texts {
		if strings.Contains(text, "FOR UPDATE") {
			continue // PostgreSQL's
		}
		rows, err := db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+text, make([]any, parameters(text))...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		for rows.Next() {
			var id, parent, rest int
			var step string
			if err := rows.Scan(&id, &parent, &rest, &step); err != nil {
				return nil, err
			}
			if why := slowStep(text, step); why != "" {
				faults = append(faults, fmt.Sprintf("SQLite %s: %s\n\t%s", why, step, text))
			}
		}
		if err := cmp.Or(rows.Err(), rows.Close()); err != nil {
			return nil, err
		}
	}
	return faults, nil
}

var (
	scanned  = regexp.MustCompile(`^SCAN ([a-z_]+)`)
	searched = regexp.MustCompile(`^SEARCH ([a-z_]+) USING (?:COVERING )?(?:AUTOMATIC )?(?:PARTIAL )?(?:INDEX ([a-z_0-9]+) )?.*\(([^()]*(?:\(|<expr>)?[^()]*)\)$`)
)

func slowStep(text, step string) string {
	if m := scanned.FindStringSubmatch(step); m != nil && !slices.Contains(few, m[1]) && !partially(step) && !whole(text) {
		return "looks through a table"
	}
	if strings.Contains(step, "AUTOMATIC") {
		return "makes an index for one statement"
	}
	if m := searched.FindStringSubmatch(step); m != nil && !slices.Contains(few, m[1]) && !partially(step) && !slices.ContainsFunc(strings.Split(m[3], " AND "), selects) {
		if !strings.HasSuffix(text, "ORDER BY tenant LIMIT 1") { // a step from tenant to tenant
			return "looks through all of a tenant"
		}
	}
	if strings.HasPrefix(step, "USE TEMP B-TREE") && !exempt(text) {
		return "sorts"
	}
	return ""
}

// selects says whether a comparison does more than name the tenant.
func selects(comparison string) bool {
	c := strings.TrimSpace(comparison)
	return !strings.HasPrefix(c, "tenant") && !strings.HasPrefix(c, "directory")
}

func partially(step string) bool {
	return slices.ContainsFunc(partial, func(index string) bool { return strings.Contains(step, index) })
}

// whole says that a statement is an operator's who counts all there is.
func whole(text string) bool {
	return strings.Contains(text, "COUNT(*)") && strings.Contains(text, "GROUP BY substr(")
}

func exempt(text string) bool {
	for part := range small {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// parameters is how many a text has.
func parameters(text string) (n int) {
	for _, m := range parameter.FindAllStringSubmatch(text, -1) {
		i, _ := strconv.Atoi(m[1])
		n = max(n, i)
	}
	return n
}

// SlowOnPostgres is Slow for PostgreSQL. The tables are filled first, so that the planner has something to plan for, and each statement is
// planned for all values at once, as it is once it has run some times.
func SlowOnPostgres(ctx context.Context, url string, texts []string) (faults []string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if err := fillTables(ctx, conn); err != nil {
		return nil, err
	}
	for _, text := range []string{"SET plan_cache_mode = force_generic_plan", "SET enable_seqscan = off"} {
		if _, err := conn.Exec(ctx, text); err != nil {
			return nil, err
		}
	}
	for i, text := range texts {
		if _, err := conn.Exec(ctx, fmt.Sprintf("PREPARE s%d AS %s", i, text)); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		values := ""
		if n := parameters(text); n > 0 {
			values = "(" + strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ") + ")"
		}
		var raw []byte
		if err := conn.QueryRow(ctx, fmt.Sprintf("EXPLAIN (FORMAT JSON) EXECUTE s%d%s", i, values), pgx.QueryExecModeSimpleProtocol).Scan(&raw); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		var plans []struct{ Plan node }
		if err := json.Unmarshal(raw, &plans); err != nil {
			return nil, err
		}
		for _, why := range plans[0].Plan.slow(text) {
			faults = append(faults, fmt.Sprintf("PostgreSQL %s\n\t%s", why, text))
		}
	}
	return faults, nil
}

type node struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Cond     string `json:"Index Cond"`
	Filter   string
	Plans    []node
}

var compared = regexp.MustCompile(`\(*"?([a-z_]+)"?\)* (?:=|<|>|IS|~)`)

func (n node) slow(text string) (faults []string) {
	switch {
	case whole(text):
	case n.Type == "Seq Scan" && !slices.Contains(few, n.Relation):
		faults = append(faults, "looks through a table: "+n.Relation)
	case n.Index != "" && !slices.Contains(partial, n.Index) && !handful(n.Index) && !strings.HasSuffix(text, "ORDER BY tenant LIMIT 1"):
		names := compared.FindAllStringSubmatch(n.Cond, -1)
		if !slices.ContainsFunc(names, func(m []string) bool { return selects(m[1]) }) && !strings.Contains(n.Cond, "substr") {
			faults = append(faults, fmt.Sprintf("looks through all of a tenant: %s %s %s", n.Type, n.Index, n.Cond))
		}
	case strings.HasSuffix(n.Type, "Sort") && !exempt(text) && !slices.ContainsFunc(n.Plans, node.handful):
		faults = append(faults, "sorts")
	}
	for _, p := range n.Plans {
		if n.Type == "Limit" && p.Index != "" && p.Filter == "" {
			continue // in the order of the index, and no more than are wanted
		}
		faults = append(faults, p.slow(text)...)
	}
	return faults
}

func handful(index string) bool {
	return slices.ContainsFunc(few, func(table string) bool { return strings.HasPrefix(index, table+"_") })
}

func (n node) handful() bool { return slices.Contains(few, n.Relation) }

// fillTables gives every table some thousand rows, of ten tenants, and has the planner count them.
func fillTables(ctx context.Context, conn *pgx.Conn) error {
	special := map[string]string{
		"tenant": "'t' || g % 10", "directory": "'staff'", "intent": "CASE WHEN g % 1000 = 0 THEN 'x' ELSE '' END", "state": "CASE WHEN g % 1000 = 0 THEN 'waiting' ELSE 'sent' END",
		"link": "NULLIF(g, 5000)", "owner": "'u' || g % 500", "user_id": "'u' || g", "event": "'sign_in.ok'", "detail": "''", "shelf": "'session'", "flow": "CASE WHEN g % 2 = 0 THEN 'f' || g ELSE '' END",
		"who": "'user:' || g % 500", "kind": "'totp'", "alg": "'RS256'",
	}
	for _, t := range store.Tables() {
		rows, err := conn.Query(ctx, "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1", t.Name)
		if err != nil {
			return err
		}
		var columns, values []string
		for rows.Next() {
			var name, kind string
			if err := rows.Scan(&name, &kind); err != nil {
				return err
			}
			value := special[name]
			switch {
			case name == "seq":
				continue
			case value != "":
			case kind == "bigint":
				value = "g"
			case kind == "bytea":
				value = "decode(lpad(to_hex(g), 40, '0'), 'hex')"
			default:
				value = "'" + name + "' || g"
			}
			columns, values = append(columns, name), append(values, value)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		text := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM generate_series(1, 5000) g", t.Name, strings.Join(columns, ", "), strings.Join(values, ", "))
		if _, err := conn.Exec(ctx, text); err != nil {
			return fmt.Errorf("fill %s: %w", t.Name, err)
		}
		if _, err := conn.Exec(ctx, "ANALYZE "+t.Name); err != nil {
			return err
		}
	}
	return nil
}

// Indexed fails unless every statement comes by an index, on every engine.
func Indexed(t *testing.T, texts []string) {
	t.Helper()
	eachURL(t, func(t *testing.T, url string) {
		Open(t, url, store.Options{})
		slow := Slow
		if strings.HasPrefix(url, "postgres") {
			slow = SlowOnPostgres
		}
		faults, err := slow(t.Context(), url, texts)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults {
			t.Error(fault)
		}
	})
}
