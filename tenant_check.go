package sparekey

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/secret"
)

func (t Tenant) check(s faults, path string) {
	t.checkClients(s, path)
	if a := t.Branding.Accent; a != "" && !accentColor.MatchString(a) {
		s.Fault(path+".branding.accent", "%q is no colour such as \"#7a1f1f\"", a)
	}
	checkHelp(s, path+".branding.help", t.Branding.Help)
	for i, tag := range t.Languages {
		if known := languages(); !slices.Contains(known, tag) {
			s.Fault(fmt.Sprintf("%s.languages[%d]", path, i), "%q: %s", tag, either(known))
		}
	}
	t.checkDirectories(s, path+".directories")
	if n := t.Passwords.MinLength; n != nil && (*n < 8 || *n > 64) {
		s.Fault(path+".passwords.min_length", "%d is not between 8 and 64", *n)
	}
	limits := t.Limits.Check()
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		s.Fault(path+".limits."+name, "%s", limits[name])
	}
	t.checkCaptcha(s, path+".captcha")
	rules := t.policy(methods(nil, secret.MAC{}))
	for i, p := range t.Policies {
		p.check(s, fmt.Sprintf("%s.policies[%d]", path, i), rules)
	}
}

// languages are the tags there are words for.
func languages() []string {
	set, err := parsed()
	if err != nil {
		return nil // Open tells it
	}
	return set.Languages()
}

// either lists words of which one is meant.
func either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// checkClients asks the wing itself what is wrong with the issuer, the lives of tokens and the clients.
func (t Tenant) checkClients(s faults, path string) {
	issuer := checkIssuer(t.Issuer)
	if issuer != "" {
		s.Fault(path+".issuer", "%s", issuer)
	}
	for _, p := range t.provider().Check() {
		client, field, _ := strings.Cut(path+"."+p.Path, "].")
		client += "]."
		switch {
		case p.Path == "issuer" && issuer != "":
		case (field == "secret" || field == "auth_method") && !(s.Whole(client+"public") && s.Whole(client+"secret") && s.Whole(client+"auth_method")): // one follows from another
		default:
			s.Fault(path+"."+p.Path, "%s", p.Text)
		}
	}
}

func (t Tenant) checkDirectories(s faults, path string) {
	switch len(t.Directories) {
	case 0:
		s.Fault(path, "is missing: where do the users live?")
	case 1:
	default:
		s.Fault(path, "one directory a tenant")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Directories)) {
		d, at := t.Directories[name], path+"."+name
		switch n := d.Reset.History; d.Type {
		case "local":
			if n < 0 || n > local.MostHistory {
				s.Fault(at+".reset.history", "%d is not between 0 and %d", n, local.MostHistory)
			}
		case "program":
			s.Warn(at+".type", "the host program has to bring this directory; sparekey serve has none")
			if n != 0 {
				s.Fault(at+".reset.history", "is kept by a local directory alone")
			}
		case "":
			s.Fault(at+".type", "is missing: local or program")
		}
	}
}

func (t Tenant) checkCaptcha(s faults, path string) {
	resets := len(t.Administrators.Groups) > 0 || slices.ContainsFunc(t.Policies, func(p Policy) bool { return p.Reset })
	if t.Captcha.Type == "none" && resets {
		s.Fault(path+".type", "none is refused where reset is on")
	}
	switch n := t.Captcha.Bits; {
	case n < 0 || n > guard.MostBits:
		s.Fault(path+".bits", "%d is not between 1 and %d", n, guard.MostBits)
	case n > 0 && (t.Captcha.Type == "image" || t.Captcha.Type == "none"):
		s.Fault(path+".bits", "are for proof_of_work alone")
	}
}

func (p Policy) check(s faults, path string, rules *policy.Policy) {
	if !p.For.Everyone && len(p.For.Groups) == 0 {
		s.Fault(path+".for", "whom is it for? groups: […] or everyone: true")
	}
	if n := p.Required; n != nil && (*n < 1 || *n > 3) {
		s.Fault(path+".methods_required", "%d is not between 1 and 3", *n)
	} else if p.checkMethods(s, path+".methods", rules.Traits) && s.Whole(path) {
		p.checkWhole(s, path, rules)
	}
	checkHelp(s, path+".help", p.Help)
	for _, d := range [][2]string{{"from", p.Registration.From}, {"skip.until", p.Registration.Skip.Until}} {
		if _, err := day(d[1]); err != nil {
			s.Fault(path+".registration."+d[0], "%q is no date such as 2026-12-01", d[1])
		}
	}
	if p.Registration.Skip.Times < 0 {
		s.Fault(path+".registration.skip.times", "is less than 0")
	}
	if d := time.Duration(p.Registration.Snooze); d < 0 || d > 14*24*time.Hour {
		s.Fault(path+".registration.snooze", "is not between 0 and 14d")
	}
}

// checkMethods reports whether the methods are such as there are, each for what it serves.
func (p Policy) checkMethods(s faults, path string, traits map[identity.Kind]identity.Traits) (good bool) {
	var known []string
	for _, k := range slices.Sorted(maps.Keys(traits)) {
		if k != identity.Password { // it is no way back
			known = append(known, string(k))
		}
	}
	good = true
	fault := func(at, format string, args ...any) {
		good = false
		s.Fault(at, format, args...)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Methods)) {
		at := path + "." + name
		if !slices.Contains(known, name) {
			fault(at, "no such method: %s", either(known))
			continue
		}
		for i, use := range p.Methods[name].For {
			if !traits[identity.Kind(name)].For(identity.Use(use)) {
				fault(fmt.Sprintf("%s.for[%d]", at, i), "%s is no method for %s", name, use)
			}
		}
	}
	return good
}

// checkWhole judges what several settings of a rule say together.
func (p Policy) checkWhole(s faults, path string, rules *policy.Policy) {
	rule := p.rule()
	impossible := rules.Possible(rule)
	for _, name := range slices.Sorted(maps.Keys(impossible)) {
		s.Fault(path+"."+name, "%s", impossible[name])
	}
	resets := rules.Kinds(rule, identity.Reset)
	both := slices.ContainsFunc(resets, func(k identity.Kind) bool { return rules.Enabled(rule, k, identity.SignIn) })
	second := rule.SecondFactor == policy.WhenRegistered || rule.SecondFactor == policy.Required
	if p.Reset && rule.Required == 1 && second && both && !p.AcceptSingle {
		s.Fault(path+".second_factor", "one authenticator would be both the only gate of a reset and the second factor; require two methods, or say accept_single: true")
	}
	if p.Reset && len(resets) == 1 && resets[0] == identity.TOTP {
		s.Warn(path+".methods", "the authenticator app is the only way back: who loses the phone needs an operator")
	}
}

func day(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse("2006-01-02", s)
}
