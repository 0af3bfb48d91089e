// Package peers lets the nodes of one installation know of each other. Each says in the store, every few seconds, that it lives and which configuration it
// serves, as a keyed sum that tells nothing else, and learns how many others there are and how many serve another one. It owns that shelf,
// and decides nothing: nobody is turned away because nodes differ.
package peers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

const (
	every    = 10 * time.Second // one beat after the other
	lease    = time.Minute      // a node that has not been heard of for so long is gone
	patience = 90 * time.Second // a change that is being made on one node after the other, and what a node that died has left, are no fault
)

// Peers is what this node knows of the others. It is safe for concurrent use.
type Peers struct {
	db    *store.Handle
	shelf store.Shelf[beat]
	node  string
	log   *slog.Logger

	mu      sync.Mutex
	state   State
	differs time.Time // since when; zero: no node does
	told    bool
}

// State is how many other nodes live, and how many of them serve another configuration.
type State struct{ Others, Different int }

// beat is what a node says.
type beat struct {
	Config string `json:"config"`
}

// New is for the node of that name; nobody else may have it.
func New(db *store.DB, node string, log *slog.Logger) *Peers {
	return &Peers{db: db.Tenant(store.Installation), shelf: store.NewShelf[beat]("node"), node: node, log: log}
}

// State is as of the last beat.
func (p *Peers) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Beat says that this node lives and serves the configuration with that sum, and looks at the others.
func (p *Peers) Beat(ctx context.Context, config string) error {
	var seen State
	err := p.db.Write(ctx, func(tx store.Tx) error {
		seen = State{}
		err := p.shelf.Change(tx, p.node, store.Installation, func(b *beat, _ bool) (time.Time, error) {
			b.Config = config
			return tx.Now().Add(lease), nil
		})
		if err != nil {
			return err
		}
		all, err := p.shelf.Owned(tx, store.Installation)
		for _, one := range all {
			if one.Key != p.node {
				seen.Others++
				if one.Value.Config != config {
					seen.Different++
				}
			}
		}
		return err
	})
	if err == nil {
		p.saw(seen, p.db.Now())
	}
	return err
}

// saw warns once of a difference that stays, and tells when it has gone.
func (p *Peers) saw(s State, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
	switch {
	case s.Different == 0:
		if p.told {
			p.log.Info("config: all nodes have the same again", "others", s.Others)
		}
		p.differs, p.told = time.Time{}, false
	case p.differs.IsZero():
		p.differs = now
	case !p.told && now.Sub(p.differs) >= patience:
		p.told = true
		p.log.Warn("config: nodes on this database have another configuration, or another keyring", "others", s.Others, "different", s.Different)
	}
}

// Run beats until ctx ends. config gives the sum of now.
func (p *Peers) Run(ctx context.Context, config func() string) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := p.Beat(ctx, config()); err != nil && ctx.Err() == nil {
			p.log.Warn("nodes", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Leave says that this node is gone.
func (p *Peers) Leave(ctx context.Context) error {
	return p.db.Write(ctx, func(tx store.Tx) error { return p.shelf.Drop(tx, p.node) })
}
