package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// changes looks twice, as whoever watches does, and says what the looks found.
func changes(w *Watch) (first, second bool) { return w.Changed(), w.Changed() }

func TestAFileHasChangedOnceItRests(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("a.yaml", "secret: file:secret\n")
	load := func() *Watch {
		var files Files
		_ = files.Load(at("a.yaml"), &struct {
			Secret Secret `yaml:"secret"`
		}{}, nil)
		return files.Watch()
	}
	want := func(what string, w *Watch, changed bool) {
		t.Helper()
		if first, second := changes(w); first || second != changed {
			t.Errorf("%s: changed at once: %v, and then %v, want %v", what, first, second, changed)
		}
	}

	w := load() // refused, for the secret is missing
	want("a file that is not there", w, false)
	put("secret", "one")
	want("a file that came", w, true)
	w = load()
	want("what was read", w, false)
	put("secret", "two")
	want("another text of the same length", w, true)
	put("secret", "one")
	if w.Changed() || w.Changed() {
		t.Error("what was read is there again, and counts as changed")
	}
	put("a.yaml", "secret: file:sec")
	if w.Changed() {
		t.Error("half a file has changed")
	}
	put("a.yaml", "secret: file:secret\nother: x\n")
	want("a file that was written in two halves", w, true)

	// A file that has rested for long is not read again until its time or size tells.
	put("a.yaml", "secret: file:secret\n")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(at("a.yaml"), old, old); err != nil {
		t.Fatal(err)
	}
	w = load()
	want("an old file", w, false)
	if len(w.seen) != 2 || w.seen[at("a.yaml")].sum != w.read[at("a.yaml")] {
		t.Errorf("it remembers %v", w.seen)
	}
	if err := os.Chtimes(at("a.yaml"), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	want("a file that was touched", w, false)
	if err := os.Remove(at("a.yaml")); err != nil {
		t.Fatal(err)
	}
	want("a file that went", w, true)
	want("a config that is not there", load(), false)

	// What is no file, or too large, is as it was read.
	if err := os.Mkdir(at("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	put("large", string(make([]byte, maxFile+1)))
	for _, secret := range []string{"folder", "large"} {
		put("a.yaml", "secret: file:"+secret+"\n")
		want(secret, load(), false)
	}
	if err := os.Rename(at("large"), at("a.yaml")); err != nil {
		t.Fatal(err)
	}
	want("a config too large", load(), false)
}
