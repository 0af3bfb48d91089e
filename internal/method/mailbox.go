package method

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

var errMailbox = errors.New("not a plain e-mail address")

// Mailbox reads one address as it is kept: exactly one addr-spec (RFC 5322 §3.4.1): a dot-atom in ASCII as it was typed, "@", and a host
// name of two labels or more, which is lowered and put in its ASCII form (RFC 5891 §4, without any mapping). Lists, groups, display names, comments, quoted parts,
// literal networks, controls, and letters that merely look like others are refused, never folded (SECURITY A11, UI-04).
func Mailbox(s string) (string, error) {
	s = strings.Trim(s, " ")
	local, host, ok := strings.Cut(s, "@")
	if !ok || len(s) > 254 || len(local) > 64 || !dotAtom(local) {
		return "", errMailbox
	}
	host = lowerASCII(host)
	if !ascii(host) {
		h, err := idna.Registration.ToASCII(host)
		if err != nil {
			return "", errMailbox
		}
		host = h
	}
	if len(local)+1+len(host) > 254 || !hostname(host) {
		return "", errMailbox
	}
	return local + "@" + host, nil
}

// SameMailbox reports whether two addresses are one, as far as anybody but their host can tell. Local parts differ by more than ASCII case or not at all.
func SameMailbox(a, b string) bool { return lowerASCII(a) == lowerASCII(b) }

// Mask shows the first letter of an address and its host: "i•••@stark.example".
func Mask(address string) string {
	local, host, ok := strings.Cut(address, "@")
	if !ok || host == "" || !ascii(address) {
		return "•••"
	}
	first := ""
	if _, n := utf8.DecodeRuneInString(local); n < len(local) {
		first = local[:n]
	}
	return first + "•••@" + host
}

func dotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for _, c := range []byte(atom) {
			if !alphanumeric(c) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) < 0 {
				return false
			}
		}
	}
	return true
}

func hostname(s string) bool {
	if !strings.Contains(s, ".") {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !alphanumeric(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// lowerASCII lowers A to Z and nothing else: other letters' lower case may be an ASCII letter.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 126 || r < 32 }) < 0
}
