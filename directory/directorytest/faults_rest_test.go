package directorytest_test

import (
	"context"
	"iter"
	"strings"
	"sync/atomic"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
)

// Faults of unlocking, walking and trouble.
var faultsOfTheRest = map[string]fault{
	"unlock does nothing":  {"Unlock opens TempLocked and keeps", func(f *faulty) { f.unlock = func(ctx, directory.User) error { return nil } }},
	"unlock opens all":     {"Unlock opens no AdminLocked", func(f *faulty) { f.unlock = unlocks(f, ^directory.State(0)) }},
	"unlock enables":       {"Unlock opens no AdminLocked", func(f *faulty) { f.unlock = unlocks(f, directory.TempLocked|directory.Disabled) }},
	"unlock clears expiry": {"Unlock clears nothing else", func(f *faulty) { f.unlock = unlocks(f, directory.TempLocked|directory.Expired) }},
	"unlock loses the password": {"Unlock opens TempLocked and keeps", func(f *faulty) {
		f.unlock = func(c ctx, u directory.User) error {
			f.Change(u.Login, func(a *directorytest.Account) { a.Password = "unlocked" })
			return f.Memory.Unlock(c, u)
		}
	}},
	"nobody is unlocked": {"nobody cannot be unlocked", func(f *faulty) {
		f.unlock = func(c ctx, u directory.User) error { f.Memory.Unlock(c, u); return c.Err() }
	}},
	"the walk misses some": {"Users walks all users", func(f *faulty) {
		f.users = func(c ctx) iter.Seq2[directory.User, error] {
			return func(yield func(directory.User, error) bool) {
				for u, err := range f.Memory.Users(c) {
					if u.Login != "vision" && !yield(u, err) {
						return
					}
				}
			}
		}
	}},
	"the walk goes twice": {"Users walks all users", func(f *faulty) {
		f.users = func(c ctx) iter.Seq2[directory.User, error] {
			return func(yield func(directory.User, error) bool) {
				for u, err := range f.Memory.Users(c) {
					if !yield(u, err) || !yield(u, err) {
						return
					}
				}
			}
		}
	}},
	"the walk breaks off in silence": {"Users ends in an error", func(f *faulty) {
		f.users = func(c ctx) iter.Seq2[directory.User, error] {
			return func(yield func(directory.User, error) bool) {
				for u, err := range f.Memory.Users(c) {
					if err != nil || !yield(u, nil) {
						return
					}
				}
			}
		}
	}},
	"a sound directory is called broken": {"Check finds nothing grave", func(f *faulty) {
		f.check = func(ctx) []directory.Finding { return []directory.Finding{{Grave: true, Text: "too cold"}} }
	}},
	"callers are mixed up": {"fifty callers at once", func(f *faulty) {
		var n atomic.Int64
		f.find = func(c ctx, login string) (directory.User, error) {
			if n.Add(1) == 20 {
				login = "hulk"
			}
			return f.Memory.Find(c, login)
		}
	}},
	"writers are mixed up": {"of three writers at once", func(f *faulty) {
		f.verify = right(f, func(p string) bool { return strings.HasPrefix(p, "Fresh-") })
	}},
	"contexts do not matter": {"every call gives up", func(f *faulty) {
		f.get = func(c ctx, id directory.UserID) (directory.User, error) {
			return f.Memory.Get(context.WithoutCancel(c), id)
		}
	}},
	"an ended context is nobody": {"every call gives up", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			if c.Err() != nil {
				return directory.User{}, directory.ErrNotFound
			}
			return f.Memory.Find(c, login)
		}
	}},
	"an outage is a wrong password": {"F-06 an outage is ErrUnavailable", func(f *faulty) {
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			v, err := f.Memory.VerifyPassword(c, u, password)
			if err != nil && c.Err() == nil {
				return directory.Wrong, nil
			}
			return v, err
		}
	}},
	"an outage is nobody": {"F-06 an outage is ErrUnavailable", func(f *faulty) {
		f.find = func(c ctx, login string) (directory.User, error) {
			u, err := f.Memory.Find(c, login)
			if err != nil && c.Err() == nil {
				err = directory.ErrNotFound
			}
			return u, err
		}
	}},
	"an outage is a verdict": {"F-06 an outage is ErrUnavailable", func(f *faulty) {
		f.verify = func(c ctx, u directory.User, password string) (directory.Verdict, error) {
			v, err := f.Memory.VerifyPassword(c, u, password)
			if err != nil && c.Err() == nil {
				v = directory.Right
			}
			return v, err
		}
	}},
	"an outage is not checked": {"F-06 an outage is ErrUnavailable", func(f *faulty) { f.check = func(ctx) []directory.Finding { return nil } }},
}
