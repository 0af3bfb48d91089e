package sparekey

import (
	"context"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/provider"
)

// Keys lists a tenant's signing keys, as they were when last read: at Open, by Run each minute, and after RotateKeys.
func (p *Plugin) Keys(tenant string) []provider.Key {
	if t := p.tenant(tenant); t != nil {
		return t.provider.Keys()
	}
	return nil
}

// RotateKeys publishes a successor for every signing key of a tenant. It signs once it has been published for a day, or at once when told so;
// the key before it stays published until the last token it signed has ended. by names the operator in the journal. Other nodes publish it at once and sign with it
// within a minute, by Run.
func (p *Plugin) RotateKeys(ctx context.Context, tenant string, atOnce bool, by string) error {
	t := p.tenant(tenant)
	if t == nil {
		return nil
	}
	mode := "published"
	if atOnce {
		mode = "at_once"
	}
	err := t.admin.Store.Write(ctx, func(tx store.Tx) error {
		return t.journal.Record(tx, audit.Event{Name: audit.OperatorKeys, Actor: "operator:" + by, Detail: map[string]string{"mode": mode}})
	})
	if err != nil {
		return err
	}
	return t.provider.RotateKeys(ctx, atOnce)
}
