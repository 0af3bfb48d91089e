package directorytest

import (
	"errors"

	"github.com/sparekey-id/sparekey/directory"
)

var unlocking = []rule{
	{"Unlock opens TempLocked and keeps the password", func(s *scene) {
		unlocker := able[directory.Unlocker](s)
		u := s.person(s.TempLocked, "temporarily locked")
		if err := unlocker.Unlock(s.ctx, u); err != nil {
			s.t.Fatalf("Unlock: %v", err)
		}
		if got := s.get(u.ID).State; got != 0 {
			s.t.Errorf("the account is in state %05b afterwards", got)
		}
		s.expect(u, s.TempLocked.Password, directory.Right)
		if err := unlocker.Unlock(s.ctx, u); err != nil {
			s.t.Errorf("Unlock of an open account: %v", err)
		}
	}},
	{"Unlock opens no AdminLocked and no Disabled", func(s *scene) {
		unlocker := able[directory.Unlocker](s)
		for _, p := range []Person{s.AdminLocked, s.Disabled} {
			if p.Login == "" {
				continue
			}
			u := s.find(p.Login)
			for _, handed := range []directory.State{u.State, 0, directory.TempLocked} {
				u := u
				u.State = handed
				unlocker.Unlock(s.ctx, u) // an error is as good as doing nothing
			}
			if got := s.get(u.ID).State; got != u.State {
				s.t.Errorf("%q was in state %05b and is in %05b", p.Login, u.State, got)
			}
			s.closed(u, p.Password)
		}
	}},
	{"Unlock clears nothing else", func(s *scene) {
		unlocker := able[directory.Unlocker](s)
		for _, p := range []Person{s.Ada, s.Expired, s.MustChange} {
			if p.Login == "" {
				continue
			}
			u := s.find(p.Login)
			if err := unlocker.Unlock(s.ctx, u); err != nil {
				s.t.Errorf("Unlock of %q: %v", p.Login, err)
			}
			if got := s.get(u.ID).State; got != u.State {
				s.t.Errorf("%q was in state %05b and is in %05b", p.Login, u.State, got)
			}
		}
		s.expect(s.find(s.Ada.Login), s.Ada.Password, directory.Right)
	}},
	{"nobody cannot be unlocked", func(s *scene) {
		unlocker := able[directory.Unlocker](s)
		for _, u := range []directory.User{{}, {ID: "nobody-of-this-id", Login: s.Ada.Login}} {
			if err := unlocker.Unlock(s.ctx, u); !errors.Is(err, directory.ErrNotFound) {
				s.t.Errorf("Unlock of %+v: %v, want ErrNotFound", u, err)
			}
		}
	}},
	{"EndSessions of a user without sessions is no error", func(s *scene) {
		ender := able[directory.SessionEnder](s)
		if err := ender.EndSessions(s.ctx, s.find(s.Ada.Login)); err != nil {
			s.t.Errorf("EndSessions: %v", err)
		}
	}},
}
