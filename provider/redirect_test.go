package provider

import (
	"net/url"
	"strings"
	"testing"
)

// tricks turns an address of the wiki into ones that look like it (SECURITY A35), to a careless eye or a careless parser.
func tricks(good string) []string {
	u, _ := url.Parse(good)
	host, path := u.Host, u.Path
	list := []string{
		good + "/", good + "//", good + "?", good + "#", good + "?x", good + "?x=y", good + "#x", good + ";x", good + "/..", good + "/.", good + "/../callback", good + "%20", good + " ", " " + good, good + "\n", good + "\r\nLocation:x",
		good + "\t", good + "\x00", good + "%00", good + "%0d%0a", good + ".", good + "&", good + "/%2e%2e/x", good + "/..;/x", good + "..", good + "%2f", good + "\\", good + "@evil.example", good + ":evil",
		strings.ToUpper(good), "HTTPS://" + host + path, "https://" + strings.ToUpper(host) + path, "http://" + host + path, "//" + host + path, path, "https:" + host + path, "https:/" + host + path, "https:///" + host + path,
		"https:\\\\" + host + path, "https://" + host + "\\" + path, "https://" + host + "\\@evil.example" + path, "https://" + host + "@evil.example" + path, "https://" + host + ":443" + path, "https://" + host + ":80" + path, "https://" + host + ":" + path, "https://" + host + ":0443" + path,
		"https://" + host + "." + path, "https://" + host + ".evil.example" + path, "https://evil." + host + path, "https://evil" + host + path, "https://evil.example/" + host + path, "https://evil.example?" + good, "https://evil.example#" + good, "https://evil.example/" + good,
		"https://user@" + host + path, "https://user:pass@" + host + path, "https://:@" + host + path, "https://@" + host + path, "https://evil.example\\@" + host + path, "https://evil.example%2f@" + host + path, "https://evil.example%5c@" + host + path, "https://evil.example#@" + host + path, "https://evil.example?@" + host + path, "https://evil.example;@" + host + path,
		"https://" + host + "%2eevil.example" + path, "https://" + host + "%00.evil.example" + path, "https://" + host + "\t.evil.example" + path, "https://" + host + "%E3%80%82evil.example" + path, "https://" + host + "。evil.example" + path, "https://" + host + "／evil.example" + path,
		"https://" + strings.Replace(host, "i", "ı", 1) + path, "https://" + strings.Replace(host, "w", "ｗ", 1) + path, "https://" + strings.Replace(host, "e", "е", 1) + path, "https://" + strings.Replace(host, ".", "。", 1) + path, "https://" + strings.Replace(host, ".", "%2e", 1) + path, "https://xn--" + host + path,
		"https://" + host + "/" + path, "https://" + host + "/." + path, "https://" + host + "/x/.." + path, "https://" + host + "/x/..;" + path, "https://" + host + "/x/%2e%2e" + path, "https://" + host + "/x/.%2e" + path, "https://" + host + "/%2e" + path, "https://" + host + "/..;" + path, "https://" + host + "/" + url.PathEscape(path), "https://" + host + strings.ToUpper(path), "https://" + host + path[:len(path)-1], "https://" + host + path + "x", "https://" + host + strings.Replace(path, "c", "%63", 1), "https://" + host + strings.Replace(path, "a", "%61", 1), "https://" + host, "https://" + host + "/", "https://" + host + "?" + path, "https://" + host + "#" + path, "https://" + host + ";" + path,
		"javascript:alert(1)//" + good, "javascript://" + host + path + "%0aalert(1)", "JaVaScRiPt:alert(1)", "\x01javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,<script>location='" + good + "'</script>", "data:," + good, "vbscript:" + good, "blob:" + good, "filesystem:" + good, "view-source:" + good, "file://" + host + path, "ftp://" + host + path, "ws://" + host + path, "wss://" + host + path, "about:blank", "intent://" + host + path, "mailto:" + host,
		"", "/", "//", "///", "\\", "\\\\" + host + path, "/\\" + host + path, "//evil.example", "/%2f%2fevil.example", ".", "..", "?", "#", "https://", "https:", "http:", ":", "*", "null", "undefined", "https://*", "https://*.example.com/callback", "https://wiki.example.com/*", "https://wiki.example.com*", "urn:ietf:wg:oauth:2.0:oob", "urn:ietf:wg:oauth:2.0:oob:auto", "postmessage", "storagerelay://https/wiki.example.com",
		"http://localhost/callback", "http://127.0.0.1/callback", "http://127.0.0.1:80/callback", "http://[::1]/callback", "http://0.0.0.0/callback", "http://127.1/callback", "http://2130706433/callback", "http://0x7f.1/callback", "http://localhost.evil.example/cb", "http://127.0.0.1.evil.example/cb", "http://127.0.0.1@evil.example/cb", "http://[::ffff:127.0.0.1]/cb", "https://127.0.0.1/cb", "http://localhost:8081@evil.example/cb",
		"https://evil.example/callback", "https://EVIL.example", "https://wiki.example.org/callback", "https://wiki.example.co/callback", "https://wiki.example.comm/callback", "https://wikiexample.com/callback", "https://wiki-example.com/callback", "https://example.com/callback", "https://com/callback", "https://spa.example.com/cb", "https://login.example.com/avengers/authorize", issuer, "https://[wiki.example.com]/callback", "https://wiki.example.com]/callback", "https://[::]/callback",
		"https://wiki.example.com/callback/../../evil", "https://wiki.example.com/callback%2f..%2fevil", "https://wiki.example.com/callback%252f", "https://wiki.example.com/callback?code=x", "https://wiki.example.com/callback?state=x&iss=y", "https://wiki.example.com/callback&code=x", "https://wiki.example.com/callback#code=x", "https://wiki.example.com/callback?redirect=https://evil.example", "https://wiki.example.com/callback/https://evil.example", "https://wiki.example.com/\u202ecallback", "https://wiki.example.com/callback\u200b", "\ufeffhttps://wiki.example.com/callback", "https://wiki.example.com/callback\u2028", "https://wiki.example.com/сallback", "https://wiki.example.com:65536/callback", "https://wiki.example.com:-1/callback", "https://wiki.example.com:443:443/callback",
	}
	for _, r := range "<>\"'`{}|^[]()!$*+,;=" {
		list = append(list, good+string(r))
	}
	return list
}

