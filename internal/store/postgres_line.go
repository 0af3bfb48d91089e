package store

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// line is what the store knows of one connection of its pool.
type line struct {
	committing atomic.Bool // between COMMIT and its answer
	warned     atomic.Bool // which came with a warning
}

// lineOf is a connection's; nil: it is none of the pool.
func lineOf(c *pgconn.PgConn) *line {
	l, _ := c.CustomData()["line"].(*line)
	return l
}

// commit sends COMMIT.
func (l *line) commit(ctx context.Context, conn *pgxpool.Conn) (pgconn.CommandTag, error) {
	l.warned.Store(false)
	l.committing.Store(true)
	tag, err := conn.Exec(ctx, "COMMIT")
	if !conn.Conn().IsClosed() { // of one that is closed the driver cancels what is under way
		l.committing.Store(false)
	}
	return tag, err
}

// errCommitting keeps the driver from cancelling a COMMIT.
var errCommitting = errors.New("store: a COMMIT under way is not cancelled")

// servers are those that a URL names. One of them at a time can be written to, and another one may be hanging.
type servers struct {
	last atomic.Pointer[pgconn.FallbackConfig] // the one that was connected to last
}

// prepare makes connections go to the server that can be written to, and never to one that repeats what another one has: it may show what is over.
func (s *servers) prepare(c *pgx.ConnConfig) {
	if c.ConnectTimeout == 0 { // for each: a server that hangs leaves time for the next one
		c.ConnectTimeout = postgresPatience / time.Duration(named(&c.Config))
	}
	theirs := c.ValidateConnect
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if theirs != nil {
			if err := theirs(ctx, conn); err != nil {
				return err
			}
		}
		return pgconn.ValidateConnectTargetSessionAttrsPrimary(ctx, conn)
	}
	c.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if l := lineOf(conn); l != nil && l.committing.Load() && n.SeverityUnlocalized == "WARNING" {
			l.warned.Store(true)
		}
	}
}

// pool makes each connection of a pool have its line, and look first where the last one was found.
//
// A COMMIT is never cancelled. One that waits for a synchronous standby is done on the primary already, which shows it to nobody until the
// standby has it: so nobody believes what a failover undoes. Cancelled, it would be shown at once. The driver cancels whatever it gives up waiting
// for. Here that fails, and the server waits on alone.
func (s *servers) pool(config *pgxpool.Config) {
	if config.PingTimeout == 0 { // for a connection that has rested
		config.PingTimeout = postgresPatience / 4
	}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		l, names := &line{}, map[string]string{}
		s.lastFirst(&c.Config)
		lookup, dial := c.LookupFunc, c.DialFunc
		c.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
			all, err := lookup(ctx, host)
			for _, address := range all {
				names[address] = host
			}
			return all, err
		}
		c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			if l.committing.Load() {
				return nil, errCommitting
			}
			return dial(ctx, network, address)
		}
		c.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
			conn.CustomData()["line"] = l
			at := conn.Conn().RemoteAddr().String()
			for _, one := range entries(&c.Config) {
				if one.at(at, names) {
					s.last.Store(&pgconn.FallbackConfig{Host: one.Host, Port: one.Port})
				}
			}
			return nil
		}
		return nil
	}
}

// lastFirst puts the server that was connected to last in front of the others.
func (s *servers) lastFirst(c *pgconn.Config) {
	last := s.last.Load()
	if last == nil {
		return
	}
	all := entries(c)
	slices.SortStableFunc(all, func(a, b entry) int { return a.rank(last) - b.rank(last) })
	c.Host, c.Port, c.TLSConfig = all[0].Host, all[0].Port, all[0].TLSConfig
	for i, one := range all[1:] {
		c.Fallbacks[i] = one.FallbackConfig
	}
}

// entry is one way to one server: with TLS and without are two.
type entry struct{ *pgconn.FallbackConfig }

// entries are those of a configuration, in their order.
func entries(c *pgconn.Config) []entry {
	all := []entry{{&pgconn.FallbackConfig{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}}
	for _, f := range c.Fallbacks {
		all = append(all, entry{f})
	}
	return all
}

func (e entry) rank(first *pgconn.FallbackConfig) int {
	if e.Host == first.Host && e.Port == first.Port {
		return 0
	}
	return 1
}

// at reports whether an address is this server's, whose name was found to be one of names.
func (e entry) at(address string, names map[string]string) bool {
	if _, own := pgconn.NetworkAddress(e.Host, e.Port); own == address {
		return true
	}
	host, port, err := net.SplitHostPort(address)
	return err == nil && names[host] == e.Host && port == strconv.Itoa(int(e.Port))
}

// named is how many servers there are.
func named(c *pgconn.Config) (n int) {
	all := entries(c)
	for i, e := range all {
		if !slices.ContainsFunc(all[:i], func(before entry) bool { return before.rank(e.FallbackConfig) == 0 }) {
			n++
		}
	}
	return n
}
