package journey

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestModAuthOpenIDCSignsHerInThroughTheInterstitial: Apache's module, as Debian ships it, over TLS, unchanged.
func TestModAuthOpenIDCSignsHerInThroughTheInterstitial(t *testing.T) {
	apache := need(t, "Apache", "/usr/sbin/apache2")
	module := need(t, "mod_auth_openidc", "/usr/lib/apache2/modules/mod_auth_openidc.so")
	port := freePort(t)
	site := fmt.Sprintf("http://localhost:%d", port)
	w := newWorld(t, "localhost", fmt.Sprintf("      - {id: wiki, secret: file:wiki.secret, redirect_uris: [\"%s/private/callback\"], grants: [authorization_code, refresh_token]}\n", site))
	w.write("wiki.secret", "wiki-secret\n")
	password := w.run("user", "add", "ironman", "--name", "Tony Stark", "--email", "tony@stark.example", "--group", "Avengers")
	w.start()

	root := filepath.Join(w.dir, "apache")
	for _, d := range []string{root, filepath.Join(root, "private")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for p := w.dir; p != filepath.Dir(os.TempDir()) && p != "/"; p = filepath.Dir(p) {
		_ = os.Chmod(p, 0o755) // Apache's workers are another user
	}
	if err := os.Chmod(w.cert, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "private", "index.html"), []byte("the private page"), 0o644); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf(`
ServerRoot %q
Listen 127.0.0.1:%d
ServerName localhost
PidFile pid
ErrorLog error.log
LogLevel warn auth_openidc:info
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule auth_openidc_module %s
User www-data
Group www-data
DocumentRoot %q
DirectoryIndex index.html
OIDCProviderMetadataURL %s/.well-known/openid-configuration
OIDCClientID wiki
OIDCClientSecret wiki-secret
OIDCRedirectURI %s/private/callback
OIDCCryptoPassphrase a-passphrase-for-the-test
OIDCScope "openid profile email"
OIDCRemoteUserClaim preferred_username
OIDCCABundlePath %s
OIDCCookiePath /
<Location /private>
  AuthType openid-connect
  Require valid-user
  Header set X-Remote-User "expr=%%{REMOTE_USER}"
</Location>
`, root, port, module, root, w.issuer, site, w.cert)
	if err := os.WriteFile(filepath.Join(root, "apache.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(apache, "-f", filepath.Join(root, "apache.conf"), "-DFOREGROUND")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(os.Interrupt)
		c.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(root, "error.log"))
			t.Logf("apache: %s %s", out.String(), tail(string(log), 4000))
		}
	})

	p := &person{t: t, client: w.client()}
	p.client.Jar, _ = cookiejar.New(nil)
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if res, err := p.client.Get(site + "/"); err == nil {
			res.Body.Close()
			break
		}
	}
	p.get(site + "/private/")
	p.want("Sign in")
	p.post("username", "ironman", "action", "next")
	p.post("password", password, "action", "sign_in")
	p.want("Choose a new password")
	p.post("old", password, "new", "jarvis-suits-up", "confirm", "jarvis-suits-up", "action", "next")
	p.want("More information required")
	p.post("action", "next")
	p.post("action", "next")
	key := first(p.body, `(?s)data-secret[^>]*>(.*?)<`)
	p.post("action", "next")
	p.post("code", totp(key), "action", "verify")
	p.want("All set")
	p.post("action", "done")
	if p.status != http.StatusOK || p.body != "the private page" || p.header.Get("X-Remote-User") != "ironman" {
		t.Fatalf("Apache answered %d %q for user %q at %s", p.status, p.body, p.header.Get("X-Remote-User"), p.at)
	}
}

// person clicks through pages without a browser.
type person struct {
	t      *testing.T
	client *http.Client
	at     *url.URL
	status int
	body   string
	header http.Header
}

func (p *person) do(r *http.Request) {
	p.t.Helper()
	r.Header.Set("Accept", "text/html")
	res, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	p.at, p.status, p.body, p.header = res.Request.URL, res.StatusCode, string(b), res.Header
}

func (p *person) get(address string) {
	p.t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.do(r)
}

func (p *person) post(pairs ...string) {
	p.t.Helper()
	form := url.Values{"csrf": {first(p.body, `name="csrf" value="([^"]*)"`)}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, p.at.String(), strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	p.do(r)
}

func (p *person) want(h1 string) {
	p.t.Helper()
	if got := first(p.body, `(?s)<h1[^>]*>(.*?)</h1>`); got != h1 {
		p.t.Fatalf("%s %d shows %q %q, want %q", p.at, p.status, got, first(p.body, `(?s)class="error[^"]*"[^>]*>(.*?)</p>`), h1)
	}
}

var tags = regexp.MustCompile(`(?s)<[^>]*>`)

func first(body, pattern string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(html.UnescapeString(tags.ReplaceAllString(m[1], "")))
}

// totp is what the app with this key shows now (RFC 6238).
func totp(key string) string {
	seed, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(key, " ", ""))
	if err != nil {
		return "no key"
	}
	mac := hmac.New(sha1.New, seed)
	_ = binary.Write(mac, binary.BigEndian, uint64(time.Now().Unix()/30))
	sum := mac.Sum(nil)
	o := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[o:o+4])&0x7fffffff)%1_000_000)
}
