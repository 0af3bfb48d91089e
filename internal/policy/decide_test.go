package policy

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// asPerson are the methods of these tests: three that reset, two that sign in.
const phone identity.Kind = "phone"

func traits() map[identity.Kind]identity.Traits {
	return map[identity.Kind]identity.Traits{
		identity.Password: {Factors: []identity.Factor{identity.Know}, Uses: []identity.Use{identity.SignIn, identity.Manage}, Strength: 10},
		identity.TOTP:     {Factors: []identity.Factor{identity.Have}, Uses: []identity.Use{identity.SignIn, identity.Reset, identity.Manage}, Strength: 30},
		identity.Email:    {Factors: []identity.Factor{identity.Have}, Uses: []identity.Use{identity.Reset, identity.Manage}, Strength: 20},
		phone:             {Factors: []identity.Factor{identity.Have}, Uses: []identity.Use{identity.SignIn, identity.Reset, identity.Manage}, Strength: 25},
	}
}

func rules() Rule {
	return Rule{Groups: []string{"Avengers"}, Reset: true, Required: 1, Unlock: true, Notify: true, SecondFactor: Never,
		Methods: map[identity.Kind][]identity.Use{identity.TOTP: nil, identity.Email: nil}, Registration: Registration{AtSignIn: true}}
}

func with(edit func(*Policy, *Rule)) *Policy {
	p := &Policy{Administrators: []string{"IT"}, Never: []string{"Service"}, ProofAge: 10 * time.Minute, Traits: traits()}
	r := rules()
	if edit != nil {
		edit(p, &r)
	}
	p.Rules = []Rule{r}
	return p
}

func held(kinds ...identity.Kind) []identity.Authenticator {
	var list []identity.Authenticator
	for _, k := range kinds {
		list = append(list, identity.Authenticator{ID: "id-" + string(k), Kind: k, BoundAt: now.Add(-24 * time.Hour)})
	}
	return list
}

func proofs(kinds ...identity.Kind) []identity.Proof {
	var list []identity.Proof
	for _, k := range kinds {
		p := identity.Proof{Kind: k, At: now.Add(-time.Minute)}
		if k != identity.Password {
			p.Authenticator = "id-" + string(k)
		}
		list = append(list, p)
	}
	return list
}

var ironman = directory.User{ID: "1", Login: "ironman", Groups: []string{"Avengers"}}

