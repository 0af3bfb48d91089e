package admin

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/store"
)

// ErrNotEmbedded says that the tenant's users live elsewhere and are kept there.
var ErrNotEmbedded = errors.New("this tenant's users live in a directory of their own: change them there")

func (a *Admin) local() (*local.Local, error) {
	if l, ok := a.Directory.(*local.Local); ok {
		return l, nil
	}
	return nil, ErrNotEmbedded
}

// acceptable holds a password to the tenant's rules, as the pages do: an operator's is no exception.
func (a *Admin) acceptable(password, login, name, email string) error {
	mailbox, _, _ := strings.Cut(email, "@")
	rules, ok := a.Policy.Passwords.Accept(password, a.Name, login, name, mailbox)
	if ok {
		return nil
	}
	var broken []string
	for _, r := range rules {
		if !r.Fail {
			continue
		}
		broken = append(broken, map[string]string{
			"min_length": fmt.Sprintf("it has fewer than %d characters", r.N), "max_length": fmt.Sprintf("it has more than %d characters", r.N),
			"common": "it is among the first that are guessed", "contains": "it contains a name of hers or of the tenant's"}[r.Rule])
	}
	return fmt.Errorf("password refused: %s", strings.Join(broken, ", "))
}

// GeneratePassword makes a password that is long enough here, for an operator to hand over.
func (a *Admin) GeneratePassword() string {
	password := local.GeneratePassword()
	for len(password) < a.Policy.Passwords.MinLength {
		password += "-" + local.GeneratePassword()
	}
	return password
}

// AddUser makes a user of the embedded directory. One without a password cannot sign in yet.
func (a *Admin) AddUser(ctx context.Context, n local.NewUser, by string) error {
	l, err := a.local()
	if err != nil {
		return err
	}
	if n.Password != "" {
		if err := a.acceptable(n.Password, n.Login, n.Name, n.Email); err != nil {
			return err
		}
	}
	_, err = l.Add(ctx, n, func(tx store.Tx, u directory.User) error {
		return a.Journal.Record(tx, audit.Event{Name: audit.OperatorUserAdded, User: string(u.ID), Actor: "operator:" + by})
	})
	return err
}

// Users walks the users of the directory; nobody holds all of them.
func (a *Admin) Users(ctx context.Context) (iter.Seq2[directory.User, error], error) {
	l, ok := directory.As[directory.Lister](a.Directory)
	if !ok {
		return nil, errors.New("this directory cannot list users")
	}
	return l.Users(ctx), nil
}

// SetDisabled disables a user of the embedded directory, which ends her sessions, or enables her again.
func (a *Admin) SetDisabled(ctx context.Context, u directory.User, disabled bool, by string) error {
	l, err := a.local()
	if err != nil {
		return err
	}
	return a.do(ctx, audit.OperatorUserChanged, u, by, nil, func(tx store.Tx) error {
		if err := l.SetState(tx, u.ID, directory.Disabled, disabled); err != nil || !disabled {
			return err
		}
		return a.Accounts.End(tx, u.ID)
	})
}

// RemoveUser removes a user of the embedded directory and all that is known of her.
func (a *Admin) RemoveUser(ctx context.Context, u directory.User, by string) error {
	l, err := a.local()
	if err != nil {
		return err
	}
	return a.do(ctx, audit.OperatorUserRemoved, directory.User{}, by, nil, func(tx store.Tx) error {
		if err := l.Remove(tx, u.ID); err != nil {
			return err
		}
		return a.Erase(tx, u.ID)
	})
}

// SetPassword sets a password that is good once: the user has to choose her own at the next sign-in (SECURITY PW-08).
func (a *Admin) SetPassword(ctx context.Context, u directory.User, password, by string) error {
	l, err := a.local()
	if err != nil {
		return err
	}
	if err := a.acceptable(password, u.Login, u.Name, u.Email); err != nil {
		return err
	}
	return l.SetPasswordAnd(ctx, u, password, directory.SetOptions{MustChange: true}, func(tx store.Tx) error {
		if err := a.Accounts.Trust(tx, u.ID); err != nil {
			return err
		}
		if err := a.Accounts.End(tx, u.ID); err != nil {
			return err
		}
		return a.Journal.Record(tx, audit.Event{Name: audit.OperatorPassword, User: string(u.ID), Actor: "operator:" + by})
	})
}
