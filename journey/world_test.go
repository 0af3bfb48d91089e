package journey

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	netmail "net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// world is a server of the built binary with its TLS, its store, its mail server and its users.
type world struct {
	t          *testing.T
	dir        string
	host       string
	port       int
	issuer     string
	mails      string
	cert, key  string
	pool       *x509.CertPool
	serve      *exec.Cmd
	log        *bytes.Buffer
	mailServer string
}

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sparekey-journey-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "sparekey")
	out, err := exec.Command("go", "build", "-o", bin, "../cmd/sparekey").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return bin, nil
})

// need skips a test without the program, or fails where all are required.
func need(t *testing.T, what string, paths ...string) string {
	t.Helper()
	for _, p := range paths {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
		if _, err := os.Stat(p); err == nil && strings.Contains(p, "/") {
			return p
		}
	}
	if os.Getenv("SPAREKEY_REQUIRE") == "1" {
		t.Fatalf("%s is required and not here", what)
	}
	t.Skipf("%s is not here", what)
	return ""
}

// newWorld prepares everything; its config may be changed by edit before the server starts.
func newWorld(t *testing.T, host string, clients string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), host: host, port: freePort(t), log: &bytes.Buffer{}}
	w.issuer = fmt.Sprintf("https://%s:%d/avengers", host, w.port)
	w.mails = filepath.Join(w.dir, "mails")
	if err := os.Mkdir(w.mails, 0o700); err != nil {
		t.Fatal(err)
	}
	w.certificate()
	w.mailbox()
	w.write("sparekey.yaml", fmt.Sprintf(`
listen: 127.0.0.1:%d
tls: {cert_file: cert.pem, key_file: key.pem}
database: sqlite:sparekey.db
mail: {from: no-reply@example.test, smtp: {host: localhost, port: %s, tls: mandatory, ca_file: cert.pem}}
tenants:
  avengers:
    issuer: %s
    name: The Avengers
    branding: {accent: "#8a1c24", help: "https://help.example.test"}
    directories: {staff: {type: local}}
    administrators: {groups: [IT]}
    policies:
      - for: {groups: [Avengers]}
        reset: true
        methods: {totp: {}, email: {}}
        dead_end: direct
    passwords: {min_length: 12}
    clients:
%s`, w.port, w.mailServer, w.issuer, clients))
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// run runs a command beside the server and gives what it prints.
func (w *world) run(args ...string) string {
	w.t.Helper()
	bin, err := build()
	if err != nil {
		w.t.Fatal(err)
	}
	c := exec.Command(bin, append(args, "--config", filepath.Join(w.dir, "sparekey.yaml"))...)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		w.t.Fatalf("%v: %v: %s", args, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// start starts the server and waits until it is ready.
func (w *world) start() {
	w.t.Helper()
	bin, err := build()
	if err != nil {
		w.t.Fatal(err)
	}
	w.serve = exec.Command(bin, "serve", "--config", filepath.Join(w.dir, "sparekey.yaml"))
	w.serve.Stderr = w.log
	if err := w.serve.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		w.serve.Process.Signal(os.Interrupt)
		w.serve.Wait()
		if w.t.Failed() {
			w.t.Logf("server log:\n%s", tail(w.log.String(), 6000))
		}
	})
	client := w.client()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		res, err := client.Get(fmt.Sprintf("https://%s:%d/readyz", w.host, w.port))
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
	}
	w.t.Fatalf("not ready: %s", w.log)
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// client trusts the world's certificate and knows its names.
func (w *world) client() *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.pool},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port)) // the names stand in no DNS
		}}}
}

func (w *world) certificate() {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "journey"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost", "login.example.test", "wiki.elsewhere.example.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	w.write("cert.pem", text)
	w.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	w.cert, w.key = filepath.Join(w.dir, "cert.pem"), filepath.Join(w.dir, "key.pem")
	w.pool = x509.NewCertPool()
	w.pool.AppendCertsFromPEM([]byte(text))
}

// mailbox is a real SMTP server with STARTTLS that keeps every mail as a file.
func (w *world) mailbox() {
	w.t.Helper()
	pair, err := tls.LoadX509KeyPair(w.cert, w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		w.t.Fatal(err)
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &letterbox{dir: w.mails}, nil }))
	s.Domain, s.TLSConfig, s.AllowInsecureAuth = "localhost", &tls.Config{Certificates: []tls.Certificate{pair}}, false
	go s.Serve(l)
	w.t.Cleanup(func() { s.Close() })
	_, w.mailServer, _ = net.SplitHostPort(l.Addr().String())
}

type letterbox struct {
	dir string
	to  []string
}

var letters struct {
	sync.Mutex
	n int
}

func (b *letterbox) Mail(string, *smtp.MailOptions) error      { return nil }
func (b *letterbox) Rcpt(to string, _ *smtp.RcptOptions) error { b.to = append(b.to, to); return nil }
func (b *letterbox) Reset()                                    { b.to = nil }
func (b *letterbox) Logout() error                             { return nil }

// Data keeps the mail as JSON: to, subject, text, html.
func (b *letterbox) Data(r io.Reader) error {
	m, err := netmail.ReadMessage(r)
	if err != nil {
		return err
	}
	kept := map[string]string{"to": strings.Join(b.to, ",")}
	kept["subject"], _ = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := parts.NextRawPart()
		if err != nil {
			break
		}
		body := io.Reader(p)
		if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(p)
		}
		text, _ := io.ReadAll(body)
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			kept["html"] = string(text)
		} else {
			kept["text"] = string(text)
		}
	}
	raw, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	letters.Lock()
	letters.n++
	name := fmt.Sprintf("%06d.json", letters.n)
	letters.Unlock()
	if err := os.WriteFile(filepath.Join(b.dir, "."+name), raw, 0o600); err != nil {
		return err
	}
	return os.Rename(filepath.Join(b.dir, "."+name), filepath.Join(b.dir, name))
}
