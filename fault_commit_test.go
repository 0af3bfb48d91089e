package sparekey_test

import (
	"fmt"
	"testing"

	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// commit is asked at each COMMIT on its way to PostgreSQL.
func (o *outage) commit(delivered bool) (cut, sent bool) {
	o.Lock()
	defer o.Unlock()
	if !o.on {
		return false, false
	}
	if o.calls++; o.calls == o.n {
		o.struck = true
		return true, delivered
	}
	return false, false
}

// The answer to each COMMIT of an errand is lost, once, after the server has it or before. Nobody knows then what was done: it is found out,
// or taken as the worse of both. Nothing is done twice or by half. SPAREKEY_DEEP=1 takes more errands.
func TestF09_A47_ACommitWhoseAnswerIsLostIsNeverTwoSuccessesNorHalfOfOne(t *testing.T) {
	t.Parallel()
	server := storetest.PostgresURL(t)
	o, delivered := &outage{answers: true}, false
	h, user := faulty(t, storetest.Cutter(t, server, func() (bool, bool) { return o.commit(delivered) }), o)
	whole := h.t
	for _, w := range errands {
		switch w.name {
		case "code", "refresh", "sign-in that registers the app", "reset by the app", "a password that must be changed", "change of the password":
		case "sign-in", "reset by a mailed code", "unlock", "an app more", "another address":
			if !deep() {
				continue
			}
		default:
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			h.t = t
			defer func() { h.t = whole }()
			commits, n := 0, 0
			try := func(t *testing.T) {
				h.t = t
				x := user(t)
				w.ready(x)
				x.has = x.kinds()
				o.begin(n, false)
				finished := x.walk(w)
				commits = max(commits, o.end())
				x.leaves(w, finished)
				if token := w.name == "code" || w.name == "refresh"; token && !finished {
					t.Errorf("a relying party has not got what was committed for it: %s", x.lost)
				}
			}
			try(t)
			for n = 1; n <= commits && !t.Failed(); n++ {
				for _, delivered = range []bool{true, false} {
					t.Run(fmt.Sprintf("%d delivered=%v", n, delivered), try)
				}
			}
		})
	}
}
