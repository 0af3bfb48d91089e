package policy

import (
	_ "embed"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Passwords says which passwords are acceptable (NIST SP 800-63B-4 §3.1.1): a length, a list of refused ones,
// and nothing about composition.
type Passwords struct {
	MinLength int      // code points
	MaxLength int      // code points
	Banned    []string // the operator's own terms
}

// Broken is one rule for passwords, and whether this password breaks it.
type Broken struct {
	Rule string // min_length | max_length | common | contains
	N    int    // the figure of a length rule
	Not  []string
	Fail bool
}

//go:embed banned.txt
var bannedText string

// common holds the words at the heart of the passwords attackers try first.
var common = func() map[string]bool {
	m := map[string]bool{}
	for _, word := range strings.Fields(bannedText) {
		m[fold(word)] = true
	}
	return m
}()

// Accept checks a new password against every rule, in the order they are shown.
// context are words an attacker tries first: user name, display name, organisation.
func (p Passwords) Accept(password string, context ...string) (rules []Broken, ok bool) {
	password = norm.NFC.String(password)
	n := utf8.RuneCountInString(password)
	folded := fold(password)
	var words []string
	for _, c := range context {
		for _, w := range append(strings.FieldsFunc(c, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), c) {
			if utf8.RuneCountInString(w) >= 4 {
				words = append(words, w)
			}
		}
	}
	contains := false
	for _, w := range words {
		contains = contains || strings.Contains(folded, fold(w))
	}
	listed := common[folded] || common[heart(password)] || repeats(folded) || runs(password)
	for _, b := range p.Banned {
		listed = listed || fold(b) == folded
	}
	rules = []Broken{
		{Rule: "min_length", N: p.MinLength, Fail: n < p.MinLength},
		{Rule: "common", Fail: n > 0 && listed},
		{Rule: "contains", Not: words, Fail: contains},
	}
	if n > p.MaxLength {
		rules = append(rules, Broken{Rule: "max_length", N: p.MaxLength, Fail: true})
	}
	ok = true
	for _, r := range rules {
		ok = ok && !r.Fail
	}
	return rules, ok
}

var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// fold makes spellings that people take for clever equal to the plain word.
func fold(s string) string { return leet.Replace(strings.ToLower(norm.NFKC.String(s))) }

// heart is the word without what people put before and after it to please a rule: digits and marks.
func heart(password string) string {
	return fold(strings.TrimFunc(password, func(r rune) bool { return !unicode.IsLetter(r) }))
}

// repeats reports whether the whole is one piece that would be too short by itself, or one common word, over and over.
func repeats(s string) bool {
	for n := 1; n <= len(s)/2; n++ {
		if (n < 8 || common[s[:n]]) && s == strings.Repeat(s[:n], len(s)/n+1)[:len(s)] {
			return true
		}
	}
	return false
}

// rows are the keys that lie beside each other, and the columns that fingers run down.
var rows = []string{"1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn",
	"1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik", "9ol", "0p"}

// runs reports whether the whole is a few runs: along the alphabet, the digits or the keyboard, in either direction or on one key,
// three characters each and more.
func runs(password string) bool {
	text := []rune(strings.ToLower(norm.NFKC.String(password)))
	n := min(len(text), 1)
	for i := 1; i < len(text); i++ {
		if !follows(text[i-1], text[i]) {
			n++
		}
	}
	return n > 0 && len(text) >= 3*n
}

func follows(a, b rune) bool {
	if d := b - a; d >= -1 && d <= 1 && unicode.IsLetter(a) == unicode.IsLetter(b) {
		return true
	}
	there, back := string([]rune{a, b}), string([]rune{b, a})
	return slices.ContainsFunc(rows, func(r string) bool { return strings.Contains(r, there) || strings.Contains(r, back) })
}
