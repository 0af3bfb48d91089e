package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

const (
	maxFaults    = 100  // shown; who has more knows enough
	enoughFaults = 1000 // kept
)

// Fault is one thing wrong in a config file. Line and Column count from 1; they are 0 when the fault has no place.
type Fault struct {
	File         string
	Line, Column int
	Path         string // "tenants.avengers.policies[0].for"; empty: the file as a whole
	Text         string
}

func (f Fault) String() string {
	s := f.File
	if f.Line > 0 {
		s += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	if f.Path != "" {
		s += ": " + f.Path
	}
	return strings.Map(visible, s+": "+f.Text)
}

// Faults are all that is wrong in a config file, in the order of the file.
type Faults []Fault

// Error lists the faults, one a line.
func (f Faults) Error() string {
	lines := make([]string, 0, len(f))
	for i, fault := range f {
		if i == maxFaults {
			lines = append(lines, fmt.Sprintf("and %d more", len(f)-i))
			break
		}
		lines = append(lines, fault.String())
	}
	return strings.Join(lines, "\n")
}

func sorted(faults []Fault) Faults {
	out := slices.Clone(faults)
	slices.SortStableFunc(out, func(a, b Fault) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return slices.Compact(out)
}

// visible keeps a fault on its line, whatever was written as a key.
func visible(c rune) rune {
	if unicode.IsPrint(c) {
		return c
	}
	return unicode.ReplacementChar
}
