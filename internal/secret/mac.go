package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// MAC makes and checks keyed sums of one label: of codes that are too short to be stored as a plain digest, of names that
// must not be readable, of wrong passwords that must be recognised. Sums of one label say nothing about those of another.
type MAC struct {
	ring  *Ring
	label string
}

// MAC returns the sums of a label, which names the kind of value and the tenant.
func (r *Ring) MAC(label string) MAC { return MAC{r, label} }

// Sum returns HMAC-SHA-256 (RFC 2104) over the parts, each with its length in front so that ("ab", "c") and ("a", "bc") differ,
// as 43 characters of base64url, with the newest mac key of the ring. Whoever keeps a sum compares it with Check: a key that is added
// makes other sums, and those of before still count.
func (m MAC) Sum(parts ...string) string {
	return base64.RawURLEncoding.EncodeToString(sum(m.keys()[0], parts))
}

// Name is Sum with the oldest mac key of the ring: the same parts give the same name for as long as that key is there, whatever is added
// behind it. It is for what is looked up, shown again or compared by others than Check.
func (m MAC) Name(parts ...string) string {
	keys := m.keys()
	return base64.RawURLEncoding.EncodeToString(sum(keys[len(keys)-1], parts))
}

// Check reports in constant time whether sum is that of the parts under any mac key of the ring.
func (m MAC) Check(given string, parts ...string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(given)
	if err != nil {
		return false
	}
	for _, k := range m.keys() {
		if hmac.Equal(raw, sum(k, parts)) {
			return true
		}
	}
	return false
}

// keys are the label's keys, newest first.
func (m MAC) keys() [][]byte {
	m.ring.mu.RLock()
	keys, ok := m.ring.machines[m.label]
	m.ring.mu.RUnlock()
	if ok {
		return keys
	}
	m.ring.mu.Lock()
	defer m.ring.mu.Unlock()
	for i := len(m.ring.macs) - 1; i >= 0; i-- {
		keys = append(keys, derive(m.ring.macs[i], "mac", m.label))
	}
	if m.ring.machines == nil {
		m.ring.machines = map[string][][]byte{}
	}
	m.ring.machines[m.label] = keys
	return keys
}

func sum(key []byte, parts []string) []byte {
	h := hmac.New(sha256.New, key)
	var size [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}