func TestDecide(t *testing.T) {
	pepper := directory.User{ID: "2", Login: "pepper", Groups: []string{"Avengers", "IT"}}
	for name, c := range map[string]struct {
		policy func(*Policy, *Rule)
		facts  Facts
		want   func(Decision) bool
	}{
		"sign-in begins with the password":             {nil, Facts{For: SignIn}, func(d Decision) bool { return d.Password && !d.Enough }},
		"nothing registered: asked, not to be skipped": {nil, Facts{For: SignIn, Proofs: proofs(identity.Password)}, func(d Decision) bool { return d.Enough && d.Missing == 1 && !d.MaySkip && d.Fresh }},
		"the strongest method is offered first":        {nil, Facts{For: SignIn, Proofs: proofs(identity.Password)}, func(d Decision) bool { return slices.Equal(d.Register, []identity.Kind{identity.TOTP, identity.Email}) }},
		"enough registered: nothing is asked":          {nil, Facts{For: SignIn, Proofs: proofs(identity.Password), Held: held(identity.Email)}, func(d Decision) bool { return d.Enough && d.Missing == 0 }},
		"partly registered: only what is missing": {func(_ *Policy, r *Rule) { r.Required = 2 }, Facts{For: SignIn, Proofs: proofs(identity.Password), Held: held(identity.Email)},
			func(d Decision) bool {
				return d.Missing == 1 && slices.Equal(d.Register, []identity.Kind{identity.TOTP})
			}},
		"a password that is due, changes frozen: what was there before comes first": {nil, Facts{For: SignIn, Due: true, Proofs: proofs(identity.Password), Held: held(identity.TOTP), Asked: Asked{FrozenUntil: now.Add(time.Hour), FrozenSince: now.Add(-time.Hour)}},
			func(d Decision) bool {
				return d.PasswordDue && d.ProveFirst && len(d.Choices) == 1 && !d.Thaws && d.Refuse == ""
			}},
		"a password that is due, changes frozen, and what was there before is proven": {nil, Facts{For: SignIn, Due: true, Proofs: proofs(identity.Password, identity.TOTP), Held: held(identity.TOTP), Asked: Asked{FrozenUntil: now.Add(time.Hour), FrozenSince: now.Add(-time.Hour)}},
			func(d Decision) bool { return d.PasswordDue && !d.ProveFirst && d.Thaws }},
		"a password that is due, changes frozen, and nothing is older": {nil, Facts{For: SignIn, Due: true, Proofs: proofs(identity.Password), Held: held(identity.TOTP), Asked: Asked{FrozenUntil: now.Add(time.Hour)}},
			func(d Decision) bool { return d.Refuse == Frozen }},
		"partly registered: a proof of what there is comes before more (EN-01)": {func(_ *Policy, r *Rule) { r.Required = 2 }, Facts{For: SignIn, Proofs: proofs(identity.Password), Held: held(identity.Email)},
			func(d Decision) bool { return !d.Fresh && len(d.Choices) == 1 && d.Choices[0].Kind == identity.Email }},
		"out of every rule: nothing is asked":         {nil, Facts{For: SignIn, User: directory.User{ID: "3"}, Proofs: proofs(identity.Password)}, func(d Decision) bool { return d.Enough && d.Missing == 0 && d.Rule == -1 }},
		"a suspended method does not count":           {nil, Facts{For: SignIn, Proofs: proofs(identity.Password), Held: suspended(held(identity.TOTP))}, func(d Decision) bool { return d.Missing == 1 }},
		"required again: older methods do not count":  {nil, Facts{For: SignIn, Proofs: proofs(identity.Password), Held: held(identity.TOTP), Asked: Asked{RequiredAgain: now}}, func(d Decision) bool { return d.Missing == 1 && !d.MaySkip }},
		"before the date nothing is asked":            {func(_ *Policy, r *Rule) { r.Registration.From = now.Add(time.Hour) }, Facts{For: SignIn, Proofs: proofs(identity.Password)}, func(d Decision) bool { return d.Missing == 0 }},
		"skips are counted":                           {func(_ *Policy, r *Rule) { r.Registration.SkipTimes = 3 }, Facts{For: SignIn, Proofs: proofs(identity.Password), Asked: Asked{Skips: 2}}, func(d Decision) bool { return d.MaySkip && d.SkipsLeft == 1 }},
		"skips run out":                               {func(_ *Policy, r *Rule) { r.Registration.SkipTimes = 3 }, Facts{For: SignIn, Proofs: proofs(identity.Password), Asked: Asked{Skips: 3}}, func(d Decision) bool { return !d.MaySkip && d.SkipsLeft == 0 }},
		"skipping ends by date":                       {func(_ *Policy, r *Rule) { r.Registration.SkipUntil = now }, Facts{For: SignIn, Proofs: proofs(identity.Password)}, func(d Decision) bool { return !d.MaySkip }},
		"within the snooze nobody is asked":           {func(_ *Policy, r *Rule) { r.Registration.SkipTimes = 3 }, Facts{For: SignIn, Proofs: proofs(identity.Password), Asked: Asked{SnoozedUntil: now.Add(1)}}, func(d Decision) bool { return d.Snoozed }},
		"frozen: no registration on a password alone": {nil, Facts{For: SignIn, Proofs: proofs(identity.Password), Held: suspended(held(identity.TOTP)), Asked: Asked{FrozenUntil: now.Add(1)}}, func(d Decision) bool { return d.Refuse == Frozen }},
		"an expired password is due":                  {nil, Facts{For: SignIn, User: state(directory.Expired), Proofs: proofs(identity.Password), Held: held(identity.TOTP)}, func(d Decision) bool { return d.PasswordDue }},
		"a disabled account is refused":               {nil, Facts{For: SignIn, User: state(directory.Disabled), Proofs: proofs(identity.Password)}, func(d Decision) bool { return d.Refuse == Barred && !d.Enough }},
		"second factor when registered":               {func(_ *Policy, r *Rule) { r.SecondFactor = WhenRegistered }, Facts{For: SignIn, Proofs: proofs(identity.Password), Held: held(identity.TOTP)}, func(d Decision) bool { return !d.Enough && len(d.Choices) == 1 }},
		"an e-mail address is no second factor":       {func(_ *Policy, r *Rule) { r.SecondFactor = WhenRegistered }, Facts{For: SignIn, Proofs: proofs(identity.Password), Held: held(identity.Email)}, func(d Decision) bool { return d.Enough }},
		"second factor required, only e-mail: one more": {func(_ *Policy, r *Rule) { r.SecondFactor = Required }, Facts{For: SignIn, Proofs: proofs(identity.Password), Held: held(identity.Email)}, func(d Decision) bool {
			return d.Missing == 1 && slices.Equal(d.Register, []identity.Kind{identity.TOTP})
		}},

		"frozen: a suspended second factor is still asked for, and proves nothing": {func(_ *Policy, r *Rule) { r.SecondFactor = WhenRegistered }, Facts{For: SignIn, Proofs: proofs(identity.Password, identity.TOTP), Held: suspended(held(identity.TOTP)), Asked: Asked{FrozenUntil: now.Add(1), FrozenSince: now}}, func(d Decision) bool { return d.Refuse == Frozen && !d.Enough }},
		"reset: the one asked first at sign-in is not first here":                  {nil, Facts{For: Reset, Held: preferred(held(identity.Email, identity.TOTP))}, func(d Decision) bool { return len(d.Choices) == 2 && d.Choices[0].Kind == identity.TOTP }},
		"a password in doubt lets nobody in":                                       {nil, Facts{For: SignIn, Proofs: proofs(identity.Password, identity.TOTP), Held: held(identity.TOTP), Asked: Asked{Doubted: true}}, func(d Decision) bool { return d.Refuse == Doubted && !d.Enough }},
		"reset: one proof of one method":                                           {nil, Facts{For: Reset, Held: held(identity.TOTP)}, func(d Decision) bool { return d.Refuse == "" && !d.Enough && len(d.Choices) == 1 }},
		"reset: proven":                                                            {nil, Facts{For: Reset, Held: held(identity.TOTP), Proofs: proofs(identity.TOTP)}, func(d Decision) bool { return d.Enough }},
		"reset: the password is no proof":                                          {nil, Facts{For: Reset, Held: held(identity.TOTP), Proofs: proofs(identity.Password)}, func(d Decision) bool { return !d.Enough }},
		"reset: too few methods":                                                   {func(_ *Policy, r *Rule) { r.Required = 2 }, Facts{For: Reset, Held: held(identity.TOTP)}, func(d Decision) bool { return d.Refuse == TooFew }},
		"reset: the same method twice is one (RS-12)":                              {func(_ *Policy, r *Rule) { r.Required = 2 }, Facts{For: Reset, Held: append(held(identity.TOTP), identity.Authenticator{ID: "id-2", Kind: identity.TOTP})}, func(d Decision) bool { return d.Refuse == TooFew }},
		"reset: after one of two the other is offered":                             {func(_ *Policy, r *Rule) { r.Required = 2 }, Facts{For: Reset, Held: held(identity.TOTP, identity.Email), Proofs: proofs(identity.TOTP)}, func(d Decision) bool { return !d.Enough && len(d.Choices) == 1 && d.Choices[0].Kind == identity.Email }},
		"reset: disabled method":                                                   {func(_ *Policy, r *Rule) { delete(r.Methods, identity.TOTP) }, Facts{For: Reset, Held: held(identity.TOTP)}, func(d Decision) bool { return d.Refuse == TooFew }},
		"reset: method for sign-in only":                                           {func(_ *Policy, r *Rule) { r.Methods[identity.TOTP] = []identity.Use{identity.SignIn} }, Facts{For: Reset, Held: held(identity.TOTP)}, func(d Decision) bool { return d.Refuse == TooFew }},
		"reset: two kinds of factor where asked":                                   {func(_ *Policy, r *Rule) { r.Required, r.DifferentFactors = 2, true }, Facts{For: Reset, Held: held(identity.TOTP, identity.Email)}, func(d Decision) bool { return d.Refuse == TooFew }},
		"reset: out of scope":                                                      {nil, Facts{For: Reset, User: directory.User{ID: "3"}, Held: held(identity.TOTP)}, func(d Decision) bool { return d.Refuse == OutOfScope }},
		"reset: switched off":                                                      {func(_ *Policy, r *Rule) { r.Reset = false }, Facts{For: Reset, Held: held(identity.TOTP)}, func(d Decision) bool { return d.Refuse == OutOfScope }},
		"reset: never here comes first":                                            {nil, Facts{For: Reset, User: directory.User{ID: "1", Groups: []string{"Avengers", "Service"}}, Held: held(identity.TOTP)}, func(d Decision) bool { return d.Refuse == NeverHere }},
		"reset: privileged in the directory":                                       {nil, Facts{For: Reset, User: directory.User{ID: "1", Groups: []string{"Avengers", "IT"}, Privileged: true}, Held: held(identity.TOTP, identity.Email)}, func(d Decision) bool { return d.Refuse == NeverHere }},
		"reset: frozen":                                                            {nil, Facts{For: Reset, Held: held(identity.TOTP), Asked: Asked{FrozenUntil: now.Add(1)}}, func(d Decision) bool { return d.Refuse == Frozen }},
		"reset: a directory that cannot":                                           {nil, Facts{For: Reset, Held: held(identity.TOTP), CanSet: false}, func(d Decision) bool { return d.Refuse == NoSetter }},
		"reset: administrators need two (RS-12)":                                   {nil, Facts{For: Reset, User: pepper, Held: held(identity.TOTP), Proofs: proofs(identity.TOTP)}, func(d Decision) bool { return d.Refuse == TooFew && d.Administrator }},
		"reset: an administrator outside every rule":                               {nil, Facts{For: Reset, User: directory.User{ID: "4", Groups: []string{"IT"}}, Held: held(identity.TOTP, identity.Email)}, func(d Decision) bool { return d.Refuse == "" && d.Required == 2 }},
		"unlock: where the rule lets":                                              {nil, Facts{For: Unlock, Held: held(identity.TOTP)}, func(d Decision) bool { return d.Refuse == "" }},
		"unlock: where it does not":                                                {func(_ *Policy, r *Rule) { r.Unlock = false }, Facts{For: Unlock, Held: held(identity.TOTP)}, func(d Decision) bool { return d.Refuse == OutOfScope }},

		"manage: a fresh password where nothing is held":             {nil, Facts{For: Manage, Proofs: proofs(identity.Password)}, func(d Decision) bool { return d.Enough }},
		"manage: the strongest held (EN-01)":                         {nil, Facts{For: Manage, Proofs: proofs(identity.Password, identity.Email), Held: held(identity.TOTP, identity.Email)}, func(d Decision) bool { return !d.Enough && len(d.Choices) == 1 && d.Choices[0].Kind == identity.TOTP }},
		"manage: proven by it":                                       {nil, Facts{For: Manage, Proofs: proofs(identity.Password, identity.TOTP), Held: held(identity.TOTP)}, func(d Decision) bool { return d.Enough }},
		"manage: a proof too old":                                    {nil, Facts{For: Manage, Proofs: old(proofs(identity.Password, identity.TOTP)), Held: held(identity.TOTP)}, func(d Decision) bool { return !d.Enough && d.Password }},
		"manage: frozen, and what there is is newer than the change": {nil, Facts{For: Manage, Proofs: proofs(identity.Password, identity.TOTP), Held: held(identity.TOTP), Asked: Asked{FrozenUntil: now.Add(1), FrozenSince: now.Add(-48 * time.Hour)}}, func(d Decision) bool { return d.Refuse == Frozen && !d.Thaws }},
		"manage: frozen, something older is asked for": {nil, Facts{For: Manage, Proofs: proofs(identity.Password), Held: held(identity.TOTP), Asked: Asked{FrozenUntil: now.Add(1), FrozenSince: now}}, func(d Decision) bool {
			return d.Refuse == "" && !d.Enough && !d.Thaws && len(d.Choices) == 1
		}},
		"manage: frozen, a proof by something older lifts it":        {nil, Facts{For: Manage, Proofs: proofs(identity.Password, identity.TOTP), Held: held(identity.TOTP), Asked: Asked{FrozenUntil: now.Add(1), FrozenSince: now}}, func(d Decision) bool { return d.Enough && d.Thaws }},
		"manage: frozen, what was stopped lifts nothing":             {nil, Facts{For: Manage, Proofs: proofs(identity.Password, identity.TOTP), Held: suspended(held(identity.TOTP)), Asked: Asked{FrozenUntil: now.Add(1), FrozenSince: now}}, func(d Decision) bool { return d.Refuse == Frozen && !d.Enough }},
		"manage: a freeze without a change is an operator's to lift": {nil, Facts{For: Manage, Proofs: proofs(identity.Password, identity.TOTP), Held: held(identity.TOTP), Asked: Asked{FrozenUntil: now.Add(1)}}, func(d Decision) bool { return d.Refuse == Frozen }},
		"sign-in: frozen and something is missing: something older comes first": {func(_ *Policy, r *Rule) { r.Required = 2 }, Facts{For: SignIn, Proofs: proofs(identity.Password), Held: held(identity.TOTP), Asked: Asked{FrozenUntil: now.Add(1), FrozenSince: now}}, func(d Decision) bool {
			return d.Refuse == "" && !d.Fresh && len(d.Choices) == 1
		}},
		"reset: one proof waits while resets are under attack":      {nil, Facts{For: Reset, Held: held(identity.TOTP), Proofs: proofs(identity.TOTP), Hot: true}, func(d Decision) bool { return d.Enough && d.NotBefore.Equal(now.Add(29*time.Minute)) }},
		"reset: the wait ends":                                      {nil, Facts{For: Reset, Held: held(identity.TOTP), Proofs: []identity.Proof{{Kind: identity.TOTP, Authenticator: "id-totp", At: now.Add(-HotWait)}}, Hot: true}, func(d Decision) bool { return d.Enough && d.NotBefore.IsZero() }},
		"reset: what waits waits as long as its mail says":          {nil, Facts{For: Reset, Held: held(identity.TOTP), Proofs: proofs(identity.TOTP), HeldUntil: now.Add(time.Minute)}, func(d Decision) bool { return d.Enough && d.NotBefore.Equal(now.Add(time.Minute)) }},
		"reset: what has waited goes on":                            {nil, Facts{For: Reset, Held: held(identity.TOTP), Proofs: proofs(identity.TOTP), HeldUntil: now}, func(d Decision) bool { return d.Enough && d.NotBefore.IsZero() }},
		"reset: two proofs wait for nothing":                        {func(_ *Policy, r *Rule) { r.Required = 2 }, Facts{For: Reset, Held: held(identity.TOTP, identity.Email), Proofs: proofs(identity.TOTP, identity.Email), Hot: true}, func(d Decision) bool { return d.Enough && d.NotBefore.IsZero() }},
		"unlock: keeps the password and waits for nothing":          {nil, Facts{For: Unlock, Held: held(identity.TOTP), Proofs: proofs(identity.TOTP), Hot: true}, func(d Decision) bool { return d.Enough && d.NotBefore.IsZero() }},
		"reset: a decoy walks under a rule whatever its groups say": {nil, Facts{For: Reset, User: directory.User{ID: "3"}, Held: held(identity.TOTP), Under: ptr(rules())}, func(d Decision) bool { return d.Refuse == "" && len(d.Choices) == 1 }},
		"manage: frozen": {nil, Facts{For: Manage, Proofs: proofs(identity.Password), Asked: Asked{FrozenUntil: now.Add(1)}}, func(d Decision) bool { return d.Refuse == Frozen }},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.facts
			f.Now = now
			if f.User.ID == "" {
				f.User = ironman
			}
			if name != "reset: a directory that cannot" {
				f.CanSet, f.CanOpen = true, true
			}
			if d := with(c.policy).Decide(f); !c.want(d) {
				t.Errorf("%+v", d)
			}
		})
	}
}

