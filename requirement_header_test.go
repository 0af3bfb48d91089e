package sparekey_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pretences are headers by which a request says that it was for another host, scheme, path, address or method.
var pretences = http.Header{
	"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Protocol": {"https"}, "X-Forwarded-Scheme": {"https"}, "X-Forwarded-Ssl": {"on"}, "X-Forwarded-Port": {"666"},
	"X-Forwarded-Prefix": {"/evil"}, "X-Forwarded-Server": {"evil.example"}, "X-Forwarded-Uri": {"/evil"}, "X-Forwarded-By": {"evil.example"}, "X-Forwarded-For": {"evil.example, 203.0.113.66"},
	"Forwarded": {"for=203.0.113.66;host=evil.example;proto=https"}, "Origin": {"https://evil.example"}, "Referer": {"https://evil.example/evil"}, "X-Original-Url": {"/evil"},
	"X-Original-Host": {"evil.example"}, "X-Rewrite-Url": {"/evil"}, "X-Host": {"evil.example"}, "X-Http-Host-Override": {"evil.example"}, "X-Real-Ip": {"203.0.113.66"}, "True-Client-Ip": {"203.0.113.66"},
	"X-Http-Method-Override": {"DELETE"}, "X-Method-Override": {"DELETE"}, "X-Http-Method": {"DELETE"}, "X-Scheme": {"https"}, "X-Url-Scheme": {"https"}, "Front-End-Https": {"on"}, "Base-Url": {"https://evil.example"},
	"X-Wap-Profile": {"https://evil.example"}, "Destination": {"https://evil.example"}, "X-Forwarded": {"for=evil.example"}, "Via": {"1.1 evil.example"}, "Content-Location": {"https://evil.example"},
}

var (
	// links are the addresses of a page or a mail.
	links = regexp.MustCompile(`(?:href|src|action|content)="([^"]*)"|(https?://[^\s"<>]+)`)
	ids   = regexp.MustCompile(`(flow|request|posted|code)([/=])[\w-]+`)
)

// account writes down, answer by answer, what the browser is told about where it is: addresses, cookies, links.
func account(t *testing.T, b *browser, into *[]string) {
	h := b.h
	b.watch(func(r *http.Request, _ []byte, send func(*http.Request) *http.Response) *http.Response {
		res := send(r)
		line := fmt.Sprint(r.Method, " ", ids.ReplaceAllString(r.URL.Path, "$1$2~"), " ", res.StatusCode, " ", ids.ReplaceAllString(res.Header.Get("Location"), "$1$2~"))
		for _, c := range res.Cookies() {
			line += fmt.Sprint(" ", c.Name, c.Path, c.Domain, c.Secure, c.HttpOnly, c.SameSite)
		}
		*into = append(*into, strings.ReplaceAll(line, h.origin, "~"))
		body := text(res)
		if strings.Contains(body+fmt.Sprint(res.Header), "evil.") || strings.Contains(body, ":666") {
			t.Errorf("%s %s tells of what the headers say: %v %s", r.Method, r.URL.Path, res.Header, body)
		}
		if to := res.Header.Get("Location"); to != "" && !strings.HasPrefix(to, "/avengers/") && !strings.HasPrefix(to, callback+"?") {
			t.Errorf("%s leads to %q", r.URL.Path, to)
		}
		for _, m := range links.FindAllStringSubmatch(body, -1) {
			if a := m[1] + m[2]; strings.HasPrefix(a, "//") || strings.HasPrefix(a, "http") && !strings.HasPrefix(a, h.issuer) && !strings.HasPrefix(a, "http://www.w3.org/") {
				t.Errorf("%s shows %q", r.URL.Path, a)
			}
		}
		return res
	})
}

