package directorytest

import (
	"errors"
	"slices"
	"strings"

	"github.com/sparekey-id/sparekey/directory"
)

var finding = []rule{
	{"Find knows a user by login", func(s *scene) {
		ada, bob := s.find(s.Ada.Login), s.find(s.Bob.Login)
		s.looksLike(ada, s.Ada)
		s.looksLike(bob, s.Bob)
		if ada.ID == bob.ID {
			s.t.Errorf("two users have the id %q", ada.ID)
		}
	}},
	{"Find does not mind the case of ASCII letters", func(s *scene) {
		for _, p := range []Person{s.Ada, s.Bob} {
			want := s.find(p.Login)
			for _, name := range append([]string{p.Login}, p.Aliases...) {
				for _, typed := range []string{strings.ToUpper(name), strings.ToLower(name), strings.ToUpper(name[:1]) + name[1:]} {
					if got := s.find(typed); got.ID != want.ID || got.Login != want.Login {
						s.t.Errorf("Find(%q) is %q, want %q", typed, got.Login, want.Login)
					}
				}
			}
		}
	}},
	{"Find knows a user by her aliases", func(s *scene) {
		if len(s.Ada.Aliases)+len(s.Bob.Aliases) == 0 {
			s.t.Skip("the fixture names no aliases")
		}
		for _, p := range []Person{s.Ada, s.Bob} {
			for _, alias := range p.Aliases {
				if got, want := s.find(alias), s.find(p.Login); got.ID != want.ID {
					s.t.Errorf("Find(%q) is %q, want %q", alias, got.Login, want.Login)
				}
			}
		}
	}},
	{"Find says ErrNotFound for an unknown login", func(s *scene) {
		login := s.Ada.Login
		s.nobody("nobody-of-this-name", login+"x", "x"+login, login[:len(login)-1], login[1:], login+login, login+" "+s.Bob.Login)
	}},
	{"Find says ErrNotFound for an empty login", func(s *scene) {
		s.nobody("", " ", "   ", "\t", "\n", "\u00a0")
	}},
	{"Find finds the same user or nobody when spaces stand around a login", func(s *scene) {
		for _, typed := range []string{" " + s.Ada.Login, s.Ada.Login + " ", "\t" + s.Ada.Login + "\n"} {
			s.nobodyElse(typed, s.find(s.Ada.Login))
		}
	}},
	{"Find says ErrAmbiguous for a name that two users share", func(s *scene) {
		if s.Ambiguous == "" {
			s.t.Skip("no two accounts of the fixture share a name")
		}
		for _, name := range []string{s.Ambiguous, strings.ToUpper(s.Ambiguous)} {
			u, err := s.Directory.Find(s.ctx, name)
			if !errors.Is(err, directory.ErrAmbiguous) {
				s.t.Errorf("Find(%q): %v, want ErrAmbiguous", name, err)
			}
			if u.ID != "" {
				s.t.Errorf("Find(%q) gives %q beside its error", name, u.Login)
			}
		}
	}},
	{"A36 Find takes a hostile name for a name that nobody has", func(s *scene) {
		s.nobody(hostile(s.Ada.Login)...)
	}},
	{"A11 Find takes a name that only looks like a user's for another", func(s *scene) {
		ada := s.find(s.Ada.Login)
		for _, name := range append([]string{s.Ada.Login}, s.Ada.Aliases...) {
			for plain, alike := range map[string]string{"a": "а", "e": "е", "o": "о", "c": "с", "p": "р", "x": "х", "i": "і"} {
				if look := strings.Replace(strings.ToLower(name), plain, alike, 1); look != strings.ToLower(name) {
					s.nobody(look)
				}
			}
			// Backends fold these differently, so the true user may be found, but nobody else.
			for plain, folds := range map[string]string{"k": "\u212a", "s": "ſ", "i": "ı", "I": "İ", "a": "ａ", "@": "＠", "ss": "ß"} {
				if look := strings.Replace(name, plain, folds, 1); look != name {
					s.nobodyElse(look, ada)
				}
			}
		}
	}},
	{"RS-02 Find takes as long for a miss as for a hit", func(s *scene) {
		names := map[string]string{"a hit": s.Ada.Login, "a miss": "nobody-of-this-name"}
		if s.Ambiguous != "" {
			names["an ambiguous name"] = s.Ambiguous
		}
		calls := map[string]func(){}
		for what, name := range names {
			calls[what] = func() { s.Directory.Find(s.ctx, name) }
		}
		s.sameTime("a hit", calls)
	}},
}

