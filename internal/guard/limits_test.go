package guard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/store"
)

func TestTheConfigFileSetsLimitsAndTheRestStaysAsTheManualSays(t *testing.T) {
	var file struct {
		Limits Limits `yaml:"limits"`
	}
	text := "limits: {proofs: 2/1h, codes: 3/10s, sign_in: {after: 4, wait: 30s, captcha: 1}, sends: 1/1m}"
	if err := config.Parse("sparekey.yaml", []byte(text), &file, nil); err != nil {
		t.Fatal(err)
	}
	if faults := file.Limits.Check(); len(faults) != 0 {
		t.Errorf("faults: %v", faults)
	}
	each(t, Options{Limits: file.Limits}, func(h *house) {
		for _, test := range []struct {
			trial Trial
			want  int
			wait  time.Duration
		}{
			{Trial{For: Reset, User: "u1", Network: "n"}, 2, time.Hour},
			{Trial{For: Code, User: "u1"}, 3, 10 * time.Second},
			{Trial{For: SignIn, User: "u1", Network: "n"}, 4, 30 * time.Second},
		} {
			if n := h.many(20, test.trial); n != test.want {
				h.Errorf("%s: %d were let through, want %d", test.trial.For, n, test.want)
			}
			if until, _ := h.peek(test.trial); until.Sub(h.clock.Now()) != test.wait {
				h.Errorf("%s: waits %v, want %v", test.trial.For, until.Sub(h.clock.Now()), test.wait)
			}
		}
		for i := range 2 {
			h.write(func(tx store.Tx) error {
				if ok, err := h.g().Sent(tx, Trial{For: Reset, User: "u1", Network: "n"}); err != nil || ok != (i == 0) {
					h.Errorf("message %d: %v %v", i+1, ok, err)
				}
				return nil
			})
		}
		for i := range 20 { // the network's rate is the manual's
			if got, want := h.wrong(Trial{For: Reset, User: fmt.Sprint("v", i), Network: "n"}), i < 18; got != want {
				h.Errorf("proof %d of the network: %v", i+3, got)
			}
		}
	})
}

func TestLimitsThatMakeNoSenseAreNamed(t *testing.T) {
	hour := config.Duration(time.Hour)
	tests := map[string]Limits{
		"":                     DefaultLimits(),
		"proofs":               {Proofs: config.Rate{Count: 101, Per: time.Hour}},
		"proofs_per_network":   {ProofsNetwork: config.Rate{Count: -1, Per: time.Hour}},
		"codes":                {Codes: config.Rate{Count: 5}},
		"rush":                 {Rush: config.Rate{Count: 20_000, Per: time.Hour}},
		"sends":                {Sends: config.Rate{Count: 5, Per: 400 * 24 * time.Hour}},
		"sign_in.after":        {SignIn: Passwords{After: 101}},
		"sign_in.captcha":      {SignIn: Passwords{Captcha: -1}},
		"sign_in.wait":         {SignIn: Passwords{Wait: 1}},
		"sign_in.longest":      {SignIn: Passwords{Wait: hour, Longest: hour / 2}},
		"sign_in.per_network":  {SignIn: Passwords{Network: config.Rate{Count: 1}}},
		"siege sign_in.forget": {Siege: config.Rate{Count: 1, Per: 1}, SignIn: Passwords{Forget: 1}},
	}
	for want, limits := range tests {
		if got := strings.Join(slices.Sorted(maps.Keys(limits.Check())), " "); got != want {
			t.Errorf("faults at %q, want %q", got, want)
		}
	}
	if DefaultLimits() != (Limits{}).filled() {
		t.Error("a zero does not take its default")
	}
}