// described are the addresses that discovery and a sign-in give, and what every page on the way says of them.
func described(t *testing.T, h *house, header http.Header) (lines []string) {
	t.Helper()
	prepare := func(b *browser) { b.header = header; account(t, b, &lines) }
	tour(t, h, prepare)
	b := h.browser()
	prepare(b)
	done := b.signIn("pepper", password)
	if done = b.registerBoth("pepper@home.example"); done.query("code") == "" || done.query("iss") != h.issuer {
		t.Fatalf("%d %s %q", done.status, done.h1(), done.location)
	}
	got := h.redeem(done)
	if claimsOf(t, got.ID)["iss"] != h.issuer {
		t.Errorf("the ID token is of %v", claimsOf(t, got.ID)["iss"])
	}
	for _, path := range []string{"/avengers/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/avengers"} {
		lines = append(lines, strings.ReplaceAll(b.get(path).body, h.origin, "~"))
	}
	b.get("/avengers/.well-known/change-password")
	if p := b.authorize("scope", "profile"); p.query("iss") != h.issuer || p.query("error") == "" {
		t.Errorf("an error is of %q", p.query("iss"))
	}
	h.drained()
	n := 0
	for _, m := range h.mails.all() {
		for _, found := range links.FindAllStringSubmatch(m.text+" "+m.html, -1) {
			if a := found[1] + found[2]; strings.HasPrefix(a, "http") {
				if n++; !strings.HasPrefix(a, h.issuer+"/") {
					t.Errorf("the mail %q has the link %q", m.subject, a)
				}
			}
		}
		if strings.Contains(m.subject+m.text+m.html, "evil.") {
			t.Errorf("the mail %q tells of what the headers say: %s", m.subject, m.text)
		}
	}
	if n < 10 {
		t.Errorf("%d links in mails were seen", n)
	}
	for i := range lines {
		lines[i] = regexp.MustCompile(`not-me/[\w-]+`).ReplaceAllString(strings.ReplaceAll(lines[i], url.QueryEscape(h.origin), "~"), "not-me/~")
	}
	return lines
}

// registerBoth registers an app and an address, as who needs two methods, and gives where that leads.
func (b *browser) registerBoth(address string) page {
	b.h.t.Helper()
	b.want("More information required")
	b.app()
	b.post("email", address, "action", "next")
	b.post("code", b.h.code(1, address), "action", "verify")
	b.want("All set")
	return b.post("action", "done")
}

func TestA12_NoHeaderChangesALinkARedirectACookieOrTheIssuer(t *testing.T) {
	want := described(t, open(t), nil)
	for name, settings := range map[string][]setting{
		"from anybody": nil, "from a trusted proxy": {func(h *house) { h.cfg.TrustedProxies = []string{"127.0.0.0/8", "::1/128"} }},
	} {
		t.Run(name, func(t *testing.T) {
			got := described(t, open(t, settings...), pretences)
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || got[i] != want[i] {
					t.Fatalf("answer %d is\n%s\nand would be\n%s", i, strings.Join(got[i:min(i+1, len(got))], ""), strings.Join(want[i:min(i+1, len(want))], ""))
				}
			}
		})
	}
}

