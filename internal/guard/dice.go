package guard

import (
	"crypto/rand"
	"encoding/binary"
)

// dice throws numbers for drawing and mixing. They come from crypto/rand, a helping at a time.
type dice struct {
	rest []byte
	held [4096]byte
}

func (d *dice) take(n int) []byte {
	if len(d.rest) < n {
		rand.Read(d.held[:]) // never fails
		d.rest = d.held[:]
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// between is a number in [low, high).
func (d *dice) between(low, high float64) float64 {
	return low + (high-low)*float64(binary.LittleEndian.Uint32(d.take(4)))/(1<<32)
}

// grain is a coarse number in [-size, size]: enough for one sample of noise.
func (d *dice) grain(size float64) float64 { return size * (float64(d.take(1)[0])/127.5 - 1) }

// upTo is a whole number in [0, n).
func (d *dice) upTo(n int) int { return int(d.between(0, float64(n))) }
