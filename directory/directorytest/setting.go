package directorytest

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/directory"
)

var setting = []rule{
	{"SetPassword replaces a password without the old one", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		before, bob := s.find(s.Ada.Login), s.find(s.Bob.Login)
		if err := setter.SetPassword(s.ctx, before, fresh, directory.SetOptions{}); err != nil {
			s.t.Fatalf("SetPassword: %v", err)
		}
		s.expect(before, fresh, directory.Right)
		after := s.get(before.ID)
		if after.State != 0 {
			s.t.Errorf("the account is in state %05b afterwards", after.State)
		}
		if after.PasswordChangedAt.Before(before.PasswordChangedAt) {
			s.t.Errorf("the password changed at %v and then at %v", before.PasswordChangedAt, after.PasswordChangedAt)
		}
		s.expect(bob, s.Bob.Password, directory.Right)
	}},
	{"the old password is Wrong after SetPassword", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		ada := s.find(s.Ada.Login)
		for _, next := range []string{fresh, fresher} {
			if err := setter.SetPassword(s.ctx, ada, next, directory.SetOptions{}); err != nil {
				s.t.Fatalf("SetPassword: %v", err)
			}
		}
		s.expect(ada, s.Ada.Password, directory.Wrong)
		s.expect(ada, fresh, directory.Wrong)
		s.expect(ada, fresher, directory.Right)
	}},
	{"RS-17 SetPassword clears Expired and MustChange", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		for _, p := range []Person{s.Expired, s.MustChange} {
			if p.Login == "" {
				continue
			}
			u := s.find(p.Login)
			if err := setter.SetPassword(s.ctx, u, fresh, directory.SetOptions{}); err != nil {
				s.t.Fatalf("SetPassword of %q: %v", p.Login, err)
			}
			if got := s.get(u.ID).State; got != 0 {
				s.t.Errorf("%q is in state %05b afterwards", p.Login, got)
			}
			s.expect(u, fresh, directory.Right)
		}
	}},
	{"PW-08 SetPassword with MustChange sets one that only leads to a change", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		ada := s.find(s.Ada.Login)
		err := setter.SetPassword(s.ctx, ada, fresh, directory.SetOptions{MustChange: true})
		if errors.Is(err, directory.ErrNotAllowed) {
			s.expect(ada, s.Ada.Password, directory.Right)
			s.t.Skip("the directory has no such passwords, and says so")
		}
		if err != nil {
			s.t.Fatalf("SetPassword: %v", err)
		}
		if got := s.get(ada.ID).State; got&(directory.MustChange|directory.Expired) == 0 {
			s.t.Errorf("the account is in state %05b afterwards, want MustChange", got)
		}
		s.expect(ada, fresh, directory.RightButDue)
		s.expect(ada, s.Ada.Password, directory.Wrong)
		if err := setter.SetPassword(s.ctx, ada, fresher, directory.SetOptions{}); err != nil {
			s.t.Fatalf("SetPassword again: %v", err)
		}
		s.expect(ada, fresher, directory.Right)
	}},
	{"A27 SetPassword opens no disabled or locked account", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		for _, p := range []Person{s.Disabled, s.AdminLocked} {
			if p.Login == "" {
				continue
			}
			u := s.find(p.Login)
			setter.SetPassword(s.ctx, u, fresh, directory.SetOptions{}) // whether it is allowed is the directory's affair
			blind := u
			blind.State = 0
			setter.SetPassword(s.ctx, blind, fresher, directory.SetOptions{})
			if got := s.get(u.ID).State; got != u.State {
				s.t.Errorf("%q was in state %05b and is in %05b", p.Login, u.State, got)
			}
			s.closed(u, p.Password)
			s.closed(u, fresher)
		}
	}},
	{"a refused password comes with its reason, and the old one stays", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		if len(s.Refused) == 0 {
			s.t.Skip("the fixture names no password that is refused")
		}
		ada := s.find(s.Ada.Login)
		for _, r := range s.Refused {
			err := setter.SetPassword(s.ctx, ada, r.Password, directory.SetOptions{})
			if got := s.refused(err, "SetPassword "+short(r.Password)); got != r.Reason {
				s.t.Errorf("SetPassword(%s) is refused as %q, want %q", short(r.Password), got, r.Reason)
			}
			s.expect(ada, s.Ada.Password, directory.Right)
		}
	}},
	{"an empty new password is refused", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		ada := s.find(s.Ada.Login)
		s.refused(setter.SetPassword(s.ctx, ada, "", directory.SetOptions{}), "an empty password")
		s.refused(setter.SetPassword(s.ctx, ada, "", directory.SetOptions{MustChange: true}), "an empty password that must be changed")
		s.expect(ada, s.Ada.Password, directory.Right)
		s.expect(ada, "", directory.Wrong)
	}},
	{"PW-02 a password is kept whole, or refused", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		ada, good := s.find(s.Ada.Login), s.Ada.Password
		long := strings.Repeat("Long-7-", 30)
		for _, next := range []string{
			`Quote"d & <T4gged>' \ back/`, `*)(uid=*)) Star-7-(Star)`, `'; DROP TABLE users; -- 7A`, "Ünïcødé-Pässwörd-9-Σ", "密码-Pass-7-🔑-key",
			" Spaces Around 7 ", "{SSHA}Looks-Like-A-Hash-7", "$argon2id$Looks-Like-A-Hash-7", "%41-$(x)-{{.}}-Pass7", long[:64], long[:72], long[:200],
		} {
			err := setter.SetPassword(s.ctx, ada, next, directory.SetOptions{})
			if err == nil {
				good = next
			} else if len(next) > 72 || !ascii(next) || next != strings.TrimSpace(next) {
				s.refused(err, "SetPassword "+short(next))
			} else {
				s.t.Errorf("SetPassword(%s): %v", short(next), err)
			}
			s.expect(ada, good, directory.Right)
		}
	}},
	{"PW-02 a password does not end at 72 bytes", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		ada, stem := s.find(s.Ada.Login), strings.Repeat("Abcdef-7", 9)
		if err := setter.SetPassword(s.ctx, ada, stem+"X", directory.SetOptions{}); err != nil {
			s.refused(err, "a password of 73 bytes")
			return
		}
		s.expect(ada, stem, directory.Wrong)
		s.expect(ada, stem+"Y", directory.Wrong)
		s.expect(ada, stem+"X", directory.Right)
	}},
	{"nobody's password cannot be set", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		for _, u := range []directory.User{{}, {ID: "nobody-of-this-id", Login: s.Ada.Login}} {
			if err := setter.SetPassword(s.ctx, u, fresh, directory.SetOptions{}); !errors.Is(err, directory.ErrNotFound) {
				s.t.Errorf("SetPassword of %+v: %v, want ErrNotFound", u, err)
			}
		}
		s.expect(s.find(s.Ada.Login), s.Ada.Password, directory.Right)
		s.expect(s.find(s.Ada.Login), fresh, directory.Wrong)
	}},
	{"the policy told is the one that counts", func(s *scene) {
		policer := able[directory.Policer](s)
		ada := s.find(s.Ada.Login)
		p, err := policer.PasswordPolicy(s.ctx, ada)
		if err != nil {
			s.t.Fatalf("PasswordPolicy: %v", err)
		}
		if p.MinLength < 0 || p.History < 0 || p.MinAge < 0 {
			s.t.Errorf("PasswordPolicy is %+v", p)
		}
		setter, ok := directory.As[directory.PasswordSetter](s.Directory)
		if ok && p.MinLength > 1 {
			err := setter.SetPassword(s.ctx, ada, strings.Repeat("aB3-", p.MinLength)[:p.MinLength-1], directory.SetOptions{})
			if got := s.refused(err, "a password shorter than the policy says"); got != directory.TooShort {
				s.t.Errorf("a password shorter than the policy says is refused as %q", got)
			}
		}
	}},
}

func ascii(s string) bool { return len(s) == utf8.RuneCountInString(s) }
