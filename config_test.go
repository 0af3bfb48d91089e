package sparekey_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey"
)

// An issuer is compared letter by letter by relying parties, and asked for by browsers in their own spelling: the two have to be one.
func TestAnIssuerIsWrittenAsBrowsersWriteIt(t *testing.T) {
	for issuer, fault := range map[string]string{
		"https://login.example.com":              "",
		"https://login.example.com/avengers":     "",
		"https://login.example.com:8443/a/b":     "",
		"http://localhost:8080/avengers":         "",
		"https://Login.Example.com/avengers":     "capitals in its host",
		"https://login.example.com:443/avengers": "goes without saying",
		"http://localhost:80/avengers":           "goes without saying",
		"https://login.example.com/a/../b":       "another way",
		"https://login.example.com/a//b":         "another way",
		"https://login.example.com/a%2Fb":        "another way",
		"https://login.example.com/":             "slash",
		"https://login.example.com/?x=1":         "query",
		"https://u:p@login.example.com/avengers": "no address",
		"http://login.example.com/avengers":      "https",
		"ftp://login.example.com/avengers":       "https",
	} {
		file := filepath.Join(t.TempDir(), "sparekey.yaml")
		text := fmt.Sprintf("database: sqlite:x.db\ntenants:\n  avengers:\n    issuer: %q\n    directories: {staff: {type: local}}\n", issuer)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := sparekey.LoadConfig(file)
		switch {
		case fault == "" && err != nil:
			t.Errorf("%s: %v", issuer, err)
		case fault != "" && (err == nil || !strings.Contains(err.Error(), fault) || !strings.Contains(err.Error(), ":4:")):
			t.Errorf("%s: %v, want %q with its line", issuer, err, fault)
		}
	}
}
