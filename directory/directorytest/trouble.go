package directorytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sparekey-id/sparekey/directory"
)

var trouble = []rule{
	{"fifty callers at once get their own answers", func(s *scene) {
		people := []Person{s.Ada, s.Bob}
		want := []directory.User{s.find(s.Ada.Login), s.find(s.Bob.Login)}
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				p, want := people[i%2], want[i%2]
				u, err := s.Directory.Find(s.ctx, p.Login)
				if err != nil || u.ID != want.ID || u.Login != want.Login {
					s.t.Errorf("Find(%q) is %q, %v", p.Login, u.Login, err)
				}
				u, err = s.Directory.Get(s.ctx, want.ID)
				if err != nil || u.ID != want.ID || u.Login != want.Login {
					s.t.Errorf("Get of %q is %q, %v", p.Login, u.Login, err)
				}
				if _, err := s.Directory.Find(s.ctx, fmt.Sprintf("nobody-of-this-name-%d", i)); !errors.Is(err, directory.ErrNotFound) {
					s.t.Errorf("Find of nobody: %v", err)
				}
				if v := s.verifier(); v != nil {
					if verdict, err := v.VerifyPassword(s.ctx, want, p.Password); verdict != directory.Right || err != nil {
						s.t.Errorf("the password of %q is %s, %v", p.Login, word(verdict), err)
					}
				}
			})
		}
		all.Wait()
	}},
	{"of three writers at once one wins whole", func(s *scene) {
		setter := able[directory.PasswordSetter](s)
		ada := s.find(s.Ada.Login)
		nexts := []string{fresh, fresher, fresh + fresher}
		errs := make([]error, len(nexts))
		var all sync.WaitGroup
		for i, next := range nexts {
			all.Go(func() { errs[i] = setter.SetPassword(s.ctx, ada, next, directory.SetOptions{}) })
		}
		all.Wait()
		if !slices.Contains(errs, nil) {
			s.t.Fatalf("every writer failed: %v", errs)
		}
		if s.verifier() == nil {
			return
		}
		good := 0
		for _, next := range nexts {
			if s.verdict(ada, next) == directory.Right {
				good++
			}
		}
		if good != 1 {
			s.t.Errorf("%d passwords are good afterwards", good)
		}
	}},
	{"every call gives up when its context has ended", func(s *scene) {
		ctx, cancel := context.WithCancel(s.ctx)
		ada := s.find(s.Ada.Login)
		cancel()
		for what, err := range s.calls(ctx, ada) {
			switch {
			case err == nil && what != "PasswordPolicy":
				s.t.Errorf("%s answers although its context has ended", what)
			case err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, directory.ErrUnavailable):
				s.t.Errorf("%s: %v, want the context's error or ErrUnavailable", what, err)
			}
		}
		s.expect(ada, s.Ada.Password, directory.Right)
	}},
	{"F-06 an outage is ErrUnavailable, never a verdict and never nobody", func(s *scene) {
		if s.Unbreakable {
			s.t.Skip("the directory has no backend to lose")
		}
		ada := s.find(s.Ada.Login)
		s.Break()
		began := time.Now()
		for what, err := range s.calls(s.ctx, ada) {
			switch {
			case err == nil && what != "PasswordPolicy":
				s.t.Errorf("%s answers although the backend is down", what)
			case err == nil:
			case errors.Is(err, directory.ErrNotFound), errors.Is(err, directory.ErrAmbiguous), errors.Is(err, directory.ErrWrongPassword),
				errors.As(err, new(*directory.PolicyError)):
				s.t.Errorf("%s takes an outage for an answer: %v", what, err)
			case errors.Is(err, directory.ErrUnavailable):
			case errors.Is(err, directory.ErrOutcomeUnknown) && (what == "SetPassword" || what == "ChangePassword" || what == "Unlock"):
			default:
				s.t.Errorf("%s: %v, want ErrUnavailable", what, err)
			}
		}
		if took := time.Since(began); took > 45*time.Second {
			s.t.Errorf("an outage took %v to notice", took)
		}
		if c, ok := directory.As[directory.Checker](s.Directory); ok && !slices.ContainsFunc(c.Check(s.ctx), func(f directory.Finding) bool { return f.Grave }) {
			s.t.Error("Check finds nothing grave although the backend is down")
		}
	}},
}

// calls makes every call there is and gives their errors. A verdict beside an error fails the rule.
func (s *scene) calls(ctx context.Context, u directory.User) map[string]error {
	s.t.Helper()
	errs := map[string]error{}
	_, errs["Find"] = s.Directory.Find(ctx, u.Login)
	_, errs["Find of nobody"] = s.Directory.Find(ctx, "nobody-of-this-name")
	_, errs["Get"] = s.Directory.Get(ctx, u.ID)
	_, errs["Get of nobody"] = s.Directory.Get(ctx, "nobody-of-this-id")
	if c, ok := directory.As[directory.PasswordVerifier](s.Directory); ok {
		for what, password := range map[string]string{"VerifyPassword": s.Ada.Password, "VerifyPassword of a wrong one": wrong} {
			verdict, err := c.VerifyPassword(ctx, u, password)
			if errs[what] = err; err != nil && verdict != directory.Wrong {
				s.t.Errorf("%s gives %s beside its error", what, word(verdict))
			}
		}
	}
	if c, ok := directory.As[directory.PasswordSetter](s.Directory); ok {
		errs["SetPassword"] = c.SetPassword(ctx, u, fresh, directory.SetOptions{})
	}
	if c, ok := directory.As[directory.PasswordChanger](s.Directory); ok {
		errs["ChangePassword"] = c.ChangePassword(ctx, u, s.Ada.Password, fresher)
	}
	if c, ok := directory.As[directory.Unlocker](s.Directory); ok {
		errs["Unlock"] = c.Unlock(ctx, u)
	}
	if c, ok := directory.As[directory.SessionEnder](s.Directory); ok {
		errs["EndSessions"] = c.EndSessions(ctx, u)
	}
	if c, ok := directory.As[directory.Policer](s.Directory); ok {
		_, errs["PasswordPolicy"] = c.PasswordPolicy(ctx, u) // may be known without asking
	}
	if c, ok := directory.As[directory.Lister](s.Directory); ok {
		errs["Users"] = last(c, ctx)
	}
	return errs
}
