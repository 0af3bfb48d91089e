package method_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"github.com/sparekey-id/sparekey/templates"
)

func TestEN03_AnAppIsBoundByACodeOfItsOwnSeed(t *testing.T) {
	m := method.TOTP{}
	who := claimant("ironman", "flow-1", identity.SignIn)
	prompt, shown, sent, err := m.Offer(t.Context(), who, nil)
	if err != nil || len(sent) != 0 {
		t.Fatal(err, sent)
	}
	if prompt.Shape != templates.ShowSecret || prompt.Kind != "totp" || prompt.QR == "" || prompt.URI == "" {
		t.Fatalf("asked is %+v", prompt)
	}
	key := strings.ReplaceAll(prompt.Key, " ", "")
	seed, err := base32.StdEncoding.DecodeString(key)
	if err != nil || len(seed) != 20 {
		t.Fatalf("the key %q holds %d bytes, want 20 (%v)", prompt.Key, len(seed), err)
	}
	if groups := strings.Split(prompt.Key, " "); len(groups) != 8 || slices.ContainsFunc(groups, func(g string) bool { return len(g) != 4 }) {
		t.Errorf("the key is not in groups of four: %q", prompt.Key)
	}

	t.Run("asking again shows the same key, beginning again a new one", func(t *testing.T) {
		again, state, _, err := m.Offer(t.Context(), who, shown)
		if err != nil || again.Key != prompt.Key || string(state) != string(shown) {
			t.Errorf("%v %v", again.Key, err)
		}
		fresh, _, _, err := m.Offer(t.Context(), who, nil)
		if err != nil || fresh.Key == prompt.Key {
			t.Errorf("two bindings share a key (%v)", err)
		}
	})

	bound, err := m.Bind(t.Context(), who, shown, field("code", appCode(t, seed, noon)))
	if err != nil || bound.Done || bound.Prompt.Shape != templates.AskCode {
		t.Fatalf("a code before it was asked for: %+v, %v", bound, err)
	}
	typing := bound.State
	if again, _, _, err := m.Offer(t.Context(), who, typing); err != nil || again.Shape != templates.AskCode || again.Key != "" {
		t.Errorf("the second question again is %+v (%v)", again, err)
	}

	t.Run("A02 a wrong, empty or garbage code binds nothing", func(t *testing.T) {
		for what, a := range map[string]url.Values{"nil": nil, "empty": field("code", ""), "wrong": field("code", other(appCode(t, seed, noon))), "twice": {"code": {appCode(t, seed, noon), appCode(t, seed, noon)}},
			"another seed's": field("code", appCode(t, []byte("12345678901234567890"), noon)), "two steps late": field("code", appCode(t, seed, noon.Add(-time.Minute))), "garbage": field("code", "abcdef")} {
			b, err := m.Bind(t.Context(), who, typing, a)
			rejected(t, what, err)
			if b.Done || b.Authenticator.ID != "" {
				t.Errorf("%s: bound %+v", what, b)
			}
		}
		_, err := m.Bind(t.Context(), who, method.State(`{"id":"x","seed":"","shown":true}`), field("code", appCode(t, nil, noon)))
		rejected(t, "the code of an empty seed", err)
		for _, forged := range []method.State{nil, method.State("{}"), method.State("null"), typing[:len(typing)/2],
			method.State(`{"id":"x","seed":"","shown":true}`), method.State(`{"id":"x","seed":"AAAA","shown":true}`), method.State(`{"seed":"` + base64.StdEncoding.EncodeToString(seed) + `","shown":true}`)} {
			_, err := m.Bind(t.Context(), who, forged, field("code", appCode(t, seed, noon)))
			rejected(t, string(forged), err)
		}
	})

	bound, err = m.Bind(t.Context(), who, typing, field("code", appCode(t, seed, noon)))
	if err != nil || !bound.Done {
		t.Fatal(bound.Done, err)
	}
	a := bound.Authenticator
	if a.Kind != identity.TOTP || a.Label != "Authenticator app" || string(a.Data) != string(seed) || len(a.ID) != 26 {
		t.Errorf("bound is %+v", a)
	}
	if twice, err := m.Bind(t.Context(), who, typing, field("code", appCode(t, seed, noon))); err != nil || twice.Authenticator.ID != a.ID {
		t.Errorf("a second answer to the same question makes another authenticator, so both could be kept (%v)", err)
	}

	t.Run("A15 the code that bound it opens nothing else", func(t *testing.T) {
		storetest.Each(t, func(t *testing.T, db *store.DB) {
			h := db.Tenant("avengers")
			keep(t, h, []row{{"id-ironman", a}})
			in := claimant("ironman", "flow-2", identity.SignIn, a)
			for step, good := range []bool{false, true} {
				r, err := m.Verify(t.Context(), in, nil, field("code", appCode(t, seed, noon.Add(time.Duration(step)*30*time.Second))))
				if err != nil {
					t.Fatal(err)
				}
				if err := h.Write(t.Context(), r.Spend); (err == nil) != good || !good && !errors.Is(err, store.ErrChanged) {
					t.Errorf("the code of step %+d: %v, want accepted %v", step, err, good)
				}
			}
		})
	})
	t.Run("five apps are as many as there can be", func(t *testing.T) {
		full := who
		for range method.Most {
			full.Authenticators = append(full.Authenticators, a)
		}
		_, _, _, err := m.Offer(t.Context(), full, nil)
		rejected(t, "a sixth is offered", err)
		_, err = m.Bind(t.Context(), full, typing, field("code", appCode(t, seed, noon)))
		rejected(t, "a sixth is bound", err)
	})
}

