package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sparekey-id/sparekey/internal/identity"
)

// Possible names what nobody could do under the rule, whatever she registers, setting by setting as the config file calls them; nil: nothing.
func (p *Policy) Possible(r Rule) map[string]string {
	faults := map[string]string{}
	enabled := p.Kinds(r, identity.Reset)
	switch n := max(r.Required, 1); {
	case !r.Reset:
	case len(enabled) < n:
		faults["methods_required"] = fmt.Sprintf("reset needs %d of the methods enabled for it, and they are %d%s: nobody could", n, len(enabled), naming(enabled))
	case !p.suffices(r, one(enabled), n):
		faults["different_factors"] = "the methods enabled for reset are all of one kind of factor" + naming(enabled) + ": nobody could"
	case r.DifferentFactors && n == 1:
		faults["different_factors"] = "two kinds of factor take two methods, and methods_required is 1"
	}
	if second := p.Kinds(r, identity.SignIn); r.SecondFactor == Required && !slices.ContainsFunc(second, func(k identity.Kind) bool { return k != identity.Password }) {
		faults["second_factor"] = "required, and no enabled method is for sign_in"
	}
	return faults
}

// one is somebody who has registered one of each kind.
func one(kinds []identity.Kind) (list []identity.Authenticator) {
	for _, k := range kinds {
		list = append(list, identity.Authenticator{Kind: k})
	}
	return list
}

func naming(kinds []identity.Kind) string {
	if len(kinds) == 0 {
		return ""
	}
	var names []string
	for _, k := range kinds {
		names = append(names, string(k))
	}
	slices.Sort(names)
	return " (" + strings.Join(names, ", ") + ")"
}
