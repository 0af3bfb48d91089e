package flows

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/policy"
)

// decoy invents what stands behind a name that cannot reset: a rule that lets it, drawn among those that let anybody, so that no rule's
// users stand out, and enough methods, the same ones for every spelling, none of which ever verifies. A stranger sees no difference
// (SECURITY RS-01, RS-13).
func (f *Flows) decoy(name string) (*policy.Rule, []identity.Authenticator) {
	draw := sha256.Sum256([]byte(f.mac.Name("decoy", name)))
	var rule policy.Rule
	if rules := f.Policy.Resetting(); len(rules) > 0 {
		rule = rules[int(draw[len(draw)-1])%len(rules)]
	}
	rule.Unlock = true
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
		a := identity.Authenticator{ID: f.decoyID(name, k), Kind: k, BoundAt: f.Now().Add(-1), Label: ""}
		held = append(held, a)
	}
	return &rule, held
}

// decoyID looks like any authenticator's id.
func (f *Flows) decoyID(name string, k identity.Kind) string {
	sum := sha256.Sum256([]byte(f.mac.Name("decoy", name, string(k))))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}
