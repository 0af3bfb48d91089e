package secret

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestATokenHas256BitsAndAnIDHas128(t *testing.T) {
	for range 100 {
		if s := Token(); !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(s) {
			t.Fatalf("token %q", s)
		}
		if s := ID(); !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(s) {
			t.Fatalf("id %q", s)
		}
	}
}

func TestA08_RandomValuesNeitherRepeatNorGrowInOrder(t *testing.T) {
	const n = 4000
	for name, make := range map[string]func() string{"token": Token, "id": ID} {
		seen, rising, last := map[string]bool{}, 0, ""
		var letters [256]int
		for range n {
			s := make()
			if seen[s] {
				t.Fatalf("%s %q came twice", name, s)
			}
			seen[s] = true
			if s > last {
				rising++
			}
			last = s
			for _, c := range []byte(s[:20]) { // the last letter carries fewer bits
				letters[c]++
			}
		}
		if rising < n*4/10 || rising > n*6/10 {
			t.Errorf("%s: %d of %d came after their predecessor: ordered by time?", name, rising, n)
		}
		used := slices.DeleteFunc(letters[:], func(c int) bool { return c == 0 })
		mean := n * 20 / len(used)
		if want := map[string]int{"token": 64, "id": 32}[name]; len(used) != want {
			t.Errorf("%s: %d different letters, want %d", name, len(used), want)
		}
		for _, c := range used {
			if c < mean*3/4 || c > mean*5/4 {
				t.Errorf("%s: a letter came %d times where %d are fair", name, c, mean)
			}
		}
	}
}

func TestRS06_DigitsAreUniform(t *testing.T) {
	for _, n := range []int{0, 1, 6, 8, 32} {
		if s := Digits(n); len(s) != n || strings.Trim(s, "0123456789") != "" {
			t.Errorf("Digits(%d) = %q", n, s)
		}
	}
	var count [10]int
	for _, c := range Digits(200_000) {
		count[c-'0']++
	}
	for d, c := range count { // without rejection 0–5 come 20,312 times and 6–9 19,531 times; four standard deviations are 537
		if c < 20_000-537 || c > 20_000+537 {
			t.Errorf("digit %d came %d times in 200,000", d, c)
		}
	}
	low := count[0] + count[1] + count[2] + count[3] + count[4] + count[5]
	if low < 120_000-1100 || low > 120_000+1100 { // five standard deviations; without rejection 121,875
		t.Errorf("digits 0–5 came %d times in 200,000, want 120,000", low)
	}
}

func TestADigestIsSHA256AndNeverChanges(t *testing.T) {
	if got := Digest("abc"); got != "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0" {
		t.Errorf("Digest(abc) = %q", got)
	}
}

func TestEqualComparesWhole(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"", "", true}, {"a", "a", true}, {"a", "b", false}, {"a", "aa", false}, {"aa", "a", false}, {"", "a", false}} {
		if Equal(c.a, c.b) != c.want {
			t.Errorf("Equal(%q, %q) = %v", c.a, c.b, !c.want)
		}
	}
}

func TestPW07_APasswordHasOneFormForEver(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"e\u0301", "\u00e9"},            // e and an accent are one letter
		{"\u212b", "\u00c5"},             // the sign for ångström
		{"\u1100\u1161\u11a8", "\uac01"}, // Hangul
		{"a\u0302\u0323", "\u1ead"},      // accents are put in order
		{"\ufb01", "\ufb01"},             // a ligature is not taken apart: NFC, not NFKC
		{" A b ", " A b "},               // nothing is trimmed or folded
		{"\xff\xfe", "\xff\xfe"},         // what is not UTF-8 stays as it is
	} {
		if got := Normal(c.in); got != c.want {
			t.Errorf("Normal(%+q) = %+q, want %+q", c.in, got, c.want)
		}
	}
}

// The whole module is read here: one weak source anywhere is enough to lose.
func TestA53_NoPackageUsesAWeakSourceOfRandomness(t *testing.T) {
	root := "../.."
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	read := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return nil // the compiler says it better
		}
		read++
		for _, i := range file.Imports {
			if strings.HasPrefix(i.Path.Value, `"math/rand`) {
				t.Errorf("%s imports %s", path, i.Path.Value)
			}
		}
		return nil
	})
	if err != nil || read < 5 {
		t.Fatalf("read %d files: %v", read, err)
	}
}