func preferred(list []identity.Authenticator) []identity.Authenticator {
	list[0].Default = true
	return list
}

func ptr[T any](v T) *T { return &v }

func suspended(list []identity.Authenticator) []identity.Authenticator {
	for i := range list {
		list[i].Suspended = true
	}
	return list
}

func state(s directory.State) directory.User {
	u := ironman
	u.State = s
	return u
}

func old(list []identity.Proof) []identity.Proof {
	for i := range list {
		list[i].At = now.Add(-11 * time.Minute)
	}
	return list
}

// TestRaisingARequirementNeverGrantsMore draws facts and a stricter rule: whoever is refused or not yet through under the
// looser one is not through under the stricter one either.
func TestRaisingARequirementNeverGrantsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var have []identity.Authenticator
		var given []identity.Proof
		for _, k := range []identity.Kind{identity.TOTP, identity.Email, phone} {
			if rapid.Bool().Draw(t, "held "+string(k)) {
				a := held(k)[0]
				a.Suspended = rapid.Bool().Draw(t, "suspended")
				have = append(have, a)
			}
			if rapid.Bool().Draw(t, "proven "+string(k)) {
				given = append(given, proofs(k)...)
			}
		}
		if rapid.Bool().Draw(t, "password") {
			given = append(given, proofs(identity.Password)...)
		}
		loose := rules()
		loose.Required = rapid.IntRange(1, 3).Draw(t, "required")
		loose.Methods[phone] = nil
		strict := loose
		strict.Required = rapid.IntRange(loose.Required, 3).Draw(t, "stricter")
		strict.DifferentFactors = rapid.Bool().Draw(t, "factors")
		strict.SecondFactor = rapid.SampledFrom([]SecondFactor{Never, WhenRegistered, Required}).Draw(t, "second")
		decide := func(r Rule, purpose Purpose) Decision {
			p := with(nil)
			p.Rules = []Rule{r}
			return p.Decide(Facts{Now: now, For: purpose, User: ironman, Held: have, Proofs: given, CanSet: true, CanOpen: true})
		}
		for _, purpose := range []Purpose{SignIn, Reset, Unlock, Manage} {
			through := func(d Decision) bool { return d.Refuse == "" && d.Enough && d.Missing == 0 }
			if a, b := decide(loose, purpose), decide(strict, purpose); through(b) && !through(a) {
				t.Fatalf("%s: through under the stricter rule alone: %+v %+v", purpose, b, a)
			}
		}
		if p := with(nil); true {
			p.Rules = []Rule{loose}
			admin := ironman
			admin.Groups = append(slices.Clone(admin.Groups), "IT")
			d := p.Decide(Facts{Now: now, For: Reset, User: admin, Held: have, Proofs: given, CanSet: true})
			kinds := map[identity.Kind]bool{}
			for _, x := range given {
				if x.Authenticator != "" && slices.ContainsFunc(have, func(a identity.Authenticator) bool { return a.ID == x.Authenticator && !a.Suspended }) {
					kinds[x.Kind] = true
				}
			}
			if d.Enough && len(kinds) < 2 {
				t.Fatalf("RS-12: an administrator through with %d methods", len(kinds))
			}
		}
	})
}

