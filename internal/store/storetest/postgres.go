package storetest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgresURL names an empty schema of its own on the server in SPAREKEY_TEST_POSTGRES, a URL with the right to create schemas, and drops
// it when the test ends. Without that variable the test is skipped, or fails where SPAREKEY_REQUIRE=1.
func PostgresURL(t testing.TB) string {
	t.Helper()
	server := os.Getenv("SPAREKEY_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("SPAREKEY_REQUIRE") == "1" {
			t.Fatal("SPAREKEY_TEST_POSTGRES names no PostgreSQL server, and SPAREKEY_REQUIRE=1 wants one")
		}
		t.Skip("SPAREKEY_TEST_POSTGRES names no PostgreSQL server")
	}
	schema := "test_" + strings.ToLower(rand.Text())
	statement(t, server, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { statement(t, server, "DROP SCHEMA "+schema+" CASCADE") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func statement(t testing.TB, server, text string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("SPAREKEY_TEST_POSTGRES: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
