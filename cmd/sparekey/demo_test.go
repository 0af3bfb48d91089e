package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demonstration is the demo as a newcomer starts it: a built binary, and what it printed.
type demonstration struct {
	t                      *testing.T
	process                *exec.Cmd
	printed                string
	errors                 bytes.Buffer
	app, provider, mailbox string
}

func startDemo(t *testing.T, args ...string) *demonstration {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sparekey")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	d := &demonstration{t: t, process: exec.Command(binary, append([]string{"demo", "--listen", "localhost:0"}, args...)...)}
	d.process.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	d.process.Stderr = &d.errors
	out, err := d.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.process.Process.Kill() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		d.printed += lines.Text() + "\n"
		if strings.Contains(lines.Text(), "Ctrl-C") {
			break
		}
	}
	for word, into := range map[string]*string{"app": &d.app, "provider": &d.provider, "mailbox": &d.mailbox} {
		m := regexp.MustCompile(`(?m)^  ` + word + ` +(http://localhost:\d+\S*)`).FindStringSubmatch(d.printed)
		if m == nil {
			t.Fatalf("no %s is printed:\n%s%s", word, d.printed, d.errors.String())
		}
		*into = m[1]
	}
	return d
}

// get wants status 200 and this text on the page.
func (d *demonstration) get(c *http.Client, address, text string) *url.URL {
	d.t.Helper()
	res, err := c.Get(address)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), text) {
		d.t.Fatalf("%s: %d %v, without %q:\n%s", address, res.StatusCode, err, text, body)
	}
	return res.Request.URL
}

// interrupt presses Ctrl-C and wants it to end by itself, with exit code 0 and nothing to complain about.
func (d *demonstration) interrupt() {
	d.t.Helper()
	if err := d.process.Process.Signal(syscall.SIGINT); err != nil {
		d.t.Fatal(err)
	}
	stuck := time.AfterFunc(20*time.Second, func() { d.process.Process.Kill() })
	defer stuck.Stop()
	if err := d.process.Wait(); err != nil || d.errors.Len() > 0 {
		d.t.Errorf("after an interrupt: %v\n%s", err, d.errors.String())
	}
}

func TestTheDemoPrintsWhatAnswersAndStopsOnAnInterrupt(t *testing.T) {
	d := startDemo(t)
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	d.get(browser, d.app, "Mission Wiki")
	d.get(browser, d.mailbox, "<h1")
	for _, issuer := range []string{d.provider, strings.Replace(d.provider, "/avengers", "/wakanda", 1)} {
		if !strings.Contains(d.printed, issuer) {
			t.Errorf("%s is not printed:\n%s", issuer, d.printed)
		}
		res, err := browser.Get(issuer + "/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		var found struct {
			Issuer string
			Keys   string `json:"jwks_uri"`
		}
		err = json.NewDecoder(res.Body).Decode(&found)
		res.Body.Close()
		if err != nil || found.Issuer != issuer {
			t.Errorf("discovery at %s: %v, issuer %q", issuer, err, found.Issuer)
		}
		d.get(browser, found.Keys, `"keys"`)
		d.get(browser, issuer+"/reset", "Get back into your account")
	}
	origin := strings.TrimSuffix(d.provider, "/avengers")
	d.get(browser, origin+"/healthz", "")
	d.get(browser, origin+"/readyz", "")
	for _, u := range demoUsers {
		if !regexp.MustCompile(u.tenant + ` +` + u.login + ` +` + u.password).MatchString(d.printed) {
			t.Errorf("%s of %s is not printed:\n%s", u.login, u.tenant, d.printed)
		}
	}
	if at := d.get(browser, d.app+"sign-in/avengers", "Sign in"); !strings.HasPrefix(at.String(), d.provider+"/flow/") {
		t.Errorf("the app sends its users to %s, want the provider's sign-in", at)
	}
	d.get(browser, d.app+"sign-in/avengers", "Sign in") // in a second tab
	app, _ := url.Parse(d.app)
	if begun := slices.DeleteFunc(jar.Cookies(app), func(c *http.Cookie) bool { return c.Value != "begun" }); len(begun) != 2 {
		t.Errorf("of two sign-ins in two tabs the browser knows %d", len(begun))
	}
	d.interrupt()
	if left, _ := filepath.Glob(filepath.Join(d.process.Env[len(d.process.Env)-1][len("TMPDIR="):], "sparekey-demo-*")); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
}

func TestTheDemoKeepsItsUsersWhereItIsToldTo(t *testing.T) {
	data := filepath.Join(t.TempDir(), "demo")
	for range 2 {
		d := startDemo(t, "--data", data)
		d.get(http.DefaultClient, d.mailbox, "<h1")
		d.interrupt()
	}
	if _, err := os.Stat(filepath.Join(data, "sparekey.db.keyring")); err != nil {
		t.Error(err)
	}
}

// In a container the demo has to listen to the outside; it says what that means, and shows nobody the text of an error.
func TestTheDemoSaysThatOthersMayReachItAndShowsNoErrorsText(t *testing.T) {
	d := startDemo(t, "--listen", "0.0.0.0:0", "--exposed")
	if !strings.Contains(d.printed, "OTHER MACHINES MAY REACH IT") || strings.Contains(d.printed, "Nothing leaves") {
		t.Errorf("it prints:\n%s", d.printed)
	}
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	at := d.get(browser, d.app+"sign-in/avengers", "Sign in")
	app, err := url.Parse(d.app)
	if err != nil {
		t.Fatal(err)
	}
	state := ""
	for _, c := range jar.Cookies(app) {
		if strings.HasSuffix(c.Name, "-state") {
			state = c.Value
		}
	}
	issuer := strings.SplitAfter(at.String(), "/avengers")[0]
	res, err := browser.Get(d.app + "callback?" + url.Values{"state": {state}, "iss": {issuer}, "error": {"server_error"}, "error_description": {"tell-nobody"}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusBadGateway || !strings.Contains(string(body), "did not work") || strings.Contains(string(body), "tell-nobody") || strings.Contains(string(body), "server_error") {
		t.Errorf("%d %v:\n%s", res.StatusCode, err, body)
	}
	d.interrupt()
}
