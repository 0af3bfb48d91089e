package method

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/internal/notify"
)

var errMailbox = errors.New("not a plain e-mail address")

// Mailbox reads one address as it is kept: as mail travels to it (notify.Mailbox), at a host of two labels or more (SECURITY A11, UI-04).
func Mailbox(s string) (string, error) {
	address, ok := notify.Mailbox(strings.Trim(s, " "))
	if _, host, _ := strings.Cut(address, "@"); !ok || !strings.Contains(host, ".") {
		return "", errMailbox
	}
	return address, nil
}

// SameMailbox reports whether two addresses are one, as far as anybody but their host can tell. Local parts differ by more than ASCII case or not at all.
func SameMailbox(a, b string) bool { return notify.LowerASCII(a) == notify.LowerASCII(b) }

// Mask shows the first letter of an address and its host: "i•••@stark.example".
func Mask(address string) string {
	local, host, ok := strings.Cut(address, "@")
	if !ok || host == "" || strings.ContainsFunc(address, func(r rune) bool { return r > 126 || r < 32 }) {
		return "•••"
	}
	first := ""
	if _, n := utf8.DecodeRuneInString(local); n < len(local) {
		first = local[:n]
	}
	return first + "•••@" + host
}