func TestAccept(t *testing.T) {
	p := Passwords{MinLength: 12, MaxLength: 256, Banned: []string{"Vibranium2026"}}
	for password, broken := range map[string]string{
		"a-brand-new-suit":              "",
		"短い":                            "min_length",
		"elf zeichen":                   "min_length",
		"correct horse battery":         "",
		"passwordpassword":              "common",
		"P@ssw0rd2026!":                 "common",
		"111111111111":                  "common",
		"abababababababab":              "common",
		"123456123456":                  "common",
		"abc+12.abc+12.":                "common",
		"123456789012":                  "common",
		"098765432109":                  "common",
		"abcdefghijkl":                  "common",
		"qwertyuiopas":                  "common",
		"mnbvcxz12345":                  "common",
		"ZAQ12wsxCDE3":                  "common",
		"11223344556677":                "common",
		"ａｂｃｄｅｆｇｈｉｊｋｌ":                  "common",
		"720395816402":                  "",
		"we were as good as new":        "",
		"abcde, said the teacher":       "",
		"vibranium2026":                 "common",
		"i am ironman today":            "contains",
		"Tony likes cheeseburgers":      "contains",
		"the avengers assemble":         "contains",
		"ｉｒｏｎｍａｎ in full width":         "contains",
		string(make([]rune, 257)) + "x": "max_length",
		"пароль из многих слов":         "",
		"ten 🦾🦾🦾🦾🦾🦾🦾🦾 arms":             "",
	} {
		rules, ok := p.Accept(password, "ironman", "Tony Stark", "The Avengers")
		if ok != (broken == "") {
			t.Errorf("%q: accepted %v, want broken %q: %+v", password, ok, broken, rules)
		}
		if broken != "" && !slices.ContainsFunc(rules, func(r Broken) bool { return r.Rule == broken && r.Fail }) {
			t.Errorf("%q does not break %s: %+v", password, broken, rules)
		}
	}
}