func TestTheAppIsToldWhoseCodesItShows(t *testing.T) {
	for _, c := range []struct{ tenant, issuer, login, label, wantIssuer string }{
		{"The Avengers", "", "ironman", "The Avengers:ironman", "The Avengers"},
		{"The Avengers", "Stark & Co", "tony@stark.example", "Stark & Co:tony@stark.example", "Stark & Co"},
		{"Evil:Corp", "", "a:b?secret=AAAA&x=#y/..%2f", "Evil Corp:a b?secret=AAAA&x=#y/..%2f", "Evil Corp"},
		{"", "", "Zoë Müller+1", "Zoë Müller+1", ""},
		{strings.Repeat("Ünternehmen ", 20), "", strings.Repeat("лог", 100), "", ""},
	} {
		who := claimant(c.login, "f", identity.SignIn)
		who.Tenant = c.tenant
		prompt, _, _, err := method.TOTP{Issuer: c.issuer}.Offer(t.Context(), who, nil)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(string(prompt.URI))
		if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Fragment != "" {
			t.Fatalf("%q is %+v (%v)", prompt.URI, u, err)
		}
		q := u.Query()
		if len(q["secret"]) != 1 || q.Get("secret") != strings.ReplaceAll(prompt.Key, " ", "") || q.Get("digits") != "6" || q.Get("period") != "30" || q.Get("algorithm") != "SHA1" {
			t.Errorf("parameters %v", q)
		}
		if strings.Contains(string(prompt.URI), "+") {
			t.Errorf("a plus sign, which apps show as it stands: %s", prompt.URI)
		}
		if c.label != "" && (u.Path != "/"+c.label || q.Get("issuer") != c.wantIssuer) {
			t.Errorf("label %q issuer %q, want %q and %q", u.Path, q.Get("issuer"), c.label, c.wantIssuer)
		}
		key, err := otp.NewKeyFromURL(string(prompt.URI))
		if err != nil || c.label != "" && key.Issuer() != c.wantIssuer {
			t.Errorf("read by another library: issuer %q, want %q (%v)", key.Issuer(), c.wantIssuer, err)
		}
	}
}

func TestAPendingSeedStandsInTheStateAlone(t *testing.T) {
	prompt, s, sent, err := method.TOTP{}.Offer(t.Context(), claimant("ironman", "f", identity.SignIn), nil)
	if err != nil || len(sent) != 0 {
		t.Fatal(err)
	}
	var p struct{ Seed []byte }
	if err := json.Unmarshal(s, &p); err != nil || base32.StdEncoding.EncodeToString(p.Seed) != strings.ReplaceAll(prompt.Key, " ", "") {
		t.Errorf("the state holds another seed than the page shows (%v)", err)
	}
}
