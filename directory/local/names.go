package local

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Names are compared by keys. Two users never have the same login key, and each key is its own key, so whatever is typed leads to
// one user at most. Keys are stored: these functions may never change for a name they accept today.

const (
	maxLogin = 256 // characters of a key
	maxEmail = 254 // bytes (RFC 5321 §4.5.3.1.3)
)

// loginKey is the form in which logins are compared: compatibility forms (full-width letters, ligatures) unified by NFKC, case folded,
// outer spaces dropped. Letters that only look alike stay apart. False, and the empty key, for what cannot be a login: nothing,
// broken UTF-8, too long, or with a character that shows nothing.
func loginKey(login string) (string, bool) {
	if len(login) > 4*maxLogin || !utf8.ValidString(login) {
		return "", false
	}
	key := login
	for range 4 {
		next := strings.TrimSpace(norm.NFKC.String(cases.Fold().String(norm.NFKC.String(key))))
		if next == key {
			if key == "" || utf8.RuneCountInString(key) > maxLogin || !visible(key) {
				return "", false
			}
			return key, true
		}
		key = next
	}
	return "", false // no name is known to need so many rounds
}

// emailKey is the form in which addresses are compared: outer spaces dropped, ASCII letters in lower case, nothing else touched,
// since two mailboxes must never become one (SECURITY A11). False, and the empty key, for what is not one plain addr-spec.
func emailKey(address string) (string, bool) {
	address = strings.Trim(address, " \t\r\n")
	box, domain, _ := strings.Cut(address, "@")
	if len(address) > maxEmail || !utf8.ValidString(address) || box == "" || domain == "" || strings.ContainsAny(address, ` "(),:;<>[\]`) ||
		strings.Contains(domain, "@") || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.Contains(address, "..") || !visible(address) {
		return "", false
	}
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, address), true
}

// phoneKey is a phone number as E.164 writes it, + and seven to fifteen digits, from one written with spaces, dots, hyphens or brackets.
func phoneKey(number string) (string, bool) {
	key := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" .-/()\u00a0", r) {
			return -1
		}
		return r
	}, number)
	digits, plus := strings.CutPrefix(key, "+")
	if !plus || len(digits) < 7 || len(digits) > 15 || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	return key, true
}

// visible reports whether every character shows something, or is a plain space.
func visible(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r) && r != ' ' ||
			unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r) {
			return false
		}
	}
	return true
}
