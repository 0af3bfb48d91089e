package provider

import (
	"context"
	"errors"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
)

// held is what a token that is good now stands for.
type held struct {
	grant   grant
	client  *client
	user    directory.User // as her directory knows her now; zero where a client acts for itself
	scopes  []string
	until   time.Time
	refresh bool
}

// errDead says that a token is unknown or over, or that what it rests on counts no more.
var errDead = errors.New("unknown or expired token")

// accessed looks up an access token; errDead when it is good for nothing.
func (p *Provider) accessed(ctx context.Context, token string) (held, error) {
	key, ok := keyOfAccess(token)
	if !ok {
		return held{}, errDead
	}
	return p.hold(ctx, key, func(h *held, now time.Time) bool {
		a, living := h.grant.holds(token, now)
		h.scopes, h.until = h.client.kept(a.Scopes), a.Until
		return living
	})
}

// refreshed looks up a refresh token and changes nothing; errDead when it is good for nothing.
func (p *Provider) refreshed(ctx context.Context, token string) (held, error) {
	key, ok := p.keyOfRefresh(token)
	if !ok {
		return held{}, errDead
	}
	return p.hold(ctx, key, func(h *held, now time.Time) bool {
		h.scopes, h.until, h.refresh = h.client.kept(h.grant.Scopes), p.refreshable(&h.grant), true
		return h.client.outlives() && judgeRefresh(&h.grant, token, h.client, now) != reuse && now.Before(h.until)
	})
}

// hold reads a grant, asks whether the token is good, and whether what the grant rests on still counts.
func (p *Provider) hold(ctx context.Context, key string, good func(*held, time.Time) bool) (h held, err error) {
	look := func(tx store.Tx) (a identity.Authentication, err error) {
		record, err := p.grants.Get(tx, key)
		if err != nil {
			return a, err
		}
		g := &record.Value
		h = held{grant: record.Value, client: p.clients[g.Client]}
		if h.client == nil || !good(&h, p.d.Now()) {
			return a, errDead
		}
		if g.User != "" && !g.Offline {
			_, err = p.d.Sessions.Living(tx, g.Held, g.User)
		}
		if g.User == "" {
			return a, errOwn
		}
		return g.authentication(), err
	}
	var standing identity.Standing
	h.user, standing, err = p.standing(ctx, look)
	switch {
	case errors.Is(err, errOwn):
		return h, nil
	case errors.Is(err, store.ErrNotFound), errors.Is(err, session.ErrNone):
		err = errDead
	case err == nil && (standing != identity.Good || !h.client.admits(h.user)):
		err = errDead
	}
	return h, err
}

// errOwn ends the look at a grant that rests on no end-user.
var errOwn = errors.New("the client's own")
