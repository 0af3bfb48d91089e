package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// states are the keys of one algorithm as "state state", oldest first.
func states(p *Provider, alg string) string {
	var list []string
	for _, k := range p.Keys() {
		if k.Alg == alg {
			list = append(list, k.State)
		}
	}
	return strings.Join(list, " ")
}

// published are the kids in the key set.
func (h *house) published() (kids []string) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(h.browser().get("/avengers/keys").body), &set); err != nil {
		h.t.Fatal(err)
	}
	for _, k := range set.Keys {
		kids = append(kids, k.KeyID)
	}
	return kids
}

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	h := newHouse(t)
	first := h.published()
	again := h.provide(issuer, registered())
	h.p = again
	h.mount()
	if got := h.published(); !slices.Equal(got, first) || len(got) != 3 {
		t.Errorf("%v, then %v", first, got)
	}
	if h.stored(`"d"`) {
		t.Error("a private member is on a shelf")
	}
	h.must(func(tx store.Tx) error {
		rows, err := tx.Rows(`SELECT key FROM signing_key WHERE tenant = $1`)
		for err == nil && rows.Next() {
			var sealed []byte
			err = rows.Scan(&sealed)
			if len(sealed) < 50 || strings.Contains(string(sealed), "\x2a\x86\x48") { // the start of an algorithm's object identifier
				t.Error("a key lies open")
			}
		}
		return err
	})
}

func TestTwoNodesThatStartAtOnceEndUpWithOneKey(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		h := newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
		h.must(func(tx store.Tx) error {
			_, err := tx.Exec(`DELETE FROM signing_key WHERE tenant = $1 AND alg <> 'RS256'`)
			return err
		})
		nodes := make([]*Provider, 6)
		var all sync.WaitGroup
		for i := range nodes {
			all.Go(func() { nodes[i] = h.provide(issuer, registered()) })
		}
		all.Wait()
		for _, p := range nodes {
			if len(p.Keys()) != 3 || !slices.Equal(p.Keys(), nodes[0].Keys()) {
				t.Fatalf("%v\n%v", p.Keys(), nodes[0].Keys())
			}
		}
	})
}

func TestAKeyRingThatIsNotTheirsIsRefused(t *testing.T) {
	h := newHouse(t)
	_, err := New(t.Context(), Config{Issuer: issuer, Clients: registered()}, Deps{Store: h.db, Ring: secret.NewRing(), Sessions: h.sessions})
	if err == nil || !strings.Contains(err.Error(), "signing keys") {
		t.Fatal(err)
	}
}

