// Package admin is what an operator may do at a tenant: find out why a user is asked something, unlock, remove methods,
// require registration again, end sessions, read the journal. Every deed is journalled in its own transaction.
// It has no rules of its own and speaks to no browser.
package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/account"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Deps are the rooms it acts on.
type Deps struct {
	Name      string // the tenant's, as pages show it
	Store     *store.Handle
	Directory directory.Directory
	Policy    *policy.Policy
	Accounts  *account.Accounts
	Sessions  *session.Sessions
	Guard     *guard.Guard
	Journal   *audit.Journal
	Outbox    *notify.Outbox
	Address   func(directory.User) identity.Authenticator // the directory's own e-mail address of a user, as she could prove it; zero: there is none
}

// Admin is one tenant's.
type Admin struct{ Deps }

// New makes the room.
func New(d Deps) *Admin { return &Admin{d} }

// Find looks a user up by what an operator types.
func (a *Admin) Find(ctx context.Context, login string) (directory.User, error) {
	u, err := a.Directory.Find(ctx, login)
	if errors.Is(err, directory.ErrNotFound) {
		return u, fmt.Errorf("no user %q in tenant %s", login, a.Store.Name())
	}
	return u, err
}

// In lists the members of a group; it needs a directory that can list.
func (a *Admin) In(ctx context.Context, group string) ([]directory.User, error) {
	members, ok := directory.Members(ctx, a.Directory, group)
	if !ok {
		return nil, errors.New("this directory cannot list users")
	}
	var list []directory.User
	for u, err := range members {
		if err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	return list, nil
}

// Holds lists what keeps the user out now, in words.
func (a *Admin) Holds(ctx context.Context, u directory.User) ([]string, error) {
	var words []string
	if u.State.Has(directory.TempLocked) {
		words = append(words, "locked in the directory after too many tries")
	}
	err := a.Store.Read(ctx, func(tx store.Tx) error {
		holds, err := a.Guard.Holds(tx, string(u.ID))
		if err != nil {
			return err
		}
		for _, h := range holds {
			text := counted(h)
			if !h.Until.IsZero() {
				text += ", blocked until " + h.Until.UTC().Format(time.RFC3339)
			}
			words = append(words, text)
		}
		acc, held, err := a.Accounts.Known(tx, u.ID)
		if err != nil {
			return err
		}
		if a.Store.Now().Before(acc.FrozenUntil) {
			words = append(words, "changes are frozen since “This wasn’t me” was pressed (lifted by unlock --thaw)")
		}
		if acc.Doubted {
			words = append(words, "the password proves nothing since “This wasn’t me” was pressed about it (user set-password gives a new one; unlock --thaw makes this one count again)")
		}
		for _, x := range held {
			if x.Suspended {
				words = append(words, fmt.Sprintf("a method is suspended: %s", x.Kind))
			}
		}
		return err
	})
	return words, err
}

// counted says what counts against a user.
func counted(h guard.Hold) string {
	if h.For == "send" {
		return fmt.Sprintf("mails with a code that were sent: %d", h.Failures)
	}
	tries := "1 failed try"
	if h.Failures != 1 {
		tries = fmt.Sprintf("%d failed tries", h.Failures)
	}
	if h.For == guard.Code {
		return "codes at sign-in: " + tries
	}
	return fmt.Sprintf("%s: %s from %s browsers", strings.ReplaceAll(h.For, "_", "-"), tries, map[bool]string{true: "known", false: "unknown"}[h.Known])
}

// Unlock lifts throttles and the directory's lock and, where thaw says so, a freeze after "This wasn't me" as well.
// What was suspended stays so: it may be the attacker's. Links of notices that are still open stay good: the next thing that somebody else
// did may be told of by one of them, and its owner has no other defence. What was mailed to an address that was stopped, or of whose end it does not tell, is not.
func (a *Admin) Unlock(ctx context.Context, u directory.User, thaw bool, by string) error {
	if l, ok := directory.As[directory.Unlocker](a.Directory); ok && u.State.Has(directory.TempLocked) {
		if err := l.Unlock(ctx, u); err != nil {
			return fmt.Errorf("unlock %s in the directory: %w", u.Login, err)
		}
	}
	detail := map[string]string{"scope": "locks"}
	if thaw {
		detail["scope"] = "locks_and_freeze"
	}
	return a.do(ctx, audit.OperatorUnlock, u, by, detail, func(tx store.Tx) error {
		if err := a.Guard.Lift(tx, string(u.ID)); err != nil || !thaw {
			return err
		}
		return a.Accounts.Thaw(tx, u.ID)
	})
}

// UnlockMany forgets what counts against a network (empty: none) and lets the tenant's brake on resets off.
func (a *Admin) UnlockMany(ctx context.Context, network string, brake bool, by string) error {
	return a.Store.Write(ctx, func(tx store.Tx) error {
		record := func(scope string) error {
			return a.Journal.Record(tx, audit.Event{Name: audit.OperatorUnlock, Actor: "operator:" + by, Network: network, Detail: map[string]string{"scope": scope}})
		}
		if network != "" {
			if err := errors.Join(a.Guard.LiftNetwork(tx, network), record("network")); err != nil {
				return err
			}
		}
		if !brake {
			return nil
		}
		return errors.Join(a.Guard.LiftTenant(tx), record("brake"))
	})
}

// Methods lists what the user has registered, secrets left out.
func (a *Admin) Methods(ctx context.Context, u directory.User) (list []identity.Authenticator, err error) {
	err = a.Store.Read(ctx, func(tx store.Tx) error {
		list, err = a.Accounts.Authenticators(tx, u.ID)
		for i := range list {
			list[i].Data = nil
		}
		return err
	})
	return list, err
}

// RemoveMethods unbinds one authenticator, or all when id is empty, and ends the user's sessions: she may have lost it.
func (a *Admin) RemoveMethods(ctx context.Context, u directory.User, id, by string) (n int, err error) {
	list, err := a.Methods(ctx, u)
	if err != nil {
		return 0, err
	}
	err = a.do(ctx, audit.OperatorRemove, u, by, nil, func(tx store.Tx) error {
		n = 0
		for _, x := range list {
			if id != "" && x.ID != id {
				continue
			}
			if err := a.Accounts.Unbind(tx, u.ID, x.ID); err != nil {
				return err
			}
			n++
		}
		if n == 0 && id != "" {
			return fmt.Errorf("%s has no method %s", u.Login, id)
		}
		return a.Accounts.End(tx, u.ID)
	})
	return n, err
}

// RequireAgain makes what the user has registered count for nothing: she is asked anew at her next sign-in, and her
// refresh tokens stop until then.
func (a *Admin) RequireAgain(ctx context.Context, u directory.User, by string) error {
	return a.do(ctx, audit.OperatorRequireAgain, u, by, nil, func(tx store.Tx) error { return a.Accounts.RequireAgain(tx, u.ID) })
}

// SessionList lists where the user is signed in.
func (a *Admin) SessionList(ctx context.Context, u directory.User) (list []session.Session, err error) {
	err = a.Store.Read(ctx, func(tx store.Tx) error {
		list, err = a.Sessions.List(tx, string(u.ID))
		return err
	})
	return list, err
}

// EndSessions signs the user out everywhere and voids every grant.
func (a *Admin) EndSessions(ctx context.Context, u directory.User, by string) error {
	return a.do(ctx, audit.OperatorSessions, u, by, nil, func(tx store.Tx) error { return a.Accounts.End(tx, u.ID) })
}

// Erase removes all that is known of a user whom the directory has removed, her name in the journal included.
func (a *Admin) Erase(tx store.Tx, user directory.UserID) error {
	if err := a.Accounts.Erase(tx, user); err != nil {
		return err
	}
	if err := a.Guard.Forget(tx, string(user)); err != nil {
		return err
	}
	if err := a.Guard.Lift(tx, string(user)); err != nil {
		return err
	}
	if err := a.Outbox.Erase(tx, string(user)); err != nil {
		return err
	}
	return a.Journal.Erase(tx, string(user))
}

func (a *Admin) do(ctx context.Context, event string, u directory.User, by string, detail map[string]string, f func(store.Tx) error) error {
	return a.Store.Write(ctx, func(tx store.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return a.Journal.Record(tx, audit.Event{Name: event, User: string(u.ID), Actor: "operator:" + by, Detail: detail})
	})
}

// Record journals an operator's deed that was done elsewhere.
func (a *Admin) Record(ctx context.Context, event string, user directory.UserID, by string) error {
	return a.Store.Write(ctx, func(tx store.Tx) error {
		return a.Journal.Record(tx, audit.Event{Name: event, User: string(user), Actor: "operator:" + by})
	})
}
