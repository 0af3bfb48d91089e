package flows

import (
	"strings"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/policy"
)

// decoy invents the user behind a name that cannot reset: in scope, with enough methods, the same ones each time,
// and none that ever verifies. A stranger sees no difference (SECURITY RS-01, RS-13).
func (f *Flows) decoy(login string) (directory.User, []identity.Authenticator) {
	name := normalLogin(login)
	var rule policy.Rule
	for _, r := range f.Policy.Rules {
		if r.Reset {
			rule = r
			break
		}
	}
	user := directory.User{Login: login, Groups: rule.Groups}
	draw := f.mac.Sum("decoy", name)
	kinds := f.Policy.Kinds(rule, identity.Reset)
	want := min(max(rule.Required, 1)+int(draw[0])%2, len(kinds))
	// Which kinds: drawn by the name, in the order policy shows them.
	skip := len(kinds) - want
	var held []identity.Authenticator
	for i, k := range kinds {
		if skip > 0 && (int(draw[i+1])%2 == 0 || len(kinds)-i <= skip) {
			skip--
			continue
		}
		a := identity.Authenticator{ID: f.mac.Sum("decoy", name, string(k))[:26], Kind: k, BoundAt: f.Now().Add(-1), Label: ""}
		if k == identity.Email {
			first, _ := utf8.DecodeRuneInString(name)
			a.Label = string(first) + "•••@" + string(rune('a'+draw[2]%26)) + "•••"
		}
		held = append(held, a)
	}
	return user, held
}

// hint shows an authenticator to somebody who has proven nothing yet: less than its owner sees.
func hint(a identity.Authenticator) string {
	local, domain, ok := strings.Cut(a.Label, "@")
	if !ok {
		return a.Label
	}
	l, _ := utf8.DecodeRuneInString(local)
	d, _ := utf8.DecodeRuneInString(domain)
	return string(l) + "•••@" + string(d) + "•••"
}
