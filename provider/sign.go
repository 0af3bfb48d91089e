package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// sign makes a token of a payload (RFC 7515 §7.1).
func (k *key) sign(payload []byte) (string, error) {
	text := base64.RawURLEncoding.AppendEncode([]byte(k.head), payload)
	raw, err := k.signature(text)
	if err != nil {
		return "", err
	}
	return string(base64.RawURLEncoding.AppendEncode(append(text, '.'), raw)), nil
}

// signature is RSASSA-PKCS1-v1_5, r and s of ECDSA side by side (RFC 7518 §3.3, §3.4), or Ed25519 (RFC 8037 §3.1).
func (k *key) signature(text []byte) ([]byte, error) {
	sum := sha256.Sum256(text)
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
		if err != nil {
			return nil, err
		}
		raw := make([]byte, 2*32)
		r.FillBytes(raw[:32])
		s.FillBytes(raw[32:])
		return raw, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(private, text), nil
	}
	return nil, fmt.Errorf("a %T cannot sign", k.private)
}
