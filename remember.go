package sparekey

import (
	"context"
	"net/http"
	"sync"

	"github.com/sparekey-id/sparekey/directory"
)

// remembering asks a directory for a user once a request: the two wings look at her one after the other, and see the same.
// Across requests nothing is kept: what a directory changes counts from the next request on.
type remembering struct{ directory.Directory }

func (d remembering) Unwrap() directory.Directory { return d.Directory }

func (d remembering) Get(ctx context.Context, id directory.UserID) (directory.User, error) {
	m, ok := ctx.Value(memoryKey{}).(*memory)
	if !ok {
		return d.Directory.Get(ctx, id)
	}
	m.Lock()
	defer m.Unlock()
	if m.user.ID == id && id != "" {
		return m.user, nil
	}
	u, err := d.Directory.Get(ctx, id)
	if err == nil {
		m.user = u
	}
	return u, err
}

type memoryKey struct{}

type memory struct {
	sync.Mutex
	user directory.User
}

// remember gives a request to provider, which never changes a user, a memory of its own.
func remember(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), memoryKey{}, &memory{})))
	})
}
