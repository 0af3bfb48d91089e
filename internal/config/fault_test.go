package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestAFaultStaysOnItsLine(t *testing.T) {
	got := faults(t, "\"a\\nb\\e[31m\\u202e\": 1\n", nil)
	if len(got) != 1 || strings.ContainsAny(got[0], "\x1b\u202e") {
		t.Errorf("%q", got)
	}
	f := Fault{File: "f", Text: "t"}
	if f.String() != "f: t" {
		t.Errorf("a fault without a place: %s", f)
	}
}

func TestOfVeryManyFaultsTheFirstAreShown(t *testing.T) {
	var b strings.Builder
	for i := range 250 {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	got := faults(t, b.String(), nil)
	if len(got) != maxFaults+1 || got[maxFaults] != "and 150 more" || !strings.HasPrefix(got[0], "1:1: key0: ") {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}

func TestOfEndlessFaultsSomeAreKept(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	if got := faults(t, b.String(), nil); len(got) != maxFaults+1 || got[maxFaults] != "and 900 more" {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}

func TestAMisspeltKeyIsRecognised(t *testing.T) {
	known := []string{"listen", "database", "methods_required", "for", "id", "tls", "redirect_uris"}
	for word, want := range map[string]string{
		"listn": "listen", "Listen": "listen", "lisetn": "listen", "listens": "listen", "data_base": "database", "databse": "database",
		"methodsRequired": "methods_required", "METHODS-REQUIRED": "methods_required", "method_require": "methods_required",
		"fro": "for", "ID": "id", "redirect_uri": "redirect_uris",
		"x": "", "port": "", "completely_different": "", "idx": "id", "": "", strings.Repeat("listen", 1000): "",
	} {
		got := guess(word, known)
		if want == "idx" || word == "idx" { // one letter more on two is near or not; it must not be another word
			if got != "" && got != `; did you mean "id"?` {
				t.Errorf("%q: %q", word, got)
			}
			continue
		}
		if want != "" {
			want = fmt.Sprintf("; did you mean %q?", want)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := unknown("zzzz", []string{"b", "a"}); got != "unknown key; known here: a, b" {
		t.Error(got)
	}
	if got := unknown("zzzz", nil); got != "unknown key; none is known here" {
		t.Error(got)
	}
}

func TestDistanceCountsLettersAddedDroppedChangedAndSwapped(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"kitten", "sitting", 3}, {"é", "e", 1}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != c.want {
			t.Errorf("%s to %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestKeysThatAreNoWordsAndTagsAreFaults(t *testing.T) {
	expect(t, faults(t, "? [a]\n: b\n~: c\n<<: {listen: x}\nlisten: !!str x\ndatabase: !secret x\n!!str messages: {}\n", nil),
		"1:3: a key is a word, not a list",
		"3:1: a key is a word, not nothing",
		"4:1: << is not known here: write the keys, or use an alias for the whole value",
		"5:9: listen: tags (!…) are not known here",
		"6:11: database: tags (!…) are not known here",
		"7:1: a key is a word, not a single value",
	)
}
