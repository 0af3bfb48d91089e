package templates

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryKeyThatOtherRoomsNameHasWords reads the other rooms' source: they name problems, notices, events and error
// pages as plain strings, and a name without words would read like "that did not work".
func TestEveryKeyThatOtherRoomsNameHasWords(t *testing.T) {
	s := newTestSet(t)
	for _, c := range []struct {
		folder, prefix string
		pattern        *regexp.Regexp
		least          int
	}{
		{"flows", "problem.", regexp.MustCompile(`\.problem(?:Until)?\("[a-z]*", "([a-z_]+)"`), 5},
		{"flows", "problem.", regexp.MustCompile(`Key: "problem\.([a-z_]*[a-z])"`), 3},
		{"internal/method", "problem.", regexp.MustCompile(`reject\("([a-z_]+)"\)`), 5},
		{"internal/policy", "problem.", regexp.MustCompile(`Rule: "([a-z_]+)"`), 3},
		{"internal/policy", "rule.", regexp.MustCompile(`Rule: "([a-z_]+)"`), 3},
		{"directory", "problem.directory_", regexp.MustCompile(`Reason = "([a-z_]+)"`), 5},
		{"flows", "notice.", regexp.MustCompile(`Notice = "([a-z_]+)"`), 1},
		{"flows", "notice.", regexp.MustCompile(`"[a-z]+": "([a-z]+_[a-z]+)"[,}]`), 5},
		{"internal/audit", "event.", regexp.MustCompile(`(?m)^\t[A-Z]\w+\s+= "([a-z_.]+)"`), 20},
	} {
		t.Run(c.folder+" "+c.prefix, func(t *testing.T) {
			names, err := filepath.Glob(filepath.Join("..", c.folder, "*.go"))
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for _, name := range names {
				if strings.HasSuffix(name, "_test.go") {
					continue
				}
				text, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range c.pattern.FindAllStringSubmatch(string(text), -1) {
					found++
					// Never about one user, so never on her page.
					if key := c.prefix + m[1]; !s.Has(key) && key != "event.brake.on" && key != "event.keys.rotated" {
						t.Errorf("%s: %s has no words", name, key)
					}
				}
			}
			if found < c.least {
				t.Errorf("found %d names, want at least %d: is the pattern still right?", found, c.least)
			}
		})
	}
}
