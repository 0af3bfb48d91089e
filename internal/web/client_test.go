package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func clientOf(trusted []netip.Prefix, peer string, forwarded ...string) (address, net string) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = peer
	if len(forwarded) > 0 {
		r.Header["X-Forwarded-For"] = forwarded
	}
	serve(Porch(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		address, net = Client(r).String(), Network(r)
	}), Options{Trusted: trusted}), r)
	return address, net
}

func TestA24_OnlyConfiguredProxiesAreBelieved(t *testing.T) {
	trusted := prefixes("10.0.0.0/8", "2001:db8:ffff::/48", "::ffff:192.168.0.0/112")
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no header":                       {"203.0.113.9:1", nil, "203.0.113.9"},
		"a stranger claims an address":    {"203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		"a stranger claims a proxy":       {"203.0.113.9:1", []string{"10.0.0.1"}, "203.0.113.9"},
		"a proxy without a header":        {"10.0.0.1:1", nil, "10.0.0.1"},
		"a proxy names the client":        {"10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"the client forged an entry":      {"10.0.0.1:1", []string{"127.0.0.1, 198.51.100.1"}, "198.51.100.1"},
		"the client forged a proxy":       {"10.0.0.1:1", []string{"10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		"two proxies":                     {"10.0.0.1:1", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		"a proxy behind a stranger":       {"10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		"entries on two lines":            {"10.0.0.1:1", []string{"127.0.0.1", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		"only proxies":                    {"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"rubbish":                         {"10.0.0.1:1", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		"rubbish after a proxy":           {"10.0.0.1:1", []string{"198.51.100.1, <x>, 10.0.0.2"}, "10.0.0.2"},
		"an empty entry":                  {"10.0.0.1:1", []string{"198.51.100.1,"}, "10.0.0.1"},
		"an empty line":                   {"10.0.0.1:1", []string{"198.51.100.1", ""}, "198.51.100.1"},
		"with a port":                     {"10.0.0.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		"IPv6 with brackets":              {"10.0.0.1:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"IPv6 with brackets and a port":   {"10.0.0.1:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		"IPv6 proxy":                      {"[2001:db8:ffff::1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"IPv4 peer written as IPv6":       {"[::ffff:10.0.0.1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"IPv4 client written as IPv6":     {"10.0.0.1:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"proxy network written as IPv6":   {"192.168.0.7:1", []string{"198.51.100.1"}, "198.51.100.1"},
		"a peer with a zone":              {"[fe80::1%eth0]:1", nil, "fe80::1"},
		"a peer without an address":       {"@", []string{"198.51.100.1"}, "invalid IP"},
		"Forwarded is no X-Forwarded-For": {"10.0.0.1:1", nil, "10.0.0.1"},
	} {
		if got, _ := clientOf(trusted, c.peer, c.forwarded...); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got, _ := clientOf(nil, "127.0.0.1:1", "198.51.100.1"); got != "127.0.0.1" {
		t.Errorf("nothing is configured, and %s was believed", got)
	}
}

func TestA24_IPv6IsCountedByItsSlash64(t *testing.T) {
	for peer, want := range map[string]string{
		"198.51.100.1:1":            "198.51.100.1",
		"[::ffff:198.51.100.1]:1":   "198.51.100.1",
		"[2001:db8:1:2:3:4:5:6]:1":  "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:99": "2001:db8:1:2::/64",
		"[2001:db8:1:3::1]:1":       "2001:db8:1:3::/64",
		"[fe80::1%eth0]:1":          "fe80::/64",
		"":                          "unknown",
		"/run/socket":               "unknown",
	} {
		if _, got := clientOf(nil, peer); got != want {
			t.Errorf("%s: %s, want %s", peer, got, want)
		}
	}
}

func TestOutsideAPorchThePeerIsTheClient(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "203.0.113.9:1"
	r.Header.Set("X-Forwarded-For", "198.51.100.1")
	if got := Client(r).String(); got != "203.0.113.9" || Network(r) != got {
		t.Errorf("%s", got)
	}
}

// The oracle walks the entries with its own few rules: a stranger gets his own address, everybody else one from the header
// that has nothing but proxies to its right.
func FuzzZ13_TheClientAddressIsNeverOneAStrangerChose(f *testing.F) {
	f.Add("203.0.113.9:1", "198.51.100.1", "for=198.51.100.1", "evil")
	f.Add("10.0.0.1:1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "", "")
	f.Add("10.0.0.1:1", "198.51.100.1:80,[2001:db8::1]:80,\t10.0.0.2", "", "")
	f.Add("[::ffff:10.0.0.1]:1", "::ffff:10.0.0.9, x", "", "")
	f.Add("[fe80::1%25]:1", "fe80::1%eth0", "", "")
	trusted := prefixes("10.0.0.0/8", "2001:db8:ffff::/48")
	proxies := trust(trusted)
	f.Fuzz(func(t *testing.T, peer, forwardedFor, forwarded, host string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = peer, host
		r.Header["X-Forwarded-For"] = []string{forwardedFor}
		r.Header["Forwarded"], r.Header["X-Real-Ip"], r.Header["X-Forwarded-Host"] = []string{forwarded}, []string{forwarded}, []string{host}
		var got netip.Addr
		serve(Porch(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = Client(r)
			if net := Network(r); net != "unknown" && got.Is6() {
				if p, err := netip.ParsePrefix(net); err != nil || p.Bits() != 64 || !p.Contains(got) {
					t.Errorf("%v is counted as %q", got, net)
				}
			}
		}), Options{Trusted: trusted}), r)

		own := address(peer)
		if !proxies.has(own) {
			if got != own {
				t.Fatalf("stranger %q became %v", peer, got)
			}
			return
		}
		if got == own {
			return
		}
		hops := strings.Split(forwardedFor, ",")
		for i := len(hops) - 1; i >= 0; i-- {
			hop := address(strings.Trim(hops[i], " \t"))
			if hop == got && hop.IsValid() {
				return
			}
			if !proxies.has(hop) {
				t.Fatalf("%q through %v gave %v, beyond the untrusted %q", forwardedFor, own, got, hops[i])
			}
		}
		t.Fatalf("%v is not in %q", got, forwardedFor)
	})
}
