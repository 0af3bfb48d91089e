package directorytest

import (
	"context"
	"slices"

	"github.com/sparekey-id/sparekey/directory"
)

var listing = []rule{
	{"Users walks all users, each once and as Get reads her", func(s *scene) {
		lister := able[directory.Lister](s)
		seen := map[directory.UserID]directory.User{}
		for u, err := range lister.Users(s.ctx) {
			if err != nil {
				s.t.Fatalf("Users: %v", err)
			}
			if _, twice := seen[u.ID]; twice {
				s.t.Errorf("%q is walked twice", u.Login)
			}
			seen[u.ID] = u
		}
		for _, p := range []Person{s.Ada, s.Bob, s.Disabled, s.AdminLocked, s.TempLocked, s.Expired, s.MustChange, s.Privileged, s.Passwordless} {
			if p.Login == "" {
				continue
			}
			want := s.find(p.Login)
			got, ok := seen[want.ID]
			if !ok {
				s.t.Errorf("%q is not walked", p.Login)
				continue
			}
			s.same(got, want)
		}
	}},
	{"Users can be left half way and walked again", func(s *scene) {
		lister := able[directory.Lister](s)
		walk := lister.Users(s.ctx)
		for range walk {
			break
		}
		count := func() (n int) {
			for _, err := range walk {
				if err != nil {
					s.t.Fatalf("Users: %v", err)
				}
				n++
			}
			return n
		}
		if first, second := count(), count(); first < 2 || first != second {
			s.t.Errorf("Users walks %d users, then %d", first, second)
		}
	}},
	{"Users ends in an error when it cannot go on", func(s *scene) {
		lister := able[directory.Lister](s)
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		if err := last(lister, ctx); err == nil {
			s.t.Error("a walk with an ended context ends as if it were complete")
		}
	}},
	{"Members walks the members of groups, each once and as Get reads her", func(s *scene) {
		lister := able[directory.MemberLister](s)
		seen := map[directory.UserID]directory.User{}
		groups := append(slices.Clone(s.Ada.Groups), "no group of anybody")
		for u, err := range lister.Members(s.ctx, groups...) {
			if err != nil {
				s.t.Fatalf("Members: %v", err)
			}
			if _, twice := seen[u.ID]; twice {
				s.t.Errorf("%q is walked twice", u.Login)
			}
			if !slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(u.Groups, g) }) {
				s.t.Errorf("%q is in none of the groups", u.Login)
			}
			seen[u.ID] = u
		}
		ada := s.find(s.Ada.Login)
		if got, ok := seen[ada.ID]; len(s.Ada.Groups) > 0 && !ok {
			s.t.Errorf("%q is not walked", ada.Login)
		} else if ok {
			s.same(got, ada)
		}
	}},
	{"Check finds nothing grave in a sound directory", func(s *scene) {
		for _, f := range able[directory.Checker](s).Check(s.ctx) {
			if f.Text == "" {
				s.t.Error("a finding says nothing")
			}
			if f.Grave {
				s.t.Errorf("a grave finding: %s", f.Text)
			}
		}
	}},
}

// last is the error a walk ends with, or nil.
func last(l directory.Lister, ctx context.Context) (last error) {
	for _, err := range l.Users(ctx) {
		last = err
	}
	return last
}
