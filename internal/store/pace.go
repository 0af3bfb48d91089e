package store

import (
	"context"
	"time"
)

// How work that can wait goes beside work that cannot.
const (
	paceTakes = 5 * time.Millisecond // what one transaction should take, since others wait that long behind it
	paceRests = 5 * time.Millisecond // at least, so that those who waited have their turn
	paceLeast = 20
	paceMost  = 500
)

// Pace says how many records one transaction of such work takes, and lets others have their turn between two of them. The zero value is good.
type Pace struct{ size int }

// Size is how many records the next transaction should take.
func (p *Pace) Size() int {
	if p.size == 0 {
		p.size = 100
	}
	return p.size
}

// Rest waits after a transaction for as long as its work took, and chooses the size of the next by that.
func (p *Pace) Rest(ctx context.Context, took time.Duration) {
	p.size = min(max(int(float64(p.Size())*float64(paceTakes)/float64(max(took, time.Microsecond))), paceLeast, p.size/2), paceMost, p.size*2)
	rest := time.NewTimer(max(took, paceRests))
	defer rest.Stop()
	select {
	case <-ctx.Done():
	case <-rest.C:
	}
}
