package sparekey

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// faults is where a check reports to: a config.Source, or a list for a Config made by a program.
type faults interface {
	Fault(path, format string, args ...any)
	Warn(path, format string, args ...any)
}

type list []string

func (l *list) Fault(path, format string, args ...any) {
	*l = append(*l, path+": "+fmt.Sprintf(format, args...))
}
func (l *list) Warn(string, string, ...any) {}

// Check looks a Config over that a program has put together.
func (c *Config) Check() error {
	var l list
	c.check(&l)
	if len(l) > 0 {
		return fmt.Errorf("configuration: %s", strings.Join(l, "; "))
	}
	return nil
}

var (
	tenantName  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)
	accentColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
)

func (c *Config) check(s faults) {
	if c.Database == "" {
		s.Fault("database", "is missing: sqlite:PATH or postgres://user@host/db")
	} else if !strings.HasPrefix(c.Database, "sqlite:") && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		s.Fault("database", "must begin with sqlite: or postgres://")
	}
	if c.Keyring != "" && !strings.HasPrefix(c.Keyring, "file:") {
		s.Fault("keyring", "must be file:PATH")
	}
	for i, p := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			s.Fault(fmt.Sprintf("trusted_proxies[%d]", i), "%q is no network such as 10.0.0.0/8", p)
		}
	}
	if m := c.Mail.SMTP; m != nil {
		if c.Mail.From == "" {
			s.Fault("mail", "from is missing: the address notices come from")
		}
		if m.Host == "" {
			s.Fault("mail.smtp.host", "is missing")
		}
		if !slices.Contains([]string{"", "mandatory", "implicit", "none"}, m.TLS) {
			s.Fault("mail.smtp.tls", "%q: mandatory, implicit or none", m.TLS)
		}
	} else {
		s.Warn("mail", "no smtp server: neither notices nor codes can be sent")
	}
	if len(c.Tenants) == 0 {
		s.Fault("tenants", "is missing: at least one tenant")
	}
	issuers := map[string]string{}
	for name, t := range c.Tenants {
		path := "tenants." + name
		if !tenantName.MatchString(name) {
			s.Fault(path, "a tenant's name is made of a-z, 0-9 and -")
		}
		t.check(s, path)
		if other, taken := issuers[t.Issuer]; taken {
			s.Fault(path+".issuer", "is the issuer of tenant %s too", other)
		}
		issuers[t.Issuer] = name
	}
}

