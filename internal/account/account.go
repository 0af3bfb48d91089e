// Package account keeps what Sparekey itself knows of a user: her authenticators, what she was asked and when,
// her subject identifier, and the epoch that makes every older session and grant void. It never shows a page
// and never decides.
package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Account is one user's row. The zero row of a user who never signed in has Epoch 0 and no Subject.
type Account struct {
	User           directory.UserID
	Subject        string // random; what sub is made from
	Epoch          int64  // sessions and grants of an older epoch are void
	CreatedAt      time.Time
	RegisteredAt   time.Time
	Skips          int
	SnoozedUntil   time.Time
	ConfirmedAt    time.Time
	RequireAgainAt time.Time // authenticators bound before do not count
	FrozenUntil    time.Time // "This wasn't me" was pressed
	FrozenSince    time.Time // the change that was about: what was bound before lifts the freeze; zero: nothing does
	Doubted        bool      // it was about the password: that proves nothing any more
	Intent         string    // the flow that is setting the password right now
	IntentAt       time.Time
}

// Accounts is the room.
type Accounts struct {
	box      secret.Box
	sessions *session.Sessions
	ending   []func(store.Tx, directory.UserID) error
}

// New makes the room for one tenant.
func New(tenant string, ring *secret.Ring, sessions *session.Sessions) *Accounts {
	return &Accounts{box: ring.Box("authenticator/" + tenant), sessions: sessions}
}

// WhenEnded adds what else has to end with a user's sessions: grants, pending flows. Called while wiring, never later.
func (a *Accounts) WhenEnded(f func(store.Tx, directory.UserID) error) {
	a.ending = append(a.ending, f)
}

const columns = `subject, epoch, created_at, registered_at, skips, snoozed_until, confirmed_at, require_again_at, frozen_until, frozen_since, doubted, intent, intent_at`

// Load reads the account; a user without one gets the zero row, which is no error.
func (a *Accounts) Load(tx store.Tx, user directory.UserID) (Account, error) {
	return a.load(tx, user, "")
}

func (a *Accounts) load(tx store.Tx, user directory.UserID, locking string) (Account, error) {
	c, err := scanAccount(tx.Row(`SELECT `+columns+` FROM account WHERE tenant = $1 AND user_id = $2`+locking, string(user)), user)
	if errors.Is(err, store.ErrNotFound) {
		return Account{User: user}, nil
	}
	if err != nil {
		return Account{}, fmt.Errorf("load account: %w", err)
	}
	return c, nil
}

// scanAccount reads columns, and what stands behind them into more.
func scanAccount(row store.Row, user directory.UserID, more ...any) (Account, error) {
	c := Account{User: user}
	var created, registered, snoozed, confirmed, again, frozen, since, doubted, intent int64
	err := row.Scan(append([]any{&c.Subject, &c.Epoch, &created, &registered, &c.Skips, &snoozed, &confirmed, &again, &frozen, &since, &doubted, &c.Intent, &intent}, more...)...)
	c.CreatedAt, c.RegisteredAt, c.SnoozedUntil = store.Time(created), store.Time(registered), store.Time(snoozed)
	c.ConfirmedAt, c.RequireAgainAt, c.IntentAt = store.Time(confirmed), store.Time(again), store.Time(intent)
	c.FrozenUntil, c.FrozenSince, c.Doubted = store.Time(frozen), store.Time(since), doubted != 0
	return c, err
}

// Open reads the account and makes it when this is the user's first visit.
func (a *Accounts) Open(tx store.Tx, user directory.UserID) (Account, error) {
	c, err := a.Load(tx, user)
	if err != nil || c.Subject != "" {
		return c, err
	}
	if err := a.begin(tx, user); err != nil {
		return Account{}, err
	}
	return a.Load(tx, user)
}

// begin makes the account of a user who has none.
func (a *Accounts) begin(tx store.Tx, user directory.UserID) error {
	_, err := tx.Exec(`INSERT INTO account (tenant, user_id, subject, epoch, created_at, registered_at, skips, snoozed_until, confirmed_at, require_again_at, frozen_until, intent, intent_at)
		VALUES ($1, $2, $3, 1, $4, 0, 0, 0, 0, 0, 0, '', 0) ON CONFLICT (tenant, user_id) DO NOTHING`,
		string(user), secret.ID(), store.Micros(tx.Now()))
	if err != nil {
		return fmt.Errorf("open account: %w", err)
	}
	return nil
}

func (a *Accounts) set(tx store.Tx, user directory.UserID, assign string, args ...any) error {
	if _, err := a.Open(tx, user); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE account SET `+assign+` WHERE tenant = $1 AND user_id = $2`, append([]any{string(user)}, args...)...)
	return err
}

// Registered notes that the registration is whole: skips start anew, and what an operator had declared void goes.
func (a *Accounts) Registered(tx store.Tx, user directory.UserID) error {
	if err := a.set(tx, user, `registered_at = $3, confirmed_at = $3, skips = 0, snoozed_until = 0`, store.Micros(tx.Now())); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM authenticator WHERE tenant = $1 AND user_id = $2
		AND bound_at < (SELECT require_again_at FROM account WHERE tenant = $1 AND user_id = $2)`, string(user))
	if err != nil {
		return err
	}
	return a.lead(tx, user)
}

