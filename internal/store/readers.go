package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

var errClosed = fmt.Errorf("%w: it is closed", ErrUnavailable)

// readerRest is how long a reading connection may lie unused while others are at work before it is closed, and its page cache with it.
const readerRest = time.Minute

// readers are the reading connections. The one used last is used next, so that in quiet hours only one stays.
type readers struct {
	mu     sync.Mutex
	free   []*sqliteConn // the one used last at the end
	open   int
	closed bool
	row    []chan *sqliteConn // nil: somebody's place became free, try to open
}

// take gives a free connection, opens one while there are few, or waits.
func (r *readers) take(ctx context.Context, open func() (*sqliteConn, error)) (*sqliteConn, error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx)
	}
	r.mu.Lock()
	switch n := len(r.free); {
	case r.closed:
		r.mu.Unlock()
		return nil, errClosed
	case n > 0:
		c := r.free[n-1]
		r.free = r.free[:n-1]
		r.mu.Unlock()
		return c, nil
	case r.open < sqliteReaders:
		r.open++
		r.mu.Unlock()
		return r.opened(open)
	}
	turn := make(chan *sqliteConn, 1)
	r.row = append(r.row, turn)
	r.mu.Unlock()
	select {
	case c := <-turn:
		return r.arrived(c, open)
	case <-ctx.Done():
	}
	r.mu.Lock()
	for i, t := range r.row {
		if t == turn {
			r.row = append(r.row[:i], r.row[i+1:]...)
			r.mu.Unlock()
			return nil, gaveUp(ctx)
		}
	}
	r.mu.Unlock()
	if c, err := r.arrived(<-turn, open); err == nil { // it came just now: let the next one have it
		r.give(c)
	}
	return nil, gaveUp(ctx)
}

// arrived is a connection handed over, or the right to open one.
func (r *readers) arrived(c *sqliteConn, open func() (*sqliteConn, error)) (*sqliteConn, error) {
	if c != nil {
		return c, nil
	}
	return r.opened(open)
}

func (r *readers) opened(open func() (*sqliteConn, error)) (*sqliteConn, error) {
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	err := errClosed
	if !closed {
		var c *sqliteConn
		if c, err = open(); err == nil {
			return c, nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.row) > 0 { // a waiter may try
		next := r.row[0]
		r.row = r.row[1:]
		next <- nil
	} else {
		r.open--
	}
	return nil, err
}

// give takes a connection back.
func (r *readers) give(c *sqliteConn) {
	r.mu.Lock()
	if len(r.row) > 0 && !r.closed {
		next := r.row[0]
		r.row = r.row[1:]
		next <- c
		r.mu.Unlock()
		return
	}
	if !r.closed {
		c.used = time.Now()
		r.free = append(r.free, c)
		if c = r.free[0]; time.Since(c.used) < readerRest {
			r.mu.Unlock()
			return
		}
		r.free = r.free[1:]
		r.open--
	}
	r.mu.Unlock()
	c.close()
}

// close closes the free ones now, those in use when they come back, and lets the waiters learn of it.
func (r *readers) close() {
	r.mu.Lock()
	free, row := r.free, r.row
	r.free, r.row, r.closed = nil, nil, true
	r.mu.Unlock()
	for _, turn := range row {
		turn <- nil
	}
	for _, c := range free {
		c.close()
	}
}
