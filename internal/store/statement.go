package store

import (
	"fmt"
	"regexp"
	"strings"
)

// statement is what must be known of a text before it may run.
type statement struct {
	fault  string // why it may never run
	args   int    // highest parameter, less the tenant
	writes bool
}

var (
	// A table that is read or written, and what ties one to the tenant: the comparison with $1 or with a table that is tied, or the
	// first column of an INSERT. "FOR UPDATE", "DO UPDATE SET" and "DISTINCT FROM" name no table.
	tableNamed = regexp.MustCompile(`(?i)\b(from|join|update|into)\s+([a-z_]+)`)
	noTable    = regexp.MustCompile(`(?i)\b(for\s+update|do\s+update\s+set|distinct\s+from)\b`)
	tableTied  = regexp.MustCompile(`(?i)\btenant\s*=\s*(\$1\b|[a-z_]+\.tenant\b)`)
	firstTied  = regexp.MustCompile(`(?i)^\s*insert\s+into\s+[a-z_]+\s*\(\s*tenant\b[^()]*\)\s*(values\s*\(\s*\$1\b|select\s+\$1\b)`)
	listed     = regexp.MustCompile(`(?i)\b(from|join)\s+[a-z_]+(\s+(as\s+)?[a-z_]+)?\s*,`)
	moved      = regexp.MustCompile(`(?i)(\bset|,)\s*tenant\s*=`)
	either     = regexp.MustCompile(`(?i)\bor\b`)
	writing    = regexp.MustCompile(`(?i)\b(insert|update|delete|create|drop|alter|truncate|copy|call|do|lock|merge|replace|pragma|attach|set)\b`)
)

// checkStatement refuses a text that is not scoped to the tenant (SECURITY A10), is more than one statement, is given the wrong number of
// arguments, or writes where only reading is allowed.
func (db *DB) checkStatement(query string, args int, reading bool) error {
	found, ok := db.statements.Load(query)
	if !ok {
		found, _ = db.statements.LoadOrStore(query, examine(query))
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
	bare, ok := unquoted(query)
	if !ok {
		return &statement{fault: "a comment, a semicolon or an open quote in a statement"}
	}
	highest, tenant := parameters(bare)
	tables := noTable.ReplaceAllString(bare, " ")
	s := &statement{args: highest - 1, writes: writing.MatchString(tables)}
	tied := len(tableTied.FindAllString(bare, -1)) + len(firstTied.FindAllString(bare, -1))
	switch {
	case !tenant || tied == 0 || tied < len(tableNamed.FindAllString(tables, -1)):
		s.fault = "every table of a statement must be scoped by tenant = $1"
	case listed.MatchString(bare):
		s.fault = "tables are joined by JOIN, each scoped by its tenant"
	case moved.MatchString(bare):
		s.fault = "a record's tenant never changes"
	case loosened(bare):
		s.fault = "an OR beside the scope undoes it: put it in parentheses"
	}
	return s
}

// parameters finds the highest parameter and whether the tenant's is among them.
func parameters(bare string) (highest int, tenant bool) {
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
	return highest, tenant
}

// loosened reports an OR that stands in the same parentheses as a comparison with the tenant.
func loosened(bare string) bool {
	loose := func(group []byte) bool { return either.Match(group) && tableTied.Match(group) }
	groups := [][]byte{nil}
	for _, c := range []byte(bare) {
		last := len(groups) - 1
		switch {
		case c == '(':
			groups = append(groups, nil)
		case c == ')' && last > 0:
			if loose(groups[last]) {
				return true
			}
			groups = groups[:last]
			groups[last-1] = append(groups[last-1], ' ')
		default:
			groups[last] = append(groups[last], c)
		}
	}
	for _, g := range groups {
		if loose(g) {
			return true
		}
	}
	return false
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
