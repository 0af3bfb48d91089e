package sparekey

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/store"
)

// faults is where a check reports to: a config.Source, or a list for a Config made by a program.
type faults interface {
	Fault(path, format string, args ...any)
	Warn(path, format string, args ...any)
	Whole(path string) bool
}

// list keeps the first fault of each setting: the next may only follow from it.
type list []string

func (l *list) Fault(path, format string, args ...any) {
	if l.Whole(path) {
		*l = append(*l, path+": "+fmt.Sprintf(format, args...))
	}
}
func (l *list) Warn(string, string, ...any) {}
func (l *list) Whole(path string) bool {
	return !slices.ContainsFunc(*l, func(fault string) bool { return strings.HasPrefix(fault, path+": ") })
}

// Check looks a Config over that a program has put together.
func (c *Config) Check() error {
	var l list
	config.Words(c, l.Fault)
	c.check(&l)
	if len(l) > 0 {
		return fmt.Errorf("configuration: %s", strings.Join(l, "; "))
	}
	return nil
}

var (
	tenantName  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)
	hostName    = regexp.MustCompile(`^([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*$`) // a last label of digits alone is half a network address
	accentColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
)

// check tells all that would keep Open or serve from starting, save what only the database, its keyring and the network know.
func (c *Config) check(s faults) {
	if c.Database == "" {
		s.Fault("database", "is missing: sqlite:PATH or postgres://user@host/db")
	} else if err := store.CheckURL(c.Database); err != nil {
		s.Fault("database", "%v", err)
	}
	switch file, ok := strings.CutPrefix(c.Keyring, "file:"); {
	case c.Keyring == "" && strings.HasPrefix(c.Database, "postgres"):
		s.Fault("keyring", "is missing: file:PATH; only a SQLite database has a place beside it")
	case c.Keyring != "" && (!ok || file == ""):
		s.Fault("keyring", "must be file:PATH")
	}
	checkListen(s, "listen", c.Listen)
	checkListen(s, "metrics_listen", c.MetricsListen)
	if at := cmp.Or(c.Listen, DefaultListen); c.MetricsListen == at && !strings.HasSuffix(at, ":0") {
		s.Fault("metrics_listen", "is where the pages are; metrics have a listener of their own")
	}
	if c.TLS != nil && c.TLS.Cert == "" {
		s.Fault("tls.cert_file", "is missing")
	}
	if c.TLS != nil && c.TLS.Key == "" {
		s.Fault("tls.key_file", "is missing")
	}
	for i, p := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			s.Fault(fmt.Sprintf("trusted_proxies[%d]", i), "%q is no network such as 10.0.0.0/8", p)
		}
	}
	c.Mail.check(s)
	if len(c.Tenants) == 0 {
		s.Fault("tenants", "is missing: at least one tenant")
	}
	addresses := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Tenants)) {
		t, path := c.Tenants[name], "tenants."+name
		if !tenantName.MatchString(name) {
			s.Fault(path, "a tenant's name is made of a-z, 0-9 and -")
		}
		t.check(s, path)
		_, address, _ := strings.Cut(t.Issuer, "://")
		if other, taken := addresses[address]; taken && address != "" {
			s.Fault(path+".issuer", "is the issuer of tenant %s too", other)
		}
		addresses[address] = name
	}
}

func checkListen(s faults, path, address string) {
	if address == "" {
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil && port != "" {
		_, err = net.LookupPort("tcp", port)
	}
	if _, ip := netip.ParseAddr(host); err != nil || port == "" || host != "" && ip != nil && !hostName.MatchString(host) {
		s.Fault(path, "%q is no HOST:PORT such as 127.0.0.1:8080", address)
	}
}

func (m Mail) check(s faults) {
	if m.From != "" {
		if err := notify.CheckFrom(m.From); err != nil {
			s.Fault("mail.from", "%v", err)
		}
	} else if m.SMTP != nil {
		s.Fault("mail.from", "is missing: the address notices come from")
	}
	if m.SMTP == nil {
		s.Warn("mail", "no smtp server: neither notices nor codes can be sent")
		return
	}
	wrong := m.SMTP.sender().Check()
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		if name != "user" && name != "password" || s.Whole("mail.smtp.user") && s.Whole("mail.smtp.password") {
			s.Fault("mail.smtp."+name, "%s", wrong[name])
		}
	}
}

// checkIssuer says what is wrong with an issuer, or nothing (OpenID Connect Discovery 1.0 §3).
func checkIssuer(issuer string) string {
	u, err := url.Parse(issuer)
	switch {
	case issuer == "":
		return "is missing"
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "is no address without query and fragment"
	case strings.HasSuffix(issuer, "/"):
		return "must not end in a slash"
	case u.Host != strings.ToLower(u.Host):
		return "has capitals in its host; relying parties compare it letter by letter, and browsers ask for " + strings.ToLower(u.Host)
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return "names the port that goes without saying; browsers leave it out"
	case u.Path != "" && path.Clean(u.Path) != u.Path, u.RawPath != "":
		return "has a path that browsers would write another way"
	case u.Scheme == "https":
	case u.Scheme == "http" && u.Hostname() == "localhost":
	default:
		return "must be https (http is for localhost alone)"
	}
	return ""
}

func checkHelp(s faults, path, help string) {
	if help != "" && !strings.HasPrefix(help, "https://") && !strings.HasPrefix(help, "mailto:") && !strings.HasPrefix(help, "http://localhost") {
		s.Fault(path, "%q is neither https:// nor mailto:", help)
	}
}
