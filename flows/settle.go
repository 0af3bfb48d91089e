package flows

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/account"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// settle treats an intent whose outcome nobody knows as a success: everything of the user ends, and she is told
// that her password may have been changed.
func (f *Flows) settle(ctx context.Context, user directory.UserID, flow string) error {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	u, err := f.Directory.Get(asking, user)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		// The mail is worth less than the end of the sessions: it goes to the registered addresses alone.
		u = directory.User{ID: user}
	}
	err = f.Store.Write(ctx, func(tx store.Tx) error {
		if err := f.Accounts.Settled(tx, user, flow); err != nil {
			return err
		}
		if err := f.Accounts.End(tx, user); err != nil {
			return err
		}
		to, err := f.mailboxes(tx, u)
		if err != nil {
			return err
		}
		if err := f.alert(tx, u, f.Brand.language(), stoppable{User: user, Event: "password_may_have_changed"}, to, f.letter(u, ""),
			func(l templates.Letter) templates.Mail { return templates.PasswordMayHaveChanged{Letter: l} }); err != nil {
			return err
		}
		return f.Journal.Record(tx, audit.Event{Name: audit.ResetUnsure, User: string(user), Flow: flow})
	})
	if errors.Is(err, store.ErrChanged) {
		return nil // somebody else has settled it
	}
	return err
}

// Run settles what a crash left open at these tenants of one store, until ctx ends.
func Run(ctx context.Context, db *store.DB, wings ...*Flows) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for len(wings) > 0 {
		if err := settleAll(ctx, db, wings, -intentLasts); err != nil && ctx.Err() == nil {
			wings[0].Logger.Warn("settle resets", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// SettleAll settles every intent there is. Only the process that is alone on its database may call it, at start:
// whoever was waiting for these outcomes is gone.
func SettleAll(ctx context.Context, db *store.DB, wings ...*Flows) error {
	return settleAll(ctx, db, wings, time.Minute)
}

// settleAll settles the intents that are older than now and so much. Hardly a tenant has one: one look finds those that have.
func settleAll(ctx context.Context, db *store.DB, wings []*Flows, after time.Duration) error {
	names, err := account.Intending(ctx, db)
	if err != nil {
		return err
	}
	for _, f := range wings {
		if !slices.Contains(names, f.Store.Name()) {
			continue
		}
		if bad := f.settleOld(ctx, f.Now().Add(after)); bad != nil {
			err = errors.Join(err, fmt.Errorf("tenant %s: %w", f.Store.Name(), bad))
		}
	}
	return err
}

func (f *Flows) settleOld(ctx context.Context, before time.Time) error {
	var open []account.Account
	err := f.Store.Read(ctx, func(tx store.Tx) (err error) {
		open, err = f.Accounts.Unsettled(tx, before)
		return err
	})
	for _, c := range open {
		err = errors.Join(err, f.settle(ctx, c.User, c.Intent))
	}
	return err
}

func (b Brand) language() string {
	if len(b.Languages) > 0 {
		return b.Languages[0]
	}
	return "en"
}

// absolute is the address of a page as a mail shows it: from the configured issuer, never from a request.
func (f *Flows) absolute(path string, token string) string {
	if token != "" {
		path += "/" + url.PathEscape(token)
	}
	return f.Issuer + path
}
