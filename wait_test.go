package sparekey_test

import (
	"strings"
	"testing"
	"time"
)

func TestABlockedResetSaysUntilWhenAndWhatCanBeDoneMeanwhile(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.register("ironman")
	for _, name := range []string{"ironman", "nobody-at-all"} {
		began := h.clock.Now()
		for range 5 {
			r := h.browser()
			r.beginReset(name)
			if r.pick("totp"); !strings.Contains(r.last.body, `name="code"`) {
				r.pick("email")
			}
			if strings.Contains(r.last.body, `name="email"`) {
				r.post("email", "x@evil.example", "action", "verify")
			}
			r.post("code", "000000", "action", "verify")
		}
		r := h.browser()
		r.beginReset(name)
		r.wantWait(began.Add(24 * time.Hour))
		if !strings.Contains(r.lead(), "begin once more when the time has come") {
			t.Errorf("%s: %q", name, r.lead())
		}
	}
}
