// Package secret owns what must not be guessed, read or told apart by time: random values, their digests,
// sealed boxes with a label, keyed sums, the key ring both come from, and the hashing of passwords.
// It never stores anything but the key ring file, never logs, and knows nothing of users or tenants beyond the label it is given.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"

	"golang.org/x/text/unicode/norm"
)

var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Token returns 256 random bits as 43 characters of base64url: a bearer value, to be stored only as its Digest.
func Token() string { return base64.RawURLEncoding.EncodeToString(random(32)) }

// ID returns 128 random bits as 26 characters of lower-case base32: a name that cannot be guessed and opens nothing alone.
func ID() string { return lower.EncodeToString(random(16)) }

// Digest returns the SHA-256 of a bearer value as 43 characters of base64url. A random value of 128 bits or more
// needs no slow hash (NIST SP 800-63B §3.1.2.2 asks for one only below that).
func Digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Digits returns n decimal digits, each uniform: bytes of 250 and above are thrown away, since 256 is no multiple of ten.
func Digits(n int) string {
	digits := make([]byte, 0, n)
	for len(digits) < n {
		for _, b := range random(n) {
			if b < 250 && len(digits) < n {
				digits = append(digits, '0'+b%10)
			}
		}
	}
	return string(digits)
}

// Equal compares in a time that depends on the lengths alone.
func Equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Normal returns the one form in which passwords are hashed and compared: NFC (NIST SP 800-63B §3.1.1.2).
// It may never change, or stored passwords stop matching.
func Normal(password string) string { return norm.NFC.String(password) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: it ends the program rather than return less
	return b
}
