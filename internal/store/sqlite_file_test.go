package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// file makes a database with some notes, closed, and gives its path.
func file(t *testing.T) string {
	t.Helper()
	url := storetest.SQLiteURL(t)
	db, err := store.Open(t.Context(), url, store.Options{})
	ok(t, err)
	for i := range 200 {
		ok(t, db.Tenant("avengers").Write(t.Context(), note(fmt.Sprintf("%03d%s", i, strings.Repeat("x", 200)))))
	}
	ok(t, db.Close())
	return strings.TrimPrefix(url, "sqlite:")
}

// refused asserts that the file is not opened, is not touched, and that the error says what is wrong.
func refused(t *testing.T, path, words string, want error) {
	t.Helper()
	before, _ := os.ReadFile(path)
	db, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err == nil {
		db.Close()
		t.Fatal("it was opened")
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v; want %v, %q and the path", err, want, words)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Fatal("the file was changed")
	}
}

func TestADamagedFileIsRefusedAndNeverReplaced(t *testing.T) {
	garbage := bytes.Repeat([]byte("garbage!"), 512)
	write := func(t *testing.T, path string, at int64, b []byte) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		ok(t, err)
		_, err = f.WriteAt(b, at)
		ok(t, errors.Join(err, f.Close()))
	}
	t.Run("F-18 its beginning is overwritten", func(t *testing.T) {
		path := file(t)
		write(t, path, 0, garbage)
		refused(t, path, "damaged", store.ErrDamaged)
	})
	t.Run("F-18 any one page is overwritten", func(t *testing.T) {
		whole, err := os.ReadFile(file(t))
		ok(t, err)
		for page := 1; page < len(whole)/4096; page++ {
			path := filepath.Join(t.TempDir(), "sparekey.db")
			ok(t, os.WriteFile(path, whole, 0o600))
			write(t, path, int64(page)*4096, garbage)
			refused(t, path, "damaged", store.ErrDamaged)
		}
	})
	t.Run("F-18 it is cut short", func(t *testing.T) {
		for _, size := range []int64{1, 100, 4096, 5000, 20000} {
			path := file(t)
			ok(t, os.Truncate(path, size))
			refused(t, path, "", store.ErrDamaged)
		}
	})
	t.Run("F-18 it is empty", func(t *testing.T) {
		path := file(t)
		ok(t, os.Truncate(path, 0))
		refused(t, path, "empty", store.ErrDamaged)
	})
	t.Run("F-18 it is gone but its log is there", func(t *testing.T) {
		path := file(t)
		ok(t, os.Rename(path, path+"-wal"))
		refused(t, path, "missing", store.ErrDamaged)
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Fatal("a new file was made")
		}
	})
	t.Run("F-18 the file is a text", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sparekey.yaml")
		ok(t, os.WriteFile(path, []byte("listen: 127.0.0.1:8080\n"), 0o600))
		refused(t, path, "damaged", store.ErrDamaged)
	})
	t.Run("the database is somebody else's", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.db")
		other, err := sql.Open("sqlite", path)
		ok(t, err)
		_, err = other.Exec("CREATE TABLE account (name TEXT)")
		ok(t, errors.Join(err, other.Close()))
		db, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
		if err == nil || !strings.Contains(err.Error(), "something else") {
			db.Close()
			t.Fatalf("got %v", err)
		}
	})
	t.Run("it is a folder", func(t *testing.T) {
		path := t.TempDir()
		_, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
		if err == nil || !strings.Contains(err.Error(), "folder") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("its folder is missing", func(t *testing.T) {
		_, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "none", "sparekey.db"), store.Options{})
		if !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestADatabaseOfANewerVersionIsRefused(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), url, store.Options{})
		ok(t, err)
		ok(t, store.Script(t.Context(), db, fmt.Sprintf("INSERT INTO migration (number, name, at) VALUES (%d, 'future', 0)", store.Migrations()+1)))
		ok(t, db.Close())
		for range 2 {
			if _, err := store.Open(t.Context(), url, store.Options{}); !errors.Is(err, store.ErrNewer) {
				t.Fatalf("got %v", err)
			}
		}
	})
}

