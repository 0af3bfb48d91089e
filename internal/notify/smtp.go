package notify

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/sparekey-id/sparekey/internal/secret"
)

// How SMTP protects the connection.
const (
	Mandatory = "mandatory" // STARTTLS (RFC 3207); where it is not offered nothing is sent
	Implicit  = "implicit"  // TLS from the first byte (RFC 8314 §3.3)
	None      = "none"      // no TLS: to a mail server on this machine only
)

// SMTP is a Sender that hands messages to a mail server, one connection a message. It never falls back to an unprotected connection.
type SMTP struct {
	Host     string
	Port     int    // 0: 587, 465 when implicit, 25 without TLS
	TLS      string // "" is mandatory
	User     string // empty: no authentication
	Password secret.Text
	Roots    *x509.CertPool // who may vouch for the server; nil: the system's authorities
	Timeout  time.Duration  // for each answer of the server; the whole may take three times that. 0: 10 s
	Now      func() time.Time
}

// Check names what is wrong with the settings, one by one as the config file calls them, without connecting; nil: nothing.
func (s *SMTP) Check() map[string]string {
	faults := map[string]string{}
	if s.Host == "" {
		faults["host"] = "is missing"
	}
	if s.Port < 0 || s.Port > 65535 {
		faults["port"] = fmt.Sprintf("%d is not between 1 and 65535", s.Port)
	}
	switch s.TLS {
	case "", Mandatory, Implicit:
	case None:
		if ip, err := netip.ParseAddr(s.Host); s.Host != "" && s.Host != "localhost" && (err != nil || !ip.Unmap().IsLoopback()) {
			faults["tls"] = fmt.Sprintf("%s is for a mail server on this machine, and %s is not on it", None, s.Host)
		}
	default:
		faults["tls"] = fmt.Sprintf("%q: %s, %s or %s", s.TLS, Mandatory, Implicit, None)
	}
	if has := s.Password.Reveal() != ""; s.User != "" && !has {
		faults["password"] = "is missing"
	} else if s.User == "" && has {
		faults["user"] = "is missing: whose password is it?"
	}
	return faults
}

// Send hands the message over. What the server refuses for good (5xx to the recipient or to the message) is a PermanentError;
// all else, a wrong password included, may be mended and is tried again.
func (s *SMTP) Send(ctx context.Context, e Envelope) error {
	if faults := s.Check(); len(faults) > 0 {
		return fmt.Errorf("smtp: %v", faults)
	}
	now := s.Now
	if now == nil {
		now = time.Now
	}
	m, err := compose(e, now())
	if err != nil {
		return err
	}
	step := cmp.Or(s.Timeout, 10*time.Second)
	ctx, cancel := context.WithTimeout(ctx, 3*step)
	defer cancel()
	line := &line{step: step}
	client, err := gomail.NewClient(s.Host, s.options(e, line)...)
	if err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	stop := context.AfterFunc(ctx, line.hangUp)
	err = client.DialAndSendWithContext(ctx, m)
	stop()
	line.hangUp()                      // not every failure of the library's does
	if err == nil || m.IsDelivered() { // the server has taken it: what failed later was saying goodbye
		return nil
	}
	return s.told(err)
}

// told turns the library's error, which names the recipient, into one that may be logged.
func (s *SMTP) told(err error) error {
	var refused *gomail.SendError
	if !errors.As(err, &refused) {
		return fmt.Errorf("smtp %s: %w", s.Host, err)
	}
	code := refused.ErrorCode()
	said := fmt.Errorf("smtp %s: %s: %d %s", s.Host, refused.Reason, code, refused.EnhancedStatusCode())
	about := refused.Reason == gomail.ErrSMTPRcptTo || refused.Reason == gomail.ErrSMTPDataClose || refused.Reason == gomail.ErrSMTPData
	if about && code >= 500 {
		return &PermanentError{said}
	}
	return said
}

func (s *SMTP) options(e Envelope, line *line) []gomail.Option {
	protect := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12, RootCAs: s.Roots}
	mode := cmp.Or(s.TLS, Mandatory)
	ports := map[string]int{Mandatory: 587, Implicit: 465, None: 25}
	policy := gomail.NoTLS
	if mode == Mandatory {
		policy = gomail.TLSMandatory
	}
	options := []gomail.Option{
		gomail.WithPort(cmp.Or(s.Port, ports[mode])), gomail.WithTLSConfig(protect), gomail.WithTLSPolicy(policy), gomail.WithTimeout(line.step),
		gomail.WithHELO(domain(e.From)), gomail.WithoutNoop(), gomail.WithoutSMTPUTF8(),
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			if err := line.dial(ctx, network, address); err != nil || mode != Implicit {
				return line, err
			}
			under := tls.Client(line, protect)
			return under, under.HandshakeContext(ctx)
		}),
	}
	if s.User != "" {
		options = append(options, gomail.WithUsername(s.User), gomail.WithPassword(s.Password.Reveal()),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return options
}
