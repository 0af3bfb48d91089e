package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAWholeFileIsRead(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("smtp", "pass word\n")
	write("wiki", "wiki-secret")
	t.Setenv("SMS_SECRET", "sms")
	t.Setenv("HOST", "mx.example.com")
	t.Setenv("PORT", "587")
	name := write("sparekey.yaml", `
listen: 127.0.0.1:8080
database: sqlite:sparekey.db # here
trusted_proxies: [127.0.0.1/32, "2001:db8::/32"]
keyring: file:keyring
mail: {from: no-reply@example.com, smtp: {host: "${HOST}", port: "${PORT}", tls: mandatory, password: file:smtp}}
messages: {url: "https://${HOST}/send?$${x}", secrets: ["${SMS_SECRET}"]}
tenants:
  wakanda: {issuer: https://b.example}
  avengers:
    issuer: https://a.example
    languages: [en, no, 123]
    directories:
      ad: {type: activedirectory, urls: [ldaps://dc1.example.com]}
    policies:
      - for: {groups: [Avengers, "Domain Admins"]}
        reset: true
        methods_required: 2
        methods:
          totp: {}
          email: {for: [reset], from_directory: false}
          passkey:
        registration: {from: 2026-12-01, needs: email}
        hold_new_method: 0h
        weight: 0.5
      - everyone: true
    sessions: {idle: 8h, absolute: 7d}
    limits: {proofs: 5/24h}
    clients:
      - {id: wiki, secret: file:wiki, redirect_uris: [https://wiki.example.com/callback], level: -1}
`)
	into := file{Listen: "default", Hidden: "kept", Messages: gateway{URL: "default"}}
	var source *Source
	if err := Load(name, &into, func(s *Source) { source = s }); err != nil {
		t.Fatal(err)
	}
	if into.Listen != "127.0.0.1:8080" || into.Hidden != "kept" || len(into.Proxies) != 2 || into.Proxies[1].String() != "2001:db8::/32" {
		t.Errorf("%+v", into)
	}
	if string(into.Keyring) != filepath.Join(folder, "keyring") || source.Resolve("a/b") != filepath.Join(folder, "a/b") || source.Resolve("/a") != "/a" {
		t.Errorf("paths: %s, %s", into.Keyring, source.Resolve("a/b"))
	}
	if m := into.Mail; m.SMTP.Host != "mx.example.com" || m.SMTP.Port != 587 || m.SMTP.TLS != "mandatory" || m.SMTP.Password.Reveal() != "pass word" {
		t.Errorf("mail: %+v", m)
	}
	if into.Messages.URL != "https://mx.example.com/send?${x}" || into.Messages.Secrets[0].Reveal() != "sms" {
		t.Errorf("messages: %+v", into.Messages)
	}
	a := into.Tenants["avengers"]
	if !reflect.DeepEqual(a.Languages, []string{"en", "no", "123"}) || a.Sessions.Idle != Duration(8*time.Hour) || a.Sessions.Absolute != 7*24*time.Hour {
		t.Errorf("tenant: %+v", a)
	}
	one, two := a.Policies[0], a.Policies[1]
	if !one.Reset || one.Required != 2 || !reflect.DeepEqual(one.For.Groups, []string{"Avengers", "Domain Admins"}) || one.Hold == nil || *one.Hold != 0 || one.Weight != 0.5 {
		t.Errorf("first rule: %+v", one)
	}
	if e := one.Methods["email"]; len(one.Methods) != 3 || e.FromDirectory == nil || *e.FromDirectory || one.Methods["totp"].FromDirectory != nil || e.For[0] != "reset" {
		t.Errorf("methods: %+v", one.Methods)
	}
	if !one.At.From.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) || one.At.Needs != "email" {
		t.Errorf("registration: %+v", one.At)
	}
	if !two.Everyone || two.Required != 0 || two.Hold != nil || two.At.Needs != "" {
		t.Errorf("second rule says nothing else: %+v", two)
	}
	if a.Limits["proofs"] != (Rate{5, 24 * time.Hour}) || a.Clients[0].Secret.Reveal() != "wiki-secret" || *a.Clients[0].Level != -1 {
		t.Errorf("%+v", a)
	}
	if d := a.Directories["ad"]; d.Type != "activedirectory" || !reflect.DeepEqual(d.URLs, []string{"ldaps://dc1.example.com"}) {
		t.Errorf("directory: %+v", d)
	}
	if w := source.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %v", w)
	}
}

