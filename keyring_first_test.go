package sparekey_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// together opens a node for each keyring on one database at the same moment.
func together(t *testing.T, url string, keyrings ...string) (open []*sparekey.Plugin, refused []error) {
	t.Helper()
	var lock sync.Mutex
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, file := range keyrings {
		all.Go(func() {
			cfg := &sparekey.Config{Database: url, Keyring: "file:" + file, Tenants: map[string]sparekey.Tenant{"avengers": tenantConfig("http://localhost:8080/avengers", "The Avengers")}}
			<-start
			p, err := sparekey.Open(t.Context(), cfg)
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				refused = append(refused, err)
			} else {
				open = append(open, p)
			}
		})
	}
	close(start)
	all.Wait()
	t.Cleanup(func() {
		for _, p := range open {
			p.Close()
		}
	})
	return open, refused
}

// On a new database nodes that share a keyring's file end up with one, and of those with files of their own one is left, and the others are told what to do.
func TestNodesThatComeToANewDatabaseAtOnceHaveOneKeyring(t *testing.T) {
	for range 5 {
		t.Run("one file", func(t *testing.T) {
			storetest.EachURL(t, func(t *testing.T, url string) {
				file := filepath.Join(t.TempDir(), "keyring")
				if open, refused := together(t, url, file, file, file); len(open) != 3 {
					t.Errorf("%d open, the others say %v", len(open), refused)
				}
			})
		})
		t.Run("files of their own", func(t *testing.T) {
			url, folders := storetest.PostgresURL(t), [3]string{t.TempDir(), t.TempDir(), t.TempDir()}
			var files []string
			for _, folder := range folders {
				files = append(files, filepath.Join(folder, "keyring"))
			}
			open, refused := together(t, url, files...)
			if len(open) != 1 || len(refused) != 2 {
				t.Fatalf("%d open, the others say %v", len(open), refused)
			}
			for _, err := range refused {
				if text := err.Error(); !strings.Contains(text, "copy it to ") && !strings.Contains(text, "a copy of another node's") {
					t.Errorf("refused by %q", text)
				}
			}
			var made []byte
			for _, file := range files {
				if text, err := os.ReadFile(file); err == nil && made == nil {
					made = text
				} else if err == nil {
					t.Error("one that was refused leaves a keyring of its own")
				}
			}
			for _, file := range files {
				if err := os.WriteFile(file, made, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if open, refused := together(t, url, files...); len(open) != 3 {
				t.Errorf("with copies %d open, the others say %v", len(open), refused)
			}
		})
	}
}

// A process that died between the schema and the keyring has left nothing that hangs on one.
func TestADatabaseThatNothingWasSealedInGetsItsKeyring(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		db.Close()
		file := filepath.Join(t.TempDir(), "keyring")
		open, refused := together(t, url, file)
		if len(open) != 1 {
			t.Fatal(refused)
		}
		open[0].Close()

		// From then on the database is that keyring's.
		if err := os.Rename(file, file+".away"); err != nil {
			t.Fatal(err)
		}
		if _, refused = together(t, url, file); len(refused) != 1 || !strings.Contains(refused[0].Error(), "put it back") {
			t.Errorf("without its keyring: %v", refused)
		}
		other, _ := together(t, storetest.SQLiteURL(t), file)
		other[0].Close()
		if _, refused = together(t, url, file); len(refused) != 1 || !strings.Contains(refused[0].Error(), "keyring") {
			t.Errorf("with another keyring: %v", refused)
		}
		if err := os.Rename(file+".away", file); err != nil {
			t.Fatal(err)
		}
		if open, refused = together(t, url, file); len(open) != 1 {
			t.Errorf("with its own again: %v", refused)
		}
	})
}
