package sparekey

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sparekey-id/sparekey/internal/reseal"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// boundTo names the keyed sum by which a database is bound to one keyring. It is there from the moment the keyring is made.
const boundTo = "keyring"

// keyring opens the ring. One is made where nothing that this database holds was sealed, and never otherwise. Of several nodes that come to a new database at
// once with files of their own one makes the ring; each of the others takes away what it has made, and is refused.
func (p *Plugin) keyring(ctx context.Context, path string) (*secret.Ring, error) {
	ring, err := secret.OpenRing(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return ring, wrapped(err)
	}
	if sealed, err := p.holdsSealed(ctx); err != nil {
		return nil, wrapped(err)
	} else if sealed {
		if ring, err := secret.OpenRing(path); err == nil { // it came meanwhile: the file is there before the database is bound
			return ring, nil
		}
		return nil, fmt.Errorf("keyring %s is missing: what this database has sealed cannot be read without it; put it back, or on a further node a copy of another node's", path)
	}
	ring, err = secret.CreateRing(path)
	if errors.Is(err, os.ErrExist) { // a process that shares the file was first
		ring, err = secret.OpenRing(path)
		return ring, wrapped(err)
	}
	if err != nil {
		return nil, wrapped(err)
	}
	p.ring = ring
	if err := p.bind(ctx, path); err != nil {
		if errors.Is(err, errOtherRing) {
			err = errors.Join(fmt.Errorf("keyring: another node has made one for this new database at the same moment: copy it to %s", path), os.Remove(path))
		}
		return nil, err
	}
	return ring, nil
}

func wrapped(err error) error {
	if err != nil {
		err = fmt.Errorf("keyring: %w", err)
	}
	return err
}

// holdsSealed reports whether the database is bound to a keyring, or has anything in it that one has sealed.
func (p *Plugin) holdsSealed(ctx context.Context) (bool, error) {
	err := p.db.Tenant(store.Installation).Read(ctx, func(tx store.Tx) error {
		var sum []byte
		return tx.Row(`SELECT value FROM setting WHERE tenant = $1 AND name = $2`, boundTo).Scan(&sum)
	})
	if !errors.Is(err, store.ErrNotFound) {
		return true, err
	}
	ring := secret.NewRing()
	keys, err := reseal.Store{DB: p.db, Ring: ring, Columns: func(name string) []store.Column { return sealed(name, ring) }}.Keys(ctx)
	return reseal.Stale(keys) > 0, err
}

var errOtherRing = errors.New("it is not the one that this database was made with")

// bind binds the database to the ring, unless it is bound, and reports errOtherRing when that was another one.
func (p *Plugin) bind(ctx context.Context, path string) error {
	mac := p.ring.MAC("keyring")
	var sum []byte
	look := func(tx store.Tx) error {
		return tx.Row(`SELECT value FROM setting WHERE tenant = $1 AND name = $2`, boundTo).Scan(&sum)
	}
	h := p.db.Tenant(store.Installation)
	err := h.Read(ctx, look)
	if errors.Is(err, store.ErrNotFound) {
		err = h.Write(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(`INSERT INTO setting (tenant, name, value) VALUES ($1, $2, $3) ON CONFLICT (tenant, name) DO NOTHING`, boundTo, []byte(mac.Name(boundTo)))
			if err != nil {
				return err
			}
			return look(tx)
		})
	}
	if err == nil && !mac.Check(string(sum), boundTo) {
		err = errOtherRing
	}
	if err != nil {
		return fmt.Errorf("keyring %s: %w", path, err)
	}
	return nil
}
