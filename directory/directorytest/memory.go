package directorytest

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/directory"
)

// Account is a user of a Memory, her password in plain text beside her.
type Account struct {
	directory.User // Add fills in the ID
	Password       string
}

// Memory is a directory in memory with every capability but SessionEnder. It is for tests and examples:
// its passwords lie about in plain text and are gone with the process. The zero value is empty and ready.
type Memory struct {
	Now func() time.Time // the clock; time.Now when nil

	mu       sync.Mutex
	accounts map[directory.UserID]*entry
	down     bool
	checked  int64
}

type entry struct {
	Account
	previous []string
}

// The rules of a Memory for passwords: enough to have one of each sort.
const (
	memoryMinLength = 8
	memoryHistory   = 3 // the current one among them
)

// Add puts a user in and returns her with her new id. It panics when her login is empty or taken.
func (m *Memory) Add(a Account) directory.User {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.accounts {
		if sameName(e.Login, a.Login) {
			panic("directorytest: two users with the login " + a.Login)
		}
	}
	if a.Login == "" {
		panic("directorytest: a user without a login")
	}
	if m.accounts == nil {
		m.accounts = map[directory.UserID]*entry{}
	}
	a.ID = directory.UserID(rand.Text())
	if a.Password != "" && a.PasswordChangedAt.IsZero() {
		a.PasswordChangedAt = m.now()
	}
	a.User = a.copied()
	m.accounts[a.ID] = &entry{Account: a}
	return a.copied()
}

// Change lets f change a user in place, all but her id; false when nobody has the login.
func (m *Memory) Change(login string, f func(*Account)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, e := range m.accounts {
		if sameName(e.Login, login) {
			f(&e.Account)
			e.ID = id
			return true
		}
	}
	return false
}

// Remove takes a user out; false when nobody has the login.
func (m *Memory) Remove(login string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.accounts)
	maps.DeleteFunc(m.accounts, func(_ directory.UserID, e *entry) bool { return sameName(e.Login, login) })
	return len(m.accounts) < n
}

// Down makes every call fail with ErrUnavailable, or ends that.
func (m *Memory) Down(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

// Checked counts the passwords compared so far, those of nobody included.
func (m *Memory) Checked() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.checked
}

// Find knows a user by login or e-mail address, whatever the case of ASCII letters.
func (m *Memory) Find(ctx context.Context, login string) (directory.User, error) {
	var found []directory.User
	err := m.serve(ctx, func() error {
		for _, e := range m.accounts {
			if sameName(e.Login, login) || login != "" && sameName(e.Email, login) {
				found = append(found, e.copied())
			}
		}
		switch len(found) {
		case 0:
			return directory.ErrNotFound
		case 1:
			return nil
		}
		return directory.ErrAmbiguous
	})
	if err != nil {
		return directory.User{}, fmt.Errorf("find: %w", err)
	}
	return found[0], nil
}

// Get reads a user by id.
func (m *Memory) Get(ctx context.Context, id directory.UserID) (u directory.User, err error) {
	return u, m.with(ctx, id, func(e *entry) error { u = e.copied(); return nil })
}

// VerifyPassword compares a password.
func (m *Memory) VerifyPassword(ctx context.Context, u directory.User, password string) (v directory.Verdict, err error) {
	err = m.serve(ctx, func() error {
		m.checked++
		if e, ok := m.accounts[u.ID]; ok {
			v = e.verdict(password)
		}
		return nil
	})
	return v, err
}

// SetPassword sets a password unless it is shorter than eight characters or one of the last three.
func (m *Memory) SetPassword(ctx context.Context, u directory.User, next string, o directory.SetOptions) error {
	return m.with(ctx, u.ID, func(e *entry) error { return m.set(e, next, o) })
}

// ChangePassword is SetPassword for one who knows the old password of an open account.
func (m *Memory) ChangePassword(ctx context.Context, u directory.User, old, next string) error {
	return m.with(ctx, u.ID, func(e *entry) error {
		m.checked++
		switch e.verdict(old) {
		case directory.Wrong:
			return directory.ErrWrongPassword
		case directory.RightButBarred:
			return directory.ErrNotAllowed
		}
		return m.set(e, next, directory.SetOptions{})
	})
}

// Unlock clears TempLocked.
func (m *Memory) Unlock(ctx context.Context, u directory.User) error {
	return m.with(ctx, u.ID, func(e *entry) error { e.State &^= directory.TempLocked; return nil })
}

// PasswordPolicy tells the rules SetPassword names.
func (m *Memory) PasswordPolicy(ctx context.Context, _ directory.User) (directory.Policy, error) {
	return directory.Policy{MinLength: memoryMinLength, History: memoryHistory}, m.serve(ctx, func() error { return nil })
}

// Users walks all users in order of their logins.
func (m *Memory) Users(ctx context.Context) iter.Seq2[directory.User, error] {
	return func(yield func(directory.User, error) bool) {
		var all []directory.User
		err := m.serve(ctx, func() error {
			for _, e := range m.accounts {
				all = append(all, e.copied())
			}
			return nil
		})
		slices.SortFunc(all, func(a, b directory.User) int { return strings.Compare(a.Login, b.Login) })
		for _, u := range all {
			if !yield(u, nil) {
				return
			}
		}
		if err != nil {
			yield(directory.User{}, err)
		}
	}
}

// Check finds out whether the directory is down.
func (m *Memory) Check(ctx context.Context) []directory.Finding {
	if err := m.serve(ctx, func() error { return nil }); err != nil {
		return []directory.Finding{{Grave: true, Text: err.Error()}}
	}
	return nil
}

// serve runs one call, unless its context has ended or the directory is down.
func (m *Memory) serve(ctx context.Context, f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.down {
		return directory.ErrUnavailable
	}
	return f()
}

func (m *Memory) with(ctx context.Context, id directory.UserID, f func(*entry) error) error {
	return m.serve(ctx, func() error {
		e, ok := m.accounts[id]
		if !ok {
			return directory.ErrNotFound
		}
		return f(e)
	})
}

func (m *Memory) set(e *entry, next string, o directory.SetOptions) error {
	if utf8.RuneCountInString(next) < memoryMinLength {
		return &directory.PolicyError{Reason: directory.TooShort}
	}
	if next == e.Password || slices.Contains(e.previous, next) {
		return &directory.PolicyError{Reason: directory.InHistory}
	}
	e.previous = append([]string{e.Password}, e.previous...)
	e.previous = e.previous[:min(len(e.previous), memoryHistory-1)]
	e.Password, e.PasswordChangedAt = next, m.now()
	e.State &^= directory.Expired | directory.MustChange
	if o.MustChange {
		e.State |= directory.MustChange
	}
	return nil
}

func (m *Memory) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

func (e *entry) verdict(password string) directory.Verdict {
	switch {
	case password == "" || e.Password != password:
		return directory.Wrong
	case e.State.Barred() || e.State.Has(directory.TempLocked):
		return directory.RightButBarred
	case e.State&(directory.Expired|directory.MustChange) != 0:
		return directory.RightButDue
	}
	return directory.Right
}

// copied is the user without anything the caller could change in here.
func (a *Account) copied() directory.User {
	u := a.User
	u.Groups = slices.Clone(u.Groups)
	u.Attrs = maps.Clone(u.Attrs)
	for name, values := range u.Attrs {
		u.Attrs[name] = slices.Clone(values)
	}
	return u
}

// sameName compares whatever the case of ASCII letters, and no others: look-alikes stay apart.
func sameName(a, b string) bool { return lower(a) == lower(b) }

func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}
