package sparekey

import (
	"crypto/tls"
	"strings"

	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/templates"
)

// DefaultListen is where serve listens when the file does not say.
const DefaultListen = "127.0.0.1:8080"

// Config is the whole configuration: one file, one value. Every field is described in the README's table. What has the tag node:"own" may
// differ from node to node, or is a path to what stands beside it.
type Config struct {
	Listen         string            `yaml:"listen" node:"own"`
	TLS            *TLS              `yaml:"tls" node:"own"`
	MetricsListen  string            `yaml:"metrics_listen" node:"own"`
	TrustedProxies []string          `yaml:"trusted_proxies"`
	Database       string            `yaml:"database" node:"own"` // sqlite:PATH or postgres://…
	Keyring        string            `yaml:"keyring" node:"own"`  // file:PATH; default beside a SQLite database
	Mail           Mail              `yaml:"mail"`
	Tenants        map[string]Tenant `yaml:"tenants"`

	warnings    []string
	certificate *tls.Certificate // what TLS names, from a file
	source      *config.Source   // where everything stands; nil: a program made it
	files       *config.Files
}

// TLS makes the listener speak TLS itself.
type TLS struct {
	Cert config.Path `yaml:"cert_file"`
	Key  config.Path `yaml:"key_file"`
}

// Mail says how notices and codes leave the house.
type Mail struct {
	From string `yaml:"from"`
	SMTP *SMTP  `yaml:"smtp"`
}

// SMTP is the mail server.
type SMTP struct {
	Host     string        `yaml:"host"`
	Port     int           `yaml:"port"`
	TLS      string        `yaml:"tls" oneof:"mandatory implicit none"`
	User     string        `yaml:"user"`
	Password config.Secret `yaml:"password"`
	CA       config.Path   `yaml:"ca_file" node:"own"`

	authorities []byte // what ca_file held when LoadConfig read it
}

// Tenant is one organisation.
type Tenant struct {
	Issuer         string               `yaml:"issuer"`
	Name           string               `yaml:"name"`
	Branding       Branding             `yaml:"branding"`
	Languages      []string             `yaml:"languages"`
	Directories    map[string]Directory `yaml:"directories"`
	Administrators Groups               `yaml:"administrators"`
	Policies       []Policy             `yaml:"policies"`
	Passwords      Passwords            `yaml:"passwords"`
	Captcha        Captcha              `yaml:"captcha"`
	Sessions       Sessions             `yaml:"sessions"`
	Tokens         Tokens               `yaml:"tokens"`
	ProofAge       config.Duration      `yaml:"proof_age"`
	Limits         guard.Limits         `yaml:"limits"`
	Journal        Journal              `yaml:"journal"`
	Clients        []Client             `yaml:"clients"`
}

// Branding is how the tenant shows itself.
type Branding struct {
	Logo   string `yaml:"logo" node:"own"` // file:PATH of a PNG, JPEG or WebP picture
	Accent string `yaml:"accent"`
	Help   string `yaml:"help"`

	Picture []byte `yaml:"-"` // the same, from a program: what templates.Logo gives
}

// Groups names groups of the directory.
type Groups struct {
	Groups []string `yaml:"groups"`
}

// Directory is a place where users live.
type Directory struct {
	Type  string         `yaml:"type" oneof:"local program"`
	Reset DirectoryReset `yaml:"reset"`
}

// DirectoryReset says how far a reset may go in this directory.
type DirectoryReset struct {
	History int      `yaml:"history"` // old passwords refused (local)
	Never   []string `yaml:"never_groups"`
}

// Policy is one rule; the first whose For matches a user applies.
type Policy struct {
	For              For                  `yaml:"for"`
	Except           Groups               `yaml:"except"`
	Reset            bool                 `yaml:"reset"`
	Required         *int                 `yaml:"methods_required"`
	DifferentFactors bool                 `yaml:"different_factors"`
	Methods          map[string]MethodUse `yaml:"methods"`
	Registration     Registration         `yaml:"registration"`
	SecondFactor     string               `yaml:"second_factor" oneof:"never when_registered required"`
	AcceptSingle     bool                 `yaml:"accept_single"`
	Unlock           *bool                `yaml:"unlock"`
	Notify           *bool                `yaml:"notify"`
	DeadEnd          string               `yaml:"dead_end" oneof:"neutral direct"`
	Help             string               `yaml:"help"`
}

// For says whom a rule is for.
type For struct {
	Everyone bool     `yaml:"everyone"`
	Groups   []string `yaml:"groups"`
}

// MethodUse enables a method, for all its uses or those named.
type MethodUse struct {
	For []string `yaml:"for" oneof:"sign_in reset"`
}

// Registration says when security info is asked for at sign-in.
type Registration struct {
	AtSignIn *bool           `yaml:"at_sign_in"`
	From     string          `yaml:"from"` // 2026-12-01
	Skip     Skip            `yaml:"skip"`
	Snooze   config.Duration `yaml:"snooze"`
	Needs    string          `yaml:"needs" oneof:"password email"`
}

// Skip says how often, or until when, registration may be put off.
type Skip struct {
	Times int    `yaml:"times"`
	Until string `yaml:"until"`
}

// Passwords says which passwords are acceptable.
type Passwords struct {
	MinLength *int   `yaml:"min_length"`
	Banned    string `yaml:"banned" node:"own"` // file:PATH, a word a line

	BannedWords []string `yaml:"-"` // the same, from a program
}

// Captcha picks the puzzle.
type Captcha struct {
	Type string `yaml:"type" oneof:"proof_of_work image none"`
	Bits int    `yaml:"bits"` // proof of work: leading zero bits
}

