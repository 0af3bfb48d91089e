package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
)

// Decide says what stands between the user and her purpose. Raising a requirement never grants more.
func (p *Policy) Decide(f Facts) Decision {
	i, r := p.Effective(f.User)
	if f.Under != nil {
		r = *f.Under
	}
	d := Decision{Rule: i, Administrator: p.Administrator(f.User), Notify: r.Notify || i < 0, Help: r.Help, DeadEnd: r.DeadEnd}
	d.say("%s", matched(i, d.Administrator))
	if f.User.State.Barred() {
		d.Refuse = Barred
		d.say("the account is disabled or locked by an operator")
		return d
	}
	switch f.For {
	case SignIn:
		p.signIn(&d, r, f)
	case Reset, Unlock:
		p.reset(&d, r, f)
	case Manage:
		p.manage(&d, r, f)
	}
	return d
}

func matched(rule int, admin bool) string {
	switch {
	case admin:
		return "an administrator of the tenant: two different methods, whatever the rules say"
	case rule < 0:
		return "no rule applies"
	}
	return fmt.Sprintf("rule %d applies", rule+1)
}

func (d *Decision) say(format string, args ...any) {
	d.Why = append(d.Why, fmt.Sprintf(format, args...))
}

func (p *Policy) signIn(d *Decision, r Rule, f Facts) {
	d.Required = 1
	if !proven(f.Proofs, identity.Password) {
		d.Password = true
		d.say("the password is asked for")
		return
	}
	if f.Asked.Doubted {
		d.Refuse = Doubted
		d.say("“This wasn’t me” was pressed about the password: it proves nothing until an operator lifts that")
		return
	}
	second := p.usable(r, f, identity.SignIn)
	if r.SecondFactor == WhenRegistered || r.SecondFactor == Required {
		if len(second) > 0 {
			d.Required = 2
			if !provenOneOf(f.Proofs, second) {
				d.Choices = second
				d.say("a second factor is asked for (second_factor: %s)", r.SecondFactor)
				return
			}
		}
	}
	if r.SecondFactor == WhenRegistered && len(second) == 0 && p.stopped(r, f) {
		d.Refuse = Frozen
		d.say("the second factor was suspended by “This wasn’t me”: the password alone is not enough again")
		return
	}
	d.PasswordDue = f.Due || f.User.State&(directory.Expired|directory.MustChange) != 0
	if d.PasswordDue {
		d.say("the password has expired or must be changed")
	}
	d.Enough = true
	if d.PasswordDue && f.Now.Before(f.Asked.FrozenUntil) {
		// Whoever knows the password would choose the next one while changes are stopped: it takes what any other change takes.
		p.fresh(d, r, f)
		d.ProveFirst = !d.Fresh
		if d.ProveFirst {
			return
		}
	}
	p.registration(d, r, f)
	if d.Missing > 0 {
		// New security info takes a fresh proof of the strongest thing the account holds.
		p.fresh(d, r, f)
	}
}

func (p *Policy) reset(d *Decision, r Rule, f Facts) {
	switch {
	case p.NeverHere(f.User):
		d.Refuse = NeverHere
		d.say("the account is never reset here")
		return
	case f.For == Reset && !r.Reset, f.For == Unlock && !(r.Reset && r.Unlock):
		d.Refuse = OutOfScope
		d.say("no rule lets this user reset or unlock by herself")
		return
	case f.For == Reset && !f.CanSet, f.For == Unlock && !f.CanOpen:
		d.Refuse = NoSetter
		d.say("the directory cannot do it")
		return
	case f.Now.Before(f.Asked.FrozenUntil):
		d.Refuse = Frozen
		d.say("changes are frozen: “This wasn’t me” was pressed")
		return
	}
	d.Required = max(r.Required, 1)
	usable := p.usable(r, f, identity.Reset)
	if !p.suffices(r, usable, d.Required) {
		d.Refuse = TooFew
		d.say("methods required to reset: %d, usable: %d", d.Required, len(kinds(usable)))
		return
	}
	var done []identity.Authenticator
	for _, a := range usable {
		if slices.ContainsFunc(f.Proofs, func(x identity.Proof) bool { return x.Authenticator == a.ID }) {
			done = append(done, a)
		}
	}
	d.Enough = p.suffices(r, done, d.Required)
	if d.Enough {
		at := f.HeldUntil // its owner has that long to stop it, whatever has come of the attack
		if hot := last(f.Proofs).Add(HotWait); f.Hot && d.Required == 1 && hot.After(at) {
			at = hot
		}
		if f.For == Reset && f.Now.Before(at) {
			d.NotBefore = at
			d.say("resets are under attack here: a reset by one proof waits half an hour")
		}
		return
	}
	for _, a := range usable {
		if !slices.Contains(kinds(done), a.Kind) {
			d.Choices = append(d.Choices, a)
		}
	}
	d.say("methods proven: %d of %d", len(kinds(done)), d.Required)
}

