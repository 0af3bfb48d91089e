package notify

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/sparekey-id/sparekey/internal/secret"
)

// post is a mail server in this process.
type post struct {
	port  int
	roots *x509.CertPool
	mu    sync.Mutex
	mails []delivery
	// what it answers
	onMail, onRcpt, onData error
}

// delivery is one message the server took.
type delivery struct {
	from, user, greeting string
	to                   []string
	data                 string
	secure               bool
}

// certificate is one for localhost, and the pool that vouches for it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	like := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, like, like, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// serve starts a mail server that protects lines in the given way.
func serve(t *testing.T, mode string) *post {
	t.Helper()
	p := &post{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.start(t, listener, mode)
	return p
}

func (p *post) start(t *testing.T, listener net.Listener, mode string) {
	t.Helper()
	own, roots := certificate(t)
	p.port, p.roots = listener.Addr().(*net.TCPAddr).Port, roots
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		_, secure := c.TLSConnectionState()
		return &visit{post: p, now: delivery{secure: secure, greeting: c.Hostname()}}, nil
	}))
	server.Domain, server.ErrorLog = "localhost", silence{}
	server.ReadTimeout, server.WriteTimeout = 10*time.Second, 10*time.Second
	settings := &tls.Config{Certificates: []tls.Certificate{own}}
	switch mode {
	case Mandatory:
		server.TLSConfig = settings
	case Implicit:
		listener = tls.NewListener(listener, settings)
	case None:
		server.AllowInsecureAuth = true // it would take a password: nobody may send one
	}
	over := make(chan struct{})
	go func() { defer close(over); server.Serve(listener) }()
	t.Cleanup(func() { listener.Close(); server.Close(); <-over }) // a server closed before it serves would serve for ever
}

func (p *post) taken() []delivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]delivery(nil), p.mails...)
}

// sender is an SMTP that fits the server.
func (p *post) sender(mode string) *SMTP {
	return &SMTP{Host: "localhost", Port: p.port, TLS: mode, User: "sparekey", Password: "hunter2", Roots: p.roots, Timeout: 5 * time.Second}
}

type silence struct{}

func (silence) Printf(string, ...any) {}
func (silence) Println(...any)        {}

// visit is one session at the server.
type visit struct {
	post *post
	now  delivery
}

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if v.now.user = user; user != "sparekey" || password != "hunter2" {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (v *visit) Mail(from string, _ *smtp.MailOptions) error {
	v.now.from = from
	return v.post.onMail
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.now.to = append(v.now.to, to)
	return v.post.onRcpt
}

func (v *visit) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err == nil {
		err = v.post.onData
	}
	if err != nil {
		return err
	}
	v.now.data = string(b)
	v.post.mu.Lock()
	defer v.post.mu.Unlock()
	v.post.mails = append(v.post.mails, v.now)
	return nil
}

func (v *visit) Reset()        { v.now.from, v.now.to = "", nil }
func (v *visit) Logout() error { return nil }

// script is a server that says what a test makes it say, and keeps what it hears in plain text.
type script struct {
	port  int
	mu    sync.Mutex
	heard strings.Builder
}

// act starts one. answer is asked with each line a client sends; an empty one is no answer, and false hangs up.
func act(t *testing.T, greeting string, answer func(line string) (string, bool)) *script {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{port: listener.Addr().(*net.TCPAddr).Port}
	var all sync.WaitGroup
	t.Cleanup(func() { listener.Close(); all.Wait() })
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				io.WriteString(conn, greeting)
				lines := bufio.NewScanner(conn)
				for lines.Scan() {
					s.mu.Lock()
					s.heard.WriteString(lines.Text() + "\n")
					s.mu.Unlock()
					said, goOn := answer(lines.Text())
					io.WriteString(conn, said)
					if !goOn {
						return
					}
				}
			})
		}
	})
	return s
}

func (s *script) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard.String()
}

func (s *script) sender(mode string) *SMTP {
	return &SMTP{Host: "127.0.0.1", Port: s.port, TLS: mode, User: "sparekey", Password: secret.Text("hunter2"), Timeout: 5 * time.Second}
}

func permanent(err error) bool {
	var never *PermanentError
	return errors.As(err, &never)
}