func (t Tenant) check(s faults, path string) {
	if err := checkIssuer(t.Issuer); err != "" {
		s.Fault(path+".issuer", "%s", err)
	}
	if a := t.Branding.Accent; a != "" && !accentColor.MatchString(a) {
		s.Fault(path+".branding.accent", "%q is no colour such as \"#7a1f1f\"", a)
	}
	checkHelp(s, path+".branding.help", t.Branding.Help)
	switch len(t.Directories) {
	case 0:
		s.Fault(path+".directories", "is missing: where do the users live?")
	case 1:
	default:
		s.Fault(path+".directories", "one directory a tenant")
	}
	for name, d := range t.Directories {
		if d.Type != "local" && d.Type != "program" {
			s.Fault(path+".directories."+name+".type", "%q: local or program", d.Type)
		}
	}
	if n := t.Passwords.MinLength; n != nil && (*n < 8 || *n > 64) {
		s.Fault(path+".passwords.min_length", "%d is not between 8 and 64", *n)
	}
	for name, text := range t.Limits.Check() {
		s.Fault(path+".limits."+name, "%s", text)
	}
	resets := len(t.Administrators.Groups) > 0 || slices.ContainsFunc(t.Policies, func(p Policy) bool { return p.Reset })
	switch t.Captcha.Type {
	case "", "proof_of_work", "image":
	case "none":
		if resets {
			s.Fault(path+".captcha.type", "none is refused where reset is on")
		}
	default:
		s.Fault(path+".captcha.type", "%q: proof_of_work, image or none", t.Captcha.Type)
	}
	for i, p := range t.Policies {
		p.check(s, fmt.Sprintf("%s.policies[%d]", path, i))
	}
	ids := map[string]bool{}
	for i, c := range t.Clients {
		at := fmt.Sprintf("%s.clients[%d]", path, i)
		if ids[c.ID] {
			s.Fault(at+".id", "%q is taken", c.ID)
		}
		ids[c.ID] = true
		c.check(s, at)
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

func (p Policy) check(s faults, path string) {
	if !p.For.Everyone && len(p.For.Groups) == 0 {
		s.Fault(path+".for", "whom is it for? groups: […] or everyone: true")
	}
	required := 1
	if p.Required != nil {
		required = *p.Required
	}
	if required < 1 || required > 3 {
		s.Fault(path+".methods_required", "%d is not between 1 and 3", required)
	}
	if p.Methods != nil && len(p.Methods) < required && p.Reset {
		s.Fault(path+".methods", "%d enabled, %d required to reset: nobody could", len(p.Methods), required)
	}
	both := false
	for name, m := range p.Methods {
		at := path + ".methods." + name
		if name != "totp" && name != "email" {
			s.Fault(at, "no such method: totp or email")
		}
		for _, use := range m.For {
			if use != "sign_in" && use != "reset" {
				s.Fault(at+".for", "%q: sign_in or reset", use)
			}
			if use == "sign_in" && name == "email" {
				s.Fault(at+".for", "an e-mail code is no second factor at sign-in")
			}
		}
		both = both || name == "totp" && (len(m.For) == 0 || slices.Contains(m.For, "sign_in") && slices.Contains(m.For, "reset"))
	}
	both = both || p.Methods == nil
	_, onlyApp := p.Methods["totp"]
	if p.Reset && onlyApp && len(p.Methods) == 1 {
		s.Warn(path+".methods", "the authenticator app is the only way back: who loses the phone needs an operator")
	}
	switch p.SecondFactor {
	case "", "never":
	case "when_registered", "required":
		if p.Reset && required == 1 && both && !p.AcceptSingle {
			s.Fault(path+".second_factor", "one authenticator would be both the only gate of a reset and the second factor; require two methods, or say accept_single: true")
		}
	default:
		s.Fault(path+".second_factor", "%q: never, when_registered or required", p.SecondFactor)
	}
	if m, ok := p.Methods["totp"]; p.SecondFactor == "required" && p.Methods != nil && (!ok || len(m.For) > 0 && !slices.Contains(m.For, "sign_in")) {
		s.Fault(path+".second_factor", "required, and no enabled method is for sign_in")
	}
	switch p.DeadEnd {
	case "", "neutral", "direct":
	default:
		s.Fault(path+".dead_end", "%q: neutral or direct", p.DeadEnd)
	}
	checkHelp(s, path+".help", p.Help)
	for field, v := range map[string]string{"from": p.Registration.From, "skip.until": p.Registration.Skip.Until} {
		if _, err := day(v); err != nil {
			s.Fault(path+".registration."+field, "%q is no date such as 2026-12-01", v)
		}
	}
	if n := p.Registration.Needs; n != "" && n != "password" && n != "email" {
		s.Fault(path+".registration.needs", "%q: password or email", n)
	}
	if p.Registration.Skip.Times < 0 {
		s.Fault(path+".registration.skip.times", "is less than 0")
	}
	if d := time.Duration(p.Registration.Snooze); d < 0 || d > 14*24*time.Hour {
		s.Fault(path+".registration.snooze", "is not between 0 and 14d")
	}
}

func day(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse("2006-01-02", s)
}

func (c Client) check(s faults, path string) {
	if c.ID == "" {
		s.Fault(path+".id", "is missing")
	}
	if c.Public == (c.Secret.Reveal() != "") {
		s.Fault(path, "a client has a secret, or is public: true")
	}
	if len(c.RedirectURIs) == 0 && (len(c.Grants) == 0 || slices.Contains(c.Grants, "authorization_code")) {
		s.Fault(path+".redirect_uris", "is missing")
	}
	for field, uris := range map[string][]string{"redirect_uris": c.RedirectURIs, "post_logout_redirect_uris": c.PostLogoutURIs} {
		for i, raw := range uris {
			u, err := url.Parse(raw)
			if err != nil || u.Fragment != "" || strings.Contains(raw, "#") || !u.IsAbs() || (u.Scheme == "http" || u.Scheme == "https") && u.Host == "" ||
				slices.Contains([]string{"javascript", "data", "vbscript", "file", "blob", "about"}, strings.ToLower(u.Scheme)) {
				s.Fault(fmt.Sprintf("%s.%s[%d]", path, field, i), "%q is no absolute address without a fragment", raw)
			}
		}
	}
	if !slices.Contains([]string{"", "RS256", "ES256", "EdDSA"}, c.IDTokenAlg) {
		s.Fault(path+".id_token_alg", "%q: RS256, ES256 or EdDSA", c.IDTokenAlg)
	}
	if !slices.Contains([]string{"", "none", "client_secret_basic", "client_secret_post"}, c.AuthMethod) {
		s.Fault(path+".auth_method", "%q: client_secret_basic, client_secret_post or none", c.AuthMethod)
	}
	for _, g := range c.Grants {
		if g != "authorization_code" && g != "refresh_token" && g != "client_credentials" {
			s.Fault(path+".grants", "%q: authorization_code, refresh_token or client_credentials", g)
		}
	}
	if c.PKCE != "" && c.PKCE != "required" {
		s.Fault(path+".pkce", "%q: required", c.PKCE)
	}
}