func TestF11_EveryFaultIsToldAtOnceWithLineAndColumn(t *testing.T) {
	got := faults(t, `listen: [a]
databse: sqlite:x
trusted_proxies: [127.0.0.1/32, nonsense]
mail:
  smtp:
    port: 70000
    tls: mandatery
tenants:
  avengers:
    issuer:
    policies:
      - for: {groups: Avengers}
        reset: yes
        methodsRequired: 4
        methods:
          email: {for: [reset, signin], from_directory: 1}
        registration: {from: tomorrow}
        hold_new_method: 10x
      - reset: true
        reset: false
    sessions: 8h
    limits: {proofs: 5, sends: 0/1h}
    clients: {id: wiki}
`, func(s *Source) {
		s.Fault("tenants.avengers.policies[1].methods_required", "%d is more than %d", 4, 3)
		s.Fault("tenants.avengers.policies[1].reset", "nobody can reset")
		s.Fault("tenants.avengers.name", "is missing")
		s.Fault("", "nothing is served")
		s.Fault("listen", "is missing")                                     // its value could not be decoded
		s.Fault("tenants.avengers.clients[0].id", "is missing")             // below one that could not be decoded
		s.Fault("tenants.avengers.policies[0].for.groups", "no such group") // the same
	})
	expect(t, got,
		`1:1: nothing is served`,
		`1:9: listen: a single value is expected here, not a list`,
		`2:1: databse: unknown key; did you mean "database"?`,
		`3:33: trusted_proxies[1]: netip.ParsePrefix("nonsense"): no '/'`,
		`6:11: mail.smtp.port: a whole number, not negative is expected here, not "70000"`,
		`7:10: mail.smtp.tls: "mandatery" is not one of mandatory, implicit, none; did you mean "mandatory"?`,
		`9:3: tenants.avengers.name: is missing`,
		`10:12: tenants.avengers.issuer: a value is missing`,
		`12:23: tenants.avengers.policies[0].for.groups: a list is expected here, [a, b], not a single value`,
		`13:16: tenants.avengers.policies[0].reset: true or false is expected here, not "yes"`,
		`14:9: tenants.avengers.policies[0].methodsRequired: unknown key; did you mean "methods_required"?`,
		`16:32: tenants.avengers.policies[0].methods.email.for[1]: "signin" is not one of sign_in, reset; did you mean "sign_in"?`,
		`16:57: tenants.avengers.policies[0].methods.email.from_directory: true or false is expected here, not "1"`,
		`17:30: tenants.avengers.policies[0].registration.from: a day is expected here, such as "2026-12-31", or a time, such as "2026-12-31T18:00:00Z"`,
		`18:26: tenants.avengers.policies[0].hold_new_method: a duration is expected here, such as "90s", "10m", "24h" or "180d"`,
		`19:9: tenants.avengers.policies[1].methods_required: 4 is more than 3`,
		`20:9: tenants.avengers.policies[1].reset: this key is on line 19 already`,
		`21:15: tenants.avengers.sessions: keys with values are expected here, not a single value`,
		`22:22: tenants.avengers.limits.proofs: so many in so long is expected here, such as "5/24h"`,
		`22:32: tenants.avengers.limits.sends: so many in so long is expected here, such as "5/24h"`,
		`23:14: tenants.avengers.clients: a list is expected here, [a, b], not keys with values`,
	)
}

