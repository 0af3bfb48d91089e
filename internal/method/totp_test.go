package method_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"github.com/sparekey-id/sparekey/templates"
)

// appCode is what an authenticator app shows at that time.
func appCode(t testing.TB, seed []byte, at time.Time) string {
	t.Helper()
	c, err := totp.GenerateCode(base32.StdEncoding.EncodeToString(seed), at)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTOTPAgreesWithTheStandardsTestVectors(t *testing.T) {
	// RFC 6238 appendix B, SHA-1, shortened to six digits.
	who := claimant("ironman", "f", identity.SignIn, identity.Authenticator{ID: "a", Kind: identity.TOTP, Data: []byte("12345678901234567890")})
	for at, code := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		who.Now = time.Unix(at, 0)
		if _, err := (method.TOTP{}).Verify(t.Context(), who, nil, field("code", code)); err != nil {
			t.Errorf("%s at %d: %v", code, at, err)
		}
	}
}

func TestEN08_TOTPTakesOneStepEitherSide(t *testing.T) {
	seed := []byte("12345678901234567890")
	who := claimant("ironman", "f", identity.SignIn, identity.Authenticator{ID: "a", Kind: identity.TOTP, Data: seed})
	for d := -4; d <= 4; d++ {
		code := appCode(t, seed, noon.Add(time.Duration(d)*30*time.Second))
		_, err := (method.TOTP{}).Verify(t.Context(), who, nil, field("code", code))
		if want := d >= -1 && d <= 1; (err == nil) != want {
			t.Errorf("the code of step %+d: %v, want accepted %v", d, err, want)
		}
	}
}

func TestA15_ATOTPStepIsNeverAcceptedTwice(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := scenes()["totp"]()
		h := db.Tenant("avengers")
		keep(t, h, s.rows)
		seed := s.rows[0].Data
		use := func(purpose identity.Use, step, now int) error {
			t.Helper()
			who := s.who
			who.For, who.Now, who.Flow = purpose, noon.Add(time.Duration(now)*30*time.Second), fmt.Sprint("flow-", purpose)
			r, err := s.method.Verify(t.Context(), who, nil, field("code", appCode(t, seed, noon.Add(time.Duration(step)*30*time.Second))))
			if err != nil {
				return err
			}
			return h.Write(t.Context(), r.Spend)
		}
		for _, c := range []struct {
			name      string
			purpose   identity.Use
			step, now int
			good      bool
		}{
			{"the code of now", identity.SignIn, 0, 0, true},
			{"the same code for sign-in", identity.SignIn, 0, 0, false},
			{"the same code for a reset", identity.Reset, 0, 0, false},
			{"the same code for security info", identity.Manage, 0, 0, false},
			{"the same code, later in its window", identity.SignIn, 0, 1, false},
			{"the code of the step before it", identity.SignIn, -1, 0, false},
			{"the next step, early", identity.SignIn, 1, 0, true},
			{"step t after t+1 was accepted", identity.SignIn, 0, 0, false},
			{"t+1 again, in its own time", identity.SignIn, 1, 1, false},
			{"t+2", identity.SignIn, 2, 2, true},
			{"the clock set back ten minutes, its code then", identity.SignIn, -20, -20, false},
			{"the clock right again, a new code", identity.SignIn, 3, 3, true},
		} {
			err := use(c.purpose, c.step, c.now)
			if (err == nil) != c.good {
				t.Errorf("%s: %v, want accepted %v", c.name, err, c.good)
			}
			if err != nil && !(errors.Is(err, store.ErrChanged) && errors.Is(err, method.ErrRejected)) {
				t.Errorf("%s: %v, want a rejection that is ErrChanged", c.name, err)
			}
		}
	})
}

func TestA15_ACodeThatTwoStepsShareIsSpentForBoth(t *testing.T) {
	// With this seed the steps 153567 and 153569 have the same code, 468457.
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := scenes()["totp"]()
		h := db.Tenant("avengers")
		keep(t, h, s.rows)
		for n, want := range []error{nil, store.ErrChanged} {
			s.who.Now = time.Unix((153568+2*int64(n))*30, 0) // first both are near, then only the later one
			r, err := s.method.Verify(t.Context(), s.who, nil, field("code", "468457"))
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Write(t.Context(), r.Spend); !errors.Is(err, want) {
				t.Errorf("use %d: %v, want %v", n+1, err, want)
			}
		}
	})
}

