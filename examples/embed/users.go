package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"

	"github.com/sparekey-id/sparekey/directory"
)

// Users are the program's own, in memory. Sparekey reads them, and checks and sets their passwords where they live.
type Users struct {
	mu   sync.Mutex
	list []*account
}

type account struct {
	directory.User
	salt, hash []byte
}

// Add makes a user.
func (s *Users) Add(u directory.User, password string) {
	u.ID = directory.UserID(rand.Text()) // never a name: names change, and are given again
	salt, hash := hashed(password)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, &account{u, salt, hash})
}

// Find looks a user up by what she typed: her login, whatever the case of its letters.
func (s *Users) Find(ctx context.Context, login string) (directory.User, error) {
	// Letters of another length only look like hers.
	a, err := s.read(ctx, func(a *account) bool { return len(a.Login) == len(login) && strings.EqualFold(a.Login, login) })
	return a.User, err
}

// Get reads a user again.
func (s *Users) Get(ctx context.Context, id directory.UserID) (directory.User, error) {
	a, err := s.read(ctx, func(a *account) bool { return a.ID == id })
	return a.User, err
}

// VerifyPassword compares a password. Nobody's password costs what somebody's costs.
func (s *Users) VerifyPassword(ctx context.Context, u directory.User, password string) (directory.Verdict, error) {
	a, err := s.read(ctx, func(a *account) bool { return a.ID == u.ID })
	if err != nil && err != directory.ErrNotFound {
		return directory.Wrong, err
	}
	right := subtle.ConstantTimeCompare(hash(password, a.salt), a.hash) == 1
	switch {
	case !right || password == "":
		return directory.Wrong, nil
	case a.State.Barred():
		return directory.RightButBarred, nil
	case a.State.Has(directory.MustChange):
		return directory.RightButDue, nil
	}
	return directory.Right, nil
}

// SetPassword sets a password that was forgotten.
func (s *Users) SetPassword(ctx context.Context, u directory.User, next string, o directory.SetOptions) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if next == "" {
		return &directory.PolicyError{Reason: directory.TooShort}
	}
	salt, hash := hashed(next)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.list {
		if a.ID == u.ID {
			a.salt, a.hash = salt, hash
			if a.State &^= directory.MustChange; o.MustChange {
				a.State |= directory.MustChange
			}
			return nil
		}
	}
	return directory.ErrNotFound
}

// ChangePassword replaces a password that is known.
func (s *Users) ChangePassword(ctx context.Context, u directory.User, old, next string) error {
	switch v, err := s.VerifyPassword(ctx, u, old); {
	case err != nil:
		return err
	case v == directory.Wrong:
		return directory.ErrWrongPassword
	case v == directory.RightButBarred:
		return directory.ErrNotAllowed
	}
	return s.SetPassword(ctx, u, next, directory.SetOptions{})
}

// read gives a copy of the user that is meant; the caller may do with it as she likes.
func (s *Users) read(ctx context.Context, meant func(*account) bool) (account, error) {
	if err := ctx.Err(); err != nil {
		return account{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.list, meant); i >= 0 {
		a := *s.list[i]
		a.Groups = slices.Clone(a.Groups)
		return a, nil
	}
	return account{}, directory.ErrNotFound
}

func hashed(password string) (salt, sum []byte) {
	salt = []byte(rand.Text())
	return salt, hash(password, salt)
}

func hash(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, 2, 19<<10, 1, 32)
}
