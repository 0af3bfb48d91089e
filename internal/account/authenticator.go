package account

import (
	"fmt"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Authenticators lists what is bound to the user, oldest first, suspended ones included.
func (a *Accounts) Authenticators(tx store.Tx, user directory.UserID) ([]identity.Authenticator, error) {
	rows, err := tx.Rows(`SELECT id, kind, label, data, bound_at, used_at, bound_from, suspended_at, preferred
		FROM authenticator WHERE tenant = $1 AND user_id = $2 ORDER BY bound_at, id`, string(user))
	if err != nil {
		return nil, fmt.Errorf("list authenticators: %w", err)
	}
	defer rows.Close()
	var list []identity.Authenticator
	for rows.Next() {
		var x identity.Authenticator
		var kind string
		var sealed []byte
		var bound, used, suspended, preferred int64
		if err := rows.Scan(&x.ID, &kind, &x.Label, &sealed, &bound, &used, &x.BoundFrom, &suspended, &preferred); err != nil {
			return nil, fmt.Errorf("list authenticators: %w", err)
		}
		if x.Data, err = a.box.Open(owner(user, x.ID), sealed); err != nil {
			return nil, fmt.Errorf("open authenticator %s: %w", x.ID, err)
		}
		x.Kind, x.BoundAt, x.UsedAt = identity.Kind(kind), store.Time(bound), store.Time(used)
		x.Suspended, x.Default = suspended != 0, preferred != 0
		list = append(list, x)
	}
	return list, rows.Err()
}

func owner(user directory.UserID, id string) string { return string(user) + "/" + id }

// Bind adds an authenticator. It gets an id when it has none, and is asked first when it says so or nothing else can be.
// The account's row is locked first, so that two bindings of one user follow each other.
func (a *Accounts) Bind(tx store.Tx, user directory.UserID, x identity.Authenticator) (identity.Authenticator, error) {
	if _, err := a.Lock(tx, user); err != nil {
		return x, err
	}
	if x.ID == "" {
		x.ID = secret.ID()
	}
	x.BoundAt = tx.Now()
	_, err := tx.Exec(`INSERT INTO authenticator (tenant, id, user_id, kind, label, data, bound_at, used_at, bound_from, suspended_at, preferred, step)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, 0, 0, $9)`,
		x.ID, string(user), string(x.Kind), x.Label, a.box.Seal(owner(user, x.ID), x.Data), store.Micros(x.BoundAt), x.BoundFrom, x.Step)
	if err == nil && x.Default {
		err = a.Prefer(tx, user, x.ID)
	} else if err == nil {
		err = a.lead(tx, user)
	}
	if err != nil {
		return x, fmt.Errorf("bind authenticator: %w", err)
	}
	return x, nil
}

// lead sees to it that exactly one of the user's authenticators is asked first, as long as one can be: the one that was, while it counts,
// and else the oldest that does. A suspended one never is.
func (a *Accounts) lead(tx store.Tx, user directory.UserID) error {
	_, err := tx.Exec(`UPDATE authenticator SET preferred = CASE WHEN id = (SELECT id FROM authenticator
		WHERE tenant = $1 AND user_id = $2 AND suspended_at = 0 ORDER BY preferred DESC, bound_at, id LIMIT 1) THEN 1 ELSE 0 END
		WHERE tenant = $1 AND user_id = $2`, string(user))
	return err
}

// Lock takes the account's row for the rest of the transaction, so that a rule about all of a user's authenticators holds.
func (a *Accounts) Lock(tx store.Tx, user directory.UserID) (Account, error) {
	c, err := a.load(tx, user, tx.Locking())
	if err != nil || c.Subject != "" {
		return c, err
	}
	if err := a.begin(tx, user); err != nil {
		return Account{}, err
	}
	return a.load(tx, user, tx.Locking())
}

// Unbind ends an authenticator; store.ErrNotFound when it is not this user's. When it was asked first, the oldest left that counts takes its place.
func (a *Accounts) Unbind(tx store.Tx, user directory.UserID, id string) error {
	if err := affected(tx.Exec(`DELETE FROM authenticator WHERE tenant = $1 AND user_id = $2 AND id = $3`, string(user), id)); err != nil {
		return err
	}
	return a.lead(tx, user)
}

// Prefer makes the authenticator the one asked first; store.ErrNotFound when it is not this user's or is suspended.
func (a *Accounts) Prefer(tx store.Tx, user directory.UserID, id string) error {
	if err := affected(tx.Exec(`UPDATE authenticator SET preferred = 1 WHERE tenant = $1 AND user_id = $2 AND id = $3 AND suspended_at = 0`, string(user), id)); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE authenticator SET preferred = 0 WHERE tenant = $1 AND user_id = $2 AND id <> $3`, string(user), id)
	return err
}

// Suspend makes the authenticator prove nothing, for good: its owner deletes it and binds it anew. When it was asked first, the oldest left
// that counts takes its place.
func (a *Accounts) Suspend(tx store.Tx, user directory.UserID, id string) error {
	if err := affected(tx.Exec(`UPDATE authenticator SET suspended_at = $4 WHERE tenant = $1 AND user_id = $2 AND id = $3`, string(user), id, store.Micros(tx.Now()))); err != nil {
		return err
	}
	return a.lead(tx, user)
}

func affected(n int64, err error) error {
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	return err
}

// Known reads the account and lists what is bound to the user without opening its secrets, in one statement: enough for policy.
func (a *Accounts) Known(tx store.Tx, user directory.UserID) (Account, []identity.Authenticator, error) {
	rows, err := tx.Rows(`SELECT `+columns+`, id, kind, bound_at, suspended_at FROM account
		LEFT JOIN authenticator ON authenticator.tenant = account.tenant AND authenticator.user_id = account.user_id
		WHERE account.tenant = $1 AND account.user_id = $2`, string(user))
	if err != nil {
		return Account{}, nil, fmt.Errorf("load account: %w", err)
	}
	c := Account{User: user}
	var list []identity.Authenticator
	for rows.Next() {
		var id, kind *string
		var bound, suspended *int64
		if c, err = scanAccount(rows, user, &id, &kind, &bound, &suspended); err != nil {
			return Account{}, nil, fmt.Errorf("load account: %w", err)
		}
		if id != nil {
			list = append(list, identity.Authenticator{ID: *id, Kind: identity.Kind(*kind), BoundAt: store.Time(*bound), Suspended: *suspended != 0})
		}
	}
	return c, list, rows.Err()
}

// Sealed is where the authenticators of a tenant keep their secrets.
func Sealed(tenant string, ring *secret.Ring) store.Column {
	box := ring.Box("authenticator/" + tenant)
	return store.Column{What: "authenticator", Table: "authenticator", Name: "data", Owner: "user_id", Renew: func(id, user string, data []byte) ([]byte, error) {
		return box.Reseal(owner(directory.UserID(user), id), data)
	}}
}
