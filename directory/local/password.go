package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

const (
	getPassword = `SELECT password, previous, disabled, admin_locked, locked_until, expired, must_change FROM local_user
WHERE tenant = $1 AND directory = $2 AND id = $3`
	putPassword = `UPDATE local_user SET password = $4, previous = $5, password_at = $6, expired = $9, must_change = $7
WHERE tenant = $1 AND directory = $2 AND id = $3 AND password = $8`
	putHash = `UPDATE local_user SET password = $4 WHERE tenant = $1 AND directory = $2 AND id = $3 AND password = $5`
	unlock  = `UPDATE local_user SET locked_until = 0 WHERE tenant = $1 AND directory = $2 AND id = $3`
)

// credential is what is stored of a user's password; the zero one is nobody's.
type credential struct {
	hash     string   // empty: no password opens the account
	previous []string // earlier hashes, the newest first
	state    directory.State
}

// VerifyPassword compares a password. Whoever is asked about, one query runs and one hash is computed.
// A right password whose hash is of an older make is hashed anew.
func (l *Local) VerifyPassword(ctx context.Context, u directory.User, password string) (directory.Verdict, error) {
	c, err := l.credential(ctx, u.ID)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return directory.Wrong, err
	}
	ok, stale, err := l.compare(ctx, c, password)
	if err != nil || !ok {
		return directory.Wrong, err
	}
	if stale {
		l.upgrade(ctx, u.ID, c.hash, password)
	}
	switch {
	case barred(c.state):
		return directory.RightButBarred, nil
	case c.state&(directory.Expired|directory.MustChange) != 0:
		return directory.RightButDue, nil
	}
	return directory.Right, nil
}

// SetPassword sets a password that was forgotten. It refuses the current one and those of the history.
// It touches no lock: a disabled account stays disabled.
func (l *Local) SetPassword(ctx context.Context, u directory.User, next string, o directory.SetOptions) error {
	return l.SetPasswordAnd(ctx, u, next, o, nil)
}

// SetPasswordAnd is SetPassword with a deed of the caller's in the same transaction, which may run again.
func (l *Local) SetPasswordAnd(ctx context.Context, u directory.User, next string, o directory.SetOptions, also func(store.Tx) error) error {
	return l.replace(ctx, u.ID, next, o, also, func(credential) error { return nil })
}

// ChangePassword replaces a password that is known, by the rules of SetPassword. ErrNotAllowed for a disabled or locked account.
func (l *Local) ChangePassword(ctx context.Context, u directory.User, old, next string) error {
	return l.replace(ctx, u.ID, next, directory.SetOptions{}, nil, func(c credential) error {
		ok, _, err := l.compare(ctx, c, old)
		switch {
		case err != nil:
			return err
		case !ok:
			return directory.ErrWrongPassword
		case barred(c.state):
			return directory.ErrNotAllowed
		}
		return nil
	})
}

// Unlock ends a temporary lock.
func (l *Local) Unlock(ctx context.Context, u directory.User) error {
	return l.write(ctx, nil, func(tx store.Tx) error { return found(tx.Exec(unlock, l.name, idKey(u.ID))) })
}

// PasswordPolicy tells the history; how long and how strong a password must be is the tenant's policy.
func (l *Local) PasswordPolicy(context.Context, directory.User) (directory.Policy, error) {
	return directory.Policy{History: l.history + 1}, nil
}

// replace writes a new password if allow agrees to what is stored. Hashing happens outside the transaction, which only writes
// if the stored hash is still the one that was looked at; otherwise all of it is done again.
func (l *Local) replace(ctx context.Context, id directory.UserID, next string, o directory.SetOptions, also func(store.Tx) error, allow func(credential) error) error {
	for range 8 {
		c, err := l.credential(ctx, id)
		if err != nil {
			return err
		}
		if err := allow(c); err != nil {
			return err
		}
		if err := l.accept(ctx, c, next); err != nil {
			return err
		}
		hash, err := l.hasher.Hash(ctx, next)
		if err != nil {
			return err
		}
		previous, err := json.Marshal(c.kept(l.history))
		if err != nil {
			return err
		}
		raced := false
		err = l.write(ctx, also, func(tx store.Tx) error {
			n, err := tx.Exec(putPassword, l.name, id, hash, string(previous), tx.Now(), o.MustChange, c.hash, false)
			if raced = err == nil && n == 0; raced {
				err = store.ErrChanged
			}
			return err
		})
		if !raced {
			return err
		}
	}
	return fmt.Errorf("%w: the password keeps changing", directory.ErrUnavailable)
}

// accept refuses no password, the current one and those of the history. An earlier hash that cannot be read refuses nothing.
func (l *Local) accept(ctx context.Context, c credential, next string) error {
	if next == "" {
		return &directory.PolicyError{Reason: directory.TooShort, Text: "no password"}
	}
	for _, hash := range c.kept(l.history + 1) {
		ok, _, err := l.hasher.Verify(ctx, hash, next)
		if err != nil && !errors.Is(err, secret.ErrHash) {
			return err
		}
		if ok {
			return &directory.PolicyError{Reason: directory.InHistory, Text: "one of her last passwords"}
		}
	}
	return nil
}

// compare checks a password against a stored hash, at the same cost where there is none. ErrHash: what is stored is no hash of ours.
func (l *Local) compare(ctx context.Context, c credential, password string) (ok, stale bool, err error) {
	if c.hash == "" || password == "" {
		return false, false, l.hasher.Waste(ctx, password)
	}
	return l.hasher.Verify(ctx, c.hash, password)
}

// upgrade stores a newer hash of the same password, unless the password was changed meanwhile. If it fails, the next sign-in tries again.
func (l *Local) upgrade(ctx context.Context, id directory.UserID, old, password string) {
	hash, err := l.hasher.Hash(ctx, password)
	if err != nil {
		return
	}
	l.store.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(putHash, l.name, id, hash, old)
		return err
	})
}

// credential reads what is stored; ErrNotFound, and nobody's, when the user is not there.
func (l *Local) credential(ctx context.Context, id directory.UserID) (credential, error) {
	var c credential
	err := l.store.Read(ctx, func(tx store.Tx) error {
		var s states
		var previous string
		err := tx.Row(getPassword, l.name, idKey(id)).Scan(&c.hash, &previous, &s.disabled, &s.adminLocked, &s.lockedUntil, &s.expired, &s.mustChange)
		if err != nil {
			return err
		}
		c.state, c.previous = s.at(tx.Now()), nil
		return json.Unmarshal([]byte(previous), &c.previous)
	})
	if err != nil {
		return credential{}, failed("read user", err)
	}
	return c, nil
}

// kept are the newest n hashes, the current one first.
func (c credential) kept(n int) []string {
	all := c.previous
	if c.hash != "" {
		all = append([]string{c.hash}, c.previous...)
	}
	if all == nil {
		return []string{}
	}
	return all[:min(n, len(all))]
}

func barred(s directory.State) bool { return s.Barred() || s.Has(directory.TempLocked) }
