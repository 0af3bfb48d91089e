package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// Client returns the address the request came from: the connection's peer or, when that is a trusted proxy, the right-most
// entry of X-Forwarded-For that is none. An entry that cannot be read ends the search at the last proxy that could.
// It is the zero Addr when the peer has no IP address.
func Client(r *http.Request) netip.Addr {
	if v := visitOf(r); v != nil {
		return v.client
	}
	return peer(r)
}

// Network returns what limits are counted by: the IPv4 address, or the /64 an IPv6 client can choose addresses from;
// "unknown" when there is no address.
func Network(r *http.Request) string { return network(Client(r)) }

// ReadNetwork gives the network of an address as an operator types it, "2001:db8::/64" too; empty: it is none.
func ReadNetwork(s string) string {
	if a := address(strings.TrimSuffix(s, "/64")); a.IsValid() {
		return network(a)
	}
	return ""
}

func network(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "unknown"
	case a.Is4():
		return a.String()
	}
	net, _ := a.Prefix(64)
	return net.String()
}

type proxies []netip.Prefix

func trust(given []netip.Prefix) proxies {
	var p proxies
	for _, net := range given {
		if a := net.Addr(); a.Is4In6() && net.Bits() >= 96 {
			net = netip.PrefixFrom(a.Unmap(), net.Bits()-96)
		}
		p = append(p, net.Masked())
	}
	return p
}

func (p proxies) has(a netip.Addr) bool {
	for _, net := range p {
		if net.Contains(a) {
			return true
		}
	}
	return false
}

// client is who stands behind the peer at.
func (p proxies) client(at netip.Addr, r *http.Request) netip.Addr {
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, hop := lines[i], ""; rest != ""; {
			if !p.has(at) {
				return at
			}
			cut := strings.LastIndexByte(rest, ',')
			hop, rest = rest[cut+1:], rest[:max(cut, 0)]
			next := address(strings.Trim(hop, " \t"))
			if !next.IsValid() {
				return at
			}
			at = next
		}
	}
	return at
}

func peer(r *http.Request) netip.Addr { return address(r.RemoteAddr) }

// address reads an IP address with or without a port and brackets. IPv4 inside IPv6 becomes IPv4, a zone is dropped.
func address(s string) netip.Addr {
	both, err := netip.ParseAddrPort(s) // a connection's peer has a port
	a := both.Addr()
	if err != nil {
		if a, err = netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err != nil {
			return netip.Addr{}
		}
	}
	return a.Unmap().WithZone("")
}
