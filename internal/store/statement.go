package store

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// statements remembers what was found out about a text, since rooms run the same few texts for ever.
// It is a cache of a pure function and holds nothing else.
var statements sync.Map // text -> *statement

// statement is what must be known of a text before it may run.
type statement struct {
	fault  string // why it may never run
	args   int    // highest parameter, less the tenant
	writes bool
}

var (
	tenantColumn = regexp.MustCompile(`(?i)\btenant\b`)
	writing      = regexp.MustCompile(`(?i)\b(insert|update|delete|create|drop|alter|truncate|copy|call|do|lock|merge|replace)\b`)
)

// checkStatement refuses a text that is not scoped to the tenant (SECURITY A10), is more than one statement, is given the wrong number of
// arguments, or writes where only reading is allowed.
func checkStatement(query string, args int, reading bool) error {
	found, ok := statements.Load(query)
	if !ok {
		found, _ = statements.LoadOrStore(query, examine(query))
	}
	s := found.(*statement)
	switch {
	case s.fault != "":
		return fmt.Errorf("store: %s: %q", s.fault, query)
	case s.args != args:
		return fmt.Errorf("store: %d arguments, want %d: %q", args, s.args, query)
	case reading && s.writes:
		return fmt.Errorf("store: a reader cannot run %q", query)
	}
	return nil
}

// examine reads a text once. Texts in quotes do not count: a tenant named in a literal is no scope.
func examine(query string) *statement {
	s := &statement{}
	bare, ok := unquoted(query)
	if !ok {
		s.fault = "a comment, a semicolon or an open quote in a statement"
		return s
	}
	highest, tenant := 0, false
	for i := 0; i < len(bare); i++ {
		if bare[i] != '$' {
			continue
		}
		n := 0
		for i+1 < len(bare) && bare[i+1] >= '0' && bare[i+1] <= '9' && n < 1000 {
			n = n*10 + int(bare[i+1]-'0')
			i++
		}
		highest, tenant = max(highest, n), tenant || n == 1
	}
	if !tenant || !tenantColumn.MatchString(bare) {
		s.fault = "a statement must be scoped to its tenant by $1"
		return s
	}
	s.args = highest - 1
	s.writes = writing.MatchString(bare)
	return s
}

// unquoted blanks what stands in quotes; false for what we never write.
func unquoted(query string) (string, bool) {
	if strings.Contains(query, "--") || strings.Contains(query, "/*") {
		return "", false
	}
	out := []byte(query)
	var quote byte
	for i, c := range out {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
			out[i] = ' '
		case c == '\'' || c == '"':
			quote = c
			out[i] = ' '
		case c == ';':
			return "", false
		}
	}
	return string(out), quote == 0
}
