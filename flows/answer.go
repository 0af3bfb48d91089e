package flows

import (
	"context"
	"errors"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/store"
)

// note writes what the next page is to say of an answer that led nowhere, and whatever f adds. The flow stands where it stood, so a right
// answer that is given at the same moment is not lost by it. What f adds is written although the flow has changed or ended meanwhile, which is
// store.ErrChanged then: nothing was noted.
func (t *turn) note(ctx context.Context, f func(store.Tx) error) error {
	if err := t.seal(t.flow); err != nil {
		return err
	}
	var noted error
	err := t.Store.Write(ctx, func(tx store.Tx) error {
		if noted = t.shelf.Note(tx, t.rec); noted != nil && !errors.Is(noted, store.ErrChanged) || f == nil {
			return noted
		}
		return f(tx)
	})
	if err == nil {
		err = noted
	}
	return err
}

// journalled notes an answer that led nowhere, and writes its event, even if whoever gave the answer has left: nothing that was counted goes
// without its row (SECURITY LG-01).
func (t *turn) journalled(name string, detail map[string]string) error {
	return t.noted(func(tx store.Tx) error { return t.Journal.Record(tx, t.event(name, detail)) })
}

// noted is note for what has happened, whether she waits for the answer or has left.
func (t *turn) noted(f func(store.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), askTimeout)
	defer cancel()
	return t.note(ctx, f)
}

// missed ends an attempt whose answer was wrong.
func (t *turn) missed(attempt *guard.Attempt, detail map[string]string) error {
	return errors.Join(attempt.Wrong(t.ctx), t.journalled(audit.ProofWrong, detail))
}

// uncompared takes an attempt back whose answer was never compared, for err. Who has left meanwhile has it counted (guard), so it is journalled.
func (t *turn) uncompared(attempt *guard.Attempt, err error, detail map[string]string) error {
	if back := attempt.GiveBack(t.ctx); back != nil {
		detail["reason"] = "not_compared"
		err = errors.Join(err, t.journalled(audit.ProofWrong, detail))
	}
	return err
}
