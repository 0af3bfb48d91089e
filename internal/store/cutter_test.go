package store_test

import (
	"bytes"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
)

// line is a connection to PostgreSQL that can be cut in the middle of a word.
type line struct {
	url    string
	cut    atomic.Bool // at the next COMMIT
	before atomic.Bool // the COMMIT is not delivered
}

// cutAtCommit cuts the line when the next COMMIT comes by: after the server has it, or before.
func (l *line) cutAtCommit(delivered bool) {
	l.before.Store(!delivered)
	l.cut.Store(true)
}

// cutter listens on loopback in front of the server of a URL.
func cutter(t *testing.T, server string) *line {
	t.Helper()
	u, err := url.Parse(server)
	ok(t, err)
	q := u.Query()
	network, address := "tcp", u.Host
	if folder := q.Get("host"); folder != "" {
		network, address = "unix", folder+"/.s.PGSQL."+q.Get("port")
	}
	q.Del("host")
	q.Del("port")
	q.Set("sslmode", "disable")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	t.Cleanup(func() { listener.Close() })
	u.Host, u.RawQuery = listener.Addr().String(), q.Encode()
	l := &line{url: u.String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(client, network, address)
		}
	}()
	return l
}

func (l *line) carry(client net.Conn, network, address string) {
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
		if bytes.Contains(b[:n], []byte("COMMIT\x00")) && l.cut.CompareAndSwap(true, false) {
			if l.before.Load() {
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
