package config

import (
	"testing"
	"time"
)

func TestADurationIsReadAndWrittenAlike(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "0h": 0, "0d0h": 0, "90s": 90 * time.Second, "10m": 10 * time.Minute, "24h": day, "180d": 180 * day,
		"1d12h": 36 * time.Hour, "1h30m5s": time.Hour + 30*time.Minute + 5*time.Second, "250ms": 250 * time.Millisecond, "1m1ms": time.Minute + time.Millisecond,
		"007d": 7 * day, "106751d": 106751 * day, "1d23h59m59s999ms": 2*day - time.Millisecond,
	} {
		var d Duration
		if err := d.DecodeConfig(text); err != nil || time.Duration(d) != want {
			t.Errorf("%q: %v, %v, want %v", text, time.Duration(d), err, want)
		}
		var again Duration
		if err := again.DecodeConfig(d.String()); err != nil || again != d {
			t.Errorf("%q is written %q and read as %v, %v", text, d, again, err)
		}
	}
	for d, want := range map[Duration]string{0: "0s", Duration(90 * time.Second): "1m30s", Duration(180 * day): "180d", Duration(36 * time.Hour): "1d12h", Duration(1500 * time.Millisecond): "1s500ms", -1: "-1ns"} {
		if got := d.String(); got != want {
			t.Errorf("%d is written %q, want %q", d, got, want)
		}
	}
	for _, text := range []string{"", " ", "1", "-1h", "+1h", "1.5h", "1 h", "1h ", "h", "1y", "1w", "1us", "1ns", "1hm", "1m1h", "1h1h", "1d1", "1H", "1０s", "∞",
		"106752d", "9223372036854775808s", "9223372036854775807d", "106751d24h1ms99999999h"} {
		d := Duration(7)
		if err := d.DecodeConfig(text); err == nil || d != 7 {
			t.Errorf("%q was read as %v", text, d)
		}
	}
}

func TestARateIsReadAndWrittenAlike(t *testing.T) {
	for text, want := range map[string]Rate{"5/24h": {5, 24 * time.Hour}, "1/1s": {1, time.Second}, "50/10m": {50, 10 * time.Minute}} {
		var r, again Rate
		if err := r.DecodeConfig(text); err != nil || r != want {
			t.Errorf("%q: %v, %v", text, r, err)
		}
		if err := again.DecodeConfig(r.String()); err != nil || again != r {
			t.Errorf("%q is written %q", text, r)
		}
	}
	for _, text := range []string{"", "5", "5/", "/24h", "0/24h", "5/0s", "-5/24h", "5/24", "5/24h/1", "5 / 24h", "5.5/1h", "99999999999/1h", "5/-1h", "+5/1h"} {
		r := Rate{7, 7}
		if err := r.DecodeConfig(text); err == nil || r != (Rate{7, 7}) {
			t.Errorf("%q was read as %v", text, r)
		}
	}
}

func TestATimeIsADayOrAnInstant(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-12-01":                time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		"2026-12-01T18:00:00Z":      time.Date(2026, 12, 1, 18, 0, 0, 0, time.UTC),
		"2026-12-01T18:00:00+01:00": time.Date(2026, 12, 1, 17, 0, 0, 0, time.UTC),
	} {
		var m moment
		if err := m.DecodeConfig(text); err != nil || !time.Time(m).Equal(want) {
			t.Errorf("%q: %v, %v", text, time.Time(m), err)
		}
	}
	for _, text := range []string{"", "2026-13-01", "2026-02-30", "01.12.2026", "2026-12-01 18:00", "2026-12-1", "now"} {
		var m moment
		if err := m.DecodeConfig(text); err == nil {
			t.Errorf("%q was read as %v", text, time.Time(m))
		}
	}
}
