// Package local is the embedded directory: users, groups and password hashes in Sparekey's own store.
//
// It owns the tables local_user and local_member and the form in which names are compared. It keeps the contract of package directory
// and offers operators' deeds beside it: adding and removing users, states, groups. It never counts tries (that is the guard's),
// never judges how strong a password is (that is policy's), and never journals: a deed takes the caller's transaction, so that the caller's
// journal row shares it.
package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Options of an embedded directory. The zero value is good.
type Options struct {
	History int // how many earlier passwords, besides the current one, may not come back: 0 to 24
}

// MostHistory bounds Options.History: how many hashes a new password is compared with.
const MostHistory = 24

// Local is one embedded directory of one tenant. It is safe for concurrent use.
type Local struct {
	store   *store.Handle
	name    string
	hasher  *secret.Hasher
	history int
}

// Open gives the directory of that name in the tenant's store. Nothing is read yet; one without users is empty.
func Open(h *store.Handle, name string, hasher *secret.Hasher, o Options) *Local {
	return &Local{h, name, hasher, max(0, min(o.History, MostHistory))}
}

const (
	// The groups come in the user's own row, one a line: a name has no character that shows nothing.
	groupsOf    = `COALESCE((SELECT string_agg(group_name, '` + "\n" + `') FROM local_member WHERE tenant = $1 AND directory = $2 AND user_id = `
	userColumns = `id, login, name, email, email_verified, phone, disabled, admin_locked, locked_until, expired, must_change, privileged, password_at,
` + groupsOf + `local_user.id), '')`

	byLogin = ` FROM local_user WHERE tenant = $1 AND directory = $2 AND login_key = $3`
	byEmail = ` FROM local_user WHERE tenant = $1 AND directory = $2 AND email_key = $4 AND email_key <> ''`
	byID    = ` FROM local_user WHERE tenant = $1 AND directory = $2 AND id = $3`

	// Where there is no user the answer is a row all the same, of nobody: reading it is most of what a query costs (SECURITY RS-02).
	nobodysPlace = 2
	nobody       = `SELECT 2 AS place, 'aaaaaaaaaaaaaaaaaaaaaaaaaa', 'nobody', 'Nobody At All', 'nobody@invalid.example', 0, '', 0, 0, 0, 0, 0, 0, 0,
` + groupsOf + `'aaaaaaaaaaaaaaaaaaaaaaaaaa'), 'Nobodies') WHERE NOT EXISTS (SELECT 1`

	findUsers = `SELECT 0 AS place, ` + userColumns + byLogin + ` UNION ALL SELECT 1 AS place, ` + userColumns + byEmail +
		` UNION ALL ` + nobody + byLogin + `) AND NOT EXISTS (SELECT 1` + byEmail + `) ORDER BY place LIMIT 3`
	getUser = `SELECT 0 AS place, ` + userColumns + byID + ` UNION ALL ` + nobody + byID + `)`
)

// Find knows a user by login, compared as loginKey says, or by an e-mail address that no other user has.
// Whatever is typed, the same query runs.
func (l *Local) Find(ctx context.Context, login string) (directory.User, error) {
	loginKey, _ := loginKey(login)
	emailKey, _ := emailKey(login)
	return l.one(ctx, fmt.Sprintf("find %.100q", login), findUsers, l.name, loginKey, emailKey)
}

// Get reads a user by id.
func (l *Local) Get(ctx context.Context, id directory.UserID) (directory.User, error) {
	return l.one(ctx, "get user", getUser, l.name, idKey(id))
}

// GetIn is Get within a transaction of the same tenant's, for whoever reads more of her.
func (l *Local) GetIn(tx store.Tx, id directory.UserID) (directory.User, error) {
	u, err := oneOf(tx, getUser, l.name, idKey(id))
	return u, failed("get user", err)
}

// Show is Find for operators: by login alone, so that a command meets the one user it names.
func (l *Local) Show(ctx context.Context, login string) (directory.User, error) {
	loginKey, _ := loginKey(login)
	return l.one(ctx, fmt.Sprintf("show %.100q", login), findUsers, l.name, loginKey, "")
}