// Skip counts one press of "Skip for now" and lets the user be until the snooze ends.
func (a *Accounts) Skip(tx store.Tx, user directory.UserID, snooze time.Duration) error {
	return a.set(tx, user, `skips = skips + 1, snoozed_until = $3`, store.Micros(tx.Now().Add(snooze)))
}

// RequireAgain makes authenticators bound until now count for nothing.
func (a *Accounts) RequireAgain(tx store.Tx, user directory.UserID) error {
	return a.set(tx, user, `require_again_at = $3, registered_at = 0, snoozed_until = 0`, store.Micros(tx.Now()))
}

// Freeze refuses resets and changes of security info until then. A proof by what was bound before the change that it is about lifts it;
// with the zero time for the change only an operator does. Of several freezes the strictest holds.
func (a *Accounts) Freeze(tx store.Tx, user directory.UserID, until, change time.Time) error {
	now := store.Micros(tx.Now())
	return a.set(tx, user, `frozen_since = CASE WHEN frozen_until > $5 AND frozen_since < $4 THEN frozen_since ELSE $4 END,
		frozen_until = CASE WHEN frozen_until > $3 THEN frozen_until ELSE $3 END`, store.Micros(until), store.Micros(change), now)
}

// Doubt makes the password prove nothing until Trust or Thaw.
func (a *Accounts) Doubt(tx store.Tx, user directory.UserID) error {
	return a.set(tx, user, `doubted = 1`)
}

// Trust ends a doubt: an operator has set another password.
func (a *Accounts) Trust(tx store.Tx, user directory.UserID) error {
	return a.set(tx, user, `doubted = 0`)
}

// Thaw ends a freeze and a doubt. What was suspended stays so.
func (a *Accounts) Thaw(tx store.Tx, user directory.UserID) error {
	return a.set(tx, user, `frozen_until = 0, frozen_since = 0, doubted = 0`)
}

// Asked is what policy wants to know of the account.
func (c Account) Asked() policy.Asked {
	return policy.Asked{Skips: c.Skips, SnoozedUntil: c.SnoozedUntil, RequiredAgain: c.RequireAgainAt,
		FrozenUntil: c.FrozenUntil, FrozenSince: c.FrozenSince, Doubted: c.Doubted}
}

// Intend notes that the flow is about to set the password. While an intent stands, no session and no grant of the user counts.
// Another flow's intent is ErrChanged.
func (a *Accounts) Intend(tx store.Tx, user directory.UserID, flow string) error {
	if _, err := a.Open(tx, user); err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE account SET intent = $3, intent_at = $4 WHERE tenant = $1 AND user_id = $2 AND intent = ''`, string(user), flow, store.Micros(tx.Now()))
	if err == nil && n == 0 {
		err = store.ErrChanged
	}
	return err
}

// Settled removes the flow's intent; ErrChanged when somebody else has settled it.
func (a *Accounts) Settled(tx store.Tx, user directory.UserID, flow string) error {
	n, err := tx.Exec(`UPDATE account SET intent = '', intent_at = 0 WHERE tenant = $1 AND user_id = $2 AND intent = $3`, string(user), flow)
	if err == nil && n == 0 {
		err = store.ErrChanged
	}
	return err
}

// Intending names the tenants in which an account has an intent.
func Intending(ctx context.Context, db *store.DB) ([]string, error) {
	return db.Holding(ctx, "account", "intent <> ''")
}

// Unsettled lists the accounts whose intent is older than the given time: nobody is waiting for its outcome any more.
func (a *Accounts) Unsettled(tx store.Tx, before time.Time) ([]Account, error) {
	rows, err := tx.Rows(`SELECT user_id, intent FROM account WHERE tenant = $1 AND intent <> '' AND intent_at < $2`, store.Micros(before))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Account
	for rows.Next() {
		var c Account
		var user string
		if err := rows.Scan(&user, &c.Intent); err != nil {
			return nil, err
		}
		c.User = directory.UserID(user)
		list = append(list, c)
	}
	return list, rows.Err()
}

// End makes every session, grant and pending flow of the user void, now: the records go, and the epoch moves on,
// so that one being written at this moment is void as well.
func (a *Accounts) End(tx store.Tx, user directory.UserID) error {
	if err := a.set(tx, user, `epoch = epoch + 1`); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if _, err := a.sessions.EndAll(tx, string(user)); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	for _, f := range a.ending {
		if err := f(tx, user); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
	}
	return nil
}

// Erase removes all that is known of the user.
func (a *Accounts) Erase(tx store.Tx, user directory.UserID) error {
	if err := a.End(tx, user); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM authenticator WHERE tenant = $1 AND user_id = $2`, string(user)); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM account WHERE tenant = $1 AND user_id = $2`, string(user))
	return err
}
