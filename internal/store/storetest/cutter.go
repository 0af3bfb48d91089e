package storetest

import (
	"bytes"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
)

// Cutter listens on loopback in front of the PostgreSQL server of a URL, and gives its own. It asks at each COMMIT that comes by whether to
// cut the line there: after the server has it (delivered), or before. The client learns neither; that is what makes an outcome unknown.
func Cutter(t testing.TB, server string, at func() (cut, delivered bool)) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	network, address := "tcp", u.Host
	if folder := q.Get("host"); folder != "" {
		network, address = "unix", folder+"/.s.PGSQL."+q.Get("port")
	}
	q.Del("host")
	q.Del("port")
	q.Set("sslmode", "disable")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	u.Host, u.RawQuery = listener.Addr().String(), q.Encode()
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go carry(client, network, address, at)
		}
	}()
	return u.String()
}

// carry is one connection until it is cut or either end closes it.
func carry(client net.Conn, network, address string, at func() (cut, delivered bool)) {
	defer client.Close()
	back, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer back.Close()
	answers := make(chan bool)
	var deaf atomic.Bool
	go func() {
		defer close(answers)
		defer client.Close()
		b := make([]byte, 1<<16)
		for {
			n, err := back.Read(b)
			if err != nil {
				return
			}
			if !deaf.Load() {
				client.Write(b[:n])
			}
		}
	}()
	b := make([]byte, 1<<16)
	for {
		n, err := client.Read(b)
		if err != nil {
			return
		}
		cut, delivered := false, false
		if bytes.Contains(b[:n], []byte("COMMIT\x00")) {
			cut, delivered = at()
		}
		if cut {
			if !delivered {
				return
			}
			deaf.Store(true)
			back.Write(b[:n])
			if c, ok := back.(interface{ CloseWrite() error }); ok {
				c.CloseWrite() // the server does what it has and then ends
			}
			<-answers
			return
		}
		if _, err := back.Write(b[:n]); err != nil {
			return
		}
	}
}
