package sparekey_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var carried = regexp.MustCompile(`(?:^Test|^Fuzz|_)((?:RS|EN|SE|OA|UI|PW|LG|F)\d\d|[ASZ]\d\d)`)

// Every requirement has its tests, and every test that carries the id of one stands in the table.
func TestEveryRequirementNamesItsTests(t *testing.T) {
	var folders []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || len(path) > 1 && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir():
			folders = append(folders, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	known := tests(t, folders...)
	text, err := os.ReadFile("testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string][]string{}
	for _, line := range strings.Split(string(text), "\n") {
		id, names, ok := strings.Cut(line, "|")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		id = strings.ReplaceAll(strings.TrimSpace(id), "-", "")
		if named[id] = strings.Fields(names); len(named[id]) == 0 {
			t.Errorf("%s names no test", id)
		}
		for _, name := range named[id] {
			if name != "absent" && !known[name] {
				t.Errorf("%s: there is no test %s", id, name)
			}
		}
	}
	for name := range known {
		for _, m := range carried.FindAllStringSubmatch(name, -1) {
			if tests, ok := named[m[1]]; ok && !slices.Contains(tests, name) {
				t.Errorf("%s is not named beside %s", name, m[1])
			}
		}
	}
	for kind, n := range map[string]int{"A": 21, "PW": 10, "RS": 15, "EN": 9, "SE": 7, "OA": 13, "UI": 7} {
		for i := 1; i <= n; i++ {
			if id := fmt.Sprintf("%s%02d", kind, i); named[id] == nil {
				t.Errorf("no line for %s", id)
			}
		}
	}
	for i := 45; i <= 59; i++ {
		if id := fmt.Sprintf("A%02d", i); named[id] == nil {
			t.Errorf("no line for %s", id)
		}
	}
}

var (
	mentions  = regexp.MustCompile(`(?:\b|_|Test|Fuzz)([ASZ]|(?:RS|EN|SE|OA|UI|PW|LG|F)-?)(\d\d)(?:\b|_|[A-Z])`)
	explained = regexp.MustCompile(`(?m)^\| ((?:RS|EN|SE|OA|UI|PW|LG|F)-\d\d|[ASZ]\d\d) \| \S.*\. \|$`)
)

// Every id that a comment, a test's name or the table of requirements carries is explained, once, and nothing is explained that nobody mentions.
func TestEveryIdIsExplained(t *testing.T) {
	text, err := os.ReadFile("docs/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	lines, mentioned := map[string]int{}, map[string]string{}
	for _, m := range explained.FindAllStringSubmatch(string(text), -1) {
		lines[m[1]]++
	}
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || len(path) > 1 && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case filepath.Ext(path) != ".go" && path != filepath.Join("testdata", "requirements.txt"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for at := 0; ; {
			m := mentions.FindSubmatchIndex(text[at:])
			if m == nil {
				return nil
			}
			kind, number := strings.TrimSuffix(string(text[at+m[2]:at+m[3]]), "-"), string(text[at+m[4]:at+m[5]])
			if !strings.Contains("ASZ", kind) {
				kind += "-"
			}
			mentioned[kind+number] = path
			at += m[5] // what stands after one id may stand before the next
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, path := range mentioned {
		if lines[id] != 1 {
			t.Errorf("%s, in %s, is explained %d times", id, path, lines[id])
		}
	}
	for id := range lines {
		if mentioned[id] == "" {
			t.Errorf("%s is explained, and nobody mentions it", id)
		}
	}
	if len(mentioned) < 100 {
		t.Errorf("only %d ids were found", len(mentioned))
	}
}
