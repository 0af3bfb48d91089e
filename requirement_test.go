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

var carried = regexp.MustCompile(`(?:^Test|_)((?:RS|EN|SE|OA|UI|PW|LG)\d\d|A\d\d)`)

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
}
