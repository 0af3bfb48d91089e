package web

import (
	"net/url"
	"strings"
	"testing"
)

func TestUI03_OnlyAPathOfOurOwnIsReturnedTo(t *testing.T) {
	for _, s := range []string{"/", "/security-info", "/avengers/security-info", "/avengers/", "/authorize/resume?request=abc_-1", "/a.b/~c",
		"/x?a=1&b=%20%C3%A9", "/x?next=https://wiki.example.com/", "/x?", "/.well-known/openid-configuration", "/x?a=%2F%2Fb"} {
		if got, ok := LocalPath(s); !ok || got != s {
			t.Errorf("%q: %q, %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", "x", "security-info", "?a=1", "#a", ".", "..", "./x", "../x",
		"//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\/evil.example", "\\\\evil.example", "/\\/evil.example",
		"http://evil.example", "https://evil.example", "https:evil.example", "https:/evil.example", "HTTPS://evil.example", "http:\\\\evil.example", "//evil.example@login.example.com",
		"javascript:alert(1)", "JavaScript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "vbscript:x", "mailto:a@b",
		" //evil.example", "/ /evil.example", "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "\t//evil.example", "/x\n", "/x\r\nSet-Cookie:a=b", "/\x00/evil.example", "/x\x7f",
		"/%2fevil.example", "/%2Fevil.example", "/%5cevil.example", "/%5Cevil.example", "%2f%2fevil.example", "/%252fevil.example", "/%09/evil.example", "/%0a/evil.example", "/%00", "/%2e%2e/x", "/.%2e/x", "/%c0%af/x", "/x%zz",
		"/./x", "/../x", "/x/..", "/x/../y", "/x/.", "/.//evil.example", "/..//evil.example", "/x//y", "/x/..;/y", "/..;/x", "/x;y=z", "/.../x",
		"/x#y", "/x#//evil.example", "/@evil.example", "/x:y", "/*", "/<script>", "/\"x", "/'x", "/x y", "/é", "/／evil.example", "/。", "/\u2028", "/\u202e",
		"/x?a=%0d%0aSet-Cookie:x=y", "/x?a=%00", "/x?a=%7f", "/x?a=%zz", "/x?a=%4", "/x?a=\"", "/x?a=<", "/x?a=\\", "/x?a=#", "/x?a b", "/x?a=\n", "/x?é",
		"/" + strings.Repeat("a", maxPath),
	} {
		if got, ok := LocalPath(s); ok || got != "" {
			t.Errorf("%q was accepted as %q", s, got)
		}
	}
}

func FuzzUI03_AnAcceptedPathNeverLeavesTheOrigin(f *testing.F) {
	for _, s := range []string{"/", "/a/b?c=d", "//e", "/\\e", "/%2fe", "/a?b=%0a", "/../a", "/.//e", "https://e"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://login.example.com/avengers/flow/x?y=z")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := LocalPath(s)
		if !ok {
			return
		}
		ref, err := url.Parse(got)
		if err != nil || got != s {
			t.Fatalf("%q: %v", s, err)
		}
		to := base.ResolveReference(ref)
		path, query, _ := strings.Cut(s, "?")
		if to.Scheme != "https" || to.Host != "login.example.com" || to.User != nil || to.Fragment != "" || to.EscapedPath() != path || to.RawQuery != query {
			t.Fatalf("%q leads to %v", s, to)
		}
	})
}
