package directorytest

import (
	"errors"
	"strings"

	"github.com/sparekey-id/sparekey/directory"
)

// Passwords that every sound policy accepts: long, of all sorts of characters, without anybody's name.
const (
	fresh   = "Fresh-Correct-Horse-71"
	fresher = "Second-Battery-Staple-82"
	wrong   = "Wrong-Guess-93-Elephant"
)

var verifying = []rule{
	{"the right password is Right", func(s *scene) {
		able[directory.PasswordVerifier](s)
		s.expect(s.find(s.Ada.Login), s.Ada.Password, directory.Right)
		s.expect(s.find(s.Bob.Login), s.Bob.Password, directory.Right)
		s.expect(s.find(s.Ada.Login), s.Ada.Password, directory.Right)
	}},
	{"a wrong password is Wrong, and somebody else's is", func(s *scene) {
		able[directory.PasswordVerifier](s)
		s.expect(s.find(s.Ada.Login), wrong, directory.Wrong)
		s.expect(s.find(s.Bob.Login), s.Ada.Password, directory.Wrong)
		s.expect(s.find(s.Ada.Login), s.Ada.Password, directory.Right)
	}},
	{"PW-02 the case of a password counts", func(s *scene) {
		able[directory.PasswordVerifier](s)
		if other := strings.ToUpper(s.Ada.Password); other != s.Ada.Password {
			s.expect(s.find(s.Ada.Login), other, directory.Wrong)
		}
		if other := strings.ToLower(s.Ada.Password); other != s.Ada.Password {
			s.expect(s.find(s.Ada.Login), other, directory.Wrong)
		}
	}},
	{"PW-02 all of a password counts", func(s *scene) {
		able[directory.PasswordVerifier](s)
		s.expect(s.find(s.Ada.Login), s.Ada.Password[:len(s.Ada.Password)-1], directory.Wrong)
		s.expect(s.find(s.Ada.Login), s.Ada.Password+"x", directory.Wrong)
	}},
	{"A36 an empty password is Wrong for everybody", func(s *scene) {
		able[directory.PasswordVerifier](s)
		for _, p := range []Person{s.Ada, s.Disabled, s.AdminLocked, s.TempLocked, s.Expired, s.MustChange, s.Privileged, s.Passwordless} {
			if p.Login != "" {
				s.expect(s.find(p.Login), "", directory.Wrong)
			}
		}
		s.expect(directory.User{}, "", directory.Wrong)
	}},
	{"A36 no password opens an account without one", func(s *scene) {
		able[directory.PasswordVerifier](s)
		u := s.person(s.Passwordless, "passwordless")
		s.expect(u, wrong, directory.Wrong)
		s.expect(u, "*", directory.Wrong)
	}},
	{"A36 a hostile password is Wrong", func(s *scene) {
		able[directory.PasswordVerifier](s)
		s.expect(s.find(s.Ada.Login), "*", directory.Wrong)
		s.expect(s.find(s.Ada.Login), "' OR '1'='1", directory.Wrong)
		s.expect(s.find(s.Bob.Login), "\x00", directory.Wrong)
		s.expect(s.find(s.Bob.Login), s.Bob.Password+"\x00", directory.Wrong)
	}},
	{"the password of a disabled or locked account opens nothing", func(s *scene) {
		able[directory.PasswordVerifier](s)
		for _, p := range []Person{s.Disabled, s.AdminLocked, s.TempLocked} {
			if p.Login != "" {
				s.closed(s.find(p.Login), p.Password)
			}
		}
	}},
	{"an expired or must-change password is RightButDue", func(s *scene) {
		able[directory.PasswordVerifier](s)
		for _, p := range []Person{s.Expired, s.MustChange} {
			if p.Login != "" {
				s.expect(s.find(p.Login), p.Password, directory.RightButDue)
			}
		}
	}},
	{"a wrong password is Wrong whatever the state", func(s *scene) {
		able[directory.PasswordVerifier](s)
		for _, p := range []Person{s.Disabled, s.AdminLocked, s.TempLocked, s.Expired, s.MustChange, s.Privileged} {
			if p.Login != "" {
				s.expect(s.find(p.Login), wrong, directory.Wrong)
			}
		}
	}},
	{"A27 the state that counts is today's, not the one handed in", func(s *scene) {
		able[directory.PasswordVerifier](s)
		for _, p := range []Person{s.Disabled, s.AdminLocked, s.TempLocked} {
			if p.Login != "" {
				u := s.find(p.Login)
				u.State = 0
				s.closed(u, p.Password)
			}
		}
		for _, p := range []Person{s.Expired, s.MustChange} {
			if p.Login != "" {
				u := s.find(p.Login)
				u.State = 0
				s.expect(u, p.Password, directory.RightButDue)
			}
		}
		u := s.find(s.Ada.Login)
		u.State = directory.Disabled
		s.expect(u, s.Ada.Password, directory.Right)
	}},
	{"every password is Wrong for the zero User", func(s *scene) {
		able[directory.PasswordVerifier](s)
		for _, password := range []string{wrong, "", s.Ada.Password, s.Bob.Password, "*", strings.Repeat("x", 1_000)} {
			s.expect(directory.User{}, password, directory.Wrong)
		}
	}},
	{"RS-02 a password costs as much for nobody as for somebody", func(s *scene) {
		v := able[directory.PasswordVerifier](s)
		ada := s.find(s.Ada.Login)
		if s.Cost == nil {
			s.sameTime("somebody", map[string]func(){
				"somebody": func() { v.VerifyPassword(s.ctx, ada, s.Ada.Password) },
				"nobody":   func() { v.VerifyPassword(s.ctx, directory.User{}, s.Ada.Password) },
			})
			return
		}
		cost := func(u directory.User, password string) int64 {
			before := s.Cost()
			s.verdict(u, password)
			return s.Cost() - before
		}
		want := cost(ada, wrong)
		if want < 1 {
			s.t.Fatal("a wrong password cost nothing: the fixture's Cost does not count")
		}
		if got := cost(directory.User{}, wrong); got != want {
			s.t.Errorf("a wrong password costs %d for nobody, %d for somebody", got, want)
		}
		if got, want := cost(directory.User{}, ""), cost(ada, ""); got != want {
			s.t.Errorf("an empty password costs %d for nobody, %d for somebody", got, want)
		}
		for _, p := range []Person{s.Disabled, s.AdminLocked, s.TempLocked, s.Expired, s.MustChange, s.Privileged, s.Passwordless} {
			if p.Login != "" {
				if got := cost(s.find(p.Login), wrong); got != want {
					s.t.Errorf("a wrong password costs %d for %q, %d for another", got, p.Login, want)
				}
			}
		}
	}},
}

// refused demands an error that is a refusal by rule, with a reason.
func (s *scene) refused(err error, what string) directory.Reason {
	s.t.Helper()
	var refusal *directory.PolicyError
	if !errors.As(err, &refusal) {
		s.t.Errorf("%s: %v, want a PolicyError", what, err)
		return ""
	}
	switch refusal.Reason {
	case directory.TooShort, directory.InHistory, directory.TooYoung, directory.TooWeak, directory.Refused:
	default:
		s.t.Errorf("%s: the reason %q is none of the package's", what, refusal.Reason)
	}
	return refusal.Reason
}
