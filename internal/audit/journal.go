// Package audit owns the journal: one row a deed, written in the deed's own transaction, from which log line and metric are fed.
//
// Users appear in it under random pseudonyms; when the row that ties a pseudonym to its user is erased, the journal says nothing about
// her any more and is still whole. A chainer, one at a time for each tenant, links the rows by SHA-256 in the order they were committed,
// within a second and outside every deed's transaction, so that the chain serialises nobody. Verify finds what was changed afterwards.
//
// It never decides anything and never holds a code, a seed, a link or a password (SECURITY LG-01): what a detail may say is listed here.
package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Options of a journal. Ring is required.
type Options struct {
	Ring    *secret.Ring
	Node    string             // names this process among the chainers; empty: a name is made up
	Now     func() time.Time   // nil: the store's clock
	Logger  *slog.Logger       // one line a deed, after its commit; nil: none
	Metrics func(event string) // called once a deed, after its commit; nil: none
}

// Journal is one tenant's. It is safe for concurrent use.
type Journal struct {
	db       *store.Handle
	now      func() time.Time
	log      *slog.Logger
	metrics  func(event string)
	nobody   secret.MAC   // pseudonyms of names that belong to nobody
	mark     secret.MAC   // on the head of the chain
	identity string       // of this process among the chainers
	told     atomic.Int64 // when trouble was last told of, in microseconds
}

// New keeps the journal in h.
func New(h *store.Handle, o Options) *Journal {
	j := &Journal{
		db: h, now: o.Now, log: o.Logger, metrics: o.Metrics,
		nobody: o.Ring.MAC("pseudonym/" + h.Name()), mark: o.Ring.MAC("journal/" + h.Name()),
		identity: cmp.Or(o.Node, secret.ID()),
	}
	if j.now == nil {
		j.now = h.Now
	}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	if j.metrics == nil {
		j.metrics = func(string) {}
	}
	return j
}

// Record writes the deed as part of tx: it is in the journal exactly when the deed was done. After the commit it is logged and counted.
// A detail that is not allowed is left out, named under the key "dropped", and reported to the log as a fault of ours.
// Only a name that is no dotted word, and the store, make it fail.
func (j *Journal) Record(tx store.Tx, e Event) error {
	if !eventName.MatchString(e.Name) {
		return fmt.Errorf("record: %q is not the name of an event", e.Name)
	}
	who, err := j.pseudonym(tx, e.User)
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Name, err)
	}
	detail, dropped := allowed(e.Detail)
	text := ""
	if len(detail) > 0 {
		b, err := json.Marshal(detail)
		if err != nil {
			return fmt.Errorf("record %s: %w", e.Name, err)
		}
		text = string(b)
	}
	entry := Entry{
		At: tx.Now().UTC(), Event: e.Name, Who: who, Actor: plain(e.Actor, 128), Flow: plain(e.Flow, 64),
		Client: plain(e.Client, 128), Network: plain(e.Network, 64), Detail: detail,
	}
	if entry.Actor == "" {
		entry.Actor = "user"
	}
	_, err = tx.Exec(`INSERT INTO journal (tenant, at, event, who, actor, flow, client, network, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		store.Micros(entry.At), entry.Event, entry.Who, entry.Actor, entry.Flow, entry.Client, entry.Network, text)
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Name, err)
	}
	tx.After(func() { j.tell(entry, dropped) })
	return nil
}

// tell feeds log and metric. The log names nobody either.
func (j *Journal) tell(e Entry, dropped []string) {
	j.metrics(e.Event)
	attrs := []slog.Attr{slog.String("tenant", j.db.Name()), slog.String("event", e.Event), slog.String("who", e.Who), slog.String("actor", e.Actor)}
	for _, a := range []slog.Attr{slog.String("flow", e.Flow), slog.String("client", e.Client), slog.String("network", e.Network)} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if len(e.Detail) > 0 {
		var details []any
		for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
			details = append(details, slog.String(key, e.Detail[key]))
		}
		attrs = append(attrs, slog.Group("detail", details...))
	}
	j.log.LogAttrs(context.Background(), slog.LevelInfo, "audit", attrs...)
	if len(dropped) > 0 {
		j.log.LogAttrs(context.Background(), slog.LevelError, "audit: details that may not be journalled were left out",
			slog.String("tenant", j.db.Name()), slog.String("event", e.Event), slog.Any("keys", dropped))
	}
}
