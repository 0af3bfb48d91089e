package backup

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

var now = time.Date(2026, 6, 1, 12, 0, 10, 0, time.UTC)

func opened(db *store.DB) func() (*store.DB, error) {
	return func() (*store.DB, error) { return db, nil }
}

// rows are the records of a store, by table, as text.
func rows(t testing.TB, db *store.DB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := db.Dump(context.Background(), func(at store.Table, row []any) error {
		all[at.Name] = append(all[at.Name], fmt.Sprintf("%v", row))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// furnished is a store with what a restore treats differently, and its backup.
func furnished(t testing.TB, db *store.DB, ring *secret.Ring) []byte {
	t.Helper()
	err := db.Tenant("avengers").Write(context.Background(), func(tx store.Tx) error {
		for _, shelf := range []string{"session", "grant", "flow", "request", "captcha", "spent", "tally", "browser", "alarm", "of a later day"} {
			if err := store.NewShelf[string](shelf).Add(tx, "key", "tony", now.Add(time.Hour), "value"); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`INSERT INTO account (tenant, user_id, subject, epoch) VALUES ($1, 'tony', 'subject', 41)`); err != nil {
			return err
		}
		for _, text := range []string{
			`INSERT INTO authenticator (tenant, id, user_id, kind, data, bound_at, step) VALUES ($1, 'app', 'tony', 'totp', $2, 1, 5)`,
			`INSERT INTO authenticator (tenant, id, user_id, kind, data, bound_at, step) VALUES ($1, 'ahead', 'tony', 'totp', $2, 1, 999999999999)`,
			`INSERT INTO authenticator (tenant, id, user_id, kind, data, bound_at, step) VALUES ($1, 'mail', 'tony', 'email', $2, 1, 5)`,
			`INSERT INTO outbox (tenant, id, recipient, body, created_at, due_at, until, state) VALUES ($1, 'mail', $2, $2, 1, 1, 1, 'waiting')`,
			`INSERT INTO setting (tenant, name, value) VALUES ($1, 'name', $2)`,
		} {
			if _, err := tx.Exec(text, []byte("tony")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := Write(context.Background(), db, ring, &file, now, nil); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestA59_WhatIsGoodOnceStaysBehindAndWhatHoldsComesBack(t *testing.T) {
	ring := secret.NewRing()
	storetest.Each(t, func(t *testing.T, from *store.DB) {
		file := furnished(t, from, ring)
		storetest.Each(t, func(t *testing.T, to *store.DB) { // from each engine to each
			done, err := Restore(t.Context(), opened(to), ring, bytes.NewReader(file), now, nil)
			if err != nil || !done.Made.Equal(now) || done.Records != 8 {
				t.Fatal(done, err)
			}
			got := rows(t, to)
			var shelves []string
			for _, r := range got["shelf"] {
				shelves = append(shelves, strings.Fields(r)[1])
			}
			if fmt.Sprint(shelves) != "[alarm browser tally]" {
				t.Errorf("the shelves %v came back", shelves)
			}
			if len(got["outbox"]) != 0 || len(got["setting"]) != 1 {
				t.Error(got)
			}
			if a := strings.Fields(got["account"][0]); a[3] != "42" {
				t.Errorf("the epoch is %s", a[3])
			}
			steps := map[string]string{}
			for _, r := range got["authenticator"] {
				f := strings.Fields(strings.Trim(r, "[]"))
				steps[f[1]] = f[len(f)-1]
			}
			if fmt.Sprint(steps) != fmt.Sprintf("map[ahead:999999999999 app:%d mail:5]", now.Unix()/30+1) {
				t.Errorf("the steps are %v", steps)
			}
		})
	})
}

func TestABackupOfAnotherVersionIsRefused(t *testing.T) {
	ring := secret.NewRing()
	db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{})
	for name, h := range map[string]head{
		"a newer form":    {Form: form + 1, Schema: store.Schema()},
		"a newer schema":  {Form: form, Schema: store.Schema() + 1},
		"an older schema": {Form: form, Schema: store.Schema() - 1},
	} {
		h.Salt = "salt"
		h.Proof = proof(ring).Sum("head", h.Salt)
		_, err := Restore(t.Context(), opened(db), ring, bytes.NewReader(zipped(t, h)), now, nil)
		if !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func zipped(t testing.TB, lines ...any) []byte {
	t.Helper()
	var file bytes.Buffer
	z := gzip.NewWriter(&file)
	for _, l := range lines {
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(append(b, '\n'))
	}
	z.Close()
	return file.Bytes()
}

// A file that is well formed and yet was put together by somebody without the key ring.
func TestAFileThatWasChangedIsRefusedAndNothingIsWritten(t *testing.T) {
	ring := secret.NewRing()
	db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{})
	file := furnished(t, storetest.Open(t, storetest.SQLiteURL(t), store.Options{}), ring)
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	text.ReadFrom(z)
	lines := strings.SplitAfter(strings.TrimSuffix(text.String(), "\n"), "\n")
	try := func(name string, lines ...string) {
		t.Helper()
		var changed bytes.Buffer
		z := gzip.NewWriter(&changed)
		z.Write([]byte(strings.Join(lines, "")))
		z.Close()
		_, err := Restore(t.Context(), opened(db), ring, bytes.NewReader(changed.Bytes()), now, nil)
		if !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := 1; i < len(lines)-1; i++ {
		try("a line is missing", append(append([]string{}, lines[:i]...), lines[i+1:]...)...)
		try("a line is there twice", append(append([]string{}, lines[:i+1]...), lines[i:]...)...)
		try("it ends", lines[:i]...)
	}
	try("something follows", append(append([]string{}, lines...), "\n", lines[2])...)
	try("a user is another", strings.Split(strings.ReplaceAll(strings.Join(lines, ""), "tony", "thor"), "\x00")...)
	if n := len(rows(t, db)); n != 0 {
		t.Errorf("%d tables were written to", n)
	}
	if _, err := Restore(t.Context(), opened(db), secret.NewRing(), bytes.NewReader(file), now, nil); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
	if _, err := Restore(t.Context(), opened(db), ring, bytes.NewReader(file), now, nil); err != nil {
		t.Error(err)
	}
}

// FuzzZ17_AFileThatSomebodyMadeUpIsRefused (SECURITY Z17): a file that somebody made up is refused, with one of our errors, and without a great deal of memory.
func FuzzZ17_AFileThatSomebodyMadeUpIsRefused(f *testing.F) {
	ring := secret.NewRing()
	file := furnished(f, storetest.Open(f, storetest.SQLiteURL(f), store.Options{}), ring)
	z, _ := gzip.NewReader(bytes.NewReader(file))
	var text bytes.Buffer
	text.ReadFrom(z)
	f.Add(text.Bytes())
	for _, part := range bytes.SplitAfter(text.Bytes(), []byte("\n")) {
		f.Add(part)
	}
	f.Add([]byte("{\"sparekey_backup\":1}\n[]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var file bytes.Buffer
		z := gzip.NewWriter(&file)
		z.Write(text)
		z.Close()
		_, err := check(context.Background(), ring, bytes.NewReader(file.Bytes()))
		if err != nil && !errors.Is(err, ErrFile) && !errors.Is(err, ErrKey) && !errors.Is(err, ErrVersion) {
			t.Error(err)
		}
	})
}

func BenchmarkRestore(b *testing.B) {
	ring := secret.NewRing()
	db := storetest.Open(b, storetest.SQLiteURL(b), store.Options{})
	const users = 20_000
	for i := 0; i < users; i += 1000 {
		err := db.Tenant("avengers").Write(context.Background(), func(tx store.Tx) error {
			for k := i; k < i+1000; k++ {
				id := fmt.Sprintf("user-%d", k)
				if _, err := tx.Exec(`INSERT INTO account (tenant, user_id, subject) VALUES ($1, $2, $2)`, id); err != nil {
					return err
				}
				if _, err := tx.Exec(`INSERT INTO authenticator (tenant, id, user_id, kind, data, bound_at) VALUES ($1, $2, $2, 'totp', $3, 1)`, id, make([]byte, 64)); err != nil {
					return err
				}
				if _, err := tx.Exec(`INSERT INTO local_user (tenant, directory, id, login, login_key, password) VALUES ($1, 'staff', $2, $2, $2, $3)`, id, strings.Repeat("x", 100)); err != nil {
					return err
				}
				for range 5 {
					if _, err := tx.Exec(`INSERT INTO journal (tenant, at, event, who, detail) VALUES ($1, 1, 'sign_in.ok', $2, '{"kinds":"password,totp"}')`, id); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	var file bytes.Buffer
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			file.Reset()
			if _, err := Write(context.Background(), db, ring, &file, now, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/users*100_000, "s/100k-users")
	})
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				to := storetest.Open(b, url(b), store.Options{})
				b.StartTimer()
				if _, err := Restore(context.Background(), opened(to), ring, bytes.NewReader(file.Bytes()), now, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/users*100_000, "s/100k-users")
		})
	}
}
