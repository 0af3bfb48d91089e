package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every guard stands once where the table says, and the tests named for it are there: a table that has gone stale shows at once.
func TestEveryGuardIsWhereTheTableSays(t *testing.T) {
	const root = "../.."
	names := map[string]bool{}
	for _, m := range mutants {
		text, err := os.ReadFile(filepath.Join(root, m.file))
		if err != nil {
			t.Errorf("%s: %v", m.guard, err)
			continue
		}
		if n := strings.Count(string(text), m.old); n != 1 {
			t.Errorf("%s: its text is in %s %d times: %q", m.guard, m.file, n, m.old)
		}
		if names[m.guard] {
			t.Errorf("%s: twice in the table", m.guard)
		}
		names[m.guard] = true
		files, err := filepath.Glob(filepath.Join(root, m.in, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		for _, test := range m.tests {
			if !regexp.MustCompile(`(?m)^func ` + test + `\(`).MatchString(all.String()) {
				t.Errorf("%s: there is no test %s in %s", m.guard, test, m.in)
			}
		}
	}
	if len(mutants) < 12 {
		t.Errorf("%d guards are too few", len(mutants))
	}
}
