package store

import (
	"context"
	"slices"
	"sync"
)

// baton is the right to use the writing connection. Whoever waits gets it in order of arrival.
type baton struct {
	mu     sync.Mutex
	held   bool
	closed bool
	row    []chan error // nil hands the baton over, an error sends the waiter away
	laid   func()       // what is done when it is laid down, before anybody takes it again
}

// take waits for the baton. pass is called when it arrives at a caller who has just given up.
func (b *baton) take(ctx context.Context, pass func()) error {
	if ctx.Err() != nil {
		return gaveUp(ctx)
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed
	}
	if !b.held {
		b.held = true
		b.mu.Unlock()
		return nil
	}
	turn := make(chan error, 1)
	b.row = append(b.row, turn)
	b.mu.Unlock()
	select {
	case err := <-turn:
		return err
	case <-ctx.Done():
	}
	b.mu.Lock()
	i := slices.Index(b.row, turn)
	if i >= 0 {
		b.row = slices.Delete(b.row, i, i+1)
	}
	b.mu.Unlock()
	if i < 0 {
		if err := <-turn; err != nil {
			return err
		}
		pass()
	}
	return gaveUp(ctx)
}

// pass hands the baton to the next in the row if more are welcome, or lays it down if it is idle. False: neither, the holder keeps it.
func (b *baton) pass(more, idle bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if more && len(b.row) > 0 {
		next := b.row[0]
		b.row[0] = nil
		b.row = b.row[1:]
		next <- nil
		return true
	}
	if idle {
		b.laid()
		b.held = false
		return true
	}
	return false
}

// waited reports whether somebody is waiting.
func (b *baton) waited() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.row) > 0
}

// refuse sends all waiters away.
func (b *baton) refuse(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, turn := range b.row {
		turn <- err
	}
	b.row = nil
}

// close sends all waiters away and everybody who comes later. The caller holds the baton and keeps it.
func (b *baton) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.refuse(errClosed)
}
