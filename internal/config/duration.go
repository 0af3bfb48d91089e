package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is written as numbers with units from large to small: "90s", "10m", "24h", "180d", "1d12h"; a day has 24 hours.
type Duration time.Duration

var errDuration = errors.New(`a duration is expected here, such as "90s", "10m", "24h" or "180d"`)

var units = []struct {
	name string
	size time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

// DecodeConfig reads the notation above; negative durations and bare numbers other than 0 are refused.
func (d *Duration) DecodeConfig(text string) error {
	if text == "0" {
		*d = 0
		return nil
	}
	var sum time.Duration
	rest, unit := text, -1
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		number, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return errDuration
		}
		rest = rest[digits:]
		letters := len(rest) - len(strings.TrimLeft(rest, "dhms"))
		at := -1
		for i, u := range units {
			if u.name == rest[:letters] && i > unit {
				at = i
			}
		}
		if at < 0 {
			return errDuration
		}
		rest, unit = rest[letters:], at
		size := units[at].size
		if number > int64(math.MaxInt64-sum)/int64(size) {
			return errors.New("the duration is longer than 292 years")
		}
		sum += time.Duration(number) * size
	}
	if unit < 0 {
		return errDuration
	}
	*d = Duration(sum)
	return nil
}

// String writes the notation DecodeConfig reads; what is below a millisecond is left out.
func (d Duration) String() string {
	left := time.Duration(d)
	if left < 0 {
		return left.String()
	}
	var b strings.Builder
	for _, u := range units {
		if n := left / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			left -= n * u.size
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Rate is so many in so long: "5/24h".
type Rate struct {
	Count int
	Per   time.Duration
}

// DecodeConfig reads a count of at least 1 and a duration above 0.
func (r *Rate) DecodeConfig(text string) error {
	count, per, found := strings.Cut(text, "/")
	n, err := strconv.ParseUint(count, 10, 31)
	var d Duration
	if !found || err != nil || n == 0 || d.DecodeConfig(per) != nil || d == 0 {
		return errors.New(`so many in so long is expected here, such as "5/24h"`)
	}
	*r = Rate{int(n), time.Duration(d)}
	return nil
}

func (r Rate) String() string { return fmt.Sprintf("%d/%s", r.Count, Duration(r.Per)) }

// MarshalText is String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

type moment time.Time

// DecodeConfig reads a day, which begins at midnight UTC, or a time of RFC 3339.
func (m *moment) DecodeConfig(text string) error {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			*m = moment(t)
			return nil
		}
	}
	return errors.New(`a day is expected here, such as "2026-12-31", or a time, such as "2026-12-31T18:00:00Z"`)
}
