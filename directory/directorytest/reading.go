package directorytest

import (
	"errors"
	"slices"
	"strings"

	"github.com/sparekey-id/sparekey/directory"
)

var reading = []rule{
	{"Get reads the user that Find found", func(s *scene) {
		for _, p := range []Person{s.Ada, s.Bob, s.Disabled, s.AdminLocked, s.TempLocked, s.Expired, s.MustChange, s.Privileged, s.Passwordless} {
			if p.Login == "" {
				continue
			}
			found := s.find(p.Login)
			s.looksLike(found, p)
			s.same(found, s.get(found.ID))
		}
	}},
	{"Get says ErrNotFound for what is no id", func(s *scene) {
		ada := s.find(s.Ada.Login)
		ids := append(hostile(string(ada.ID)), "", " ", s.Ada.Login, s.Ada.Name, "nobody-of-this-name", "0", "-1", "1")
		for _, id := range append(ids, s.Ada.Aliases...) {
			if id != "" && directory.UserID(id) == ada.ID {
				continue
			}
			u, err := s.Directory.Get(s.ctx, directory.UserID(id))
			if err == nil {
				s.t.Errorf("Get(%s) is %q, want ErrNotFound", short(id), u.Login)
			} else if !errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrUnavailable) {
				s.t.Errorf("Get(%s): %v, want ErrNotFound", short(id), err)
			}
		}
	}},
	{"an id is no name", func(s *scene) {
		for _, p := range []Person{s.Ada, s.Bob} {
			u := s.find(p.Login)
			for _, name := range append([]string{p.Login, u.Login, u.Name, u.Email}, p.Aliases...) {
				if len(name) >= 4 && strings.Contains(strings.ToLower(string(u.ID)), strings.ToLower(name)) {
					s.t.Errorf("the id %q holds the name %q", u.ID, name)
				}
			}
		}
	}},
	{"an id stays the same", func(s *scene) {
		first := s.find(s.Ada.Login)
		for range 3 {
			if again := s.find(s.Ada.Login); again.ID != first.ID {
				s.t.Fatalf("the id was %q and is %q", first.ID, again.ID)
			}
		}
		if s.Rename == nil {
			s.t.Skip("the fixture cannot rename")
		}
		const next = "renamed-user"
		if err := s.Rename(s.Ada.Login, next); err != nil {
			s.t.Fatalf("rename: %v", err)
		}
		if renamed := s.find(next); renamed.ID != first.ID {
			s.t.Errorf("the id was %q and is %q after a rename", first.ID, renamed.ID)
		}
		if renamed := s.get(first.ID); renamed.Login != next {
			s.t.Errorf("the login is %q after a rename to %q", renamed.Login, next)
		}
		s.nobody(s.Ada.Login)
	}},
	{"a removed user is gone", func(s *scene) {
		if s.Remove == nil {
			s.t.Skip("the fixture cannot remove")
		}
		gone := s.find(s.Ada.Login)
		if err := s.Remove(s.Ada.Login); err != nil {
			s.t.Fatalf("remove: %v", err)
		}
		s.nobody(append([]string{s.Ada.Login}, s.Ada.Aliases...)...)
		s.gone(gone)
		if s.find(s.Bob.Login).ID == gone.ID {
			s.t.Error("another user has her id")
		}
	}},
	{"A10 an id is never given again, and a removed user's does not open her namesake's account", func(s *scene) {
		if s.Remove == nil || s.Add == nil {
			s.t.Skip("the fixture cannot remove and add")
		}
		gone := s.find(s.Ada.Login)
		if err := s.Remove(s.Ada.Login); err != nil {
			s.t.Fatalf("remove: %v", err)
		}
		if err := s.Add(s.Ada); err != nil {
			s.t.Fatalf("add: %v", err)
		}
		namesake := s.find(s.Ada.Login)
		if namesake.ID == gone.ID {
			s.t.Errorf("the id %q is used again", gone.ID)
		}
		s.gone(gone)
		s.expect(namesake, s.Ada.Password, directory.Right)
	}},
	{"each state is told, and no other", func(s *scene) {
		const due = directory.Expired | directory.MustChange
		for _, c := range []struct {
			Person
			want, may directory.State
		}{
			{s.Ada, 0, 0}, {s.Bob, 0, 0}, {s.Disabled, directory.Disabled, 0}, {s.AdminLocked, directory.AdminLocked, 0},
			{s.TempLocked, directory.TempLocked, 0}, {s.Expired, directory.Expired, due}, {s.MustChange, directory.MustChange, due},
		} {
			if c.Login == "" {
				continue
			}
			if got := s.find(c.Login).State; !got.Has(c.want) || got&^(c.want|c.may) != 0 {
				s.t.Errorf("%q is in state %05b, want %05b", c.Login, got, c.want)
			}
		}
	}},
	{"a privileged user is told from others", func(s *scene) {
		if s.find(s.Ada.Login).Privileged || s.find(s.Bob.Login).Privileged {
			s.t.Error("an ordinary user is privileged")
		}
		if u := s.person(s.Privileged, "privileged"); !u.Privileged || !s.get(u.ID).Privileged {
			s.t.Errorf("%q is not privileged", u.Login)
		}
	}},
	{"what a caller does to a user stays with the caller", func(s *scene) {
		before := s.find(s.Ada.Login)
		mine := s.get(before.ID)
		for i := range mine.Groups {
			mine.Groups[i] = "changed by the caller"
		}
		for name := range mine.Attrs {
			for i := range mine.Attrs[name] {
				mine.Attrs[name][i] = "changed by the caller"
			}
			mine.Attrs[name] = nil
		}
		again := s.get(before.ID)
		if slices.Contains(again.Groups, "changed by the caller") {
			s.t.Error("two callers share one list of groups")
		}
		for name, values := range again.Attrs {
			if values == nil || slices.Contains(values, "changed by the caller") {
				s.t.Errorf("two callers share the attribute %q", name)
			}
		}
	}},
}