func TestAnyOfTheUsersAppsMayAnswer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := db.Tenant("avengers")
		var rows []row
		var held []identity.Authenticator
		for i := range 5 {
			a := identity.Authenticator{ID: fmt.Sprint("app-", i), Kind: identity.TOTP, Data: []byte(strings.Repeat(fmt.Sprint(i), 20))}
			held, rows = append(held, a), append(rows, row{"id-ironman", a})
		}
		keep(t, h, rows)
		who := claimant("ironman", "f", identity.SignIn, held...)
		for _, a := range held {
			r, err := (method.TOTP{}).Verify(t.Context(), who, nil, field("code", appCode(t, a.Data, noon)))
			if err != nil || r.Authenticator != a.ID {
				t.Fatalf("%s: %q, %v", a.ID, r.Authenticator, err)
			}
			if err := h.Write(t.Context(), r.Spend); err != nil {
				t.Fatalf("the step of one app was spent by another's: %v", err)
			}
		}
		err := h.Read(t.Context(), func(tx store.Tx) error {
			var n int
			err := tx.Row(`SELECT count(*) FROM authenticator WHERE tenant = $1 AND step = $2 AND used_at > 0`, noon.Unix()/30).Scan(&n)
			if n != 5 {
				t.Errorf("%d rows carry the step and the time of use, want 5", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestASeedThatIsMissingOrTooShortProvesNothing(t *testing.T) {
	// The code of an empty or known seed can be computed by anybody.
	for _, seed := range [][]byte{nil, {}, []byte("short"), []byte(strings.Repeat("x", 15))} {
		who := claimant("ironman", "f", identity.SignIn, identity.Authenticator{ID: "a", Kind: identity.TOTP, Data: seed})
		for _, known := range [][]byte{seed, make([]byte, 20), {}} {
			_, err := (method.TOTP{}).Verify(t.Context(), who, nil, field("code", appCode(t, known, noon)))
			rejected(t, fmt.Sprintf("seed %q, code of %q", seed, known), err)
		}
	}
}

func TestCodesAreReadAsPeopleTypeThem(t *testing.T) {
	seed := []byte("12345678901234567890")
	at := time.Unix(1111111109, 0) // 081804
	who := claimant("ironman", "f", identity.SignIn, identity.Authenticator{ID: "a", Kind: identity.TOTP, Data: seed})
	who.Now = at
	for typed, good := range map[string]bool{
		"081804": true, "081 804": true, " 081804\n": true, "081-804": true, "08 18 04": true, "081\u00a0804": true, "\u200b081804": true,
		"０８１８０４": true, "٠٨١٨٠٤": true, "۰۸۱۸۰۴": true, "०८१८०४": true, "𝟎𝟖𝟏𝟖𝟎𝟒": true,
		"O81804": false, "²81804": false, "①81804": false, "81804": false, "0081804": false, "081804.": false, "+081804": false, "Ⅷ81804": false,
	} {
		_, err := (method.TOTP{}).Verify(t.Context(), who, nil, field("code", typed))
		if (err == nil) != good {
			t.Errorf("%q: %v, want accepted %v", typed, err, good)
		}
		var why *method.Rejection
		if errors.As(err, &why) && why.Key != "problem.code_form" {
			t.Errorf("%q, which is no code of six digits, is rejected as %s", typed, why.Key)
		}
	}
}

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

// FuzzZ06 drives the method and a row with a last step, and compares with the rule in the oracle's own words:
// accepted means a step later than the last one and no more than one away from now.
func FuzzZ06_TOTPVerify(f *testing.F) {
	f.Add([]byte{0, 1, 2, 0x81, 3}, "081804", int64(1111111109))
	f.Add([]byte{60, 60, 59, 61}, " ０８１８０４", int64(59))
	f.Add([]byte{200, 100, 0, 255}, "", int64(1<<40))
	f.Add([]byte{1}, "-1", int64(-5))
	seed := []byte("12345678901234567890")
	f.Fuzz(func(t *testing.T, moves []byte, typed string, at int64) {
		if at < 600 || at > 1<<40 || len(moves) > 200 {
			return // no such time
		}
		m := method.TOTP{}
		who := claimant("ironman", "f", identity.SignIn, identity.Authenticator{ID: "a", Kind: identity.TOTP, Data: seed})
		who.Now = time.Unix(at, 0)
		fake := &stepRow{}
		if r, err := m.Verify(t.Context(), who, nil, field("code", typed)); err == nil {
			near := false
			for d := int64(-1); d <= 1; d++ {
				near = near || digitsOf(typed) == appCode(t, seed, time.Unix(at+30*d, 0))
			}
			if !near {
				t.Fatalf("%q was accepted at %d", typed, at)
			}
			if err := r.Spend(fake); err != nil {
				t.Fatal(err)
			}
		}
		last := fake.step
		// Each move shifts the clock by up to ±64 s and tries the code of a step near it.
		for _, b := range moves {
			at = max(600, at+int64(int8(b)))
			now, want := at/30, at/30+int64(b%7)-3
			who.Now = time.Unix(at, 0)
			code := appCode(t, seed, time.Unix(want*30, 0))
			var near []int64
			for s := now - 1; s <= now+1; s++ {
				if appCode(t, seed, time.Unix(s*30, 0)) == code {
					near = append(near, s)
				}
			}
			r, err := m.Verify(t.Context(), who, nil, field("code", code))
			if (err == nil) != (len(near) > 0) {
				t.Fatalf("step %d at %d: %v", want, now, err)
			}
			if err != nil {
				continue
			}
			err = r.Spend(fake)
			if model := slices.Max(near) > last; (err == nil) != model {
				t.Fatalf("step %d at %d after %d: %v", want, now, last, err)
			}
			if err == nil {
				last = slices.Max(near)
			}
			if fake.step != last {
				t.Fatalf("the row holds %d, the model %d", fake.step, last)
			}
		}
	})
}

// stepRow is one authenticator's row, as far as the guarded UPDATE of a step sees it; TestA15 runs the same statement on the engines.
type stepRow struct {
	store.Tx
	step int64
}

func (s *stepRow) Now() time.Time { return noon }
func (s *stepRow) Exec(query string, args ...any) (int64, error) {
	next, ok := args[2].(int64)
	if !ok || !strings.Contains(query, "step < $4") {
		return 0, fmt.Errorf("unexpected statement: %s", query)
	}
	if s.step >= next {
		return 0, nil
	}
	s.step = next
	return 1, nil
}

// digitsOf keeps what is a digit in ASCII or full width; other scripts are left to TestCodesAreReadAsPeopleTypeThem.
func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return r
		case r >= '０' && r <= '９':
			return r - '０' + '0'
		}
		return -1
	}, s)
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
