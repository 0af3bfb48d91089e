package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
)

// ErrSealed says that bytes were not sealed by this ring under this label for this owner, or were changed since.
var ErrSealed = errors.New("not sealed here for this owner")

const (
	boxVersion = 1
	nonceSize  = 12
	boxHead    = 1 + idSize + nonceSize
)

// Box seals and opens values of one label, such as "authenticator/avengers". A value sealed under one label
// cannot be opened under another, since each has a key of its own (HKDF-SHA-256, RFC 5869).
// Labels come from code and config, not from users: one derived key is kept for each.
type Box struct {
	ring  *Ring
	label string
}

// Box returns the box of a label, which names the kind of value and the tenant.
func (r *Ring) Box(label string) Box { return Box{r, label} }

// Seal encrypts and authenticates plain with AES-256-GCM for the owner (a user's id, a record's key), who must be named again to open it.
// The result is version, key id, nonce and ciphertext.
func (b Box) Seal(owner string, plain []byte) []byte {
	b.ring.mu.RLock()
	newest := b.ring.seals[len(b.ring.seals)-1]
	b.ring.mu.RUnlock()

	id, _ := lower.DecodeString(newest.id)
	sealed := make([]byte, 0, boxHead+len(plain)+16)
	sealed = append(sealed, boxVersion)
	sealed = append(sealed, id...)
	sealed = append(sealed, random(nonceSize)...)
	return b.cipher(newest).Seal(sealed, sealed[1+idSize:], plain, extra(sealed[:1+idSize], owner))
}

// Open returns what was sealed for the owner under this label, or ErrSealed.
func (b Box) Open(owner string, sealed []byte) ([]byte, error) {
	k, _, ok := b.find(sealed)
	if !ok {
		return nil, ErrSealed
	}
	plain, err := b.cipher(k).Open(nil, sealed[1+idSize:boxHead], sealed[boxHead:], extra(sealed[:1+idSize], owner))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// Stale reports whether sealed bears an older key than the one Seal uses now.
func (b Box) Stale(sealed []byte) bool {
	_, newest, ok := b.find(sealed)
	return ok && !newest
}

// Reseal gives what was sealed for the owner, sealed anew with the key that Seal uses now; the very same when it is already. ErrSealed.
func (b Box) Reseal(owner string, sealed []byte) ([]byte, error) {
	if _, newest, ok := b.find(sealed); ok && newest {
		return sealed, nil
	}
	plain, err := b.Open(owner, sealed)
	if err != nil {
		return nil, err
	}
	return b.Seal(owner, plain), nil
}

// HeadSize is how many bytes at the beginning of what a Box sealed name the key.
const HeadSize = 1 + idSize

// Head is the beginning of all that Seal makes now.
func (r *Ring) Head() []byte {
	keys := r.Keys()
	id, _ := lower.DecodeString(keys[len(keys)-1])
	return append([]byte{boxVersion}, id...)
}

// SealedWith is the id of the key that the head of something sealed names, whether a ring has it or not; empty: nothing that a Box sealed begins so.
func SealedWith(head []byte) string {
	if len(head) < HeadSize || head[0] != boxVersion {
		return ""
	}
	return lower.EncodeToString(head[1:HeadSize])
}

func (b Box) find(sealed []byte) (k key, newest, ok bool) {
	if len(sealed) < boxHead || sealed[0] != boxVersion {
		return key{}, false, false
	}
	id := SealedWith(sealed)
	if k, newest, ok = b.ring.seal(id); !ok && b.ring.path != "" && b.ring.relearn() {
		k, newest, ok = b.ring.seal(id)
	}
	return k, newest, ok
}

// seal finds a seal key, and tells whether it is the newest.
func (r *Ring) seal(id string) (k key, newest, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for i, k := range r.seals {
		if k.id == id {
			return k, i == len(r.seals)-1, true
		}
	}
	return key{}, false, false
}

func (b Box) cipher(k key) cipher.AEAD {
	name := [2]string{b.label, k.id}
	b.ring.mu.RLock()
	aead, ok := b.ring.ciphers[name]
	b.ring.mu.RUnlock()
	if ok {
		return aead
	}
	block, err := aes.NewCipher(derive(k, "seal", b.label))
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err = cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of 16 bytes
	}
	b.ring.mu.Lock()
	defer b.ring.mu.Unlock()
	if b.ring.ciphers == nil {
		b.ring.ciphers = map[[2]string]cipher.AEAD{}
	}
	b.ring.ciphers[name] = aead
	return aead
}

// extra is the additional data: the head has a fixed length, so head and owner cannot run into each other.
func extra(head []byte, owner string) []byte { return append(bytes.Clone(head), owner...) }

func derive(k key, use, label string) []byte {
	derived, err := hkdf.Key(sha256.New, k.secret, nil, "sparekey "+use+" 1\x00"+label, keySize)
	if err != nil {
		panic(err) // 32 bytes are far below the limit of RFC 5869 §2.3
	}
	return derived
}
