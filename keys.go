package sparekey

import (
	"context"
	"time"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/provider"
)

// Keys lists a tenant's signing keys, as they were when last read: at Open, by Run each minute, after RotateKeys and AwaitKeys, and when a request needed them.
func (p *Plugin) Keys(tenant string) []provider.Key {
	if t := p.tenant(tenant); t != nil {
		return t.provider.Keys()
	}
	return nil
}

// RotateKeys publishes a successor for every signing key of a tenant. It signs once it has been published for a day; the key before it stays
// published until the last token it signed has ended. At once is for keys that may have been seen: new ones are published, and AwaitKeys, or Run on any node,
// lets them sign some seconds later, when every node publishes them; then those there were before are published no more, and what they signed is
// believed no more. by names the operator in the journal.
func (p *Plugin) RotateKeys(ctx context.Context, tenant string, atOnce bool, by string) error {
	t := p.tenant(tenant)
	if t == nil {
		return nil
	}
	mode, rotate := "published", t.provider.RotateKeys
	if atOnce {
		mode, rotate = "at_once", t.provider.DistrustKeys
	}
	err := t.admin.Store.Write(ctx, func(tx store.Tx) error {
		return t.journal.Record(tx, audit.Event{Name: audit.OperatorKeys, Actor: "operator:" + by, Detail: map[string]string{"mode": mode}})
	})
	if err != nil {
		return err
	}
	return rotate(ctx)
}

// AwaitKeys returns when no key of a tenant that is trusted no more signs or is published anywhere, and does its part to bring that about. It takes some seconds.
func (p *Plugin) AwaitKeys(ctx context.Context, tenant string) error {
	t := p.tenant(tenant)
	for t != nil {
		if err := t.provider.TurnKeys(ctx); err != nil {
			return err
		}
		if !t.provider.Turning() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}
