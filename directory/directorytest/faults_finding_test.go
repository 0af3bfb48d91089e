package directorytest_test

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/sparekey-id/sparekey/directory"
)

// Faults of finding and reading users.
var faultsOfFinding = map[string]fault{
	"the login is another": {"Find knows a user by login", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			u, err := f.Memory.Find(c, login)
			u.Login += "-x"
			return u, err
		}
	}},
	"case matters": {"Find does not mind the case", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			u, err := f.Memory.Find(c, login)
			if err == nil && login != u.Login && login != u.Email {
				return directory.User{}, directory.ErrNotFound
			}
			return u, err
		}
	}},
	"aliases are unknown": {"Find knows a user by her aliases", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			if strings.EqualFold(login, "rhodey@stark.example") {
				login = "hulk"
			}
			return f.Memory.Find(c, login)
		}
	}},
	"a prefix is enough": {"Find says ErrNotFound for an unknown login", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			if len(login) > 3 && strings.HasPrefix("pepper-okis", login) {
				login = "pepper-okis"
			}
			return f.Memory.Find(c, login)
		}
	}},
	"the unknown is an outage": {"Find says ErrNotFound for an unknown login", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			u, err := f.Memory.Find(c, login)
			if err != nil {
				err = directory.ErrUnavailable
			}
			return u, err
		}
	}},
	"an empty login is somebody": {"Find says ErrNotFound for an empty login", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			if strings.TrimSpace(login) == "" {
				login = "rhodey"
			}
			return f.Memory.Find(c, login)
		}
	}},
	"spaces lead to another": {"when spaces stand around", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			if strings.HasSuffix(login, " ") {
				login = "rhodey"
			}
			return f.Memory.Find(c, login)
		}
	}},
	"the first of two wins": {"ErrAmbiguous for a name that two users share", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			if strings.EqualFold(login, "office@stark.example") {
				login = "happy"
			}
			return f.Memory.Find(c, login)
		}
	}},
	"a star finds somebody": {"A36 Find takes a hostile name", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			return f.Memory.Find(c, strings.TrimSuffix(login, "*"))
		}
	}},
	"a star is ambiguous": {"A36 Find takes a hostile name", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			if login == "*" {
				return directory.User{}, directory.ErrAmbiguous
			}
			return f.Memory.Find(c, login)
		}
	}},
	"a NUL ends the name": {"A36 Find takes a hostile name", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			login, _, _ = strings.Cut(login, "\x00")
			return f.Memory.Find(c, login)
		}
	}},
	"broken text is an outage": {"A36 Find takes a hostile name", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			if strings.Contains(login, "\xff") {
				return directory.User{}, directory.ErrUnavailable
			}
			return f.Memory.Find(c, login)
		}
	}},
	"a look-alike is the user": {"A11 Find takes a name", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			return f.Memory.Find(c, strings.ReplaceAll(login, "е", "e"))
		}
	}},
	"a fold leads to another": {"A11 Find takes a name", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			if strings.Contains(login, "ſ") {
				login = "rhodey"
			}
			return f.Memory.Find(c, login)
		}
	}},
	"Get forgets the groups": {"Get reads the user that Find found", func(f *faulty) {
		f.get = func(c ctx, id directory.UserID) (directory.User, error) {
			u, err := f.Memory.Get(c, id)
			u.Groups = nil
			return u, err
		}
	}},
	"Get takes a login": {"Get says ErrNotFound for what is no id", func(f *faulty) {
		f.get = func(c ctx, id directory.UserID) (directory.User, error) {
			if u, err := f.Memory.Find(c, string(id)); err == nil {
				return u, nil
			}
			return f.Memory.Get(c, id)
		}
	}},
	"the id is the login": {"an id is no name", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			u, err := f.Memory.Find(c, login)
			if err == nil {
				u.ID = directory.UserID("uid=" + u.Login)
			}
			return u, err
		}
	}},
	"the id changes": {"an id stays the same", func(f *faulty) {
		var n atomic.Int64
		f.find = func(c ctx, login string) (directory.User, error) {
			u, err := f.Memory.Find(c, login)
			u.ID += directory.UserID(fmt.Sprint(n.Add(1)))
			return u, err
		}
	}},
	"the removed can still be read": {"a removed user is gone", func(f *faulty) {
		var kept directory.User
		f.get = func(c ctx, id directory.UserID) (directory.User, error) {
			if u, err := f.Memory.Get(c, id); err == nil || kept.ID != id {
				return u, err
			}
			return kept, nil
		}
		f.find = func(c ctx, login string) (directory.User, error) {
			u, err := f.Memory.Find(c, login)
			if err == nil && login == "pepper-okis" {
				kept = u
			}
			return u, err
		}
	}},
	"a namesake is opened by the old id": {"A10 an id is never given again", func(f *faulty) {
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			if again, err := f.Memory.Find(c, u.Login); u.Login != "" && err == nil {
				u = again
			}
			return f.Memory.VerifyPassword(c, u, password)
		}
	}},
	"a namesake's password is set by the old id": {"A10 an id is never given again", func(f *faulty) {
		f.set = func(c ctx, u directory.User, next string, o directory.SetOptions) error {
			if again, err := f.Memory.Find(c, u.Login); u.Login != "" && err == nil {
				u = again
			}
			return f.Memory.SetPassword(c, u, next, o)
		}
	}},
	"a lock is not told": {"each state is told", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			u, err := f.Memory.Find(c, login)
			u.State &^= directory.AdminLocked
			return u, err
		}
	}},
	"a lock for good is told as one for a while": {"each state is told", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			u, err := f.Memory.Find(c, login)
			if u.State == directory.AdminLocked {
				u.State |= directory.TempLocked
			}
			return u, err
		}
	}},
	"privilege is not told": {"a privileged user is told", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			u, err := f.Memory.Find(c, login)
			u.Privileged = false
			return u, err
		}
	}},
	"callers share a list": {"what a caller does to a user stays", func(f *faulty) {
		groups := []string{"Avengers", "Staff"}
		f.get = func(c ctx, id directory.UserID) (directory.User, error) {
			u, err := f.Memory.Get(c, id)
			u.Groups = groups
			return u, err
		}
	}},
}
