package config

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// file is the shape of a whole product's config: what the tests read into.
type file struct {
	Listen   string             `yaml:"listen"`
	Database string             `yaml:"database"`
	Proxies  []netip.Prefix     `yaml:"trusted_proxies"`
	Keyring  Path               `yaml:"keyring"`
	Mail     *mail              `yaml:"mail"`
	Messages gateway            `yaml:"messages"`
	Tenants  map[string]*tenant `yaml:"tenants"`
	Hidden   string             // no tag: the file cannot set it
	private  string             `yaml:"private"` // nor one that is not exported
}

type mail struct {
	From string `yaml:"from"`
	SMTP struct {
		Host     string `yaml:"host"`
		Port     uint16 `yaml:"port"`
		TLS      string `yaml:"tls" oneof:"mandatory implicit none"`
		User     string `yaml:"user"`
		Password Secret `yaml:"password"`
	} `yaml:"smtp"`
}

type gateway struct {
	URL     string   `yaml:"url"`
	Secrets []Secret `yaml:"secrets"`
}

type tenant struct {
	Issuer      string          `yaml:"issuer"`
	Name        string          `yaml:"name"`
	Languages   []string        `yaml:"languages"`
	Directories map[string]home `yaml:"directories"`
	Policies    []rule          `yaml:"policies"`
	Sessions    struct {
		Idle     Duration      `yaml:"idle"`
		Absolute time.Duration `yaml:"absolute"`
	} `yaml:"sessions"`
	Limits  map[string]Rate `yaml:"limits"`
	Clients []client        `yaml:"clients"`
}

type home struct {
	Type string   `yaml:"type"`
	URLs []string `yaml:"urls"`
}

type rule struct {
	Scope    `yaml:""`
	Reset    bool              `yaml:"reset"`
	Required int               `yaml:"methods_required"`
	Methods  map[string]method `yaml:"methods"`
	At       registration      `yaml:"registration"`
	Hold     *Duration         `yaml:"hold_new_method"`
	Weight   float64           `yaml:"weight"`
}

// Scope is lent to rule.
type Scope struct {
	Everyone bool `yaml:"everyone"`
	For      struct {
		Groups []string `yaml:"groups"`
	} `yaml:"for"`
}

type method struct {
	For           []string `yaml:"for" oneof:"sign_in reset"`
	FromDirectory *bool    `yaml:"from_directory"`
}

type registration struct {
	From  time.Time `yaml:"from"`
	Needs string    `yaml:"needs" oneof:"password email pass"`
}

type client struct {
	ID     string   `yaml:"id"`
	Secret Secret   `yaml:"secret"`
	URIs   []string `yaml:"redirect_uris"`
	Level  *int8    `yaml:"level"`
}

// faults parses and returns what is wrong as lines without the file's name.
func faults(t *testing.T, text string, check func(*Source)) []string {
	t.Helper()
	var into file
	return lines(t, Parse("x.yaml", []byte(text), &into, check))
}

func lines(t *testing.T, err error) (out []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	var all Faults
	if !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("err = %#v", err)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		out = append(out, strings.TrimPrefix(line, "x.yaml:"))
	}
	return out
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing: %s", want[i])
		case i >= len(want):
			t.Errorf("too many: %s", got[i])
		case got[i] != want[i]:
			t.Errorf("fault %d\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}