func (p *Policy) manage(d *Decision, r Rule, f Facts) {
	p.registration(d, r, f)
	p.fresh(d, r, f)
	d.Enough = d.Fresh
}

// last is when the newest of the proofs was given.
func last(proofs []identity.Proof) time.Time {
	var at time.Time
	for _, x := range proofs {
		if x.At.After(at) {
			at = x.At
		}
	}
	return at
}

// strongest lists the authenticators of the strongest kind held.
func (p *Policy) strongest(f Facts) (best []identity.Authenticator) {
	for _, a := range f.Held {
		if a.Suspended || a.BoundAt.Before(f.Asked.RequiredAgain) {
			continue
		}
		switch s := p.Traits[a.Kind].Strength; {
		case len(best) == 0 || s > p.Traits[best[0].Kind].Strength:
			best = []identity.Authenticator{a}
		case s == p.Traits[best[0].Kind].Strength:
			best = append(best, a)
		}
	}
	return best
}

// fresh asks for a proof no older than ProofAge of the strongest method held; with none held, of the password. Where changes are frozen
// only what was bound before the change in question counts, and its proof lifts the freeze.
func (p *Policy) fresh(d *Decision, r Rule, f Facts) {
	frozen := f.Now.Before(f.Asked.FrozenUntil)
	if frozen {
		d.say("changes are frozen: “This wasn’t me” was pressed")
		f.Held = slices.DeleteFunc(slices.Clone(f.Held), func(a identity.Authenticator) bool { return !a.BoundAt.Before(f.Asked.FrozenSince) })
	}
	best := p.strongest(f)
	if frozen && len(best) == 0 {
		d.Refuse = Frozen
		return
	}
	if len(best) == 0 && r.Registration.Needs == NeedsEmail {
		if f.Address.ID == "" {
			if !d.MaySkip {
				d.Refuse = NoAddress
			}
			d.say("the first registration needs a code sent to the directory’s address, and there is none")
			return
		}
		best = []identity.Authenticator{f.Address}
		d.say("the first registration needs a code sent to the directory’s address")
	}
	recent := slices.DeleteFunc(slices.Clone(f.Proofs), func(x identity.Proof) bool {
		return f.Now.Sub(x.At) > p.ProofAge || x.At.After(f.Now.Add(time.Minute))
	})
	switch {
	case !proven(recent, identity.Password):
		d.Password = true
		d.say("a fresh proof of the password is asked for")
	case len(best) > 0 && !provenOneOf(recent, best):
		d.Choices = best
		d.say("a fresh proof of the strongest registered method is asked for")
	default:
		d.Fresh, d.Thaws = true, frozen
	}
}

