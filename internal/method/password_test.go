package method_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/store"
)

// verifier is a directory that only checks passwords.
type verifier func(context.Context, directory.User, string) (directory.Verdict, error)

func (f verifier) VerifyPassword(ctx context.Context, u directory.User, password string) (directory.Verdict, error) {
	return f(ctx, u, password)
}

func TestThePasswordIsTheDirectorysAnswer(t *testing.T) {
	who := claimant("ironman", "f", identity.SignIn)
	for _, c := range []struct {
		verdict    directory.Verdict
		right, due bool
	}{{directory.Right, true, false}, {directory.RightButDue, true, true}, {directory.RightButBarred, false, false}, {directory.Wrong, false, false}} {
		m := method.Password{Directory: verifier(func(context.Context, directory.User, string) (directory.Verdict, error) { return c.verdict, nil })}
		r, err := m.Verify(t.Context(), who, nil, field("password", "jarvis"))
		if (err == nil) != c.right || r.Due != c.due || r.Authenticator != "" {
			t.Errorf("verdict %v: %+v, %v", c.verdict, r, err)
		}
		if err != nil {
			rejected(t, "verdict", err)
		} else if err := r.Spend(store.Tx(nil)); err != nil {
			t.Errorf("a password cannot be used up: %v", err)
		}
	}
}

func TestADirectoryThatIsDownIsNeverAWrongPassword(t *testing.T) {
	m := method.Password{Directory: verifier(func(context.Context, directory.User, string) (directory.Verdict, error) {
		return directory.Right, directory.ErrUnavailable
	})}
	for _, who := range []method.Claimant{claimant("ironman", "f", identity.SignIn), {For: identity.SignIn}} {
		_, err := m.Verify(t.Context(), who, nil, field("password", "jarvis"))
		if !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, method.ErrRejected) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
	}
	if _, err := (method.Password{}).Verify(t.Context(), claimant("ironman", "f", identity.SignIn), nil, field("password", "x")); err == nil || errors.Is(err, method.ErrRejected) {
		t.Errorf("without a directory: %v", err)
	}
}

func TestPW02_ThePasswordReachesTheDirectoryAsItWasTyped(t *testing.T) {
	var got []string
	m := method.Password{Directory: verifier(func(_ context.Context, _ directory.User, password string) (directory.Verdict, error) {
		got = append(got, password)
		return directory.Right, nil
	})}
	long := strings.Repeat("pässwörd ", 30)
	for _, typed := range []string{" leading and trailing ", long, long + "x", "UPPER lower", "tab\tand\x01control", "e\u0301"} {
		got = nil
		if _, err := m.Verify(t.Context(), claimant("ironman", "f", identity.SignIn), nil, field("password", typed)); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0] != typed {
			t.Errorf("%q reached the directory as %q", typed, got)
		}
	}
}

func TestA36_AnEmptyPasswordNeverReachesTheDirectory(t *testing.T) {
	asked := 0
	m := method.Password{Directory: verifier(func(context.Context, directory.User, string) (directory.Verdict, error) {
		asked++
		return directory.Right, nil // as an LDAP server says to an unauthenticated bind
	})}
	for _, values := range [][]string{nil, {}, {""}, {"", ""}, {"jarvis", ""}, {strings.Repeat("x", 4097)}} {
		_, err := m.Verify(t.Context(), claimant("ironman", "f", identity.SignIn), nil, map[string][]string{"password": values})
		rejected(t, strings.Join(values, "|"), err)
	}
	if asked != 0 {
		t.Errorf("the directory was asked %d times", asked)
	}
}

func TestRS02_ADecoysPasswordCostsADirectorysAnswer(t *testing.T) {
	var asked []directory.User
	m := method.Password{Directory: verifier(func(_ context.Context, u directory.User, _ string) (directory.Verdict, error) {
		asked = append(asked, u)
		return directory.Right, nil // even a directory that errs signs nobody in as nobody
	})}
	_, err := m.Verify(t.Context(), method.Claimant{For: identity.SignIn}, nil, field("password", "jarvis"))
	rejected(t, "nobody", err)
	if len(asked) != 1 || asked[0].ID != "" {
		t.Errorf("the directory was asked about %v, want once about nobody", asked)
	}
}