// Sessions are how long a sign-in lasts.
type Sessions struct {
	Idle     config.Duration `yaml:"idle"`
	Absolute config.Duration `yaml:"absolute"`
}

// Tokens are how long tokens last.
type Tokens struct {
	Access          config.Duration `yaml:"access"`
	ID              config.Duration `yaml:"id"`
	RefreshIdle     config.Duration `yaml:"refresh_idle"`
	RefreshAbsolute config.Duration `yaml:"refresh_absolute"`
}

// Journal says how long it is kept.
type Journal struct {
	Keep config.Duration `yaml:"keep"`
}

// Client is a relying party's registration.
type Client struct {
	ID             string            `yaml:"id"`
	Name           string            `yaml:"name"`
	Secret         config.Secret     `yaml:"secret"`
	Public         bool              `yaml:"public"`
	RedirectURIs   []string          `yaml:"redirect_uris"`
	PostLogoutURIs []string          `yaml:"post_logout_redirect_uris"`
	AuthMethod     string            `yaml:"auth_method" oneof:"none client_secret_basic client_secret_post"`
	IDTokenAlg     string            `yaml:"id_token_alg" oneof:"RS256 ES256 EdDSA"`
	Grants         []string          `yaml:"grants" oneof:"authorization_code refresh_token client_credentials"`
	Scopes         []string          `yaml:"scopes"`
	PKCE           string            `yaml:"pkce" oneof:"required"`
	Groups         []string          `yaml:"groups"`
	ClaimsInID     bool              `yaml:"claims_in_id_token"`
	Claims         map[string]string `yaml:"claims"` // claim to directory attribute
	ResponseModes  []string          `yaml:"response_modes" oneof:"query form_post fragment"`
	RefreshGrace   config.Duration   `yaml:"refresh_grace"`
	Pushed         bool              `yaml:"require_pushed_authorization_requests"`
	ResourceServer bool              `yaml:"resource_server"`
}

// LoadConfig reads a configuration file. A refusal is a config.Faults: every fault at once, each with its line and column.
func LoadConfig(file string) (*Config, error) { return loadConfig(file, &config.Files{}) }

// loadConfig notes in files what it looked at, also when it refuses.
func loadConfig(file string, files *config.Files) (*Config, error) {
	c := &Config{files: files}
	var warnings []config.Fault
	err := files.Load(file, c, func(s *config.Source) {
		c.check(s)
		if file, ok := strings.CutPrefix(c.Database, "sqlite:"); ok && file != "" {
			c.Database = "sqlite:" + s.Resolve(file)
		}
		if file, ok := strings.CutPrefix(c.Keyring, "file:"); ok {
			c.Keyring = "file:" + s.Resolve(file)
		}
		c.readBanned(s)
		c.readLogos(s)
		c.readCertificates(s)
		c.source, warnings = s, s.Warnings()
	})
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		c.warnings = append(c.warnings, w.String())
	}
	return c, nil
}

// readCertificates tries the files that serve and mails will need.
func (c *Config) readCertificates(s *config.Source) {
	if m := c.Mail.SMTP; m != nil && m.CA != "" {
		pem, err := s.ReadFile(string(m.CA))
		if err == nil {
			_, err = authorities(pem, m.CA)
		}
		if err != nil {
			s.Fault("mail.smtp.ca_file", "%v", err)
		}
		m.authorities = pem
	}
	if c.TLS == nil || c.TLS.Cert == "" || c.TLS.Key == "" {
		return
	}
	cert, err := s.ReadFile(string(c.TLS.Cert))
	if err != nil {
		s.Fault("tls.cert_file", "%v", err)
	}
	key, missing := s.ReadFile(string(c.TLS.Key))
	if missing != nil {
		s.Fault("tls.key_file", "%v", missing)
	}
	if err != nil || missing != nil {
		return
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		s.Fault("tls", "%v", err)
	}
	c.certificate = &pair
}

func (c *Config) readLogos(s *config.Source) {
	for name, t := range c.Tenants {
		path := "tenants." + name + ".branding.logo"
		file, ok := strings.CutPrefix(t.Branding.Logo, "file:")
		if t.Branding.Logo == "" {
			continue
		} else if !ok {
			s.Fault(path, "must be file:PATH")
			continue
		}
		raw, err := s.ReadFile(s.Resolve(file))
		if err == nil {
			t.Branding.Picture, err = templates.Logo(raw)
		}
		if err != nil {
			s.Fault(path, "%v", err)
		}
		c.Tenants[name] = t
	}
}

// bannedLimit is how many words of their own operators may ban.
const bannedLimit = 1000

func (c *Config) readBanned(s *config.Source) {
	for name, t := range c.Tenants {
		path := "tenants." + name + ".passwords.banned"
		file, ok := strings.CutPrefix(t.Passwords.Banned, "file:")
		if t.Passwords.Banned == "" {
			continue
		} else if !ok {
			s.Fault(path, "must be file:PATH, a word a line")
			continue
		}
		text, err := s.ReadFile(s.Resolve(file))
		if err != nil {
			s.Fault(path, "%v", err)
			continue
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				t.Passwords.BannedWords = append(t.Passwords.BannedWords, line)
			}
		}
		if len(t.Passwords.BannedWords) > bannedLimit {
			s.Fault(path, "%d words are more than %d", len(t.Passwords.BannedWords), bannedLimit)
		}
		c.Tenants[name] = t
	}
}

// Warnings are what is allowed and yet probably not meant.
func (c *Config) Warnings() []string { return c.warnings }
