package notify

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// CheckFrom says what is wrong with a sender's address, such as "no-reply@example.com" or "Example <no-reply@example.com>".
func CheckFrom(from string) error {
	_, err := sender(from)
	return err
}

func sender(from string) (*mail.Address, error) {
	if !printable(from) {
		return nil, errors.New("sender: control characters in the address")
	}
	a, err := mail.ParseAddress(from)
	if bare := strings.TrimSpace(from); err != nil || bare != a.Address && !strings.HasSuffix(bare, "<"+a.Address+">") { // nor a group of one
		return nil, fmt.Errorf("sender %q is not one address, local@domain", from)
	}
	address, ok := Mailbox(a.Address)
	if !ok {
		return nil, fmt.Errorf("sender %q is not a plain address, local@domain", from)
	}
	return &mail.Address{Name: headline(a.Name), Address: address}, nil
}

// domain is that of a sender's address.
func domain(from string) string {
	if a, err := sender(from); err == nil {
		return a.Address[strings.LastIndexByte(a.Address, '@')+1:]
	}
	return "localhost"
}

// Mailbox takes exactly one addr-spec (RFC 5322 §3.4.1) as it travels in SMTP: a dot-atom in ASCII, "@", a host name, which is lowered
// and turned to its ASCII form without any mapping (RFC 5891 §4): a host whose letters merely fold to another's is refused and never
// written to in that one's place. Display names, groups, lists, comments, quoted local parts, literal networks, spaces and controls are refused
// (SECURITY UI-04, A11, A39): a recipient is a stored value, so nobody needs them.
func Mailbox(s string) (string, bool) {
	local, host, ok := strings.Cut(s, "@")
	if !ok || len(s) > 254 || len(local) > 64 || !dotAtom(local) {
		return "", false
	}
	host = LowerASCII(host)
	if !ascii(host) {
		var err error
		if host, err = idna.Registration.ToASCII(host); err != nil {
			return "", false
		}
	}
	if host == "" || len(local)+1+len(host) > 254 || !hostname(host) {
		return "", false
	}
	return local + "@" + host, true
}

// LowerASCII lowers A to Z and nothing else: other letters' lower case may be an ASCII letter.
func LowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

func dotAtom(s string) bool {
	for _, atom := range strings.Split(s, ".") {
		if atom == "" {
			return false
		}
		for _, c := range []byte(atom) {
			if !alphanumeric(c) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", rune(c)) {
				return false
			}
		}
	}
	return true
}

func hostname(s string) bool {
	labels := strings.Split(s, ".")
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" { // a network address, and no name
		return false
	}
	for _, label := range labels {
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

// headline makes a text fit for a header: one line, single spaces, no control characters, at most 200 letters, and nothing that
// a mail program would take for an encoded word (RFC 2047 §2) of somebody else's making.
func headline(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "=?", "= ?")
	if utf8.RuneCountInString(s) > 200 {
		s = strings.TrimSpace(string([]rune(s)[:199])) + "…"
	}
	return s
}

// printable reports whether s is valid UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
