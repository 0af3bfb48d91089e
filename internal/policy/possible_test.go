package policy

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
)

func TestARuleThatNobodyCanMeetIsNamedBySetting(t *testing.T) {
	const card identity.Kind = "card" // something one is: a second kind of factor
	for name, c := range map[string]struct {
		edit func(*Rule)
		want string
	}{
		"one of two":                   {func(r *Rule) {}, ""},
		"both":                         {func(r *Rule) { r.Required = 2 }, ""},
		"three of two":                 {func(r *Rule) { r.Required = 3 }, "methods_required"},
		"none is enabled":              {func(r *Rule) { r.Methods = nil }, "methods_required"},
		"one is for sign-in alone":     {func(r *Rule) { r.Required, r.Methods[identity.TOTP] = 2, []identity.Use{identity.SignIn} }, "methods_required"},
		"no reset, nothing to meet":    {func(r *Rule) { r.Reset, r.Required, r.Methods = false, 3, nil }, ""},
		"two of one factor":            {func(r *Rule) { r.Required, r.DifferentFactors = 2, true }, "different_factors"},
		"two of two factors":           {func(r *Rule) { r.Required, r.DifferentFactors, r.Methods[card] = 2, true, nil }, ""},
		"two factors of one method":    {func(r *Rule) { r.DifferentFactors = true }, "different_factors"},
		"a second factor":              {func(r *Rule) { r.SecondFactor = Required }, ""},
		"a second factor that is none": {func(r *Rule) { r.SecondFactor = Required; delete(r.Methods, identity.TOTP) }, "second_factor"},
		"a second factor for resets":   {func(r *Rule) { r.SecondFactor, r.Methods[identity.TOTP] = Required, []identity.Use{identity.Reset} }, "second_factor"},
		"the password is no second factor": {func(r *Rule) {
			r.SecondFactor, r.Reset, r.Methods = Required, false, map[identity.Kind][]identity.Use{identity.Password: nil}
		}, "second_factor"},
		"a second factor only for who has it": {func(r *Rule) { r.SecondFactor = WhenRegistered; delete(r.Methods, identity.TOTP) }, ""},
	} {
		p := with(func(p *Policy, r *Rule) {
			p.Traits[card] = identity.Traits{Factors: []identity.Factor{identity.Are}, Uses: []identity.Use{identity.Reset}}
			c.edit(r)
		})
		if got := strings.Join(slices.Sorted(maps.Keys(p.Possible(p.Rules[0]))), " "); got != c.want {
			t.Errorf("%s: %q, want %q: %v", name, got, c.want, p.Possible(p.Rules[0]))
		}
	}
}

// Possible and Decide agree: a rule without a fault lets somebody reset who has registered one of each, and one with a fault nobody.
func TestARuleIsPossibleWhenSomebodyCanReset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := with(func(p *Policy, r *Rule) {
			r.Required = rapid.IntRange(1, 3).Draw(t, "required")
			r.DifferentFactors = r.Required > 1 && rapid.Bool().Draw(t, "factors")
			r.Methods = map[identity.Kind][]identity.Use{}
			for _, k := range []identity.Kind{identity.TOTP, identity.Email, phone} {
				x := p.Traits[k]
				x.Factors = []identity.Factor{rapid.SampledFrom([]identity.Factor{identity.Know, identity.Have}).Draw(t, "factor")}
				p.Traits[k] = x
				if rapid.Bool().Draw(t, "enabled") {
					r.Methods[k] = rapid.SampledFrom([][]identity.Use{nil, {identity.SignIn}, {identity.Reset}}).Draw(t, "uses")
				}
			}
		})
		d := p.Decide(Facts{Now: now, For: Reset, User: directory.User{ID: "1", Groups: []string{"Avengers"}}, CanSet: true, Held: held(identity.TOTP, identity.Email, phone)})
		if faults := p.Possible(p.Rules[0]); (len(faults) == 0) != (d.Refuse == "") {
			t.Fatalf("%v, and a reset is %q: %+v", faults, d.Refuse, p.Rules[0])
		}
	})
}
