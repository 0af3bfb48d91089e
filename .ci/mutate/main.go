// Command mutate removes guards from a throw-away copy of the tree, one at a time, and runs the tests that are named for each.
// It prints which test went red, and exits 1 when none did, when the text of a guard is not found exactly once, or when the copy
// does not build. Words after the command pick guards by part of their name.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(only []string) error {
	dir, err := os.MkdirTemp("", "sparekey-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := copyTree(dir); err != nil {
		return fmt.Errorf("copy the tree: %w", err)
	}
	var picked []mutant
	tests := map[string][]string{}
	var folders []string
	for _, m := range mutants {
		if !m.picked(only) {
			continue
		}
		picked = append(picked, m)
		if tests[m.in] == nil {
			folders = append(folders, m.in)
		}
		tests[m.in] = append(tests[m.in], m.tests...)
	}
	// What is red before a guard is taken out says nothing about the guard.
	for _, in := range folders {
		if red, out, err := test(dir, in, tests[in]); err != nil || len(red) > 0 {
			return fmt.Errorf("the tests of %s are not green as they stand: %v %v\n%s", in, red, err, out)
		}
	}
	began := time.Now()
	const row = "%-46s  %-28s  %-54s  %s\n"
	fmt.Printf(row, "GUARD", "FILE", "MUTATION", "RED")
	var faults []error
	for _, m := range picked {
		red, err := m.try(dir)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", m.guard, err))
			red = "-- " + strings.SplitN(err.Error(), "\n", 2)[0]
		}
		fmt.Printf(row, m.guard, m.file, m.what(), red)
	}
	fmt.Printf("%d guards in %v\n", len(picked), time.Since(began).Round(time.Second))
	return errors.Join(faults...)
}

// mutant is one guard: the text that stands once in the file, what is put in its place, and the tests that have to notice.
type mutant struct {
	guard, file string
	old, new    string
	in          string // folder of the tests
	tests       []string
}

func (m mutant) picked(only []string) bool {
	for _, word := range only {
		if strings.Contains(m.guard, word) {
			return true
		}
	}
	return len(only) == 0
}

// what is the mutation on one short line.
func (m mutant) what() string {
	short := func(s string) string {
		s = strings.Join(strings.Fields(s), " ")
		if r := []rune(s); len(r) > 44 {
			s = string(r[:43]) + "…"
		}
		return s
	}
	if m.new == "" {
		return "without " + short(m.old)
	}
	return short(m.new)
}

// try takes the guard out of the copy, runs its tests and puts it back.
func (m mutant) try(dir string) (red string, err error) {
	path := filepath.Join(dir, filepath.FromSlash(m.file))
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return "", fmt.Errorf("its text is there %d times: %q", n, m.old)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte(m.old), []byte(m.new), 1), 0o600); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, text, 0o600)) }()
	names, out, err := test(dir, m.in, m.tests)
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	if len(names) == 0 {
		return "", fmt.Errorf("SURVIVED %s", strings.Join(m.tests, " "))
	}
	return names[0], nil
}

var (
	failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	ran    = regexp.MustCompile(`(?m)^=== RUN\s+((?:Test|Fuzz)[^/\s]+)$`)
)

// test runs tests by their names and gives those that went red. All of them have to be there, and the code has to build.
func test(dir, in string, names []string) (red []string, out string, err error) {
	c := exec.Command("go", "test", "-count=1", "-v", "-timeout=120s", "-run", "^("+strings.Join(names, "|")+")$", "./"+in)
	c.Dir = dir
	text, err := c.CombinedOutput()
	out = string(text)
	for _, m := range failed.FindAllStringSubmatch(out, -1) {
		red = append(red, m[1])
	}
	switch exit := (*exec.ExitError)(nil); {
	case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
		return nil, out, errors.New("does not build")
	case err != nil && !errors.As(err, &exit):
		return nil, out, err
	case err != nil && len(red) == 0 && strings.Contains(out, "panic: test timed out"):
		return []string{names[0] + " (timed out)"}, out, nil
	case err != nil && len(red) == 0:
		return nil, out, errors.New("the tests did not run")
	}
	there := map[string]bool{}
	for _, m := range ran.FindAllStringSubmatch(out, -1) {
		there[m[1]] = true
	}
	for _, name := range names {
		if !there[name] && len(red) == 0 {
			return nil, out, fmt.Errorf("there is no test %s in ./%s", name, in)
		}
	}
	return red, out, nil
}

// copyTree copies what git knows of, and what it would take, into dir.
func copyTree(dir string) error {
	list, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return err
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		info, err := os.Stat(name)
		if os.IsNotExist(err) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, info.Mode().Perm()|0o600); err != nil {
			return err
		}
	}
	return nil
}
