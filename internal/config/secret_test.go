package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func secretFrom(t *testing.T, folder, written string) (Secret, []Fault, error) {
	t.Helper()
	var into struct {
		S Secret `yaml:"s"`
	}
	source := &Source{}
	err := Parse(filepath.Join(folder, "x.yaml"), []byte("s: "+written+"\n"), &into, func(s *Source) { source = s })
	return into.S, source.Warnings(), err
}

func TestASecretComesFromAFileOrTheEnvironment(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"plain": "s3cret", "line": "s3cret\n", "dos": "s3cret\r\n", "two": "s3cret\n\n", "space": " s3cret \n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("S3", "s3cret")
	t.Setenv("WHERE", folder)
	for written, want := range map[string]string{
		"file:plain": "s3cret", "file:line": "s3cret", "file:dos": "s3cret", "file:two": "s3cret\n", "file:space": " s3cret ",
		`"file:./plain"`: "s3cret", `"file:${WHERE}/plain"`: "s3cret", "file:" + folder + "/plain": "s3cret", `"${S3}"`: "s3cret", "${S3}": "s3cret",
	} {
		s, warnings, err := secretFrom(t, folder, written)
		if err != nil || s.Reveal() != want || !s.Set() || len(warnings) != 0 {
			t.Errorf("%s: %q, %v, %v", written, s.Reveal(), warnings, err)
		}
	}
	if (Secret{}).Set() || (Secret{}).Reveal() != "" || NewSecret("x").Reveal() != "x" {
		t.Error("a secret that is not set, or set by a program")
	}
}

func TestASecretThatStandsInTheFileIsRefusedAndNotRepeated(t *testing.T) {
	folder := t.TempDir()
	for name, size := range map[string]int{"empty": 0, "huge": maxSecret + 1} {
		if err := os.WriteFile(filepath.Join(folder, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(filepath.Join(folder, "newline"), []byte("\n"), 0o600)
	t.Setenv("EMPTY", "")
	t.Setenv("S3", "canary")
	for written, want := range map[string]string{
		"canary":              "does not stand in this file",
		`"canary${S3}"`:       "does not stand in this file",
		`"${S3}canary"`:       "does not stand in this file",
		`" ${S3}"`:            "does not stand in this file",
		"12345":               "does not stand in this file",
		`"$${S3}"`:            "does not stand in this file",
		"[canary]":            "not a list",
		"{canary: canary}":    "not keys with values",
		"":                    "not nothing",
		"~":                   "not nothing",
		"!!str canary":        "tags",
		"${NOT_SET_ANYWHERE}": "NOT_SET_ANYWHERE is not set",
		"${EMPTY}":            "is empty",
		`"file:"`:             "a path is missing",
		"file:none":           "there is no file " + folder + "/none",
		"file:.":              "is no file",
		"file:/dev/zero":      "is no file",
		"file:empty":          "is empty",
		"file:newline":        "is empty",
		"file:huge":           "is no file, or larger",
		`"file:${NOT_SET}"`:   "NOT_SET is not set",
	} {
		s, _, err := secretFrom(t, folder, written)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") || s.Set() {
			t.Errorf("%s: %v, want %q", written, err, want)
		}
	}
}

func TestASecretFileThatEverybodyMayReadIsAWarning(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "s")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o640: 0, 0o440: 0, 0o644: 1, 0o604: 1} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		s, warnings, err := secretFrom(t, folder, "file:s")
		if err != nil || s.Reveal() != "x" || len(warnings) != want {
			t.Errorf("mode %v: %v, %v", mode, warnings, err)
		}
		for _, w := range warnings {
			if w.Path != "s" || w.Line != 1 || w.Column != 4 || !strings.Contains(w.Text, path) {
				t.Errorf("%+v", w)
			}
		}
	}
}

func TestLG01_ASecretNeverPrintsItself(t *testing.T) {
	type holder struct {
		Secret  Secret
		private Secret
		Map     map[string]Secret
	}
	s := NewSecret("canary")
	h := holder{s, s, map[string]Secret{"k": s}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "h", h)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "h", h)
	json.NewEncoder(&out).Encode(h)
	if strings.Contains(out.String(), "canary") || strings.Contains(out.String(), fmt.Sprintf("%x", "canary")) || !strings.Contains(out.String(), hidden) {
		t.Error(out.String())
	}
}

func TestAPathIsSeenFromTheFilesFolder(t *testing.T) {
	t.Setenv("NAME", "n")
	for written, want := range map[string]string{"logo.png": "/etc/sparekey/logo.png", "file:logo.png": "/etc/sparekey/logo.png", "../x": "/etc/x",
		"file:/run/x": "/run/x", "/run/x": "/run/x", `"${NAME}.png"`: "/etc/sparekey/n.png"} {
		var into file
		if err := Parse("/etc/sparekey/x.yaml", []byte("keyring: "+written), &into, nil); err != nil || string(into.Keyring) != want {
			t.Errorf("%s: %s, %v", written, into.Keyring, err)
		}
	}
	for _, written := range []string{`"file:"`, `""`, "~", "[a]"} {
		if got := faults(t, "keyring: "+written, nil); len(got) != 1 {
			t.Errorf("%s: %q", written, got)
		}
	}
}
