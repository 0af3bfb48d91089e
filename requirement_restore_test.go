package sparekey_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/backup"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// backup is all of the house in one file.
func (h *house) backup() []byte {
	h.t.Helper()
	var file bytes.Buffer
	n, err := h.p.Backup(h.t.Context(), &file, nil)
	if err != nil || n == 0 {
		h.t.Fatal(n, err)
	}
	return file.Bytes()
}

// moveTo restores the file into another database and goes on there, with the key ring it had.
func (h *house) moveTo(database string, file []byte) {
	h.t.Helper()
	h.close()
	h.cfg.Database = database
	if _, err := sparekey.Restore(h.t.Context(), h.cfg, bytes.NewReader(file), nil, sparekey.WithClock(h.clock.Now)); err != nil {
		h.t.Fatal(err)
	}
	h.restart()
}

func TestA59_F12_ARestoreBringsBackNothingThatIsGoodOnceOrThatHasEnded(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		granted := h.redeem(b.register("ironman"))
		redirect := h.browser().signIn("ironman", password)
		waiting := h.browser()
		waiting.beginReset("ironman")
		asked := waiting.last
		made, file := h.clock.Now().UTC().Format(time.RFC3339), h.backup()

		// What happens after the backup, and is lost with the restore.
		late := h.redeem(redirect)
		if late.status != 200 {
			t.Fatal(late.raw)
		}
		h.clock.Advance(60e9)
		used := h.browser()
		used.beginReset("ironman")
		used.post("code", h.totp(b.key, 0), "action", "verify")
		used.want("Choose a new password")
		h.moveTo(storetest.SQLiteURL(t), file)

		if n := h.userinfo(granted.Access); n != 401 {
			t.Errorf("an access token of before answers %d", n)
		}
		for name, again := range map[string]tokens{"a refresh token of before": h.refresh(granted.Refresh), "a refresh token of after": h.refresh(late.Refresh), "a code that was redeemed": h.redeem(redirect)} {
			if again.status != 400 || again.Error != "invalid_grant" {
				t.Errorf("%s: %d %s", name, again.status, again.raw)
			}
		}
		if p := b.authorize("prompt", "none"); p.query("error") != "login_required" {
			t.Errorf("a session of before leads to %s", p.location)
		}
		waiting.last = asked
		if p := waiting.post("code", h.totp(b.key, 0), "action", "verify"); strings.Contains(p.body, "Choose a new password") {
			t.Error("a reset of before goes on")
		}
		fresh := h.browser()
		fresh.beginReset("ironman")
		for _, step := range []int{0, 1} {
			if p := fresh.post("code", h.totp(b.key, step), "action", "verify"); p.h1() == "Choose a new password" {
				t.Errorf("a code of the step %+d is good, and may have been used before", step)
			}
		}
		h.clock.Advance(61e9)
		fresh.post("code", h.totp(b.key, 0), "action", "verify")
		fresh.want("Choose a new password")
		if p := h.browser().signIn("ironman", password); h.redeem(p).status != 200 {
			t.Error("she cannot sign in any more:", p.h1())
		}
		if n := h.journalled("operator.restored", "since", made); n != 1 {
			t.Errorf("the journal tells of the restore %d times", n)
		}
		if v, err := h.admin("avengers").Journal.Verify(t.Context()); err != nil || !v.OK() {
			t.Error("the journal's chain is broken:", v, err)
		}
	})
}

func TestF12_ABackupIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	h := open(t)
	file := h.backup()
	cfg := *h.cfg
	restore := func(t *testing.T, file []byte) (string, error) {
		t.Helper()
		c := cfg
		path := filepath.Join(t.TempDir(), "new.db")
		c.Database = "sqlite:" + path
		_, err := sparekey.Restore(t.Context(), &c, bytes.NewReader(file), nil)
		return path, err
	}
	t.Run("the key ring is another", func(t *testing.T) {
		other := open(t)
		path, err := restore(t, other.backup())
		if _, there := os.Stat(path); !errors.Is(err, backup.ErrKey) || !os.IsNotExist(there) {
			t.Error(err, there)
		}
	})
	t.Run("the key ring is missing", func(t *testing.T) {
		was := cfg.Keyring
		defer func() { cfg.Keyring = was }()
		cfg.Keyring = "file:" + filepath.Join(t.TempDir(), "none")
		if path, err := restore(t, file); err == nil || !strings.Contains(err.Error(), "keyring") {
			t.Error(err)
		} else if _, there := os.Stat(path); !os.IsNotExist(there) {
			t.Error("a database was made")
		}
	})
	t.Run("it is cut short, or a byte is another", func(t *testing.T) {
		for at := 0; at < len(file); at += 1 + len(file)/150 {
			changed := bytes.Clone(file)
			changed[at] ^= 0x20
			for _, bad := range [][]byte{file[:at], changed} {
				path, err := restore(t, bad)
				if _, there := os.Stat(path); err == nil && !sameRecords(file, bad) || err != nil && !os.IsNotExist(there) {
					t.Fatalf("byte %d of %d: %v, and the database: %v", at, len(file), err, there)
				}
			}
		}
	})
	t.Run("the database is not empty", func(t *testing.T) {
		path, err := restore(t, file)
		if err != nil {
			t.Fatal(err)
		}
		c := cfg
		c.Database = "sqlite:" + path
		if _, err := sparekey.Restore(t.Context(), &c, bytes.NewReader(file), nil); !errors.Is(err, store.ErrNotEmpty) {
			t.Error(err)
		}
	})
}

// sameRecords reports whether two files hold the same: a byte in the head of gzip means nothing.
func sameRecords(a, b []byte) bool {
	plain := func(file []byte) string {
		z, err := gzip.NewReader(bytes.NewReader(file))
		if err != nil {
			return err.Error()
		}
		all, err := io.ReadAll(z)
		if err != nil {
			return err.Error()
		}
		return string(all)
	}
	return plain(a) == plain(b)
}
