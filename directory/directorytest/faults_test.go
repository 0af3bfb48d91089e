package directorytest_test

import (
	"context"
	"iter"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
)

type ctx = context.Context

// faulty is a Memory that breaks the contract where a field is set.
type faulty struct {
	*directorytest.Memory
	find   func(ctx, string) (directory.User, error)
	get    func(ctx, directory.UserID) (directory.User, error)
	verify func(ctx, directory.User, string) (directory.Verdict, error)
	set    func(ctx, directory.User, string, directory.SetOptions) error
	change func(ctx, directory.User, string, string) error
	unlock func(ctx, directory.User) error
	users  func(ctx) iter.Seq2[directory.User, error]
	check  func(ctx) []directory.Finding
	policy func(ctx, directory.User) (directory.Policy, error)
}

func (f *faulty) Find(c ctx, login string) (directory.User, error)       { return f.find(c, login) }
func (f *faulty) Get(c ctx, id directory.UserID) (directory.User, error) { return f.get(c, id) }
func (f *faulty) VerifyPassword(c ctx, u directory.User, password string) (directory.Verdict, error) {
	return f.verify(c, u, password)
}
func (f *faulty) SetPassword(c ctx, u directory.User, next string, o directory.SetOptions) error {
	return f.set(c, u, next, o)
}
func (f *faulty) ChangePassword(c ctx, u directory.User, old, next string) error {
	return f.change(c, u, old, next)
}
func (f *faulty) Unlock(c ctx, u directory.User) error         { return f.unlock(c, u) }
func (f *faulty) Users(c ctx) iter.Seq2[directory.User, error] { return f.users(c) }
func (f *faulty) Check(c ctx) []directory.Finding              { return f.check(c) }
func (f *faulty) PasswordPolicy(c ctx, u directory.User) (directory.Policy, error) {
	return f.policy(c, u)
}

// fault is a way to break the contract, with the rule that must notice.
type fault struct {
	rule string
	make func(f *faulty)
}

// faults are all of them by name.
func faults() map[string]fault {
	all := map[string]fault{}
	for _, some := range []map[string]fault{faultsOfFinding, faultsOfVerifying, faultsOfSetting, faultsOfTheRest} {
		maps.Copy(all, some)
	}
	return all
}

// right makes some passwords right for everybody who is there.
func right(f *faulty, is func(string) bool) func(ctx, directory.User, string) (directory.Verdict, error) {
	return func(c ctx, u directory.User, password string) (directory.Verdict, error) {
		v, err := f.Memory.VerifyPassword(c, u, password)
		if err == nil && u.ID != "" && is(password) {
			v = directory.Right
		}
		return v, err
	}
}

// verdicts gives one verdict in place of another.
func verdicts(f *faulty, from, to directory.Verdict) func(ctx, directory.User, string) (directory.Verdict, error) {
	return func(c ctx, u directory.User, password string) (directory.Verdict, error) {
		v, err := f.Memory.VerifyPassword(c, u, password)
		if v == from {
			v = to
		}
		return v, err
	}
}

// unlocks clears more than it should.
func unlocks(f *faulty, clear directory.State) func(ctx, directory.User) error {
	return func(c ctx, u directory.User) error {
		f.Change(u.Login, func(a *directorytest.Account) { a.State &^= clear })
		return f.Memory.Unlock(c, u)
	}
}

// TestFaulty runs the suite against the fault named in the environment: TestEveryFaultIsNoticed calls it in a process of its own.
// With none named the directory is as it should be, and passes.
func TestFaulty(t *testing.T) {
	fault, ok := faults()[os.Getenv("DIRECTORYTEST_FAULT")]
	directorytest.Run(t, func(*testing.T) directorytest.Fixture {
		m, f := filled()
		d := &faulty{m, m.Find, m.Get, m.VerifyPassword, m.SetPassword, m.ChangePassword, m.Unlock, m.Users, m.Check, m.PasswordPolicy}
		if ok {
			fault.make(d)
		}
		f.Directory = d
		return f
	})
}

func TestEveryFaultIsNoticed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			run := exec.CommandContext(t.Context(), self, "-test.run=^TestFaulty$", "-test.timeout=30s")
			run.Env = append(os.Environ(), "DIRECTORYTEST_FAULT="+name)
			out, err := run.CombinedOutput()
			if err == nil {
				t.Fatalf("the suite passes a directory in which %s", name)
			}
			noticed := "--- FAIL: TestFaulty/.*" + regexp.QuoteMeta(strings.ReplaceAll(fault.rule, " ", "_"))
			if !regexp.MustCompile(noticed).Match(out) {
				t.Errorf("the rule %q does not notice that %s:\n%s", fault.rule, name, out)
			}
			if strings.Contains(string(out), "panic:") {
				t.Errorf("the suite panics:\n%s", out)
			}
		})
	}
}
