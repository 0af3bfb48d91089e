package local

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// ErrExists says that a login or address leads to another user already.
var ErrExists = errors.New("another user has this name")

// InvalidError says which part of a user cannot be stored, and why, for operators.
type InvalidError struct{ Field, Text string }

func (e *InvalidError) Error() string { return e.Field + ": " + e.Text }

// NewUser is a user to be added. Only the login is required; without a password she cannot sign in until one is set.
type NewUser struct {
	Login, Name, Email string
	EmailVerified      bool
	Phone              string // E.164
	Groups             []string
	Password           string
	MustChange         bool // the password is good once
	Privileged         bool // never reset here
}

const (
	addUser = `INSERT INTO local_user (tenant, directory, id, login, login_key, name, email, email_key, email_verified, phone, password, password_at, must_change, privileged, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
	setLogin = `UPDATE local_user SET login = $4, login_key = $5 WHERE tenant = $1 AND directory = $2 AND id = $3`
	setEmail = `UPDATE local_user SET email = $4, email_key = $5, email_verified = $6 WHERE tenant = $1 AND directory = $2 AND id = $3`
	setState = `UPDATE local_user SET disabled = $4, admin_locked = $5, locked_until = $6, expired = $7, must_change = $8
WHERE tenant = $1 AND directory = $2 AND id = $3`
	holdState = `SELECT disabled, admin_locked, locked_until, expired, must_change FROM local_user WHERE tenant = $1 AND directory = $2 AND id = $3`
	lockUntil = `UPDATE local_user SET locked_until = $4 WHERE tenant = $1 AND directory = $2 AND id = $3`
	remove    = `DELETE FROM local_user WHERE tenant = $1 AND directory = $2 AND id = $3`
	leaveAll  = `DELETE FROM local_member WHERE tenant = $1 AND directory = $2 AND user_id = $3`
	join      = `INSERT INTO local_member (tenant, directory, user_id, group_name) VALUES ($1, $2, $3, $4)`
	loginOf   = `SELECT id FROM local_user WHERE tenant = $1 AND directory = $2 AND login_key = $3 AND id <> $4`
	emailOf   = `SELECT id FROM local_user WHERE tenant = $1 AND directory = $2 AND email_key = $3 AND email_key <> '' AND id <> $4`
)

// Add puts a user in under a new id, and runs the caller's deeds in the same transaction, which may run again.
// Errors: *InvalidError; ErrExists when the login is taken, or is an address of another, or the address is another's login.
// Two users may share an address: it then finds neither.
func (l *Local) Add(ctx context.Context, n NewUser, also ...func(store.Tx, directory.User) error) (directory.User, error) {
	row, err := n.row()
	if err != nil {
		return directory.User{}, err
	}
	var hash string
	if n.Password != "" {
		if hash, err = l.hasher.Hash(ctx, n.Password); err != nil {
			return directory.User{}, err
		}
	}
	u := row.User
	u.ID = directory.UserID(secret.ID())
	err = l.write(ctx, func(tx store.Tx) error {
		for _, f := range also {
			if err := f(tx, u); err != nil {
				return err
			}
		}
		return nil
	}, func(tx store.Tx) error {
		if err := l.free(tx, u.ID, row.loginKey, row.emailKey); err != nil {
			return err
		}
		u.PasswordChangedAt = time.Time{}
		if hash != "" {
			u.PasswordChangedAt = store.Time(store.Micros(tx.Now()))
		}
		_, err := tx.Exec(addUser, l.name, u.ID, u.Login, row.loginKey, u.Name, u.Email, row.emailKey, u.EmailVerified, u.Phone,
			hash, u.PasswordChangedAt, n.MustChange, u.Privileged, tx.Now())
		if err != nil {
			return taken(err)
		}
		return l.join(tx, u.ID, u.Groups)
	})
	if err != nil {
		return directory.User{}, err
	}
	return u, nil
}

// row is a NewUser checked and brought into its stored form.
type row struct {
	directory.User
	loginKey, emailKey string
}

func (n NewUser) row() (r row, err error) {
	var ok bool
	if r.loginKey, ok = loginKey(n.Login); !ok {
		return row{}, &InvalidError{"login", fmt.Sprintf("%.100q is not 1 to %d visible characters", n.Login, maxLogin)}
	}
	if r.emailKey, err = email(n.Email); err != nil {
		return row{}, err
	}
	if n.Phone != "" {
		if r.Phone, ok = phoneKey(n.Phone); !ok {
			return row{}, &InvalidError{"phone", fmt.Sprintf("%.100q is not a number like +441632960000", n.Phone)}
		}
	}
	r.Login, r.Name, r.Email = strings.TrimSpace(n.Login), strings.TrimSpace(n.Name), strings.TrimSpace(n.Email)
	if !visible(r.Name) || utf8.RuneCountInString(r.Name) > maxLogin {
		return row{}, &InvalidError{"name", fmt.Sprintf("%.100q is more than %d characters, or has some that show nothing", n.Name, maxLogin)}
	}
	if r.Groups, err = groupNames(n.Groups); err != nil {
		return row{}, err
	}
	r.EmailVerified, r.Privileged = n.EmailVerified && r.Email != "", n.Privileged
	if n.MustChange {
		r.State = directory.MustChange
	}
	return r, nil
}

func email(address string) (key string, err error) {
	if strings.TrimSpace(address) == "" {
		return "", nil
	}
	key, ok := emailKey(address)
	if !ok {
		return "", &InvalidError{"email", fmt.Sprintf("%.100q is not one plain address", address)}
	}
	return key, nil
}

// groupNames trims, sorts and rids of doubles.
func groupNames(names []string) ([]string, error) {
	var all []string
	for _, g := range names {
		g = strings.TrimSpace(g)
		if g == "" || !visible(g) || utf8.RuneCountInString(g) > maxLogin {
			return nil, &InvalidError{"group", fmt.Sprintf("%.100q is not 1 to %d visible characters", g, maxLogin)}
		}
		all = append(all, g)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// free demands that neither key leads to another user by the other way, so that one typed name never means two users.
// The login itself is kept unique by the table.
func (l *Local) free(tx store.Tx, id directory.UserID, ofLogin, ofEmail string) error {
	asLogin, _ := loginKey(ofEmail)
	asEmail, _ := emailKey(ofLogin)
	for query, key := range map[string]string{loginOf: asLogin, emailOf: asEmail} {
		if key == "" {
			continue
		}
		var other string
		if err := tx.Row(query, l.name, key, idKey(id)).Scan(&other); err == nil {
			return ErrExists
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

func taken(err error) error {
	if errors.Is(err, store.ErrExists) {
		return ErrExists
	}
	return err
}

// SetLogin renames a user; her id stays. Errors: *InvalidError, ErrExists, directory.ErrNotFound.
func (l *Local) SetLogin(tx store.Tx, id directory.UserID, login string) error {
	key, ok := loginKey(login)
	if !ok {
		return &InvalidError{"login", fmt.Sprintf("%.100q is not 1 to %d visible characters", login, maxLogin)}
	}
	if err := l.free(tx, id, key, ""); err != nil {
		return failed("rename user", err)
	}
	n, err := tx.Exec(setLogin, l.name, idKey(id), strings.TrimSpace(login), key)
	return failed("rename user", found(n, taken(err)))
}

// SetEmail replaces a user's address; an empty one removes it. Errors: *InvalidError, ErrExists, directory.ErrNotFound.
func (l *Local) SetEmail(tx store.Tx, id directory.UserID, address string, verified bool) error {
	key, err := email(address)
	if err != nil {
		return err
	}
	if err := l.free(tx, id, "", key); err != nil {
		return failed("set e-mail address", err)
	}
	return failed("set e-mail address", found(tx.Exec(setEmail, l.name, idKey(id), strings.TrimSpace(address), key, verified && key != "")))
}

// SetState turns states on or off and leaves the others alone. TempLocked turned on has no end of its own.
func (l *Local) SetState(tx store.Tx, id directory.UserID, which directory.State, on bool) error {
	var s states
	err := tx.Row(holdState+tx.Locking(), l.name, idKey(id)).Scan(&s.disabled, &s.adminLocked, &s.lockedUntil, &s.expired, &s.mustChange)
	if err != nil {
		return failed("set state", err)
	}
	for state, flag := range map[directory.State]*bool{
		directory.Disabled: &s.disabled, directory.AdminLocked: &s.adminLocked, directory.Expired: &s.expired, directory.MustChange: &s.mustChange,
	} {
		if which.Has(state) {
			*flag = on
		}
	}
	if which.Has(directory.TempLocked) {
		if s.lockedUntil = 0; on {
			s.lockedUntil = math.MaxInt64
		}
	}
	return failed("set state", found(tx.Exec(setState, l.name, idKey(id), s.disabled, s.adminLocked, s.lockedUntil, s.expired, s.mustChange)))
}

// Disable bars a user. The caller ends her sessions in the same transaction.
func (l *Local) Disable(tx store.Tx, id directory.UserID) error {
	return l.SetState(tx, id, directory.Disabled, true)
}

// Enable ends Disable.
func (l *Local) Enable(tx store.Tx, id directory.UserID) error {
	return l.SetState(tx, id, directory.Disabled, false)
}

// Lock is TempLocked until a time, or until Unlock.
func (l *Local) Lock(tx store.Tx, id directory.UserID, until time.Time) error {
	return failed("lock", found(tx.Exec(lockUntil, l.name, idKey(id), until)))
}

// SetGroups puts a user into these groups and no others. Errors: *InvalidError, directory.ErrNotFound.
func (l *Local) SetGroups(tx store.Tx, id directory.UserID, names []string) error {
	names, err := groupNames(names)
	if err != nil {
		return err
	}
	var s states // the row is held, so that two callers cannot mix their groups
	if err := tx.Row(holdState+tx.Locking(), l.name, idKey(id)).Scan(&s.disabled, &s.adminLocked, &s.lockedUntil, &s.expired, &s.mustChange); err != nil {
		return failed("set groups", err)
	}
	if _, err := tx.Exec(leaveAll, l.name, id); err != nil {
		return failed("set groups", err)
	}
	return failed("set groups", l.join(tx, id, names))
}

func (l *Local) join(tx store.Tx, id directory.UserID, names []string) error {
	for _, g := range names {
		if _, err := tx.Exec(join, l.name, id, g); err != nil {
			return err
		}
	}
	return nil
}

// Remove takes a user out for ever: her id is never given again. The caller removes what other rooms keep of her in the same transaction.
func (l *Local) Remove(tx store.Tx, id directory.UserID) error {
	if _, err := tx.Exec(leaveAll, l.name, idKey(id)); err != nil {
		return failed("remove user", err)
	}
	return failed("remove user", found(tx.Exec(remove, l.name, idKey(id))))
}

// GeneratePassword makes a password of 128 random bits for an operator to hand over, to be set with MustChange.
func GeneratePassword() string {
	id := secret.ID()
	var parts []string
	for part := range slices.Chunk([]byte(id), 7) {
		parts = append(parts, string(part))
	}
	return strings.Join(parts, "-")
}