func TestADatabaseThatAppearsWhileOneIsToBeMadeIsOpened(t *testing.T) {
	path := file(t)
	db, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	ok(t, err)
	defer db.Close()
	ok(t, db.Tenant("avengers").Write(t.Context(), note("it is at work, and has its log")))
	if _, err := os.Stat(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	if fresh, err := store.CreateSQLite(t.Context(), path); fresh || err != nil {
		t.Fatalf("got %v, %v", fresh, err)
	}
}

func TestNothingIsLeftBesideADatabaseAndOnlyItsOwnerMayReadIt(t *testing.T) {
	path := file(t)
	left, err := os.ReadDir(filepath.Dir(path))
	ok(t, err)
	if len(left) != 1 {
		t.Fatalf("left are %v", left)
	}
	info, err := os.Stat(path)
	ok(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Fatalf("its mode is %v", info.Mode())
	}
}

func TestAPathMayHoldAnyCharacter(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"a b?mode=memory&x=1#y.db", "100%41.db", "ä'\";--.db", "a:b.db"} {
		url := "sqlite:" + filepath.Join(folder, name)
		db := storetest.Open(t, url, store.Options{})
		ok(t, db.Tenant("avengers").Write(t.Context(), note("a")))
		if got := noted(t, storetest.Open(t, url, store.Options{})); len(got) != 1 {
			t.Fatalf("%s: notes are %v", name, got)
		}
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALogThatIsCutShortLosesItsEndAndNothingElse(t *testing.T) {
	// F-18. What is cut off a log cannot be known, but what is left must be whole, in order, and never look like a new database.
	url := storetest.SQLiteURL(t)
	path := strings.TrimPrefix(url, "sqlite:")
	db := storetest.Open(t, url, store.Options{})
	for i := range 50 {
		ok(t, db.Tenant("avengers").Write(t.Context(), note(fmt.Sprintf("%03d", i))))
	}
	base, err := os.ReadFile(path)
	ok(t, err)
	log, err := os.ReadFile(path + "-wal")
	ok(t, err)
	last := -1
	for size := 0; size <= len(log); size += 3001 {
		copied := filepath.Join(t.TempDir(), "sparekey.db")
		ok(t, os.WriteFile(copied, base, 0o600))
		ok(t, os.WriteFile(copied+"-wal", log[:size], 0o600))
		again, err := store.Open(t.Context(), "sqlite:"+copied, store.Options{})
		ok(t, err)
		if again.Fresh() {
			t.Fatal("it is taken for a new database")
		}
		keys := noted(t, again)
		for i, key := range keys {
			if key != fmt.Sprintf("%03d", i) {
				t.Fatalf("with %d bytes of the log notes are %v", size, keys)
			}
		}
		if len(keys) < last {
			t.Fatalf("a longer log gave fewer notes: %d after %d", len(keys), last)
		}
		last = len(keys)
		if found := store.Pragma(again, "integrity_check"); found != "ok" {
			t.Fatalf("integrity: %v", found)
		}
		ok(t, again.Close())
	}
	if last < 40 {
		t.Fatalf("with nearly all of the log there are %d notes", last)
	}
}

func TestWhatWasAcknowledgedIsInTheFiles(t *testing.T) {
	url := storetest.SQLiteURL(t)
	path := strings.TrimPrefix(url, "sqlite:")
	db := storetest.Open(t, url, store.Options{})
	for pragma, want := range map[string]any{"synchronous": int64(2), "journal_mode": "wal", "foreign_keys": int64(1), "fullfsync": int64(0)} {
		if got := store.Pragma(db, pragma); got != want {
			t.Errorf("%s is %v, want %v", pragma, got, want)
		}
	}
	for i := range 20 {
		ok(t, db.Tenant("avengers").Write(t.Context(), note(fmt.Sprintf("%03d", i))))
		copied := filepath.Join(t.TempDir(), "sparekey.db")
		for _, end := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + end)
			ok(t, err)
			ok(t, os.WriteFile(copied+end, b, 0o600))
		}
		if n := len(noted(t, storetest.Open(t, "sqlite:"+copied, store.Options{}))); n != i+1 {
			t.Fatalf("a copy made after write %d holds %d notes", i+1, n)
		}
	}
}

