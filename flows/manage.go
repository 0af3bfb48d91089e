package flows

import (
	"fmt"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// leave gives a manage flow up: nothing is changed.
func (t *turn) leave() error {
	t.flow.Done, t.flow.Task.Do = true, ""
	return t.commit(nil)
}

// settled is how a change of security info ends: proven anew inside the transaction, journalled, told.
func (t *turn) settled(deed func(store.Tx) error) error {
	t.flow.Done, t.flow.hidden = true, hidden{}
	return t.commit(func(tx store.Tx) error {
		now, err := t.Accounts.Lock(tx, t.flow.User)
		if err != nil {
			return err
		}
		if now.Intent != "" {
			return errAgain // her sessions do not count while a password is being set
		}
		seen := *t
		if err := seen.load(tx); err != nil {
			return err
		}
		if seen.session.Key == "" {
			return errForeign // the session this flow went on from has ended
		}
		open := *t.flow
		open.Done = false
		seen.flow = &open
		if seen.decide(); !seen.decision.Enough || seen.decision.Refuse != "" {
			return errAgain
		}
		t.held = seen.held
		return deed(tx)
	})
}

// bindManaged adds or replaces an authenticator by the user's own wish.
func (t *turn) bindManaged(a identity.Authenticator, right func(store.Tx) error) error {
	task := t.flow.Task
	return t.settled(func(tx store.Tx) error {
		if err := right(tx); err != nil {
			return err
		}
		event, name, old := "method_added", audit.MethodBound, identity.Authenticator{}
		if task.ID != "" {
			if t.below(task.ID, a) {
				return errAgain // the policy's minimum holds, whatever was offered
			}
			var err error
			if old, err = t.drop(tx, task.ID); err != nil {
				return err
			}
			event, name, a.Default = "method_changed", audit.MethodChanged, old.Default
		}
		bound, err := t.Accounts.Bind(tx, t.flow.User, a)
		if err != nil {
			return err
		}
		if err := t.tellChange(tx, event, bound, old); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(name, map[string]string{"kind": string(a.Kind)}))
	})
}

func (t *turn) drop(tx store.Tx, id string) (identity.Authenticator, error) {
	a, ok := t.holds(id)
	if !ok {
		return a, store.ErrNotFound
	}
	return a, t.Accounts.Unbind(tx, t.flow.User, id)
}

func (t *turn) showDelete() (templates.Page, error) {
	for _, r := range t.rows() {
		if r.ID == t.flow.Task.ID {
			return templates.ConfirmDelete{Frame: t.frame(), Method: r, Replace: t.below(r.ID)}, nil
		}
	}
	return nil, errForeign
}

func (t *turn) actDelete() error {
	switch t.action() {
	case "back":
		return t.leave()
	case "replace":
		// Something else is set up first; the old one goes in the same transaction.
		t.flow.Task.Do = "add"
		return t.advance(nil)
	case "delete":
	default:
		return errAgain
	}
	id := t.flow.Task.ID
	return t.settled(func(tx store.Tx) error {
		if t.below(id) {
			return errAgain // the policy's minimum holds, whatever the page said
		}
		old, err := t.drop(tx, id)
		if err != nil {
			return err
		}
		if err := t.tellChange(tx, "method_removed", old, old); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.MethodUnbound, map[string]string{"kind": string(old.Kind)}))
	})
}

// manage ends a manage flow whose task needs no page of its own.
func (t *turn) manage(deed func(store.Tx) error) error {
	switch t.flow.Task.Do {
	case "default":
		return t.settled(func(tx store.Tx) error {
			if err := deed(tx); err != nil {
				return err
			}
			if err := t.Accounts.Prefer(tx, t.flow.User, t.flow.Task.ID); err != nil {
				return err
			}
			return t.Journal.Record(tx, t.event(audit.MethodPreferred, nil))
		})
	case "":
		t.flow.Done = true
		return t.commit(deed)
	}
	return fmt.Errorf("unknown task %q", t.flow.Task.Do)
}