// registration works out what is missing and whether it may wait.
func (p *Policy) registration(d *Decision, r Rule, f Facts) {
	needReset := 0
	if r.Reset && !p.NeverHere(f.User) {
		needReset = max(r.Required, 1)
	}
	held := p.usable(r, f, identity.Reset)
	enabled := p.Kinds(r, identity.Reset)
	missing := p.missing(r, held, needReset)
	var candidates []identity.Kind
	if missing > 0 {
		for _, k := range enabled {
			if !slices.Contains(kinds(held), k) {
				candidates = append(candidates, k)
			}
		}
	}
	lacking := r.SecondFactor == Required && len(p.usable(r, f, identity.SignIn)) == 0
	if lacking {
		both := slices.DeleteFunc(p.Kinds(r, identity.SignIn), func(k identity.Kind) bool { return k == identity.Password })
		if missing == 0 {
			candidates = both
		} else if first := slices.DeleteFunc(slices.Clone(both), func(k identity.Kind) bool { return !slices.Contains(candidates, k) }); missing == 1 && len(first) > 0 {
			candidates = first // one that serves both ends
		}
		missing = max(missing, 1)
		if len(both) == 0 {
			d.Refuse = TooFew
			d.say("a second factor is required, and no enabled method is one")
			return
		}
	}
	if f.For == SignIn && !lacking && (!r.Registration.AtSignIn || f.Now.Before(r.Registration.From)) {
		return
	}
	d.Missing, d.Register = min(missing, max(len(candidates), 0)), candidates
	if d.Missing == 0 {
		return
	}
	d.say("%d more to register", d.Missing)
	d.SkipsLeft = -1
	byCount, byDate := r.Registration.SkipTimes > 0, !r.Registration.SkipUntil.IsZero()
	if byCount {
		d.SkipsLeft = max(r.Registration.SkipTimes-f.Asked.Skips, 0)
	}
	d.SkipUntil, d.Snooze = r.Registration.SkipUntil, r.Registration.Snooze
	d.MaySkip = (byCount || byDate) && d.SkipsLeft != 0 && (!byDate || f.Now.Before(d.SkipUntil)) && f.Asked.RequiredAgain.IsZero()
	d.Snoozed = d.MaySkip && f.Now.Before(f.Asked.SnoozedUntil)
	if d.Snoozed {
		d.say("asked again after the snooze ends")
	}
}

// stopped reports whether a second factor was suspended while changes are frozen. A notice's link must not turn the second factor off.
func (p *Policy) stopped(r Rule, f Facts) bool {
	return f.Now.Before(f.Asked.FrozenUntil) && slices.ContainsFunc(f.Held, func(a identity.Authenticator) bool {
		return a.Suspended && p.Enabled(r, a.Kind, identity.SignIn)
	})
}

// usable lists the authenticators that count for the use under rule r, strongest first, the default one before its equals.
func (p *Policy) usable(r Rule, f Facts, use identity.Use) []identity.Authenticator {
	var list []identity.Authenticator
	for _, a := range f.Held {
		if !a.Suspended && p.Enabled(r, a.Kind, use) && !a.BoundAt.Before(f.Asked.RequiredAgain) {
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b identity.Authenticator) int {
		if a.Default != b.Default && use != identity.Reset { // in a reset every name meets the same order (SECURITY RS-01)
			if a.Default {
				return -1
			}
			return 1
		}
		return p.Traits[b.Kind].Strength - p.Traits[a.Kind].Strength
	})
	return list
}

// suffices reports whether n different methods, of two kinds of factor where the rule says so, are among the list.
func (p *Policy) suffices(r Rule, list []identity.Authenticator, n int) bool {
	return len(list) > 0 && p.missing(r, list, n) == 0
}

func (p *Policy) missing(r Rule, list []identity.Authenticator, n int) int {
	have := kinds(list)
	missing := max(n-len(have), 0)
	if missing == 0 && r.DifferentFactors && n > 1 {
		var factors []identity.Factor
		for _, k := range have {
			for _, x := range p.Traits[k].Factors {
				if !slices.Contains(factors, x) {
					factors = append(factors, x)
				}
			}
		}
		if len(factors) < 2 {
			return 1
		}
	}
	return missing
}

func kinds(list []identity.Authenticator) []identity.Kind {
	var out []identity.Kind
	for _, a := range list {
		if !slices.Contains(out, a.Kind) {
			out = append(out, a.Kind)
		}
	}
	return out
}

func proven(proofs []identity.Proof, k identity.Kind) bool {
	return slices.ContainsFunc(proofs, func(x identity.Proof) bool { return x.Kind == k })
}

func provenOneOf(proofs []identity.Proof, list []identity.Authenticator) bool {
	return slices.ContainsFunc(list, func(a identity.Authenticator) bool {
		return slices.ContainsFunc(proofs, func(x identity.Proof) bool { return x.Authenticator == a.ID })
	})
}
