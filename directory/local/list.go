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

	pageUsers   = `SELECT 0 AS place, ` + userColumns + ` FROM local_user WHERE tenant = $1 AND directory = $2 AND id > $3 ORDER BY id LIMIT $4`
	pageMembers = `SELECT 0 AS place, ` + userColumns + ` FROM local_user JOIN local_member
ON local_member.tenant = local_user.tenant AND local_member.directory = local_user.directory AND local_member.user_id = local_user.id
WHERE local_member.tenant = $1 AND local_member.directory = $2 AND local_member.group_name = $3 AND local_member.user_id > $4 ORDER BY local_member.user_id LIMIT $5`
	countUsers = `SELECT COUNT(*), COUNT(CASE WHEN password = '' THEN 1 END) FROM local_user WHERE tenant = $1 AND directory = $2`
)

// Users walks all users in order of their ids, five hundred a query. One added or removed meanwhile may or may not be met;
// nobody else is missed or met twice.
func (l *Local) Users(ctx context.Context) iter.Seq2[directory.User, error] {
	return func(yield func(directory.User, error) bool) { l.walk(ctx, yield, pageUsers, l.name) }
}

// Members walks the members of groups as Users does, group by group.
func (l *Local) Members(ctx context.Context, groups ...string) iter.Seq2[directory.User, error] {
	return func(yield func(directory.User, error) bool) {
		for i, group := range groups {
			more := l.walk(ctx, func(u directory.User, err error) bool {
				met := slices.ContainsFunc(groups[:i], func(g string) bool { return slices.Contains(u.Groups, g) })
				return met || yield(u, err)
			}, pageMembers, l.name, group)
			if !more {
				return
			}
		}
	}
}

// walk gives the users of a query that ends with the id to go on after and the number of rows; false when it was left or met an error.
func (l *Local) walk(ctx context.Context, yield func(directory.User, error) bool, query string, args ...any) bool {
	var last directory.UserID
	for {
		page, err := l.page(ctx, query, append(slices.Clone(args), last, pageSize)...)
		if err != nil {
			yield(directory.User{}, failed("list users", err))
			return false
		}
		for _, u := range page {
			if !yield(u, nil) {
				return false
			}
			last = u.ID
		}
		if len(page) < pageSize {
			return true
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

// page reads the users of one query.
func (l *Local) page(ctx context.Context, query string, args ...any) ([]directory.User, error) {
	var page []directory.User
	err := l.store.Read(ctx, func(tx store.Tx) error {
		page = page[:0]
		rows, err := tx.Rows(query, args...)
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
