// Package peers lets the nodes of one installation know of each other. Each says in the store, every few seconds, that it lives and which configuration it
// serves, as a keyed sum that tells nothing else, and how far its clock is from the database's, and learns how many others there are, how many
// serve another one and whether their clocks agree. It owns that shelf, and decides nothing: nobody is turned away because nodes differ.
package peers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

const (
	every = 10 * time.Second // one beat after the other
	lease = time.Minute      // a node that has not been heard of for so long is gone
	// Most is how far two clocks may be apart before somebody has to be told: a step of an authenticator app.
	Most     = 30 * time.Second
	again    = 3                // beats in a row that find clocks apart before it is logged
	patience = 90 * time.Second // a change that is being made on one node after the other, and what a node that died has left, are no fault
)

// Peers is what this node knows of the others. It is safe for concurrent use.
type Peers struct {
	elsewhen bool
	clock    *store.DB
	db       *store.Handle
	shelf    store.Shelf[beat]
	node     string
	log      *slog.Logger

	mu      sync.Mutex
	state   State
	differs time.Time // since when; zero: no node does
	told    bool
	apart   int // so many beats in a row found clocks apart
}

// State is how many other nodes live, how many of them serve another configuration, how far this node's clock is ahead of the database's, or
// behind it, and how far from that node's whose clock is farthest away.
type State struct {
	Others, Different int
	Ahead, Apart      time.Duration
}

// Skewed reports whether a clock is too far from this node's.
func (s State) Skewed() bool { return s.Ahead.Abs() > Most || s.Apart > Most }

// beat is what a node says.
type beat struct {
	Config string        `json:"config"`
	Ahead  time.Duration `json:"ahead,omitzero"` // of the database's clock
}

// New is for the node of that name; nobody else may have it. One that lives elsewhen has another time than its database on purpose, and is
// compared with other nodes alone.
func New(db *store.DB, node string, log *slog.Logger, elsewhen bool) *Peers {
	return &Peers{elsewhen: elsewhen, clock: db, db: db.Tenant(store.Installation), shelf: store.NewShelf[beat]("node"), node: node, log: log}
}

// State is as of the last beat.
func (p *Peers) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Beat says that this node lives and serves the configuration with that sum, and looks at the others.
func (p *Peers) Beat(ctx context.Context, config string) error {
	ahead, err := p.clock.Ahead(ctx)
	if err != nil {
		return err
	}
	var seen State
	err = p.db.Write(ctx, func(tx store.Tx) error {
		if seen = (State{}); !p.elsewhen {
			seen.Ahead = ahead
		}
		err := p.shelf.Change(tx, p.node, store.Installation, func(b *beat, _ bool) (time.Time, error) {
			b.Config, b.Ahead = config, ahead
			if p.elsewhen {
				return tx.Now().Add(lease), nil
			}
			return tx.Now().Add(lease - ahead), nil // by the database's clock, lest nobody hears of a node that is behind
		})
		if err != nil {
			return err
		}
		all, err := p.shelf.Owned(tx, store.Installation)
		for _, one := range all {
			if one.Key != p.node {
				seen.Others++
				seen.Apart = max(seen.Apart, (ahead - one.Value.Ahead).Abs())
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

// saw warns once of a difference that stays, be it of configurations or of clocks, and tells when it has gone.
func (p *Peers) saw(s State, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
	if !s.Skewed() {
		if p.apart >= again {
			p.log.Info("clock: it agrees with the others again")
		}
		p.apart = 0
	} else if p.apart++; p.apart == again {
		p.log.Warn("clock: it is too far from another one", "ahead_of_database", s.Ahead.String(), "from_another_node", s.Apart.String())
	}
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
