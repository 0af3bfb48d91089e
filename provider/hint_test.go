package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/sparekey-id/sparekey/internal/store"
)

func TestA42_AHintIsAnIDTokenWeSignedAndNothingElse(t *testing.T) {
	h := newHouse(t)
	_, tk := h.granted()
	if _, ok := h.p.readHint(t.Context(), tk.id, "wiki"); !ok {
		t.Fatal("a good one is refused")
	}
	if _, ok := h.p.readHint(t.Context(), h.resigned(h.p.keys.Load().all[kid(tk.id)], "JWT", map[string]any{"iss": issuer, "sub": "x", "aud": "wiki"}), "wiki"); !ok {
		t.Fatal("the test's own signatures are no good")
	}
	parts := strings.Split(tk.id, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	json.Unmarshal(raw, &claims)
	ours := h.p.keys.Load().all[kid(tk.id)]
	stranger, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	strangerRSA, _ := rsa.GenerateKey(rand.Reader, 2048)
	encode := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	sign := func(alg jose.SignatureAlgorithm, key any, o *jose.SignerOptions, change map[string]any) string {
		t.Helper()
		c := maps.Clone(claims)
		for name, v := range change {
			if c[name] = v; v == nil {
				delete(c, name)
			}
		}
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := json.Marshal(c)
		signed, err := s.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		token, _ := signed.CompactSerialize()
		return token
	}
	typed := func(typ jose.ContentType) *jose.SignerOptions { return (&jose.SignerOptions{}).WithType(typ) }
	own := func(change map[string]any) string { // signed with our own key
		payload := maps.Clone(claims)
		for name, v := range change {
			if payload[name] = v; v == nil {
				delete(payload, name)
			}
		}
		b, _ := json.Marshal(payload)
		token, err := ours.sign(b)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	with := func(k any, id string) jose.JSONWebKey { return jose.JSONWebKey{Key: k, KeyID: id} }
	public, _ := ours.public.MarshalJSON()
	two := `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"},{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`
	encrypter, _ := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.RSA_OAEP, Key: &strangerRSA.PublicKey}, nil)
	sealed, _ := encrypter.Encrypt([]byte(tk.id))
	jwe, _ := sealed.CompactSerialize()

	for name, token := range map[string]string{
		"none":                        encode(map[string]string{"alg": "none", "typ": "JWT", "kid": ours.ID}) + "." + parts[1] + ".",
		"none, signature left":        encode(map[string]string{"alg": "none", "typ": "JWT", "kid": ours.ID}) + "." + parts[1] + "." + parts[2],
		"NoNe":                        encode(map[string]string{"alg": "NoNe", "typ": "JWT", "kid": ours.ID}) + "." + parts[1] + ".",
		"HS256 with the public key":   sign(jose.HS256, with(public, ours.ID), typed("JWT"), nil),
		"a stranger's key, our kid":   sign(jose.ES256, with(stranger, ours.ID), typed("JWT"), nil),
		"a stranger's, its own kid":   sign(jose.ES256, with(stranger, "x"), typed("JWT"), nil),
		"a stranger's key in jwk":     sign(jose.ES256, with(stranger, ours.ID), &jose.SignerOptions{EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{"typ": "JWT"}}, nil),
		"a stranger's key by jku":     sign(jose.ES256, with(stranger, ours.ID), &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"typ": "JWT", "jku": "https://evil.example/keys"}}, nil),
		"a stranger's key by x5u":     sign(jose.ES256, with(stranger, ours.ID), &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"typ": "JWT", "x5u": "https://evil.example/c"}}, nil),
		"a kid that is a path":        sign(jose.ES256, with(stranger, "../../../../dev/null"), typed("JWT"), nil),
		"a kid that is SQL":           sign(jose.ES256, with(stranger, "' OR 1=1 --"), typed("JWT"), nil),
		"no kid":                      sign(jose.ES256, stranger, typed("JWT"), nil),
		"another key's algorithm":     sign(jose.RS256, with(strangerRSA, ours.ID), typed("JWT"), nil),
		"another type":                h.resigned(ours, "at+jwt", claims),
		"a logout token":              h.resigned(ours, "logout+jwt", claims),
		"no type":                     h.resigned(ours, "", claims),
		"OA-12 another issuer":        own(map[string]any{"iss": "https://evil.example"}),
		"OA-12 another tenant":        own(map[string]any{"iss": "https://login.example.com/wakanda"}),
		"OA-12 no issuer":             own(map[string]any{"iss": nil}),
		"another audience":            own(map[string]any{"aud": "rsa"}),
		"no audience":                 own(map[string]any{"aud": nil}),
		"an empty audience":           own(map[string]any{"aud": []string{}}),
		"no subject":                  own(map[string]any{"sub": nil}),
		"a subject that is no text":   own(map[string]any{"sub": 7}),
		"two signatures":              two,
		"JSON serialisation":          `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"encrypted":                   jwe,
		"an empty signature":          parts[0] + "." + parts[1] + ".",
		"a signature for other bytes": parts[0] + "." + encode(claims) + "x." + parts[2],
		"a changed claim":             parts[0] + "." + encode(map[string]any{"iss": issuer, "sub": "x", "aud": "wiki"}) + "." + parts[2],
		"too few parts":               parts[0] + "." + parts[1],
		"too many parts":              tk.id + ".x",
		"nothing":                     "",
		"dots":                        strings.Repeat(".", 9000),
		"too long":                    tk.id + strings.Repeat("A", longToken),
		"an access token":             tk.access,
	} {
		if _, ok := h.p.readHint(t.Context(), token, "wiki"); ok {
			t.Errorf("%s passes", name)
		}
	}
	if _, ok := h.p.readHint(t.Context(), own(map[string]any{"aud": nil}), ""); ok {
		t.Error("one for nobody passes where no client is named")
	}
	for i := range len(parts[2]) {
		flipped := []byte(parts[2])
		flipped[i] = map[bool]byte{true: 'B', false: 'A'}[flipped[i] == 'A']
		if i == len(parts[2])-1 { // its last bits mean nothing
			break
		}
		if _, ok := h.p.readHint(t.Context(), parts[0]+"."+parts[1]+"."+string(flipped), "wiki"); ok {
			t.Fatalf("character %d of the signature does not count", i)
		}
	}
	if _, ok := h.p.readHint(t.Context(), own(map[string]any{"aud": []string{"x", "wiki"}}), "wiki"); !ok {
		t.Error("one of two audiences")
	}
	if _, ok := h.p.readHint(t.Context(), own(map[string]any{"exp": 1}), "wiki"); !ok {
		t.Error("an expired one is a good hint")
	}
}

// resigned signs with a key of ours, taken from its sealed row, under another type.
func (h *house) resigned(k *key, typ jose.ContentType, claims map[string]any) string {
	h.t.Helper()
	o := &jose.SignerOptions{}
	if typ != "" {
		o.WithType(typ)
	}
	var sealed []byte
	h.must(func(tx store.Tx) error {
		return tx.Row(`SELECT key FROM signing_key WHERE tenant = $1 AND id = $2`, k.ID).Scan(&sealed)
	})
	der, err := h.p.sealed.Open(k.ID, sealed)
	if err != nil {
		h.t.Fatal(err)
	}
	private, _ := x509.ParsePKCS8PrivateKey(der)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.Alg), Key: jose.JSONWebKey{Key: private, KeyID: k.ID}}, o)
	if err != nil {
		h.t.Fatal(err)
	}
	payload, _ := json.Marshal(claims)
	signed, err := s.Sign(payload)
	if err != nil {
		h.t.Fatal(err)
	}
	token, _ := signed.CompactSerialize()
	return token
}
