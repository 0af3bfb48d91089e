package sparekey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/backup"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Backup writes all that the store holds, as of one moment, and returns how many records that is. Servers go on meanwhile. The key ring is not
// in it, and without the key ring it cannot be restored. progress may be nil; it is called now and then with the number of records.
func (p *Plugin) Backup(ctx context.Context, w io.Writer, progress func(records int64)) (int64, error) {
	done, err := backup.Write(ctx, p.db, p.ring, w, p.now(), progress)
	return done.Records, err
}

// Restored is what came back of a backup.
type Restored struct {
	Made        time.Time `json:"made"` // what was done after it is undone: the file knows nothing of it
	Records     int64     `json:"records"`
	Users       int64     `json:"users"` // of embedded directories; where users live elsewhere they are as they are there
	Methods     int64     `json:"methods"`
	SigningKeys int64     `json:"signing_keys"`
}

// Restore fills the empty database of a configuration with a backup. It refuses, before it writes, a file that is not whole, is of another
// version or was made with another key ring, and a database that holds records. Every session, code and token has ended then: users sign in
// anew. What was deleted or stopped after the backup was made comes back, and is for the operator to do again.
func Restore(ctx context.Context, c *Config, file io.ReadSeeker, progress func(records int64), options ...Option) (Restored, error) {
	var none Restored
	if err := c.Check(); err != nil {
		return none, err
	}
	p := &Plugin{given: map[string]directory.Directory{}, now: time.Now}
	for _, o := range options {
		o(p)
	}
	path, err := keyringPath(c)
	if err != nil {
		return none, err
	}
	ring, err := secret.OpenRing(path)
	if errors.Is(err, os.ErrNotExist) {
		return none, fmt.Errorf("keyring %s is missing: put back the one that was kept apart from the backup", path)
	}
	if err != nil {
		return none, fmt.Errorf("keyring: %w", err)
	}
	done, err := backup.Restore(ctx, func() (*store.DB, error) {
		p.db, err = store.Open(ctx, c.Database, store.Options{Now: p.now, Fault: p.fault})
		return p.db, err
	}, ring, file, p.now(), progress)
	if p.db != nil {
		defer p.db.Close()
	}
	if err != nil {
		return none, err
	}
	back := Restored{Made: done.Made, Records: done.Records, Users: done.Tables["local_user"], Methods: done.Tables["authenticator"], SigningKeys: done.Tables["signing_key"]}
	for name := range c.Tenants {
		h := p.db.Tenant(name)
		e := audit.Event{Name: audit.OperatorRestored, Actor: "operator", Detail: map[string]string{"since": done.Made.Format(time.RFC3339)}}
		err := h.Write(ctx, func(tx store.Tx) error { return audit.New(h, audit.Options{Ring: ring}).Record(tx, e) })
		if err != nil {
			return back, fmt.Errorf("all is restored, but the journal of %s does not say so: %w", name, err)
		}
	}
	return back, nil
}

// keyringPath is where the key ring is.
func keyringPath(c *Config) (string, error) {
	if path := strings.TrimPrefix(c.Keyring, "file:"); path != "" {
		return path, nil
	}
	file, ok := strings.CutPrefix(c.Database, "sqlite:")
	if !ok {
		return "", errors.New("keyring: say where it is (keyring: file:PATH); only a SQLite database has a place beside it")
	}
	path, _, _ := strings.Cut(file, "?")
	return path + ".keyring", nil
}
