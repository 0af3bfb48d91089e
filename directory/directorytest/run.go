package directorytest

import (
	"slices"
	"testing"
)

// rule is one sentence of the contract. Ids in the sentences are those of the project's security requirements.
type rule struct {
	says  string
	check func(*scene)
}

// Run runs the suite, each rule as a subtest on a directory of its own, which fresh provides and cleans up.
func Run(t *testing.T, fresh func(t *testing.T) Fixture) {
	for _, r := range slices.Concat(finding, reading, verifying, setting, changing, unlocking, listing, trouble) {
		t.Run(r.says, func(t *testing.T) { r.check(set(t, fresh(t))) })
	}
}