// bare sends a request as it is written and gives the answer.
func (h *house) bare(lines ...string) page {
	h.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.origin, "http://"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, strings.Join(append(lines, "Connection: close", "", ""), "\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		h.t.Fatalf("%q: %v", lines, err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return page{status: res.StatusCode, body: string(body), header: res.Header, location: res.Header.Get("Location")}
}

func TestA12_AnotherHostIsNoTenant(t *testing.T) {
	h := open(t)
	own := strings.TrimPrefix(h.origin, "http://")
	_, port, _ := net.SplitHostPort(own)
	paths := []string{"/avengers/reset", "/avengers/security-info", "/avengers/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/avengers", "/avengers/logout", "/avengers/signed-out",
		"/avengers/authorize?client_id=wiki&response_type=code&scope=profile&redirect_uri=" + url.QueryEscape(callback)}
	for _, path := range paths {
		want := h.bare("GET "+path+" HTTP/1.1", "Host: "+own)
		if want.status != http.StatusOK && want.status != http.StatusSeeOther {
			t.Fatalf("%s: %d", path, want.status)
		}
		for name, lines := range map[string][]string{
			"Host":                          {"GET " + path + " HTTP/1.1", "Host: evil.example"},
			"Host with our port":            {"GET " + path + " HTTP/1.1", "Host: evil.example:" + port},
			"Host with ours before it":      {"GET " + path + " HTTP/1.1", "Host: " + own + ".evil.example"},
			"Host with ours behind it":      {"GET " + path + " HTTP/1.1", "Host: evil.example/" + own},
			"Host with ours as a user":      {"GET " + path + " HTTP/1.1", "Host: " + own + "@evil.example"},
			"no port":                       {"GET " + path + " HTTP/1.1", "Host: localhost"},
			"another port":                  {"GET " + path + " HTTP/1.1", "Host: localhost:1"},
			"another name of this machine":  {"GET " + path + " HTTP/1.1", "Host: 127.0.0.1:" + port},
			"a dot at the end":              {"GET " + path + " HTTP/1.1", "Host: localhost.:" + port},
			"no Host":                       {"GET " + path + " HTTP/1.0"},
			"two":                           {"GET " + path + " HTTP/1.1", "Host: " + own, "Host: evil.example"},
			"two, the other way round":      {"GET " + path + " HTTP/1.1", "Host: evil.example", "Host: " + own},
			"folded":                        {"GET " + path + " HTTP/1.1", "Host: " + own, " evil.example"},
			"an absolute form":              {"GET http://evil.example" + path + " HTTP/1.1", "Host: " + own},
			"an absolute form of https":     {"GET https://evil.example" + path + " HTTP/1.1", "Host: " + own},
			"an absolute form and our port": {"GET http://evil.example:" + port + path + " HTTP/1.1", "Host: " + own},
		} {
			p := h.bare(lines...)
			if p.status != http.StatusNotFound && p.status != http.StatusBadRequest || p.location != "" || len(p.header["Set-Cookie"]) > 0 || strings.Contains(p.body, "<") {
				t.Errorf("%s, %s: %d %q %s", path, name, p.status, p.location, p.body)
			}
			if strings.Contains(p.body+fmt.Sprint(p.header), "evil.") {
				t.Errorf("%s, %s: it is repeated: %v %s", path, name, p.header, p.body)
			}
		}
		// In the absolute form the Host header counts for nothing (RFC 9112 §3.2.2), nor does the case of either.
		for name, lines := range map[string][]string{
			"our absolute form":          {"GET http://" + own + path + " HTTP/1.1", "Host: evil.example"},
			"our absolute form of https": {"GET https://" + own + path + " HTTP/1.1", "Host: evil.example"},
			"capitals":                   {"GET " + path + " HTTP/1.1", "Host: LOCALHOST:" + port},
		} {
			p := h.bare(lines...)
			cookies := func(p page) (list []string) {
				for _, c := range (&http.Response{Header: p.header}).Cookies() {
					list = append(list, fmt.Sprint(c.Name, c.Path, c.Domain, c.Secure))
				}
				return list
			}
			if p.status != want.status || ids.ReplaceAllString(p.location, "$1$2~") != ids.ReplaceAllString(want.location, "$1$2~") || !slices.Equal(cookies(p), cookies(want)) {
				t.Errorf("%s, %s: %d %q %q", path, name, p.status, p.location, cookies(p))
			}
			if all := strings.ToLower(p.body + fmt.Sprint(p.header)); strings.Contains(all, "evil.") || strings.Contains(p.body, "LOCALHOST") || strings.Contains(all, "https://localhost") {
				t.Errorf("%s, %s: %v %s", path, name, p.header, p.body)
			}
			if strings.Contains(path, "well-known") && p.body != want.body {
				t.Errorf("%s, %s: %s", path, name, p.body)
			}
		}
	}
}

// claimsOf are those of a JWT, which is not verified.
func claimsOf(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}