func TestF13_AKeyIsPublishedBeforeItSignsAndUntilItsLastTokenHasEnded(t *testing.T) {
	h := newHouse(t)
	turn := func() {
		t.Helper()
		if err := h.p.TurnKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const day = 24 * time.Hour
	_, tk := h.granted()
	old := kid(tk.id)

	h.clock.Advance(89*day - time.Second)
	turn()
	if states(h.p, "ES256") != "active" {
		t.Fatal(h.p.Keys())
	}
	h.clock.Advance(time.Second)
	turn()
	if states(h.p, "ES256") != "active next" || len(h.published()) != 6 {
		t.Fatal(h.p.Keys())
	}
	_, tk = h.granted()
	if kid(tk.id) != old {
		t.Error("the successor signs before its time")
	}
	h.clock.Advance(day - time.Second)
	turn()
	_, last := h.granted()
	if kid(last.id) != old {
		t.Error("the successor signs before its time")
	}
	h.clock.Advance(time.Second)
	turn()
	if states(h.p, "ES256") != "retired active" {
		t.Fatal(h.p.Keys())
	}
	_, tk = h.granted()
	if kid(tk.id) == old {
		t.Error("the old key still signs")
	}
	h.verified(tk.id)
	h.clock.Advance(70 * time.Minute)
	turn()
	h.verified(last.id) // the old key is published still
	h.clock.Advance(time.Second)
	turn()
	if slices.Contains(h.published(), old) {
		t.Error("a retired key is published for ever")
	}
	b := h.browser()
	b.signedIn(ironman)
	b.authorize("prompt", "none", "id_token_hint", last.id).code() // and reads hints still
	h.clock.Advance(400 * day)
	turn()
	turn()
	b.signedIn(ironman)
	b.authorize("prompt", "none", "id_token_hint", last.id).refusal("invalid_request")
	if n := strings.Count(states(h.p, "ES256"), "retired"); n > 1 {
		t.Errorf("%d retired keys are kept", n)
	}
}

func TestAnOperatorRotatesKeys(t *testing.T) {
	h := newHouse(t)
	_, before := h.granted()
	if err := h.p.RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if states(h.p, "ES256") != "active next" || states(h.p, "EdDSA") != "active next" {
		t.Fatal(h.p.Keys())
	}
	if err := h.p.RotateKeys(t.Context()); err != nil || states(h.p, "ES256") != "active next" {
		t.Fatal("twice makes two successors", h.p.Keys(), err)
	}
	h.clock.Advance(keyLead - time.Second)
	if err := h.p.TurnKeys(t.Context()); err != nil || states(h.p, "ES256") != "active next" {
		t.Fatal(h.p.Keys(), err)
	}
	h.clock.Advance(time.Second)
	if err := h.p.TurnKeys(t.Context()); err != nil || states(h.p, "ES256") != "retired active" {
		t.Fatal(h.p.Keys(), err)
	}
	_, after := h.granted()
	if kid(after.id) == kid(before.id) {
		t.Error("the key before it signs")
	}
	h.verified(before.id)
	if h.events("keys.rotated") != 3 {
		t.Error("not journalled: ", h.events("keys.rotated"))
	}
}

func TestNodesThatTurnKeysAtOnceAgree(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		h := newHouseIn(t, db, clock, "avengers", secret.NewRing(), issuer)
		nodes := []*Provider{h.p, h.provide(issuer, registered()), h.provide(issuer, registered())}
		for range 4 {
			clock.Advance(45 * 24 * time.Hour)
			for range 2 {
				var all sync.WaitGroup
				for _, p := range nodes {
					all.Go(func() {
						if err := p.TurnKeys(context.Background()); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
			}
			for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
				if err := h.p.TurnKeys(t.Context()); err != nil {
					t.Fatal(err)
				}
				s := states(h.p, alg)
				if strings.Count(s, "active") != 1 || strings.Count(s, "next") > 1 {
					t.Fatalf("%s: %s", alg, s)
				}
			}
		}
	})
}

// kid is what an ID token's header names.
func kid(token string) string {
	var head struct{ Kid string }
	raw, _ := base64.RawURLEncoding.DecodeString(strings.SplitN(token, ".", 2)[0])
	json.Unmarshal(raw, &head)
	return head.Kid
}

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

// However often keys were replaced, the youngest are those that count.
func TestManyKeysThatSignNoMoreHideNoneThatSigns(t *testing.T) {
	h := newHouse(t)
	long := h.clock.Now().Add(-30 * 24 * time.Hour)
	h.must(func(tx store.Tx) error {
		for i := range 1001 {
			id, at := secret.ID(), store.Micros(long.Add(time.Duration(i)*time.Second))
			_, err := tx.Exec(`INSERT INTO signing_key (tenant, id, alg, state, created_at, active_at, retired_at, key) VALUES ($1, $2, 'RS256', 'withdrawn', $3, $3, $3, $4)`,
				id, at, h.ring.Box("signing/avengers").Seal(id, anRSAKey()))
			if err != nil {
				return err
			}
		}
		return nil
	})
	before := h.published()
	h.p = h.provide(issuer, registered())
	h.mount()
	if got := h.published(); !slices.Equal(got, before) || len(got) != 3 {
		t.Fatalf("published are %v, and were %v", got, before)
	}
	_, tk := h.granted()
	h.verified(tk.id)
}

// Who shortens the lives of tokens has still given out longer ones: the key that signed them is published until the last of those has ended.
func TestF13_AKeyOutlastsItsLongestTokenWhateverTheConfigurationSaysLater(t *testing.T) {
	h := newHouse(t)
	const long = 24 * time.Hour
	h.p = h.provideFor(issuer, registered(), long)
	h.mount()
	other := h.provideFor(issuer, registered(), time.Minute) // another node, whose configuration is the new one already
	if err := other.RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(keyLead - long/2)
	_, last := h.granted()
	h.clock.Advance(long / 2)
	h.p = h.provideFor(issuer, registered(), time.Minute)
	h.mount()
	h.clock.Advance(lead)
	if err := h.p.TurnKeys(t.Context()); err != nil || states(h.p, "ES256") != "retired active" {
		t.Fatal(h.p.Keys(), err)
	}
	h.clock.Advance(long/2 - lead - time.Second)
	if err := h.p.TurnKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.verified(last.id)
	h.clock.Advance(long + time.Hour)
	if slices.Contains(h.published(), kid(last.id)) {
		t.Error("it is published for ever")
	}
}
