package flows

import (
	"errors"
	"net/http"
	"time"

	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
)

// errBusy says that a password of the user is being set right now.
var errBusy = errors.New("a password is being set")

// resultLasts is how long a flow lives at least once it has set a password, so that its last page can be seen.
const resultLasts = 5 * time.Minute

// busy reports whether the flow has to wait for a password that is being set, by itself in another tab or by another flow of the user's.
// Whoever has proven something waits: what she does now would meet a password and sessions that are about to be others.
func (t *turn) busy() bool {
	return t.account.Intent != "" && !t.flow.Done && len(t.flow.Proofs) > 0
}

// conclude is what follows when the password has been set. Nothing that happens meanwhile undoes that it has: not the end of the flow's time
// or of everything of the user's, nor a store that fails once. So the intent alone decides who concludes, not the record's version, and the
// record is put back to say what was done. onward goes on signed in, where all stands as it stood when the password was sent off;
// otherwise what has ended meanwhile stays ended.
func (t *turn) conclude(deed, onward func(store.Tx) error) error {
	return t.surely(func(tx store.Tx) error {
		now, err := t.Accounts.Lock(tx, t.flow.User)
		if err != nil {
			return err
		}
		mine := now.Intent == t.flow.ID // else it was settled as unsure, and all has ended already
		stands := mine && now.Epoch == t.flow.Epoch
		if stands && t.flow.Session != "" {
			_, err := t.Sessions.Living(tx, t.flow.Session, string(t.flow.User))
			if stands = err == nil; err != nil && !errors.Is(err, session.ErrNone) {
				return err
			}
		}
		if mine {
			if err := t.Accounts.Settled(tx, t.flow.User, t.flow.ID); err != nil {
				return err
			}
			if err := t.Accounts.End(tx, t.flow.User); err != nil {
				return err
			}
			if err := deed(tx); err != nil {
				return err
			}
		}
		switch {
		case stands && onward != nil:
			t.flow.Epoch++ // what End made of it
			if err := onward(tx); err != nil {
				return err
			}
		case t.flow.Kind == SignIn:
			t.forgetUser()
		}
		if err := t.seal(t.flow); err != nil {
			return err
		}
		if least := t.Now().Add(resultLasts); t.flow.Until.Before(least) {
			t.flow.Until = least
		}
		if err := t.shelf.Drop(tx, t.rec.Key); err != nil {
			return err
		}
		return t.shelf.Add(tx, t.rec.Key, t.flow.owner(), t.flow.Until, *t.flow)
	})
}

// withdraw ends the intent of a password that was not set. A record that has gone meanwhile is not brought back for that.
func (t *turn) withdraw(deed func(store.Tx) error) error {
	return t.surely(func(tx store.Tx) error {
		if err := t.Accounts.Settled(tx, t.flow.User, t.flow.ID); err != nil {
			return err
		}
		if deed != nil {
			if err := deed(tx); err != nil {
				return err
			}
		}
		rec := t.rec
		err := t.shelf.Save(tx, &rec)
		if errors.Is(err, store.ErrChanged) {
			return nil
		}
		return err
	})
}

// surely runs a transaction that follows from what the directory has done already, and once more where the store was away. Such a
// transaction finds out by itself whether it was committed before.
func (t *turn) surely(f func(store.Tx) error) error {
	if err := t.seal(t.flow); err != nil {
		return err
	}
	start := *t.flow
	run := func(tx store.Tx) error {
		*t.flow, t.cookies, t.again = start, t.cookies[:0], false
		return f(tx)
	}
	err := t.Store.Write(t.ctx, run)
	if errors.Is(err, store.ErrUnavailable) {
		if again := t.Store.Write(t.ctx, run); again != nil {
			err = errors.Join(err, again) // the first may have been committed, whatever the second says
		} else {
			err = nil
		}
	}
	if err != nil {
		*t.flow = start
		return err
	}
	for _, c := range t.cookies {
		http.SetCookie(t.w, c)
	}
	return nil
}
