package templates

import (
	"html/template"
	"time"
)

// Frame is what surrounds every page.
type Frame struct {
	Tenant string // the organisation's name
	Logo   string // address under the issuer; empty: a square with the first letter
	Accent string // "#7a1f1f"; empty: the house's own
	Help   string // URL or mailto:; empty: none
	Lang   string // one of Set.Languages
	Base   string // the issuer's path, "/avengers" or "": every address on the page starts with it
	Nonce  string // of the Content-Security-Policy
	CSRF   string // value of the hidden field csrf in every form
	Action string // where the page's main form posts to
	Who    string // the user name, once typed; shown beside the organisation's name
	At, Of int    // step At of Of; Of 0 shows none
	Problem
	Notice string // catalogue key of a sentence announced politely ("code_sent", "method_added"); empty: none
}

// Problem says what went wrong with what was sent, in the end-user's words.
// Field names the input it belongs to (or choose, what, captcha); empty, or not on the page: it stands above the form.
type Problem struct {
	Field string
	Key   string    // catalogue key, "problem.wrong_code"; all are in words/en.yaml below "problem", an unknown one reads like problem.other
	Args  []any     // numbers, strings, times
	Until time.Time // when trying again makes sense; zero: now
}

// Page is one of the structs below. Its file is pages/<snake_case_of_the_type>.html.
type Page interface {
	page()
	frame() Frame
}

func (f Frame) frame() Frame { return f }

// Captcha is the puzzle of guard, by kind.
type Captcha struct {
	Kind   string // proof_of_work | image
	ID     string // posted back in captcha_id
	Salt   string // proof of work: SHA-256(Salt+n) starts with Bits zero bits
	Bits   int
	Wait   int    // seconds after which the ticket counts without JavaScript
	Image  string // image: data URL of the picture
	Audio  string // image: data URL of the spoken digits
	Waited bool   // the ticket has been waited for already
}

// Choice is one way to prove, or one method to register.
type Choice struct {
	Value string // posted as choose
	Kind  string
	Label string // masked; empty: the kind's name
}

// Shape is how a Prompt asks.
type Shape string

const (
	AskSecret  Shape = "secret"  // a password: field password
	AskCode    Shape = "code"    // a one-time code: field code
	AskAddress Shape = "address" // an address to type: field email
	ShowSecret Shape = "show"    // a QR code and a key to take over; nothing to type
)

// Prompt is what a method asks, in few shapes, so that most methods need no HTML of their own.
type Prompt struct {
	Shape   Shape
	Kind    string
	Hint    string        // destination: masked, "i•••@stark.example", or as it was typed
	QR      template.HTML // ShowSecret: an inline <svg>, made by method from its own seed
	Key     string        // ShowSecret: in groups of four
	URI     template.URL  // ShowSecret: otpauth: link
	Resend  time.Time     // when another code may be sent; zero: nothing is sent
	Expires time.Time     // when the code stops counting: told on the page, with a warning a minute before; zero: not told
}

// MethodRow is an authenticator as its owner sees it.
type MethodRow struct {
	ID, Kind, Label string
	Added, Used     time.Time // Used zero: never
	Default         bool      // asked first
	ResetOnly       bool
	Suspended       bool
}

// Device is one place where the user is signed in.
type Device struct {
	ID, Agent, Network string
	Seen               time.Time
	This               bool
}

// Activity is a line of the journal, for its owner.
type Activity struct {
	At      time.Time
	Event   string // audit's event name; the catalogue has "event.<name>"
	Network string
}

// Rule is one rule for a new password. Key is in the catalogue ("rule.min_length").
// Client-side JavaScript shows it live where Check is one it knows: min_length, max_length, not_contain.
type Rule struct {
	Key    string
	Args   []any
	Check  string
	Value  string // min_length, max_length: the number; not_contain: the words, one a line
	Failed bool
}

