package local

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/store"
)

const (
	pageSize = 500

	pageUsers  = `SELECT 0 AS place, ` + userColumns + ` FROM local_user WHERE tenant = $1 AND directory = $2 AND id > $3 ORDER BY id LIMIT $4`
	countUsers = `SELECT COUNT(*), COUNT(CASE WHEN password = '' THEN 1 END) FROM local_user WHERE tenant = $1 AND directory = $2`
)

// Users walks all users in order of their ids, five hundred a query. One added or removed meanwhile may or may not be met;
// nobody else is missed or met twice.
func (l *Local) Users(ctx context.Context) iter.Seq2[directory.User, error] {
	return func(yield func(directory.User, error) bool) {
		var last directory.UserID
		for {
			page, err := l.page(ctx, last)
			if err != nil {
				yield(directory.User{}, failed("list users", err))
				return
			}
			for _, u := range page {
				if !yield(u, nil) {
					return
				}
				last = u.ID
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

// List is Users at once, in order of their logins.
func (l *Local) List(ctx context.Context) ([]directory.User, error) {
	var all []directory.User
	for u, err := range l.Users(ctx) {
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	slices.SortStableFunc(all, func(a, b directory.User) int {
		keyA, _ := loginKey(a.Login)
		keyB, _ := loginKey(b.Login)
		return strings.Compare(keyA, keyB)
	})
	return all, nil
}

// page reads the users after an id.
func (l *Local) page(ctx context.Context, after directory.UserID) ([]directory.User, error) {
	var page []directory.User
	err := l.store.Read(ctx, func(tx store.Tx) error {
		page = page[:0]
		rows, err := tx.Rows(pageUsers, l.name, after, pageSize)
		if err != nil {
			return err
		}
		for rows.Next() {
			u, err := scanUser(rows, tx.Now())
			if err != nil {
				return err
			}
			page = append(page, u)
		}
		return rows.Err()
	})
	return page, err
}

// Check tells whether the directory can be read, and what an operator may have forgotten.
func (l *Local) Check(ctx context.Context) []directory.Finding {
	var users, without int64
	err := l.store.Read(ctx, func(tx store.Tx) error { return tx.Row(countUsers, l.name).Scan(&users, &without) })
	switch {
	case err != nil:
		return []directory.Finding{{Grave: true, Text: failed("count users", err).Error()}}
	case users == 0:
		return []directory.Finding{{Text: "it has no users yet: sparekey user add"}}
	case without > 0:
		return []directory.Finding{{Text: fmt.Sprintf("users without a password, who cannot sign in: %d of %d", without, users)}}
	}
	return nil
}
