package sparekey_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/config"
)

// certificate gives a certificate and its key in PEM, fit for a listener and for who may vouch for one.
func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "login.example.com"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	public, err := x509.CreateCertificate(rand.Reader, about, about, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// faultsOf loads a file and gives its faults without the file's name.
func faultsOf(t *testing.T, file string) (list []string) {
	t.Helper()
	_, err := sparekey.LoadConfig(file)
	var faults config.Faults
	if err != nil && !errors.As(err, &faults) {
		t.Fatal(err)
	}
	for _, f := range faults {
		list = append(list, strings.ReplaceAll(strings.TrimPrefix(f.String(), file+":"), filepath.Dir(file)+"/", ""))
	}
	return list
}

const goodHead = "database: sqlite:x.db\n"

// goodTenant is a tenant to which a line is added: line 7 of the file.
const goodTenant = goodHead + `tenants:
  avengers:
    issuer: https://login.example.com/avengers
    directories: {staff: {type: local}}
    clients: [{id: wiki, secret: file:wiki.secret, redirect_uris: ["https://wiki.example.com/callback"]}]
    `

// What would keep serve from starting, or make something of the file without effect, is told by the check: all of it at once, each with its place.
func TestWhatKeepsServeFromStartingIsAFaultWithItsPlace(t *testing.T) {
	policy := func(settings string) string {
		return goodTenant + "policies: [{for: {everyone: true}, " + settings + "}]\n"
	}
	const second = "one authenticator would be both the only gate of a reset and the second factor; require two methods, or say accept_single: true"
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"good": {goodTenant, nil},

		"an address without a port":    {"listen: localhost\n" + goodTenant, []string{`1:9: listen: "localhost" is no HOST:PORT such as 127.0.0.1:8080`}},
		"a port that is none":          {"listen: localhost:99999\n" + goodTenant, []string{`1:9: listen: "localhost:99999" is no HOST:PORT such as 127.0.0.1:8080`}},
		"an empty port":                {"listen: '127.0.0.1:'\n" + goodTenant, []string{`1:9: listen: "127.0.0.1:" is no HOST:PORT such as 127.0.0.1:8080`}},
		"an address that is none":      {"listen: 127.0.0.300:80\n" + goodTenant, []string{`1:9: listen: "127.0.0.300:80" is no HOST:PORT such as 127.0.0.1:8080`}},
		"every address":                {"listen: :8080\n" + goodTenant, nil},
		"a sixth-version address":      {"listen: '[::1]:https'\n" + goodTenant, nil},
		"a host by its name":           {"listen: mail-2.example.com:8080\n" + goodTenant, nil},
		"metrics among the pages":      {"metrics_listen: 127.0.0.1:8080\n" + goodTenant, []string{"1:17: metrics_listen: is where the pages are; metrics have a listener of their own"}},
		"metrics anywhere":             {"metrics_listen: 127.0.0.1:0\nlisten: 127.0.0.1:0\n" + goodTenant, nil},
		"half of a certificate":        {"tls: {cert_file: cert.pem}\n" + goodTenant, []string{"1:1: tls.key_file: is missing"}},
		"a certificate that is none":   {"tls: {cert_file: wiki.secret, key_file: key.pem}\n" + goodTenant, []string{"1:1: tls: tls: failed to find any PEM data in certificate input"}},
		"a certificate of another key": {"tls: {cert_file: cert.pem, key_file: other.pem}\n" + goodTenant, []string{"1:1: tls: tls: private key does not match public key"}},
		"neither is there": {"tls: {cert_file: a.pem, key_file: b.pem}\n" + goodTenant,
			[]string{"1:18: tls.cert_file: open a.pem: no such file or directory", "1:35: tls.key_file: open b.pem: no such file or directory"}},
		"both are there":    {"tls: {cert_file: cert.pem, key_file: key.pem}\n" + goodTenant, nil},
		"a proxy by itself": {"trusted_proxies: [127.0.0.1]\n" + goodTenant, []string{`1:19: trusted_proxies[0]: "127.0.0.1" is no network such as 10.0.0.0/8`}},

		"no database":               {strings.TrimPrefix(goodTenant, goodHead), []string{"1:1: database: is missing: sqlite:PATH or postgres://user@host/db"}},
		"a database without a path": {strings.Replace(goodTenant, "sqlite:x.db", "'sqlite:'", 1), []string{"1:11: database: a path is missing after sqlite:"}},
		"a database of another make": {strings.Replace(goodTenant, "sqlite:x.db", "mysql://x:hunter2@y/z", 1),
			[]string{"1:11: database: must begin with sqlite: or postgres://"}},
		"PostgreSQL without a keyring": {strings.Replace(goodTenant, "sqlite:x.db", "postgres://sparekey@/sparekey", 1),
			[]string{"1:1: keyring: is missing: file:PATH; only a SQLite database has a place beside it"}},
		"PostgreSQL with a setting it does not know": {strings.Replace(goodTenant, "sqlite:x.db", "postgres://u:hunter2@h/d?sslmode=maybe\nkeyring: file:ring", 1),
			[]string{"1:11: database: cannot parse `postgres://u:xxxxx@h/d?sslmode=maybe`: failed to configure TLS (sslmode is invalid)"}},
		"a keyring nowhere": {"keyring: ring\n" + goodTenant, []string{"1:10: keyring: must be file:PATH"}},

		"a mail server without a sender": {"mail: {smtp: {host: localhost, tls: none}}\n" + goodTenant, []string{"1:1: mail.from: is missing: the address notices come from"}},
		"a sender that is none":          {"mail: {from: nobody}\n" + goodTenant, []string{`1:14: mail.from: sender "nobody" is not one address, local@domain`}},
		"a mail server all wrong": {"mail: {from: a@example.com, smtp: {port: 70000, tls: ssl, user: x}}\n" + goodTenant, []string{
			"1:29: mail.smtp.host: is missing", "1:29: mail.smtp.password: is missing", "1:42: mail.smtp.port: 70000 is not between 1 and 65535", `1:54: mail.smtp.tls: "ssl" is not one of mandatory, implicit, none`}},
		"a mail server elsewhere, in the clear": {"mail: {from: a@example.com, smtp: {host: mx.example.com, tls: none}}\n" + goodTenant,
			[]string{"1:63: mail.smtp.tls: none is for a mail server on this machine, and mx.example.com is not on it"}},
		"a mail server's password that is not there": {"mail: {from: a@example.com, smtp: {host: mx.example.com, user: x, password: file:no}}\n" + goodTenant,
			[]string{"1:77: mail.smtp.password: there is no file no"}},
		"a password of nobody": {"mail: {from: a@example.com, smtp: {host: mx.example.com, password: file:wiki.secret}}\n" + goodTenant,
			[]string{"1:29: mail.smtp.user: is missing: whose password is it?"}},
		"who vouches for a mail server is nobody": {"mail: {from: a@example.com, smtp: {host: mx.example.com, ca_file: wiki.secret}}\n" + goodTenant,
			[]string{"1:67: mail.smtp.ca_file: no certificate in wiki.secret"}},

		"a language without words":      {goodTenant + "languages: [en, tlh]\n", []string{`7:21: tenants.avengers.languages[1]: "tlh": en or de`}},
		"a history too long":            {strings.Replace(goodTenant, "{type: local}", "{type: local, reset: {history: 25}}", 1), []string{"5:57: tenants.avengers.directories.staff.reset.history: 25 is not between 0 and 24"}},
		"a history too short":           {strings.Replace(goodTenant, "{type: local}", "{type: local, reset: {history: -1}}", 1), []string{"5:57: tenants.avengers.directories.staff.reset.history: -1 is not between 0 and 24"}},
		"a history that nobody keeps":   {strings.Replace(goodTenant, "{type: local}", "{type: program, reset: {history: 5}}", 1), []string{"5:59: tenants.avengers.directories.staff.reset.history: is kept by a local directory alone"}},
		"a directory of no kind":        {strings.Replace(goodTenant, "{type: local}", "{}", 1), []string{"5:19: tenants.avengers.directories.staff.type: is missing: local or program"}},
		"a puzzle that nobody solves":   {goodTenant + "captcha: {bits: 31}\n", []string{"7:21: tenants.avengers.captcha.bits: 31 is not between 1 and 30"}},
		"a puzzle of less than nothing": {goodTenant + "captcha: {bits: -1}\n", []string{"7:21: tenants.avengers.captcha.bits: -1 is not between 1 and 30"}},
		"bits of a picture":             {goodTenant + "captcha: {type: image, bits: 17}\n", []string{"7:34: tenants.avengers.captcha.bits: are for proof_of_work alone"}},
		"one address of two tenants": {goodTenant + "\n  wakanda: {issuer: https://login.example.com/avengers, directories: {staff: {type: local}}}\n",
			[]string{"8:21: tenants.wakanda.issuer: is the issuer of tenant avengers too"}},
		"two tenants without an address": {goodHead + "tenants: {a: {directories: {s: {type: local}}}, b: {directories: {s: {type: local}}}}\n",
			[]string{"2:11: tenants.a.issuer: is missing", "2:49: tenants.b.issuer: is missing"}},
		"an issuer with an empty query": {strings.Replace(goodTenant, "com/avengers", "com/avengers?", 1), []string{"4:13: tenants.avengers.issuer: a query or fragment is not allowed"}},

		"more methods than there are":     {policy("reset: true, methods_required: 3"), []string{"7:71: tenants.avengers.policies[0].methods_required: reset needs 3 of the methods enabled for it, and they are 2 (email, totp): nobody could"}},
		"more methods than reset":         {policy("reset: true, methods: {totp: {for: [sign_in]}}"), []string{"7:16: tenants.avengers.policies[0].methods_required: reset needs 1 of the methods enabled for it, and they are 0: nobody could"}},
		"factors there are not":           {policy("reset: true, methods_required: 2, different_factors: true"), []string{"7:93: tenants.avengers.policies[0].different_factors: the methods enabled for reset are all of one kind of factor (email, totp): nobody could"}},
		"factors of one method":           {policy("reset: true, different_factors: true"), []string{"7:72: tenants.avengers.policies[0].different_factors: two kinds of factor take two methods, and methods_required is 1"}},
		"a second factor there is not":    {policy("second_factor: required, methods: {email: {}}"), []string{"7:55: tenants.avengers.policies[0].second_factor: required, and no enabled method is for sign_in"}},
		"one authenticator for all":       {policy("reset: true, second_factor: required"), []string{"7:68: tenants.avengers.policies[0].second_factor: " + second}},
		"one authenticator, and accepted": {policy("reset: true, second_factor: required, accept_single: true"), nil},
		"an e-mail code at sign-in":       {policy("methods: {email: {for: [reset, sign_in]}}"), []string{"7:71: tenants.avengers.policies[0].methods.email.for[1]: email is no method for sign_in"}},
		"a use that is none":              {policy("methods: {totp: {for: [manage]}}"), []string{`7:63: tenants.avengers.policies[0].methods.totp.for[0]: "manage" is not one of sign_in, reset`}},
		"the password as a way back":      {policy("methods: {password: {}}, reset: true"), []string{"7:50: tenants.avengers.policies[0].methods.password: no such method: email or totp"}},
		"what cannot be read is not judged": {policy("reset: true, methods_required: two, second_factor: required"),
			[]string{`7:71: tenants.avengers.policies[0].methods_required: a whole number is expected here, not "two"`}},
		"what is misspelt is not judged": {policy("reset: true, second_factor: required, accept_singel: true"),
			[]string{`7:78: tenants.avengers.policies[0].accept_singel: unknown key; did you mean "accept_single"?`}},

		"a secret that is not there":      {strings.Replace(goodTenant, "file:wiki.secret", "file:no", 1), []string{"6:34: tenants.avengers.clients[0].secret: there is no file no"}},
		"a client that cannot be private": {strings.Replace(goodTenant, "secret: file:wiki.secret", "public: yes", 1), []string{`6:34: tenants.avengers.clients[0].public: true or false is expected here, not "yes"`}},
		"a client without a secret":       {strings.Replace(goodTenant, "secret: file:wiki.secret, ", "", 1), []string{"6:15: tenants.avengers.clients[0].secret: is missing (or say public: true)"}},
		"a client twice, and all wrong": {strings.Replace(goodTenant, "    clients: [", `    clients: [{id: wiki, secret: file:wiki.secret, scopes: [openid, admin], grants: [password], auth_method: none,
      redirect_uris: ["https://*.example.com/", "javascript:alert(1)"], pkce: optional}, `, 1), []string{
			`6:69: tenants.avengers.clients[0].scopes[1]: "admin" is not one of openid, profile, email, phone, address, groups, offline_access`,
			`6:86: tenants.avengers.clients[0].grants[0]: "password" is not one of authorization_code, refresh_token, client_credentials`,
			"6:110: tenants.avengers.clients[0].auth_method: none is for public clients, and they have no other",
			"7:23: tenants.avengers.clients[0].redirect_uris[0]: a URI is compared whole: there are no wildcards",
			"7:49: tenants.avengers.clients[0].redirect_uris[1]: the scheme must be https (native apps: http on a loopback address, or a scheme like com.example.app)",
			`7:79: tenants.avengers.clients[0].pkce: "optional" is not one of required`,
			`7:95: tenants.avengers.clients[1].id: "wiki" is there twice`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := faultsOf(t, written(t, c.file))
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("%s\nfaults:\n%s\nwant:\n%s", c.file, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// Whatever is made of one setting of a whole file, either the check finds a fault or the file opens, too.
func TestWhatPassesTheCheckOpens(t *testing.T) {
	file := written(t, blocks(t, "yaml")[1])
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var whole yaml.Node
	if err := yaml.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	database := "sqlite:" + filepath.Join(t.TempDir(), "x.db")
	opens := func(what string) bool {
		t.Helper()
		cfg, err := sparekey.LoadConfig(file)
		if err != nil {
			return false
		}
		cfg.Database, cfg.Keyring = database, "" // another server may not be here
		p, err := sparekey.Open(t.Context(), cfg, sparekey.WithDirectory("avengers/staff", &directorytest.Memory{}))
		if err != nil {
			t.Errorf("%s passes the check, and does not open: %v", what, err)
			return true
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		return true
	}
	if !opens("the file as it is") {
		t.Fatal("the README's file does not pass")
	}
	var leaves []*yaml.Node
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 {
				continue
			}
			if walk(child); child.Kind == yaml.ScalarNode {
				leaves = append(leaves, child)
			}
		}
	}
	walk(&whole)
	passed, refused := 0, 0
	for i, leaf := range leaves {
		was := *leaf
		for j, value := range []string{"-1", "0", "3", "31", "true", "x", "", "program", "none", "http://x:1/y#z", "0s", "1s", "ä", "file:x", "a@b.example"} {
			if (i+j)%3 > 0 { // a third of all: each setting meets five values, each value a third of the settings
				continue
			}
			*leaf = yaml.Node{Kind: yaml.ScalarNode, Value: value, Tag: "!!str"}
			if value != "" && value != "x" { // as a plain word
				leaf.Tag = ""
			}
			changed, err := yaml.Marshal(&whole)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			if opens(fmt.Sprintf("line %d with %q instead of %q", was.Line, value, was.Value)) {
				passed++
			} else {
				refused++
			}
		}
		*leaf = was
	}
	if passed < 50 || refused < 300 {
		t.Errorf("%d pass and %d do not", passed, refused)
	}
}

// The words that the file may use for a client are those that discovery offers, and editors learn them from the schema.
func TestTheWordsForAClientAreThoseOfDiscovery(t *testing.T) {
	h := open(t, with(func(t *sparekey.Tenant) {
		t.Clients = append(t.Clients, sparekey.Client{ID: "job", Secret: config.NewSecret("job-secret"), Grants: []string{"client_credentials"}, Scopes: []string{"work"}})
	}))
	res, err := h.client.Get(h.issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var offered map[string]any
	if err := json.NewDecoder(res.Body).Decode(&offered); err != nil {
		t.Fatal(err)
	}
	schema, err := json.Marshal(config.Schema(sparekey.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	for name, metadata := range map[string]string{"Grants": "grant_types_supported", "AuthMethod": "token_endpoint_auth_methods_supported"} {
		field, _ := reflect.TypeFor[sparekey.Client]().FieldByName(name)
		words := strings.Fields(field.Tag.Get("oneof"))
		var there []string
		for _, w := range offered[metadata].([]any) {
			there = append(there, w.(string))
		}
		if !slices.Equal(slices.Sorted(slices.Values(words)), slices.Sorted(slices.Values(there))) {
			t.Errorf("%s: the file may say %v, and discovery offers %v", name, words, there)
		}
		if !strings.Contains(string(schema), `"enum":["`+strings.Join(words, `","`)+`"]`) {
			t.Errorf("the schema does not list %v", words)
		}
	}
}

// Relative paths start at the file's folder, wherever the process stands: of secrets, certificates, lists and pictures alike.
func TestWhatAFileNamesLiesBesideIt(t *testing.T) {
	file := written(t, blocks(t, "yaml")[1])
	t.Chdir(filepath.Dir(filepath.Dir(file)))
	if _, err := sparekey.LoadConfig(filepath.Join(filepath.Base(filepath.Dir(file)), filepath.Base(file))); err != nil {
		t.Error(err)
	}
}

// What vouches for the mail server is what was looked at: a file that changes in between is the next reload's.
func TestTheFileOfWhoVouchesForTheMailServerIsReadOnce(t *testing.T) {
	folder := t.TempDir()
	cert, _ := certificate(t)
	put := func(name, text string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("wiki.secret", "a-long-random-text")
	authority := put("ca.pem", string(cert))
	cfg, err := sparekey.LoadConfig(put("sparekey.yaml", "mail: {from: a@example.com, smtp: {host: mx.example.com, ca_file: ca.pem}}\n"+goodTenant))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(authority); err != nil {
		t.Fatal(err)
	}
	p, err := sparekey.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}
