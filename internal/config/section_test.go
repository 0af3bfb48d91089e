package config

import (
	"errors"
	"testing"
)

type ldap struct {
	URLs []string `yaml:"urls"`
	Bind struct {
		DN       string `yaml:"dn"`
		Password Secret `yaml:"password"`
	} `yaml:"bind"`
	Wait Duration `yaml:"wait"`
}

func TestASectionIsDecodedOnceItsTypeIsKnown(t *testing.T) {
	t.Setenv("KIND", "ldap")
	t.Setenv("PW", "s3cret")
	var into file
	var options ldap
	err := Parse("x.yaml", []byte("tenants: {a: {directories: {d: {type: \"${KIND}\", urls: [x], bind: {password: \"${PW}\"}}, e: }}}"), &into, func(s *Source) {
		d := into.Tenants["a"].Directories["d"]
		if d.Text("type") != "ldap" || d.Text("urls") != "" || d.Text("none") != "" || d.Path() != "tenants.a.directories.d" {
			t.Errorf("type %q at %q", d.Text("type"), d.Path())
		}
		options.Wait = 7
		if err := d.Decode(&options, "type"); err != nil {
			t.Error(err)
		}
		var empty ldap
		if err := into.Tenants["a"].Directories["e"].Decode(&empty); err != nil {
			t.Errorf("a section without anything: %v", err)
		}
	})
	if err != nil || options.URLs[0] != "x" || options.Bind.Password.Reveal() != "s3cret" || options.Wait != 7 {
		t.Errorf("%+v, %v", options, err)
	}
	if (Section{}).Text("x") != "" || (Section{}).Decode(&options) != nil {
		t.Error("a section that is not written")
	}
}

func TestFaultsOfASectionAreToldWithAllOthers(t *testing.T) {
	var into file
	text := "listen: []\ntenants:\n  a:\n    directories:\n      d:\n        type: ldap\n        url: x\n        bind: {password: plain}\n        wait: 1x\n      f: 3\n"
	var later Section
	err := Parse("x.yaml", []byte(text), &into, func(s *Source) {
		later = into.Tenants["a"].Directories["d"]
		var part Faults
		if err := later.Decode(&ldap{}, "type"); !errors.As(err, &part) || len(part) != 3 {
			t.Errorf("the section's own faults: %v", err)
		}
		s.Fault("tenants.a.directories.d.wait", "is too long") // could not be decoded
		s.Fault("tenants.a.directories.d.urls", "is missing")
	})
	expect(t, lines(t, err),
		"1:9: listen: a single value is expected here, not a list",
		"5:7: tenants.a.directories.d.urls: is missing",
		`7:9: tenants.a.directories.d.url: unknown key; did you mean "urls"?`,
		"8:26: tenants.a.directories.d.bind.password: a secret does not stand in this file: write file:PATH or ${NAME}",
		"9:15: tenants.a.directories.d.wait: "+errDuration.Error(),
		"10:10: tenants.a.directories.f: keys with values are expected here, not a single value",
	)
	before := len(lines(t, err))
	if later.Decode(&ldap{}, "type") == nil || len(lines(t, err)) != before {
		t.Error("decoding later changed what was told")
	}
}
