package templates

import "time"

// Mail is one of the structs below. Its words are in the catalogue ("mail.<snake_case>.subject", ".body", …);
// every mail has a text part and an HTML part.
type Mail interface {
	mail()
	letter() Letter
}

func (l Letter) letter() Letter { return l }

// Letter is what every mail carries.
type Letter struct {
	Tenant, Accent, Help string
	Name                 string // the addressee's display name; may be empty
	Login                string
	At                   time.Time
	NotMe                string // absolute address of the "This wasn’t me" page; empty: none
	SecurityInfo         string // absolute address of the security-info page
	Where                string // network address and browser the deed came from; may be empty
}

type (
	// CodeMail carries a one-time code.
	CodeMail struct {
		Letter
		Code    string
		Minutes int
		Purpose string // reset | register | sign_in | manage
	}
	// PasswordReset tells that the password was reset.
	PasswordReset struct{ Letter }
	// ResetHeld tells that a reset has been proven and goes on at Until, unless somebody stops it.
	ResetHeld struct {
		Letter
		Until time.Time
	}
	// PasswordChanged tells that it was changed by its owner.
	PasswordChanged struct{ Letter }
	// PasswordMayHaveChanged tells that a reset was cut short and may have gone through.
	PasswordMayHaveChanged struct{ Letter }
	// MethodAdded, MethodChanged and MethodRemoved tell of security info.
	MethodAdded struct {
		Letter
		Kind, Label string
	}
	MethodChanged struct {
		Letter
		Kind, Label string
	}
	MethodRemoved struct {
		Letter
		Kind, Label string
	}
	// AccountUnlocked tells of an unlock.
	AccountUnlocked struct{ Letter }
	// AdministratorReset tells administrators that one of them reset the password.
	AdministratorReset struct {
		Letter
		Who string
	}
	// NotMeActed confirms that "This wasn’t me" was pressed, and says what comes next.
	NotMeActed struct {
		Letter
		What string // the event it was pressed about
	}
)

func (CodeMail) mail()               {}
func (PasswordReset) mail()          {}
func (ResetHeld) mail()              {}
func (PasswordChanged) mail()        {}
func (PasswordMayHaveChanged) mail() {}
func (MethodAdded) mail()            {}
func (MethodChanged) mail()          {}
func (MethodRemoved) mail()          {}
func (AccountUnlocked) mail()        {}
func (AdministratorReset) mail()     {}
func (NotMeActed) mail()             {}
