package provider

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/internal/web"
)

// reading is an address as the WHATWG URL Standard reads it, which browsers follow: https://url.spec.whatwg.org/#url-parsing
type reading struct {
	OK                                                                           bool
	Protocol, Username, Password, Hostname, Port, Pathname, Search, Hash, Origin string
}

// node is a Node.js that reads addresses, one at a time.
type node struct {
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Reader
}

const nodeReads = `
require('readline').createInterface({input: process.stdin}).on('line', line => {
  let u = {}
  try { u = new URL(JSON.parse(line)) } catch { process.stdout.write('{"OK":false}\n'); return }
  process.stdout.write(JSON.stringify({OK: true, Protocol: u.protocol, Username: u.username, Password: u.password, Hostname: u.hostname,
    Port: u.port, Pathname: u.pathname, Search: u.search, Hash: u.hash, Origin: u.origin}) + '\n')
})`

// nodeJS starts one. Without the program the test is skipped, or fails where SPAREKEY_REQUIRE=1.
func nodeJS(t testing.TB) *node {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("SPAREKEY_REQUIRE") == "1" {
			t.Fatal("there is no node (Node.js), and SPAREKEY_REQUIRE=1 wants it")
		}
		t.Skip("there is no node (Node.js)")
	}
	cmd := exec.Command(path, "-e", nodeReads)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &node{in: in, out: bufio.NewReader(out)}
}

func (n *node) read(t testing.TB, address string) (r reading) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	line, err := json.Marshal(address)
	if err == nil {
		_, err = n.in.Write(append(line, '\n'))
	}
	if err != nil {
		t.Fatal(err)
	}
	answer, err := n.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(answer, &r)
	}
	if err != nil {
		t.Fatalf("%q: %v", address, err)
	}
	return r
}

// lenient are clients whose registered addresses leave a matcher most room.
func lenient() *client {
	return newClient(Client{ID: "app", Public: true, Native: true, RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]:1/cb?x=y", "http://localhost", "http://localhost/a/b?c=d&e", "com.example.app:/cb", callback, "https://wiki.example.com/other?a=b"}, PostLogoutRedirectURIs: []string{goodbye, "https://wiki.example.com/"}})
}

// agreed fails when an address passes and a browser would be led by it to what nobody registered.
func agreed(t *testing.T, n *node, c *client, uri string) {
	t.Helper()
	in, out := c.sendsTo(uri), c.leavesTo(uri)
	if !in && !out {
		return
	}
	got := n.read(t, uri)
	if !got.OK {
		if _, port, _, ok := loopbackURI(uri); ok && len(port) == 5 && port > "65535" {
			return // nothing listens there, and no browser goes there
		}
		t.Fatalf("%q passes, and no browser can read it", uri)
	}
	if got.Username != "" || got.Password != "" || got.Hash != "" {
		t.Fatalf("%q passes, and a browser reads %+v", uri, got)
	}
	list := c.RedirectURIs
	if out {
		list = c.PostLogoutRedirectURIs
	}
	if !slices.ContainsFunc(list, func(registered string) bool {
		want := n.read(t, registered)
		if want.Protocol == "http:" {
			want.Port, want.Origin = got.Port, got.Origin // of a loopback address it is free
		}
		return got == want
	}) {
		t.Fatalf("%q passes, and leads a browser to %+v", uri, got)
	}
}

// What the matcher lets pass leads a browser, by the browser's own rules of reading, to scheme, host, path and query of a registered address.
func TestZ02_ABrowserIsLedWhereTheMatcherThinks(t *testing.T) {
	n, c := nodeJS(t), lenient()
	var corpus []string
	for _, good := range append(append(slices.Clone(c.RedirectURIs), c.PostLogoutRedirectURIs...), "http://127.0.0.1:8080/cb", "http://[::1]/cb?x=y", "http://localhost:9") {
		if corpus = append(corpus, good); strings.Count(good, "/") > 2 {
			corpus = append(corpus, tricks(good)...)
		}
	}
	passed := 0
	for _, uri := range corpus {
		if agreed(t, n, c, uri); c.sendsTo(uri) || c.leavesTo(uri) {
			passed++
		}
	}
	if passed < 20 {
		t.Errorf("only %d addresses of %d pass", passed, len(corpus))
	}
}

// registrable reports whether the config takes the address for a redirect URI.
func registrable(native bool, uri string) bool {
	c := Config{Issuer: issuer, Clients: []Client{{ID: "a", Public: true, Native: native, RedirectURIs: []string{uri}}}}
	return len(c.Check()) == 0
}

// understood fails when an address that may be registered says something else to a browser than to the rest of the provider: its origin is what
// a page's policy lets a form be redirected to.
func understood(t *testing.T, n *node, native bool, uri string) {
	t.Helper()
	if !utf8.ValidString(uri) || !registrable(native, uri) {
		return
	}
	got := n.read(t, uri)
	u, err := url.Parse(uri)
	if err != nil || !got.OK || got.Username != "" || got.Password != "" || got.Hash != "" {
		t.Fatalf("%q may be registered, and reads %+v in a browser (%v)", uri, got, err)
	}
	if got.Protocol != strings.ToLower(u.Scheme)+":" {
		t.Fatalf("%q may be registered, and is %s in a browser", uri, got.Protocol)
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return
	}
	if origin := n.read(t, originOf(uri)); !origin.OK || origin.Origin != got.Origin || !strings.EqualFold(u.Hostname(), strings.Trim(got.Hostname, "[]")) {
		t.Fatalf("%q may be registered with the origin %q, and is of %q in a browser", uri, originOf(uri), got.Origin)
	}
	w := httptest.NewRecorder()
	web.CSP(w, httptest.NewRequest("GET", "/", nil), originOf(uri))
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+strings.ToLower(originOf(uri))+";") {
		t.Fatalf("%q may be registered, and a page's policy keeps its form from going there: %s", uri, policy)
	}
}

func TestZ02_ARegisteredAddressReadsTheSameInABrowser(t *testing.T) {
	n, taken := nodeJS(t), 0
	for _, good := range append(lenient().RedirectURIs, "https://[2001:db8::1]/cb", "https://xn--bcher-kva.example/cb") {
		corpus := []string{good}
		if strings.Count(good, "/") > 2 {
			corpus = append(corpus, tricks(good)...)
		}
		for _, uri := range corpus {
			for _, native := range []bool{false, true} {
				if understood(t, n, native, uri); registrable(native, uri) {
					taken++
				}
			}
		}
	}
	if taken < 20 {
		t.Errorf("only %d may be registered", taken)
	}
}

func FuzzZ02_ABrowserAndTheMatcherAgree(f *testing.F) {
	n, c := nodeJS(f), lenient()
	for _, good := range c.RedirectURIs {
		f.Add(good, false)
	}
	for _, trick := range append(tricks(callback), tricks("http://127.0.0.1/cb")...) {
		f.Add(trick, true)
	}
	f.Fuzz(func(t *testing.T, uri string, native bool) {
		agreed(t, n, c, uri)
		understood(t, n, native, uri)
	})
}
