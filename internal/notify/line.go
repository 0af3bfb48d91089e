package notify

import (
	"context"
	"net"
	"sync"
	"time"
)

// line is the connection to a mail server on which every read and every write has step, whatever deadlines others set, and which
// anybody may hang up at any time: a server that answers a letter at a time holds nobody up for long.
type line struct {
	net.Conn // nil until dialled
	step     time.Duration
	mu       sync.Mutex
	over     bool
}

func (l *line) dial(ctx context.Context, network, address string) error {
	dialer := net.Dialer{Timeout: l.step}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Conn = conn; l.over {
		conn.Close()
		return net.ErrClosed
	}
	return nil
}

// hangUp closes the connection, now or as soon as there is one.
func (l *line) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.Conn != nil {
		l.Conn.Close()
	}
}

func (l *line) SetDeadline(time.Time) error      { return nil }
func (l *line) SetReadDeadline(time.Time) error  { return nil }
func (l *line) SetWriteDeadline(time.Time) error { return nil }

func (l *line) Read(b []byte) (int, error) {
	if err := l.Conn.SetReadDeadline(time.Now().Add(l.step)); err != nil {
		return 0, err
	}
	return l.Conn.Read(b)
}

func (l *line) Write(b []byte) (int, error) {
	if err := l.Conn.SetWriteDeadline(time.Now().Add(l.step)); err != nil {
		return 0, err
	}
	return l.Conn.Write(b)
}
