package method_test

import (
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
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