// one runs a query for one user.
func (l *Local) one(ctx context.Context, what, query string, args ...any) (u directory.User, err error) {
	err = l.store.Read(ctx, func(tx store.Tx) (err error) {
		u, err = oneOf(tx, query, args...)
		return err
	})
	if err != nil {
		return directory.User{}, failed(what, err)
	}
	return u, nil
}

func oneOf(tx store.Tx, query string, args ...any) (found directory.User, err error) {
	rows, err := tx.Rows(query, args...)
	if err != nil {
		return directory.User{}, err
	}
	for rows.Next() {
		row, err := scanUser(rows, tx.Now())
		if err != nil { // ErrNotFound among others: the only row is nobody's
			return directory.User{}, err
		}
		if found.ID != "" && found.ID != row.ID {
			return directory.User{}, directory.ErrAmbiguous
		}
		found = row
	}
	if err := rows.Err(); err != nil {
		return directory.User{}, err
	}
	if found.ID == "" {
		return directory.User{}, directory.ErrNotFound
	}
	return found, nil
}

// scanner is what store.Row and store.Rows have in common.
type scanner interface{ Scan(dest ...any) error }

// scanUser reads a place and userColumns. ErrNotFound: the row is nobody's.
func scanUser(row scanner, now time.Time) (directory.User, error) {
	var u directory.User
	var place int64
	var s states
	var groups string
	err := row.Scan(&place, &u.ID, &u.Login, &u.Name, &u.Email, &u.EmailVerified, &u.Phone,
		&s.disabled, &s.adminLocked, &s.lockedUntil, &s.expired, &s.mustChange, &u.Privileged, &u.PasswordChangedAt, &groups)
	u.State = s.at(now)
	if groups != "" {
		u.Groups = strings.Split(groups, "\n")
		slices.Sort(u.Groups) // here, since the engines sort differently
	}
	if err == nil && place == nobodysPlace {
		err = directory.ErrNotFound
	}
	return u, err
}

// states are the columns a directory.State is made of.
type states struct {
	disabled, adminLocked, expired, mustChange bool
	lockedUntil                                int64
}

func (s states) at(now time.Time) (state directory.State) {
	for _, c := range [...]struct {
		on  bool
		bit directory.State
	}{
		{s.disabled, directory.Disabled}, {s.adminLocked, directory.AdminLocked}, {s.lockedUntil > store.Micros(now), directory.TempLocked},
		{s.expired, directory.Expired}, {s.mustChange, directory.MustChange},
	} {
		if c.on {
			state |= c.bit
		}
	}
	return state
}

// idKey is an id as it may be asked for: what cannot be one becomes the empty one, which nobody has.
func idKey(id directory.UserID) directory.UserID {
	if len(id) > 64 || !utf8.ValidString(string(id)) {
		return ""
	}
	for _, b := range []byte(id) {
		if b == 0 {
			return ""
		}
	}
	return id
}

// write runs a deed and, after it, the caller's own in one transaction. The caller's error comes back as it is.
func (l *Local) write(ctx context.Context, also, deed func(store.Tx) error) error {
	var theirs error
	err := l.store.Write(ctx, func(tx store.Tx) error {
		theirs = nil
		if err := deed(tx); err != nil || also == nil {
			return err
		}
		theirs = also(tx)
		return theirs
	})
	if theirs != nil && errors.Is(err, theirs) {
		return theirs
	}
	return failed("write user", err)
}

// found makes a statement that met no row ErrNotFound.
func found(n int64, err error) error {
	if err == nil && n == 0 {
		return directory.ErrNotFound
	}
	return err
}

// failed says what was tried, in the words of package directory.
func failed(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, directory.ErrUnavailable), errors.Is(err, directory.ErrOutcomeUnknown):
		return err
	case errors.Is(err, store.ErrNotFound):
		err = directory.ErrNotFound
	case errors.Is(err, store.ErrUnknown):
		err = fmt.Errorf("%w: %w", directory.ErrOutcomeUnknown, err)
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrDamaged):
		err = fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