type (
	// SignInName asks who she is: field username, action next.
	SignInName struct {
		Frame
		Login, Client string
		Reset         string // address of "Can’t access your account?"; empty: none
	}
	// SignInPassword asks for the password: fields password (and username, hidden for password managers); action sign_in or back.
	SignInPassword struct {
		Frame
		Login, Client string
		Captcha       *Captcha
		Reset         string
	}
	// Account asks whether to go on as the user signed in: action next or other.
	Account struct {
		Frame
		Login, Name, Client string
	}
	// Choose lists ways to prove: field choose; actions next, none ("I can’t use any of these"), back, different_account (when Account).
	Choose struct {
		Frame
		Purpose string // sign_in | reset | unlock | manage; picks the h1: "Verify it’s you" or "Get back into your account"
		Choices []Choice
		None    bool
		Back    bool
		Account bool
	}
	// Prove shows one Prompt: its field; actions verify, resend, other (when there are more ways), none, back, different_account (when Account).
	Prove struct {
		Frame
		Purpose string
		Prompt  Prompt
		Other   bool
		None    bool
		Back    bool
		Account bool
	}
	// NewPassword asks for one twice: fields new, confirm (and old when Old); action next.
	NewPassword struct {
		Frame
		Purpose string // reset | due | change
		Old     bool
		Login   string
		Rules   []Rule
	}
	// MoreInformation is the interrupt: actions next, skip, different_account.
	MoreInformation struct {
		Frame
		Needs     []string // kinds, strongest first
		Missing   int      // how many methods are missing
		SkipLeft  int      // -1: no limit by count; 0 and SkipUntil zero: no skip
		SkipUntil time.Time
		MaySkip   bool
	}
	// RegisterChoose lists the methods that can be set up: field choose; actions next, back.
	RegisterChoose struct {
		Frame
		Choices []Choice
	}
	// RegisterIntro tells what to get first (an authenticator app): actions next, back, other.
	RegisterIntro struct {
		Frame
		Kind  string
		Other bool
	}
	// Register shows one Prompt of a registration: ShowSecret (action next), AskAddress (action next), AskCode (action verify, resend); always back and other.
	Register struct {
		Frame
		Prompt Prompt
		Other  bool
		Change bool // it takes the place of one she has
	}
	// AllSet lists what is registered: action done.
	AllSet struct {
		Frame
		Methods []MethodRow
	}
	// SecurityInfo is the page to manage it all. Its forms post to Action: action add | change | delete | default (field id), password, sign_out_everywhere, sign_out (field id).
	SecurityInfo struct {
		Frame
		Name, Login       string
		HasPassword       bool // it can be changed here
		PasswordChangedAt time.Time
		Methods           []MethodRow
		Addable           bool
		Devices           []Device
		Activity          []Activity
		Thawing           bool // changes are stopped until she proves something older
		Frozen            bool // changes are frozen after "This wasn’t me"
	}
	// ConfirmDelete asks once more: actions delete, back. Replace: the policy wants something in its place first (action replace).
	ConfirmDelete struct {
		Frame
		Method  MethodRow
		Replace bool
	}
	// ResetName asks who she is: field username; actions next, back.
	ResetName struct {
		Frame
		Login   string
		Captcha *Captcha
		Back    string
	}
	// ResetWhat asks what is wrong: field what = forgot (preset) | locked; actions next, back.
	ResetWhat struct{ Frame }
	// ResetDone closes a reset: a link to sign in.
	ResetDone struct {
		Frame
		SignIn string
	}
	// Unlock goes on with an unlock for which all is proven: action next.
	Unlock struct{ Frame }
	// UnlockDone closes an unlock: a link to sign in.
	UnlockDone struct {
		Frame
		SignIn string
	}
	// DeadEnd is "Ask your administrator".
	DeadEnd struct {
		Frame
		Reference string
		Back      string // address; empty: none
		Other     bool   // action different_account is offered
		Return    bool   // action back is offered
	}
	// NotMe asks before it acts: action not_me ("This wasn’t me").
	NotMe struct {
		Frame
		What string // the event: "method_added", …
		At   time.Time
	}
	// NotMeDone says what was done, and what comes next.
	NotMeDone struct {
		Frame
		What         string // the event, as in NotMe
		Used         bool   // she opened a link that had acted before
		SecurityInfo string // address; empty: she cannot get there now
	}
	// SignOut asks before it ends the session: actions sign_out, back.
	SignOut struct {
		Frame
		Login, Client string
	}
	// SignedOut is the last page: a link to sign in.
	SignedOut struct {
		Frame
		SignIn string // address to sign in anew; empty: none
	}
	// Wait says when to come back.
	Wait struct {
		Frame
		Reason    string // catalogue key "wait.<reason>": sign_in, reset, reset_held, password
		Until     time.Time
		Here      string // address to go on at once the wait is over; empty: Back is the way
		Back      string
		Reference string // empty: none
	}
	// Oops is every error page: Reason is a catalogue key "oops.<reason>": expired, foreign, not_found, link, bad_request, too_large, unavailable, denied, client, redirect_uri, internal.
	Oops struct {
		Frame
		Reason    string
		Reference string
		Again     string // address to start over; empty: none
	}
	// FormPost carries an authorization response to the relying party (OAuth 2.0 Form Post Response Mode).
	FormPost struct {
		Frame
		Target string
		Fields [][2]string
	}
)

func (SignInName) page()      {}
func (SignInPassword) page()  {}
func (Account) page()         {}
func (Choose) page()          {}
func (Prove) page()           {}
func (NewPassword) page()     {}
func (MoreInformation) page() {}
func (RegisterChoose) page()  {}
func (RegisterIntro) page()   {}
func (Register) page()        {}
func (AllSet) page()          {}
func (SecurityInfo) page()    {}
func (ConfirmDelete) page()   {}
func (ResetName) page()       {}
func (ResetWhat) page()       {}
func (ResetDone) page()       {}
func (Unlock) page()          {}
func (UnlockDone) page()      {}
func (DeadEnd) page()         {}
func (NotMe) page()           {}
func (NotMeDone) page()       {}
func (SignOut) page()         {}
func (SignedOut) page()       {}
func (Wait) page()            {}
func (Oops) page()            {}
func (FormPost) page()        {}
