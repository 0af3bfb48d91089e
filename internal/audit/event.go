package audit

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Event is one deed.
type Event struct {
	Name    string            // one of the names below, or another dotted word
	User    string            // directory.UserID of the user it was done to, or what Unknown gave; empty: nobody's
	Actor   string            // "user" (also when empty), "operator:NAME" or "system"
	Flow    string            // the flow it was done in
	Client  string            // client_id of the relying party
	Network string            // where the request came from
	Detail  map[string]string // keys and shapes as listed below
}

// The names of events. Reports count them, so a name once released never changes its meaning.
const (
	SignInOK        = "sign_in.ok"
	SignInRefused   = "sign_in.refused"
	SignOut         = "sign_out"
	ProofOK         = "proof.ok"
	ProofWrong      = "proof.wrong"
	CodeSent        = "code.sent"
	CodeReused      = "code.reused"   // an authorization code came twice
	FamilyKilled    = "family.killed" // a refresh token came twice
	Throttled       = "throttled"
	CaptchaWrong    = "captcha.wrong"
	BrakeOn         = "brake.on" // too many failed resets in the tenant
	ResetBegun      = "reset.begun"
	ResetDone       = "reset.done"
	ResetHeld       = "reset.held" // proven, and made to wait while the tenant is under attack
	ResetRefused    = "reset.refused"
	ResetUnsure     = "reset.unsure" // a reset was cut short: the password may have been changed
	UnlockDone      = "unlock.done"
	UnlockRefused   = "unlock.refused"
	PasswordChanged = "password.changed"
	MethodBound     = "method.bound"
	MethodUnbound   = "method.unbound"
	MethodChanged   = "method.changed"
	MethodSuspended = "method.suspended"
	MethodRestored  = "method.restored"
	MethodPreferred = "method.preferred" // another one is asked for first
	Registered      = "registration.done"
	Skipped         = "registration.skipped"
	Confirmed       = "registration.confirmed"
	SessionEnded    = "session.ended"
	SessionsEnded   = "sessions.ended"
	GrantRevoked    = "grant.revoked"
	DeadEnd         = "dead_end"       // "Ask your administrator" was shown
	NotMe           = "not_me"         // "This wasn’t me" was pressed
	Thawed          = "changes.thawed" // a proof from before the change in question lifted the freeze
	Foreign         = "foreign"        // a flow, code or link came from another browser than its own
	ProblemMet      = "problem"        // a failure of ours was shown, with a reference number
	KeysRotated     = "keys.rotated"

	OperatorUnlock       = "operator.unlock"
	OperatorPass         = "operator.pass"
	OperatorRemove       = "operator.method_removed"
	OperatorRequireAgain = "operator.require_again"
	OperatorSessions     = "operator.sessions_ended"
	OperatorUserAdded    = "operator.user_added"
	OperatorUserChanged  = "operator.user_changed"
	OperatorUserRemoved  = "operator.user_removed"
	OperatorPassword     = "operator.password_set"
	OperatorKeys         = "operator.keys_rotated"
	OperatorRestored     = "operator.restored"         // all of the store is from a backup
	OperatorRingKey      = "operator.keyring_added"    // a key was added to the keyring
	OperatorResealed     = "operator.keyring_resealed" // what older keys of the keyring had sealed is sealed anew
)

var eventName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}(\.[a-z][a-z0-9_]{0,40}){0,3}$`)

// What a detail may look like. None fits a one-time code, a seed, an address of a page, or, but for text, a password:
// a word begins with a letter, a handle is shorter than any bearer value (43 characters), a count has at most five digits.
var (
	aWord   = regexp.MustCompile(`^[a-z][a-z0-9_.:-]{0,39}$`)
	aList   = regexp.MustCompile(`^[a-z][a-z0-9_.:-]{0,39}(,[a-z][a-z0-9_.:-]{0,39}){0,15}$`)
	aHandle = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,40}$`)
	aCount  = regexp.MustCompile(`^[0-9]{1,5}$`)
	aTime   = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$`)
	aSpan   = regexp.MustCompile(`^([0-9]{1,5}(\.[0-9]{1,9})?(ns|µs|ms|s|m|h|d))+$`)
)

// detailShapes lists the keys a detail may have (SECURITY LG-01). A key is added here, with the narrowest shape that serves.
var detailShapes = map[string]func(string) bool{
	"kind": aWord.MatchString, "kinds": aList.MatchString, "method": aWord.MatchString, "purpose": aWord.MatchString,
	"reason": aWord.MatchString, "outcome": aWord.MatchString, "scope": aWord.MatchString, "step": aWord.MatchString,
	"from": aWord.MatchString, "to": aWord.MatchString, "by": aWord.MatchString, "grant": aWord.MatchString,
	"mode": aWord.MatchString, "directory": aHandle.MatchString, "policy": aHandle.MatchString,
	"authenticator": aHandle.MatchString, "session": aHandle.MatchString, "reference": aHandle.MatchString,
	"request": aHandle.MatchString, "key": aHandle.MatchString, "family": aHandle.MatchString,
	"count": aCount.MatchString, "left": aCount.MatchString, "tries": aCount.MatchString, "required": aCount.MatchString,
	"registered": aCount.MatchString, "uses": aCount.MatchString,
	"until": aTime.MatchString, "since": aTime.MatchString, "wait": aSpan.MatchString, "age": aSpan.MatchString,
	"label": label, "agent": label, "group": label,
}

// label is a short text shown to people: a masked address, a browser's name. Digits in a row might be a code, "://" a link,
// a long run without a space a bearer value or a seed.
func label(s string) bool {
	if utf8.RuneCountInString(s) > 256 || strings.Contains(s, "://") {
		return false
	}
	for _, word := range strings.Fields(s) {
		if len(word) > 64 || aBearer.MatchString(word) || aCode.MatchString(word) {
			return false
		}
	}
	return true
}

var (
	aBearer = regexp.MustCompile(`[A-Za-z0-9_-]{32,}`)
	aCode   = regexp.MustCompile(`^[0-9-]{6,}$`)
)

// allowed gives the details that may be kept, and the keys of the others; those keys are kept under "dropped".
func allowed(detail map[string]string) (kept map[string]string, dropped []string) {
	for _, key := range slices.Sorted(maps.Keys(detail)) {
		value := strings.TrimSpace(plain(detail[key], 1024))
		if value == "" {
			continue
		}
		if fits, ok := detailShapes[key]; !ok || !fits(value) {
			dropped = append(dropped, plain(key, 40))
			continue
		}
		if key == "reference" {
			value = bare(value) // as Find looks for it
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[key] = value
	}
	if dropped != nil {
		if kept == nil {
			kept = map[string]string{}
		}
		kept["dropped"] = strings.Join(dropped, ",")
	}
	return kept, dropped
}

// plain makes a text fit for a column and a line: valid UTF-8, no control characters, at most n bytes.
func plain(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
