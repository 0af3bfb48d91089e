package directorytest_test

import (
	"strings"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
)

// Faults of setting and changing passwords.
var faultsOfSetting = map[string]fault{
	"set does nothing": {"SetPassword replaces a password", func(f *faulty) {
		f.set = func(ctx, directory.User, string, directory.SetOptions) error { return nil }
	}},
	"set reaches everybody": {"SetPassword replaces a password", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, o directory.SetOptions) error {
			err := f.Memory.SetPassword(c, u, next, o)
			if err == nil {
				f.Change("rhodey", func(a *directorytest.Account) { a.Password = next })
			}
			return err
		}
	}},
	"the old password stays good": {"the old password is Wrong after SetPassword", func(f *faulty) {
		f.verify = right(f, func(p string) bool { return p == "The-Right-1-pepper-okis" })
	}},
	"set leaves it due": {"RS-17 SetPassword clears Expired and MustChange", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, o directory.SetOptions) error {
			err := f.Memory.SetPassword(c, u, next, o)
			f.Change(u.Login, func(a *directorytest.Account) { a.State |= u.State })
			return err
		}
	}},
	"must change is forgotten": {"PW-08 SetPassword with MustChange", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, _ directory.SetOptions) error {
			return f.Memory.SetPassword(c, u, next, directory.SetOptions{})
		}
	}},
	"set enables": {"A27 SetPassword opens no disabled", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, o directory.SetOptions) error {
			f.Change(u.Login, func(a *directorytest.Account) { a.State &^= directory.AdminLocked })
			return f.Memory.SetPassword(c, u, next, o)
		}
	}},
	"a refusal has no reason": {"a refused password comes with its reason", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, o directory.SetOptions) error {
			if err := f.Memory.SetPassword(c, u, next, o); err != nil {
				return &directory.PolicyError{}
			}
			return nil
		}
	}},
	"a refusal sets all the same": {"a refused password comes with its reason", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, o directory.SetOptions) error {
			err := f.Memory.SetPassword(c, u, next, o)
			if err != nil && next != "" {
				f.Change(u.Login, func(a *directorytest.Account) { a.Password = next })
			}
			return err
		}
	}},
	"an empty password makes one up": {"an empty new password is refused", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, o directory.SetOptions) error {
			if next == "" {
				next = "Made-Up-By-Backend-1"
			}
			return f.Memory.SetPassword(c, u, next, o)
		}
	}},
	"passwords are trimmed": {"PW-02 a password is kept whole", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, o directory.SetOptions) error {
			return f.Memory.SetPassword(c, u, strings.TrimSpace(next), o)
		}
	}},
	"passwords end at 72 bytes": {"PW-02 a password does not end at 72 bytes", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, o directory.SetOptions) error {
			return f.Memory.SetPassword(c, u, next[:min(72, len(next))], o)
		}
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			return f.Memory.VerifyPassword(c, u, password[:min(72, len(password))])
		}
	}},
	"a name is enough to set": {"nobody's password cannot be set", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, o directory.SetOptions) error {
			if again, err := f.Memory.Find(c, u.Login); err == nil {
				u = again
			}
			return f.Memory.SetPassword(c, u, next, o)
		}
	}},
	"the policy told is too strict": {"the policy told is the one that counts", func(f *faulty) {
		f.policy = func(ctx, directory.User) (directory.Policy, error) { return directory.Policy{MinLength: 12}, nil }
	}},
	"change needs nothing": {"PW-06 ChangePassword needs the old password", func(f *faulty) {
		f.change = func(c ctx, u directory.User, _, next string) error {
			return f.Memory.SetPassword(c, u, next, directory.SetOptions{})
		}
	}},
	"change takes an empty old one": {"PW-06 ChangePassword needs the old password", func(f *faulty) {
		f.change = func(c ctx, u directory.User, old, next string) error {
			if old == "" {
				return f.Memory.SetPassword(c, u, next, directory.SetOptions{})
			}
			return f.Memory.ChangePassword(c, u, old, next)
		}
	}},
	"change refuses what is due": {"ChangePassword takes an expired or must-change", func(f *faulty) {
		f.change = func(c ctx, u directory.User, old, next string) error {
			if u.State != 0 {
				return directory.ErrNotAllowed
			}
			return f.Memory.ChangePassword(c, u, old, next)
		}
	}},
	"what is due is changed by anybody": {"ChangePassword of an expired password needs it", func(f *faulty) {
		f.change = func(c ctx, u directory.User, old, next string) error {
			if u.State.Has(directory.Expired) {
				return f.Memory.SetPassword(c, u, next, directory.SetOptions{})
			}
			return f.Memory.ChangePassword(c, u, old, next)
		}
	}},
	"the locked change": {"ChangePassword does nothing for a disabled", func(f *faulty) {
		f.change = func(c ctx, u directory.User, old, next string) error {
			if v, err := f.Memory.VerifyPassword(c, u, old); err == nil && v == directory.RightButBarred {
				return f.Memory.SetPassword(c, u, next, directory.SetOptions{})
			}
			return f.Memory.ChangePassword(c, u, old, next)
		}
	}},
	"change knows no rules": {"ChangePassword refuses by rule", func(f *faulty) {
		f.change = func(c ctx, u directory.User, old, next string) error {
			err := f.Memory.ChangePassword(c, u, old, next)
			if _, refused := err.(*directory.PolicyError); refused {
				f.Change(u.Login, func(a *directorytest.Account) { a.Password = next })
				return nil
			}
			return err
		}
	}},
}
