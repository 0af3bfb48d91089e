//go:build ignore

// Removes guards from the code one by one, runs the tests that are there for them, and shows which went red. A guard whose removal
// nothing notices, or that is no longer found where this table looks for it, is a failure. Nothing in the tree is touched: each mutant is
// an overlay of the build.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// mutant is one guard taken away.
type mutant struct {
	guard    string
	file     string
	old, new string
	pkg      string
	tests    string // -run
}

var mutants = []mutant{
	{"a flow opens in its own browser alone (A07, A28)", "flows/turn.go", "if t.flow.Browser != browser {", "if false {", ".", "TestA28|TestUI01|TestA07|TestGuardsOfAFlow"},
	{"every form carries the browser's CSRF token (UI-01)", "flows/dispatch.go", `if !secret.Equal(form.Get("csrf"), f.csrf(t.flow.Browser)) {`, `if false && secret.Equal("", "") {`, ".", "TestUI01|TestGuardsOfAFlow"},
	{"no token before registration (EN-06)", "flows/interaction.go", "case !d.Enough, d.PasswordDue, d.Missing > 0 && !d.MaySkip && !excused(acc, d, a, f.Now()):", "case !d.Enough, d.PasswordDue:", ".", "TestEN06"},
	{"who was disabled meanwhile goes no further (A27)", "internal/policy/decide.go", "if f.User.State.Barred() {", "if false {", "./internal/policy", "TestDecide"},
	{"an end of all sessions makes older ones void (RS-11)", "internal/account/account.go", "`epoch = epoch + 1`", "`epoch = epoch + 0`", "./internal/account", "TestEnd"},
	{"while an intent stands nothing counts (idea 8)", "flows/interaction.go", "acc.Epoch != a.Epoch || acc.Intent != \"\":", "acc.Epoch != a.Epoch:", ".", "TestAnIntent"},
	{"security info changes by a fresh proof of the strongest method (EN-01, A18)", "internal/policy/decide.go", "case len(best) > 0 && !provenOneOf(recent, best):", "case false:", "./internal/policy", "TestDecide"},
	{"administrators need two methods (RS-12)", "internal/policy/policy.go", "r.Required = max(r.Required, 2)", "r.Required = max(r.Required, 1)", "./internal/policy", "TestDecide|TestRaising"},
	{"a reset takes enough proofs (A01, RS-08)", "internal/policy/decide.go", "d.Enough = p.suffices(r, done, d.Required)", "d.Enough = true", ".", "TestAnAdministratorRegisters|TestRS05|TestAReset"},
	{"a TOTP step is never accepted twice (A15, EN-08)", "internal/method/totp.go", "AND user_id = $3 AND step < $4 AND", "AND user_id = $3 AND step <= $4 AND", "./internal/method", "A15|Concurrent|Conformance|TOTP"},
	{"a puzzle's ticket is good once (A23)", "internal/guard/captcha.go", "return g.spent.Add(tx, t.ID, \"\", t.issued().Add(ticketLasts+time.Minute), struct{}{})", "return nil", "./internal/guard", "A23|A13|Ticket|Puzzle|Captcha"},
	{"a record is saved by whoever read it last (A13)", "internal/store/shelf.go", "AND key = $3 AND version = $7 AND until > $8`", "AND key = $3 AND $7 > -1 AND until > $8`", "./internal/store", "."},
	{"a code is bound to its client (A17)", "provider/token.go", "case errors.Is(err, store.ErrNotFound), err == nil && g.Client != c.ID:", "case errors.Is(err, store.ErrNotFound):", "./provider", "A17"},
	{"a challenge needs its verifier (A20, OA-05)", "provider/token.go", "!oidc.VerifyCodeChallenge(&oidc.CodeChallenge{Challenge: k.Challenge, Method: oidc.CodeChallengeMethodS256}, verifier):", "false:", "./provider", "A20"},
	{"a redirect URI is exact (OA-01, A35)", "provider/redirect.go", "if slices.Contains(c.RedirectURIs, uri) {", "if slices.ContainsFunc(c.RedirectURIs, func(r string) bool { return strings.HasPrefix(uri, r) }) {", "./provider", "A35|OA01"},
	{"a refresh token that comes twice kills its family (OA-04)", "provider/refresh.go", "return p.kill(tx, r, held, audit.FamilyKilled)", "_ = audit.FamilyKilled\n\t\t\t\treturn nil", "./provider", "OA04"},
	{"a wrong address gets no code (A11)", "internal/method/email.go", "if who.For != identity.Reset || sameMailbox(address, typed) {", "if true {", ".", "TestAReset"},
}

func main() {
	only := regexp.MustCompile(strings.Join(os.Args[1:], "|"))
	overlays, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.RemoveAll(overlays)
	failed := 0
	fmt.Println("| guard | file | test that went red |\n|---|---|---|")
	for i, m := range mutants {
		if !only.MatchString(m.guard) {
			continue
		}
		red, err := run(overlays, i, m)
		if err != nil {
			failed++
			red = "**" + err.Error() + "**"
		}
		fmt.Printf("| %s | %s | %s |\n", m.guard, m.file, red)
	}
	if failed > 0 {
		fmt.Fprintf(os.Stderr, "%d of %d guards are not watched\n", failed, len(mutants))
		os.Exit(1)
	}
}

var red = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

func run(dir string, i int, m mutant) (string, error) {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("the guard stands %d times in the file: mend the table", n)
	}
	mutated := filepath.Join(dir, fmt.Sprintf("%d.go", i))
	if err := os.WriteFile(mutated, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
		return "", err
	}
	whole, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {whole: mutated}})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, fmt.Sprintf("%d.json", i))
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	c := exec.Command("go", "test", "-overlay", list, "-vet=off", "-count=1", "-failfast", "-timeout=3m", "-run", m.tests, m.pkg)
	began := time.Now()
	out, err := c.CombinedOutput()
	found := red.FindStringSubmatch(string(out))
	switch {
	case err == nil:
		return "", fmt.Errorf("survived %v of tests", time.Since(began).Round(time.Second))
	case found == nil:
		return "", fmt.Errorf("no test went red: %s", last(string(out)))
	}
	return found[1], nil
}

func last(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
