package guard

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"strconv"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/templates"
)

// ProofOfWork lets the browser search for a number, which costs it a second and us one hash. There is nothing to see, hear or transcribe
// (WCAG 2.2 §3.3.8); without JavaScript the ticket counts once it is old enough.
type ProofOfWork struct {
	Bits int           // the leading zero bits asked for; 0: 17, which is 131,072 hashes on average
	Wait time.Duration // how old a ticket counts without an answer; 0: 15 seconds
}

const (
	workBits = 17
	hotBits  = 6 // 64 times harder
)

// MostBits is the hardest a proof of work may be.
const MostBits = 30

func (ProofOfWork) Kind() string { return "proof_of_work" }

func (w ProofOfWork) Offer(hot bool) (Puzzle, error) {
	p := Puzzle{Salt: secret.ID(), Bits: w.Bits, Wait: w.Wait}
	if p.Bits < 1 {
		p.Bits = workBits
	}
	if p.Wait <= 0 {
		p.Wait = 15 * time.Second
	}
	if hot {
		p.Bits += hotBits
	}
	p.Bits = min(p.Bits, MostBits)
	p.Show = templates.Captcha{Salt: p.Salt, Bits: p.Bits}
	return p, nil
}

// Check hashes once. The number is decimal, below 2^64, without sign or leading zeros: one number has one spelling.
func (ProofOfWork) Check(p Puzzle, answer string) bool {
	n, err := strconv.ParseUint(answer, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != answer || p.Salt == "" || p.Bits < 1 {
		return false
	}
	sum := sha256.Sum256([]byte(p.Salt + answer))
	return bits.LeadingZeros64(binary.BigEndian.Uint64(sum[:])) >= p.Bits
}
