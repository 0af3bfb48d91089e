package directorytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// sameTime demands that calls take about as long as the one named: within twice and half of its median, or within two milliseconds.
// That is coarse, so that a busy machine does not fail it, and still tells a hash or a query from none. Three rounds are given.
func (s *scene) sameTime(standard string, calls map[string]func()) {
	s.t.Helper()
	names := slices.Sorted(maps.Keys(calls))
	var slow []string
	for range 3 {
		took := map[string][]time.Duration{}
		for range 15 {
			for _, name := range names {
				began := time.Now()
				calls[name]()
				took[name] = append(took[name], time.Since(began))
			}
		}
		slow = nil
		want := median(took[standard])
		for _, name := range names {
			if got := median(took[name]); (got-want).Abs() > 2*time.Millisecond && (got > 2*want || want > 2*got) {
				slow = append(slow, fmt.Sprintf("%s takes %v, %s takes %v", standard, want, name, got))
			}
		}
		if slow == nil {
			return
		}
	}
	s.t.Error(strings.Join(slow, "\n"))
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// short quotes a name that may be long.
func short(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("%q… (%d bytes)", s[:40], len(s))
	}
	return fmt.Sprintf("%q", s)
}