func TestASemanticFaultStandsWhereItsValueIs(t *testing.T) {
	text := "tenants:\n  a:\n    policies:\n      - reset: true\n        for:\n          groups: [x, y]\n    sessions: &e {idle: 1h}\n  b:\n    sessions: *e\n"
	for path, want := range map[string]string{
		"tenants":                             "1:1",
		"tenants.a":                           "2:3",
		"tenants.a.policies":                  "3:5",
		"tenants.a.policies[0]":               "4:9",
		"tenants.a.policies[0].reset":         "4:16",
		"tenants.a.policies[0].for":           "5:9",
		"tenants.a.policies[0].for.groups[1]": "6:23",
		"tenants.a.policies[0].for.grops":     "5:9",
		"tenants.a.policies[7].for.groups[1]": "3:5",
		"tenants.a.clients[0].id":             "2:3",
		"tenants.c.x":                         "1:1",
		"tenants.b.sessions.idle":             "7:25",
		"nowhere":                             "1:1",
		"":                                    "1:1",
	} {
		got := faults(t, text, func(s *Source) { s.Fault(path, "wrong") })
		if want := strings.TrimSuffix(want+": "+path, ": ") + ": wrong"; len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestATextThatIsNoYAMLIsOneFaultAndCheckIsNotCalled(t *testing.T) {
	for text, want := range map[string]string{
		"a: [1\nb: 2\n":                     `2:2: did not find expected ',' or ']' while parsing a flow sequence that began on line 1`,
		"listen: a: b\n":                    `1:10: mapping values are not allowed in this context`,
		"listen: 1\n\tx: 2\n":               `2:`,
		"listen: 'x\n\n":                    `3:1: found unexpected end of stream while scanning a quoted scalar that began on line 1`,
		"listen: *canary\n":                 `1:9: this alias has no anchor; quote a value that begins with *`,
		"listen: x\n---\nlisten: y\n":       `2:1: a second document begins here; one file holds one`,
		"listen: \"a\"\ndatabase: a\x00b\n": `2:12: a control character stands here`,
		"listen: é\xff\n":                   `1:10: the file is not UTF-8 here`,
		"listen: \u0080\n":                  `1:9: a control character stands here`,
		"listen: x\n...\n%FOO":              `3:`,
		strings.Repeat("#", maxFile+1):      `1:1: the file is larger than 1048576 bytes`,
		"a: " + strings.Repeat("[", 200):    `2:1: did not find expected node content`,
		"a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200): `1:68: nested deeper than 64`,
		"extra: &a [*a]\n":                                      `1:12: nested deeper than 64`,
		"extra: &a {b: *a, c: *a}\n":                            `1:`,
		strings.Repeat("- ", 100) + "x\n":                       `1:`,
		"listen: x\n" + strings.Repeat("k", maxKey+1) + ": x\n": `2:1: a key is longer than 256 bytes`,
		laughs(20):                            ``,
		"? {a: b}\n: c\n" + "\x85\ufffe: x\n": `3:`,
	} {
		called := false
		began := time.Now()
		got := faults(t, text, func(s *Source) { called = true })
		if len(got) != 1 || !strings.HasPrefix(got[0], want) || called {
			t.Errorf("%.40q: check called %v: %q, want %q", text, called, got, want)
		}
		if strings.Contains(strings.Join(got, ""), "canary") {
			t.Errorf("the text is repeated: %q", got)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%.40q took %v", text, took)
		}
	}
}

// laughs is a text of lists of lists of aliases, 9^n values in all.
func laughs(n int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < n; i++ {
		name := func(i int) string { return "a" + string(rune('a'+i)) }
		if i == 1 {
			name = func(i int) string { return []string{"a0", "ab"}[i] }
		}
		b.WriteString(name(i) + ": &" + name(i) + " [" + strings.Repeat("*"+name(i-1)+", ", 8) + "*" + name(i-1) + "]\n")
	}
	return b.String()
}

func TestAliasesAreFollowedAndBounded(t *testing.T) {
	var into file
	err := Parse("x.yaml", []byte("tenants:\n  a: {languages: &l [en, de]}\n  b: {languages: *l}\n  c: &c {name: &n x}\n  d: *c\n"), &into, nil)
	if err != nil || len(into.Tenants["b"].Languages) != 2 || into.Tenants["d"].Name != "x" || into.Tenants["c"] == into.Tenants["d"] {
		t.Errorf("%v: %+v", err, into.Tenants)
	}
	expect(t, faults(t, laughs(12), nil), lines(t, Parse("x.yaml", []byte(laughs(12)), &into, nil))...)
	if got := faults(t, laughs(12), nil); len(got) != 1 || !strings.Contains(got[0], "the values are too many") {
		t.Errorf("%q", got)
	}
}

func TestAnEmptyFileLeavesTheDefaultsAndIsChecked(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "~\n", "{}\n", "\ufeff"} {
		into := file{Listen: "default"}
		err := Parse("x.yaml", []byte(text), &into, func(s *Source) { s.Fault("tenants", "there is none") })
		if into.Listen != "default" {
			t.Errorf("%q: %+v", text, into)
		}
		expect(t, lines(t, err), "1:1: tenants: there is none")
	}
	for _, text := range []string{"x\n", "[a]\n", "3\n"} {
		if got := faults(t, text, nil); len(got) != 1 || !strings.HasPrefix(got[0], "1:1: keys with values are expected here") {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestOnlyFieldsWithATagCanBeSet(t *testing.T) {
	into := file{Hidden: "a", private: "b"}
	err := Parse("x.yaml", []byte("private: x\nHidden: x\nhidden: x\n"), &into, nil)
	if got := lines(t, err); len(got) != 3 || into.Hidden != "a" || into.private != "b" {
		t.Errorf("%q: %+v", got, into)
	}
}

func TestAMissingFileIsNoFault(t *testing.T) {
	err := Load(filepath.Join(t.TempDir(), "none.yaml"), &file{}, nil)
	var all Faults
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, &all) {
		t.Errorf("err = %v", err)
	}
}

func TestAnIntoThatIsNoStructIsAProgrammersMistake(t *testing.T) {
	for _, into := range []any{nil, file{}, new(int), &map[string]any{}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T was accepted", into)
				}
			}()
			Parse("x.yaml", nil, into, nil)
		}()
	}
}
