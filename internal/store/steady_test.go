package store

import (
	"testing"
	"time"
)

func TestF08_AClockThatGoesBackALittleStandsStill(t *testing.T) {
	began := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	at := began
	now := Steady(func() time.Time { return at })
	for _, c := range []struct{ set, want time.Duration }{
		{0, 0}, {time.Second, time.Second}, {0, time.Second}, {-28 * time.Second, time.Second}, {2 * time.Second, 2 * time.Second},
		{time.Hour, time.Hour}, {time.Hour - steps, time.Hour}, {time.Hour - steps - 1, time.Hour - steps - 1}, // farther back it is believed
		{time.Hour - steps - time.Second, time.Hour - steps - 1}, {-time.Hour, -time.Hour}, {-time.Hour + 1, -time.Hour + 1},
	} {
		at = began.Add(c.set)
		if got := now(); !got.Equal(began.Add(c.want)) {
			t.Errorf("at %v it is %v, want %v", c.set, got.Sub(began), c.want)
		}
	}
}
