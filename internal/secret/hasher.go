package secret

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// ErrHash says that a stored password hash is not an argon2id PHC string, or asks for more work than is done for anybody.
var ErrHash = errors.New("password hash unreadable")

// The cost of a password hash now (OWASP's first recommendation for argon2id, RFC 9106) and the most a stored one may ask for.
const (
	memory, passes, lanes = 19 << 10, 2, 1 // KiB
	saltSize, hashSize    = 16, 32

	maxMemory, maxPasses, maxLanes = 128 << 10, 8, 8
)

// Hasher hashes passwords with argon2id, only so many at once that memory and the other requests stay safe.
// Every password is brought into its Normal form first and taken whole, whatever its length.
type Hasher struct {
	seats chan struct{}
	count atomic.Int64
}

// NewHasher makes a Hasher that works on so many passwords at once; 0 stands for all processors (GOMAXPROCS) but one, which is left to the
// other requests: they would wait behind each hash otherwise, and a flood of sign-ins would make them a hundred times slower (F-16). A single
// processor hashes one at a time. Each takes 19 MiB while it runs.
func NewHasher(threads int) *Hasher {
	if threads <= 0 {
		threads = max(1, runtime.GOMAXPROCS(0)-1)
	}
	return &Hasher{seats: make(chan struct{}, threads)}
}

// Hash returns the PHC string of a password under a new salt. It fails only when ctx ends while waiting for a seat.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	p := phc{memory: memory, passes: passes, lanes: lanes, salt: random(saltSize), hash: make([]byte, hashSize)}
	hash, err := h.run(ctx, p, password)
	if err != nil {
		return "", err
	}
	p.hash = hash
	return p.String(), nil
}

// Verify reports whether the password is the one hashed in the PHC string, and whether that string was made at a lower cost
// than Hash uses now and should be replaced. Errors: ErrHash, or ctx's when it ends while waiting for a seat.
func (h *Hasher) Verify(ctx context.Context, stored, password string) (ok, stale bool, err error) {
	p, err := parsePHC(stored)
	if err != nil {
		return false, false, err
	}
	hash, err := h.run(ctx, p, password)
	if err != nil || !Equal(string(hash), string(p.hash)) {
		return false, false, err
	}
	return true, p.memory < memory || p.passes < passes || len(p.salt) < saltSize || len(p.hash) < hashSize, nil
}

// Waste costs what Verify costs, for a user who is not there.
func (h *Hasher) Waste(ctx context.Context, password string) error {
	_, err := h.run(ctx, phc{memory: memory, passes: passes, lanes: lanes, salt: make([]byte, saltSize), hash: make([]byte, hashSize)}, password)
	return err
}

// Count returns how many hashes were computed so far, so that tests can compare costs without a clock.
func (h *Hasher) Count() int64 { return h.count.Load() }

func (h *Hasher) run(ctx context.Context, p phc, password string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	select {
	case h.seats <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash password: %w", ctx.Err())
	}
	defer func() { <-h.seats }()
	h.count.Add(1)
	return argon2.IDKey([]byte(Normal(password)), p.salt, p.passes, p.memory, p.lanes, uint32(len(p.hash))), nil
}

// phc is a password hash in the PHC string format: $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
type phc struct {
	memory, passes uint32
	lanes          uint8
	salt, hash     []byte
}

func (p phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.lanes,
		base64.RawStdEncoding.EncodeToString(p.salt), base64.RawStdEncoding.EncodeToString(p.hash))
}

func parsePHC(s string) (p phc, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, ErrHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.lanes); err != nil {
		return phc{}, ErrHash
	}
	p.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	if err != nil || len(p.salt) < 8 || len(p.salt) > 64 {
		return phc{}, ErrHash
	}
	p.hash, err = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err != nil || len(p.hash) < 16 || len(p.hash) > 64 {
		return phc{}, ErrHash
	}
	if p.passes < 1 || p.lanes < 1 || p.memory < 8*uint32(p.lanes) ||
		p.memory > maxMemory || p.passes > maxPasses || p.lanes > maxLanes || p.memory*p.passes > 4*maxMemory {
		return phc{}, fmt.Errorf("%w: its cost m=%d,t=%d,p=%d is out of bounds", ErrHash, p.memory, p.passes, p.lanes)
	}
	if p.String() != s { // one spelling only: no signs, no leading zeros, nothing after
		return phc{}, ErrHash
	}
	return p, nil
}
