package directorytest_test

import (
	"strings"

	"github.com/sparekey-id/sparekey/directory"
)

// Faults of checking passwords.
var faultsOfVerifying = map[string]fault{
	"an empty password is right": {"A36 an empty password is Wrong", func(f *faulty) { f.verify = right(f, func(p string) bool { return p == "" }) }},
	"a star is right":            {"A36 a hostile password is Wrong", func(f *faulty) { f.verify = right(f, func(p string) bool { return p == "*" }) }},
	"anything is right where there is no password": {"A36 no password opens an account without one", func(f *faulty) {
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			if u.Login == "vision" && password != "" {
				return directory.Right, nil
			}
			return f.Memory.VerifyPassword(c, u, password)
		}
	}},
	"a password ends at a NUL": {"A36 a hostile password is Wrong", func(f *faulty) {
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			password, _, _ = strings.Cut(password, "\x00")
			return f.Memory.VerifyPassword(c, u, password)
		}
	}},
	"somebody else's password is right": {"a wrong password is Wrong, and somebody else's", func(f *faulty) {
		f.verify = right(f, func(p string) bool { return p == "The-Right-1-pepper-okis" })
	}},
	"case of passwords is lost": {"PW-02 the case of a password counts", func(f *faulty) {
		f.verify = right(f, func(p string) bool { return p == "THE-RIGHT-1-PEPPER-OKIS" })
	}},
	"a start of the password is enough": {"PW-02 all of a password counts", func(f *faulty) {
		f.verify = right(f, func(p string) bool { return p == "The-Right-1-pepper-oki" })
	}},
	"the disabled sign in": {"the password of a disabled or locked account", func(f *faulty) { f.verify = verdicts(f, directory.RightButBarred, directory.Right) }},
	"the disabled may change their password": {"the password of a disabled or locked account", func(f *faulty) {
		f.verify = verdicts(f, directory.RightButBarred, directory.RightButDue)
	}},
	"the expired sign in":   {"an expired or must-change password", func(f *faulty) { f.verify = verdicts(f, directory.RightButDue, directory.Right) }},
	"the expired are wrong": {"an expired or must-change password", func(f *faulty) { f.verify = verdicts(f, directory.RightButDue, directory.Wrong) }},
	"a locked account is told to strangers": {"a wrong password is Wrong whatever the state", func(f *faulty) {
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			if u.State.Has(directory.TempLocked) {
				return directory.RightButBarred, nil
			}
			return f.Memory.VerifyPassword(c, u, password)
		}
	}},
	"the state handed in is believed": {"A27 the state that counts is today's", func(f *faulty) {
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			v, err := f.Memory.VerifyPassword(c, u, password)
			if v == directory.RightButBarred && u.State == 0 {
				v = directory.Right
			}
			return v, err
		}
	}},
	"nobody's password is right": {"every password is Wrong for the zero User", func(f *faulty) {
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			if u.ID == "" && password == "The-Right-1-rhodey" {
				return directory.Right, nil
			}
			return f.Memory.VerifyPassword(c, u, password)
		}
	}},
	"nobody costs nothing": {"RS-02 a password costs as much", func(f *faulty) {
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			if u.ID == "" {
				return directory.Wrong, nil
			}
			return f.Memory.VerifyPassword(c, u, password)
		}
	}},
	"the disabled cost nothing": {"RS-02 a password costs as much", func(f *faulty) {
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			if u.State.Barred() && password == "Wrong-Guess-93-Elephant" {
				return directory.Wrong, nil
			}
			return f.Memory.VerifyPassword(c, u, password)
		}
	}},
}