func TestAFullDiskIsAnOutageThatHurtsNobodyElseAndPasses(t *testing.T) {
	// F-04, with SQLite's own page limit in the place of the disk's.
	db := storetest.SQLite(t)
	h := db.Tenant("avengers")
	big := strings.Repeat("x", 1<<20)
	ok(t, h.Write(t.Context(), note("before")))
	pages := store.Pragma(db, "page_count").(int64)
	store.Pragma(db, fmt.Sprintf("max_page_count=%d", pages+20))
	fill := func(tx store.Tx) error { return notes.Add(tx, "big", "tony", time.Time{}, big) }
	for range 3 {
		if err := h.Write(t.Context(), fill); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("alone it got %v", err)
		}
		swallow := func(tx store.Tx) error {
			fill(tx)
			note("after the full disk")(tx)
			return nil
		}
		for i, err := range shared(t, db, note("a"), swallow, note("b")) {
			if i == 1 && !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("one that swallows the error got %v", err)
			}
			if i != 1 && err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrExists) {
				t.Fatalf("a neighbour got %v", err)
			}
			if key := []string{"a", "", "b"}[i]; key != "" {
				there := strings.Contains(fmt.Sprint(noted(t, db)), key)
				if (err == nil || errors.Is(err, store.ErrExists)) != there {
					t.Fatalf("neighbour %s got %v, but is there: %v", key, err, there)
				}
			}
		}
		if strings.Contains(fmt.Sprint(noted(t, db)), "full disk") {
			t.Fatal("a statement after the failing one was kept")
		}
		ok(t, h.Read(t.Context(), func(tx store.Tx) error { _, err := notes.Get(tx, "before"); return err }))
	}
	store.Pragma(db, "max_page_count=1000000")
	ok(t, h.Write(t.Context(), fill))
	if found := store.Pragma(db, "integrity_check"); found != "ok" {
		t.Fatalf("integrity: %v", found)
	}
}

func TestADatabaseLockedByAnotherProcessIsAnOutageForAllWhoWait(t *testing.T) {
	// F-05. The other process waits for nothing and neither does this test: patience is short here, four seconds elsewhere.
	url := storetest.SQLiteURL(t)
	db, other := storetest.Open(t, url, store.Options{}), storetest.Open(t, url, store.Options{})
	store.SetPatience(db, 100*time.Millisecond)
	ok(t, other.Tenant("avengers").Write(t.Context(), func(tx store.Tx) error {
		errs := make(chan error)
		for i := range 30 {
			go func() { errs <- db.Tenant("avengers").Write(t.Context(), note(fmt.Sprint(i))) }()
		}
		began := time.Now()
		for range 30 {
			if err := <-errs; !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		if spent := time.Since(began); spent > 2*time.Second {
			t.Errorf("30 callers waited %v, one after the other", spent)
		}
		return db.Tenant("avengers").Read(t.Context(), func(tx store.Tx) error { _, err := notes.Owned(tx, "tony"); return err })
	}))
	ok(t, db.Tenant("avengers").Write(t.Context(), note("a")))
}

func TestACallerWhoLeavesDoesNotWaitForAnotherProcess(t *testing.T) {
	url := storetest.SQLiteURL(t)
	db, other := storetest.Open(t, url, store.Options{}), storetest.Open(t, url, store.Options{})
	store.SetPatience(db, 2*time.Second)
	h := db.Tenant("avengers")
	ok(t, other.Tenant("avengers").Write(t.Context(), func(store.Tx) error {
		for i := range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			began := time.Now()
			if err := h.Write(ctx, note("left")); !errors.Is(err, store.ErrUnavailable) || time.Since(began) > time.Second {
				t.Errorf("leaver %d got %v after %v", i, err, time.Since(began))
			}
			cancel()
		}
		leaver, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		gone, began := make(chan error), time.Now()
		go func() { gone <- h.Write(leaver, note("left")) }()
		time.Sleep(100 * time.Millisecond)
		if err := h.Write(t.Context(), note("stayed")); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("whoever stayed got %v", err)
		}
		if spent := time.Since(began); spent < 1500*time.Millisecond || spent > 3*time.Second {
			t.Errorf("whoever stayed waited %v in all", spent)
		}
		if err := <-gone; !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("the leaver got %v", err)
		}
		return nil
	}))
	time.Sleep(10 * time.Millisecond)
	ok(t, h.Write(t.Context(), note("a")))
}

func TestADumpKnowsEveryTableAndColumn(t *testing.T) {
	db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{})
	names, err := store.Ask(t.Context(), db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'migration' ORDER BY name")
	ok(t, err)
	var known []string
	for _, one := range store.Tables() {
		known = append(known, one.Name)
		columns, err := store.Ask(t.Context(), db, "SELECT name || iif(type = 'BLOB', '*', '') FROM pragma_table_info($1) ORDER BY name", one.Name)
		ok(t, err)
		var own []string
		for i, c := range one.Columns {
			if one.Bytes[i] {
				c += "*"
			}
			own = append(own, c)
		}
		slices.Sort(own)
		if want, got := fmt.Sprint(columns), fmt.Sprint(own); got != want {
			t.Errorf("%s: the columns are %s, a dump knows %s", one.Name, want, got)
		}
	}
	slices.Sort(known)
	if fmt.Sprint(known) != fmt.Sprint(names) {
		t.Errorf("the tables are %v, a dump knows %v", names, known)
	}
}
