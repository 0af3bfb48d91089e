package flows

import "github.com/sparekey-id/sparekey/internal/policy"

// Step is where a flow stands.
type Step string

const (
	Identify    Step = "identify"     // who are you?
	AskWhat     Step = "what"         // forgot, or locked?
	Prove       Step = "prove"        // one more proof
	Hold        Step = "hold"         // proven, and made to wait
	NewPassword Step = "new_password" // choose one
	Register    Step = "register"     // security info
	Confirm     Step = "confirm"      // all set, or: really delete?
	AskSignOut  Step = "sign_out"     // really sign out?
	Refused     Step = "refused"      // ask your administrator
	Finish      Step = "finish"       // nothing is left to do but to end it
	Finished    Step = "finished"     // it has ended; the record only says so
)

// Next is the whole state machine: which step a flow stands at, given what policy says of it.
// It is pure, and nothing else in this package decides about order.
func Next(f Flow, d policy.Decision) Step {
	switch {
	case f.Done:
		return Finished
	case f.Kind == SignOut:
		return AskSignOut
	case !f.Named:
		return Identify
	case f.Dead:
		return Refused
	case f.Kind == Reset && f.What == "":
		return AskWhat
	case d.Refuse != "":
		return Refused
	case !d.Enough:
		return Prove
	}
	switch f.Kind {
	case Reset:
		if !d.NotBefore.IsZero() {
			return Hold
		}
		if f.What == Forgot && !f.Renewed {
			return NewPassword
		}
	case Manage:
		return f.Task.next(f)
	case SignIn:
		switch due := d.Missing > 0 && !d.Snoozed && !f.Skipped; {
		case d.ProveFirst:
			return Prove
		case d.PasswordDue && !f.Renewed:
			return NewPassword
		case due && !f.Introduced:
			return Register
		case due && !d.Fresh:
			return Prove
		case due:
			return Register
		case f.Registered:
			return Confirm
		}
	}
	return Finish
}

func (t Task) next(f Flow) Step {
	switch t.Do {
	case "add", "change":
		return Register
	case "delete":
		return Confirm
	case "password":
		return NewPassword
	}
	return Finish
}
