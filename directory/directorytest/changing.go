package directorytest

import (
	"errors"

	"github.com/sparekey-id/sparekey/directory"
)

var changing = []rule{
	{"ChangePassword replaces a password that is known", func(s *scene) {
		changer := able[directory.PasswordChanger](s)
		ada, bob := s.find(s.Ada.Login), s.find(s.Bob.Login)
		if err := changer.ChangePassword(s.ctx, ada, s.Ada.Password, fresh); err != nil {
			s.t.Fatalf("ChangePassword: %v", err)
		}
		s.expect(ada, s.Ada.Password, directory.Wrong)
		s.expect(ada, fresh, directory.Right)
		s.expect(bob, s.Bob.Password, directory.Right)
	}},
	{"PW-06 ChangePassword needs the old password", func(s *scene) {
		changer := able[directory.PasswordChanger](s)
		ada := s.find(s.Ada.Login)
		for _, old := range []string{wrong, ""} {
			if err := changer.ChangePassword(s.ctx, ada, old, fresh); !errors.Is(err, directory.ErrWrongPassword) {
				s.t.Errorf("ChangePassword with the old password %q: %v, want ErrWrongPassword", old, err)
			}
			s.expect(ada, s.Ada.Password, directory.Right)
		}
		s.expect(ada, fresh, directory.Wrong)
	}},
	{"ChangePassword takes an expired or must-change password and clears that state", func(s *scene) {
		changer := able[directory.PasswordChanger](s)
		for _, p := range []Person{s.Expired, s.MustChange} {
			if p.Login == "" {
				continue
			}
			u := s.find(p.Login)
			if err := changer.ChangePassword(s.ctx, u, p.Password, fresh); err != nil {
				s.t.Errorf("ChangePassword of %q: %v", p.Login, err)
				continue
			}
			if got := s.get(u.ID).State; got != 0 {
				s.t.Errorf("%q is in state %05b afterwards", p.Login, got)
			}
			s.expect(u, fresh, directory.Right)
			s.expect(u, p.Password, directory.Wrong)
		}
	}},
	{"ChangePassword of an expired password needs it as well", func(s *scene) {
		changer := able[directory.PasswordChanger](s)
		for _, p := range []Person{s.Expired, s.MustChange} {
			if p.Login == "" {
				continue
			}
			u := s.find(p.Login)
			if err := changer.ChangePassword(s.ctx, u, wrong, fresh); !errors.Is(err, directory.ErrWrongPassword) {
				s.t.Errorf("ChangePassword of %q with a wrong password: %v, want ErrWrongPassword", p.Login, err)
			}
			s.expect(u, p.Password, directory.RightButDue)
		}
	}},
	{"ChangePassword does nothing for a disabled or locked account", func(s *scene) {
		changer := able[directory.PasswordChanger](s)
		for _, p := range []Person{s.Disabled, s.AdminLocked, s.TempLocked} {
			if p.Login == "" {
				continue
			}
			u := s.find(p.Login)
			if err := changer.ChangePassword(s.ctx, u, p.Password, fresh); err == nil {
				s.t.Errorf("ChangePassword of %q went through", p.Login)
			}
			if got := s.get(u.ID).State; got != u.State {
				s.t.Errorf("%q was in state %05b and is in %05b", p.Login, u.State, got)
			}
			s.closed(u, fresh)
		}
	}},
	{"ChangePassword refuses by rule with a reason, and the old password stays", func(s *scene) {
		changer := able[directory.PasswordChanger](s)
		ada := s.find(s.Ada.Login)
		for _, r := range append([]Refusal{{"", ""}}, s.Refused...) {
			got := s.refused(changer.ChangePassword(s.ctx, ada, s.Ada.Password, r.Password), "ChangePassword to "+short(r.Password))
			if r.Reason != "" && got != r.Reason {
				s.t.Errorf("ChangePassword to %s is refused as %q, want %q", short(r.Password), got, r.Reason)
			}
			s.expect(ada, s.Ada.Password, directory.Right)
		}
	}},
	{"nobody's password cannot be changed", func(s *scene) {
		changer := able[directory.PasswordChanger](s)
		for _, u := range []directory.User{{}, {ID: "nobody-of-this-id", Login: s.Ada.Login}} {
			err := changer.ChangePassword(s.ctx, u, s.Ada.Password, fresh)
			if !errors.Is(err, directory.ErrNotFound) && !errors.Is(err, directory.ErrWrongPassword) {
				s.t.Errorf("ChangePassword of %+v: %v, want ErrNotFound or ErrWrongPassword", u, err)
			}
		}
		s.expect(s.find(s.Ada.Login), s.Ada.Password, directory.Right)
	}},
}