func TestA35_NoTrickLeadsAwayFromARegisteredAddress(t *testing.T) {
	h := newHouse(t)
	b, tk := h.granted()
	corpus := tricks(callback)
	if len(corpus) < 200 {
		t.Fatalf("the corpus has %d entries", len(corpus))
	}
	for _, uri := range corpus {
		if uri == callback || uri == "" {
			continue
		}
		if a := b.authorize("redirect_uri", uri); a.StatusCode != 400 || a.Header.Get("Location") != "" || strings.Contains(a.body, "evil") {
			t.Errorf("redirect_uri %q: %d %s", uri, a.StatusCode, a.Header.Get("Location"))
		}
		for _, c := range []string{"spa", "app"} {
			if a := b.authorize("client_id", c, "redirect_uri", uri); a.Header.Get("Location") != "" && uri != "https://spa.example.com/cb" {
				t.Errorf("redirect_uri %q of %s: %s", uri, c, a.Header.Get("Location"))
			}
		}
	}
	for _, uri := range tricks(goodbye) {
		if uri == goodbye {
			continue
		}
		if a := b.logout("id_token_hint", tk.id, "post_logout_redirect_uri", uri); !strings.HasPrefix(a.Header.Get("Location"), "/avengers/flow/") {
			t.Errorf("post_logout_redirect_uri %q: %s", uri, a.Header.Get("Location"))
		}
	}
}

func TestA35_PathsAreNotGuessed(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	for _, path := range []string{"/avengers/authorize/", "/avengers//authorize", "/avengers/./authorize", "/avengers/x/../authorize", "/avengers/authorize;x", "/avengers/..;/avengers/authorize", "/AVENGERS/authorize", "/avengers/%61uthorize/", "//avengers/authorize", "//evil.example/avengers/authorize", "/avengers/authorize%2f"} {
		a := b.get(h.p.origin + path + "?" + h.ask().Encode())
		if to := a.Header.Get("Location"); strings.Contains(to, "code=") || strings.HasPrefix(to, "//") || strings.Contains(to, "//evil") {
			t.Errorf("%s: %d %s", path, a.StatusCode, to)
		}
	}
}

func TestOA01_TheLoopbackPortIsFreeForNativeClientsAlone(t *testing.T) {
	native := newClient(Client{ID: "app", Public: true, Native: true, RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]:1/cb", "http://localhost/cb?x=y", "com.example.app:/cb"}})
	plain := newClient(Client{ID: "web", Public: true, RedirectURIs: []string{"http://127.0.0.1/cb"}})
	for uri, ok := range map[string]bool{
		"http://127.0.0.1/cb": true, "http://127.0.0.1:49152/cb": true, "http://127.0.0.1:1/cb": true, "http://[::1]:4711/cb": true, "http://[::1]/cb": true, "http://localhost:80/cb?x=y": true, "com.example.app:/cb": true,
		"http://127.0.0.1:49152/cb?x": false, "http://127.0.0.1:49152/other": false, "http://127.0.0.1:/cb": false, "http://127.0.0.1:x/cb": false, "http://127.0.0.1:123456/cb": false, "http://127.0.0.1:80@evil.example/cb": false,
		"http://127.0.0.1.evil.example/cb": false, "http://127.0.0.1@evil.example/cb": false, "http://127.0.0.2:80/cb": false, "https://127.0.0.1:80/cb": false, "http://localhost:80/cb": false, "http://localhost.evil.example/cb?x=y": false,
		"http://[::1]:80/cb/": false, "http://[::1]evil/cb": false, "com.example.app:/cb/x": false, "com.example.app://cb": false, "http://127.0.0.1:80": false, "http://127.0.0.1:٣/cb": false,
	} {
		if got := native.sendsTo(uri); got != ok {
			t.Errorf("native %s: %v", uri, got)
		}
		if got := plain.sendsTo(uri); got != (uri == "http://127.0.0.1/cb") {
			t.Errorf("not native %s: %v", uri, got)
		}
	}
	h := newHouse(t)
	b := h.browser()
	b.signedIn(ironman)
	if to := b.authorize("client_id", "app", "redirect_uri", "http://127.0.0.1:5000/cb").location(); to.Host != "127.0.0.1:5000" || to.Query().Get("code") == "" {
		t.Error(to)
	}
}

func TestTheOriginOfAnAddress(t *testing.T) {
	for uri, want := range map[string]string{"https://a.example/cb": "https://a.example", "https://a.example:8443?x=/": "https://a.example:8443", "http://127.0.0.1:5/x": "http://127.0.0.1:5", "com.example.app:/cb": "com.example.app:", "com.example.app://cb": "com.example.app:"} {
		if got := originOf(uri); got != want {
			t.Errorf("%s: %s", uri, got)
		}
	}
}
