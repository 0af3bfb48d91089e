package templates

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// hashed finds the digests in the names of assets: golden files are about words and structure, not about the style sheet.
var hashed = regexp.MustCompile(`-[0-9a-f]{12}\.`)

func TestEveryPageLooksLikeItsGoldenFile(t *testing.T) {
	s := newTestSet(t)
	seen := map[string]bool{}
	for _, sample := range samples() {
		seen[nameOf(sample.page)] = true
		for _, lang := range []string{"en", "de"} {
			t.Run(sample.name+"."+lang, func(t *testing.T) {
				golden(t, sample.name+"."+lang+".html", render(t, s, inLanguage(sample.page, lang)))
			})
		}
	}
	for _, p := range all {
		if !seen[nameOf(p)] {
			t.Errorf("%T has no sample", p)
		}
	}
}

func TestEveryMailLooksLikeItsGoldenFile(t *testing.T) {
	s := newTestSet(t)
	for _, sample := range mailSamples() {
		for _, lang := range []string{"en", "de"} {
			t.Run(sample.name+"."+lang, func(t *testing.T) {
				subject, text, html, err := s.Mail(lang, sample.mail)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, "mail."+sample.name+"."+lang+".txt", "Subject: "+subject+"\n\n"+text)
				if lang == "en" {
					golden(t, "mail."+sample.name+"."+lang+".html", html)
				}
			})
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = hashed.ReplaceAllString(got, "-digest.")
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, got)
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s; look at it and run with -update\n%s", file, got)
	}
}
