package provider

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// guide stands in for the wing that leads end-users.
type guide struct {
	h        *house
	mu       sync.Mutex
	asked    map[string]identity.SignInRequest // by flow
	last     string                            // flow
	out      map[string]identity.Authentication
	standing identity.Standing
	fault    error // of Standing
	users    map[string]directory.User
	epoch    int64 // of every account
}

func (g *guide) Begin(w http.ResponseWriter, r *http.Request, q identity.SignInRequest, also func(store.Tx) error) (string, error) {
	if err := g.h.db.Write(r.Context(), also); err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = secret.ID()
	g.asked[g.last] = q
	return g.h.p.path + "/flow/" + g.last, nil
}

func (g *guide) Outcome(_ store.Tx, r *http.Request, flow string) (identity.Authentication, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, ok := g.out[flow]
	if c, err := r.Cookie("walker"); err != nil || !ok || c.Value != flow {
		return identity.Authentication{}, fmt.Errorf("outcome: %w", store.ErrNotFound)
	}
	return a, nil
}

func (g *guide) Over(_ store.Tx, flow string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.out[flow]; !ok {
		return fmt.Errorf("over: %w", store.ErrNotFound)
	}
	delete(g.out, flow)
	return nil
}

func (g *guide) Left(store.Tx, *http.Request, string) error { return nil }

func (g *guide) Standing(ctx context.Context, look func(store.Tx) (identity.Authentication, error)) (u directory.User, _ identity.Standing, err error) {
	var a identity.Authentication
	err = g.h.db.Read(ctx, func(tx store.Tx) (err error) {
		a, err = look(tx)
		return err
	})
	if err != nil {
		return u, identity.Gone, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.Epoch != g.epoch {
		return u, identity.Gone, g.fault
	}
	return g.users[a.User], g.standing, g.fault
}

func (g *guide) say(s identity.Standing, fault error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.standing, g.fault = s, fault
}
