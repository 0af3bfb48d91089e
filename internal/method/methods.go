package method

import (
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
)

// Mailing is a method that sends codes to an address.
type Mailing interface {
	// Address is where codes of the authenticator are sent; empty: nowhere.
	Address(a identity.Authenticator) string
	// FromDirectory is the directory's own address of a user as an authenticator. False: she has none.
	FromDirectory(u directory.User) (identity.Authenticator, bool)
}

// Methods are those that there are, by kind, and what only some of them can do.
type Methods map[identity.Kind]Method

// Binder is the method of a kind that the end-user can bind herself; nil: she cannot.
func (all Methods) Binder(k identity.Kind) Binder {
	b, _ := all[k].(Binder)
	return b
}

// Address is where codes of the authenticator are sent; empty: nowhere.
func (all Methods) Address(a identity.Authenticator) string {
	if m, ok := all[a.Kind].(Mailing); ok {
		return m.Address(a)
	}
	return ""
}

// FromDirectory is the directory's own address of a user, as one could prove it; zero: there is none.
func (all Methods) FromDirectory(u directory.User) (a identity.Authenticator) {
	if m, ok := all[identity.Email].(Mailing); ok {
		a, _ = m.FromDirectory(u)
	}
	return a
}