// same compares two readings of one user.
func (s *scene) same(a, b directory.User) {
	s.t.Helper()
	for _, u := range []*directory.User{&a, &b} {
		u.Groups = slices.Sorted(slices.Values(u.Groups))
	}
	if a.ID != b.ID || a.Login != b.Login || a.Name != b.Name || a.Email != b.Email || a.Phone != b.Phone || a.EmailVerified != b.EmailVerified ||
		a.State != b.State || a.Privileged != b.Privileged || !a.PasswordChangedAt.Equal(b.PasswordChangedAt) || !slices.Equal(a.Groups, b.Groups) {
		s.t.Errorf("Find and Get disagree:\n%+v\n%+v", a, b)
	}
}

// gone demands that nothing can be done with a user who was removed.
func (s *scene) gone(u directory.User) {
	s.t.Helper()
	if _, err := s.Directory.Get(s.ctx, u.ID); !errors.Is(err, directory.ErrNotFound) {
		s.t.Errorf("Get of a removed user: %v, want ErrNotFound", err)
	}
	if v := s.verifier(); v != nil {
		verdict, err := v.VerifyPassword(s.ctx, u, s.Ada.Password)
		if verdict != directory.Wrong || err != nil && !errors.Is(err, directory.ErrNotFound) {
			s.t.Errorf("VerifyPassword of a removed user: %s, %v, want Wrong", word(verdict), err)
		}
	}
	if c, ok := directory.As[directory.PasswordSetter](s.Directory); ok {
		if err := c.SetPassword(s.ctx, u, fresh, directory.SetOptions{}); !errors.Is(err, directory.ErrNotFound) {
			s.t.Errorf("SetPassword of a removed user: %v, want ErrNotFound", err)
		}
	}
	if c, ok := directory.As[directory.PasswordChanger](s.Directory); ok {
		if err := c.ChangePassword(s.ctx, u, s.Ada.Password, fresh); !errors.Is(err, directory.ErrNotFound) && !errors.Is(err, directory.ErrWrongPassword) {
			s.t.Errorf("ChangePassword of a removed user: %v, want ErrNotFound or ErrWrongPassword", err)
		}
	}
	if c, ok := directory.As[directory.Unlocker](s.Directory); ok {
		if err := c.Unlock(s.ctx, u); !errors.Is(err, directory.ErrNotFound) {
			s.t.Errorf("Unlock of a removed user: %v, want ErrNotFound", err)
		}
	}
}