// hostile are names that mean something to a backend that does not escape them. None is anybody's.
func hostile(login string) []string {
	return []string{
		// search filters and DNs
		"*", "**", login + "*", "*" + login, login[:2] + "*", "*)(uid=*", "*)(|(uid=*", "*)(objectClass=*))(&(uid=*", login + ")(uid=*",
		login + ")(|(a=b", `\2a`, `\2A`, `\`, `\\`, login + `\`, "(", ")", "()", "&", "|", "!", "(&)", "(|)",
		"cn=" + login, "uid=" + login + ",dc=example,dc=com", login + ",dc=example,dc=com", "#" + login, "+" + login, login + ";", "<" + login + ">",
		// SQL
		"%", "_", login + "%", "%" + login + "%", login[:len(login)-1] + "_", "' OR '1'='1", "' OR 1=1 --", login + "' --", login + "'--", login + "';--",
		"'; DROP TABLE users; --", `" OR ""="`, `\' OR 1=1 --`, "' UNION SELECT * FROM users --", login + "' AND '1'='1", login + "/**/", "$1", "?", ":1", "@1",
		"%27%20OR%201=1", "0x" + login, "NULL", "null",
		// paths, JSON, templates, shells, mail headers
		"../" + login, "./" + login, login + "/..", "/" + login, login + "/", login + "?x=y", login + "#x", "%2e%2e%2f", `{"$ne":null}`, `["` + login + `"]`,
		`"` + login + `"`, `'` + login + `'`, "{{.}}", "${jndi:ldap://localhost}", "$(id)", "`id`", login + "\r\nBcc: x@example.com", login + "\nx", "<script>alert(1)</script>",
		// what no name is made of
		"\x00", login + "\x00", login + "\x00x", "\x00" + login, "\xff", login + "\xff", "\xc0\xaf" + login, "\xed\xa0\x80", "\ufeff\ufffe", login + "\x7f", login + "\x1b[2J",
		strings.Repeat("a", 10_000), strings.Repeat(login, 500), strings.Repeat("(", 2_000), strings.Repeat("é", 5_000), strings.Repeat("e\u0301\u0302", 2_000),
	}
}

// looksLike compares a user with what the fixture says of her.
func (s *scene) looksLike(u directory.User, p Person) {
	s.t.Helper()
	if u.ID == "" {
		s.t.Errorf("%q has no id", p.Login)
	}
	if !strings.EqualFold(u.Login, p.Login) {
		s.t.Errorf("%q has the login %q", p.Login, u.Login)
	}
	if p.Name != "" && u.Name != p.Name {
		s.t.Errorf("%q is named %q, want %q", p.Login, u.Name, p.Name)
	}
	if p.Email != "" && u.Email != p.Email {
		s.t.Errorf("%q has the address %q, want %q", p.Login, u.Email, p.Email)
	}
	for _, g := range p.Groups {
		if !slices.Contains(u.Groups, g) {
			s.t.Errorf("%q is in %q, want %q among them", p.Login, u.Groups, g)
		}
	}
}

// nobody demands that names are ErrNotFound: neither somebody, nor ambiguous, nor an outage.
func (s *scene) nobody(names ...string) {
	s.t.Helper()
	for _, name := range names {
		u, err := s.Directory.Find(s.ctx, name)
		switch {
		case err == nil:
			s.t.Errorf("Find(%s) is %q, want ErrNotFound", short(name), u.Login)
		case !errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrAmbiguous):
			s.t.Errorf("Find(%s): %v, want ErrNotFound", short(name), err)
		case u.ID != "" || u.Login != "":
			s.t.Errorf("Find(%s) gives %q beside its error", short(name), u.Login)
		}
	}
}

// nobodyElse demands that a name finds this user or nobody.
func (s *scene) nobodyElse(name string, u directory.User) {
	s.t.Helper()
	got, err := s.Directory.Find(s.ctx, name)
	if err == nil && got.ID != u.ID {
		s.t.Errorf("Find(%s) is %q, want %q or nobody", short(name), got.Login, u.Login)
	}
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		s.t.Errorf("Find(%s): %v, want ErrNotFound", short(name), err)
	}
}
