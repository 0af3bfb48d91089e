package method

import (
	"net/url"
	"strings"
	"unicode"
)

// one is the single value of a field; several, or none, are an empty one.
func one(answer url.Values, field string) string {
	if v := answer[field]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// digits reads n decimal digits as people type them: with spaces or hyphens between, from any keyboard (full-width, Arabic-Indic, …).
func digits(typed string, n int) (string, bool) {
	if len(typed) > 64 {
		return "", false
	}
	var b strings.Builder
	for _, r := range typed {
		switch d := digit(r); {
		case d >= 0:
			b.WriteByte('0' + byte(d))
		case unicode.IsSpace(r) || r == '-' || r == '\u2010' || r == '\u2011' || r == '\u200b':
		default:
			return "", false
		}
	}
	return b.String(), b.Len() == n
}

// digit is the value of a decimal digit of any script, or -1. Unicode keeps each script's ten together, from zero to nine.
func digit(r rune) int {
	if r >= '0' && r <= '9' {
		return int(r - '0')
	}
	for _, x := range unicode.Nd.R16 {
		if rune(x.Lo) <= r && r <= rune(x.Hi) {
			return int(r-rune(x.Lo)) % 10
		}
	}
	for _, x := range unicode.Nd.R32 {
		if rune(x.Lo) <= r && r <= rune(x.Hi) {
			return int(r-rune(x.Lo)) % 10
		}
	}
	return -1
}
