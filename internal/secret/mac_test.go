package secret

import (
	"encoding/base64"
	"testing"
)

func TestASumIsBoundToEveryPartAndItsPlace(t *testing.T) {
	r := NewRing()
	m := r.MAC("code/avengers")
	sum := m.Sum("flow", "ab", "c")
	if !m.Check(sum, "flow", "ab", "c") || m.Sum("flow", "ab", "c") != sum || len(sum) != 43 {
		t.Fatalf("its own sum %q is not accepted", sum)
	}
	for _, parts := range [][]string{{"flow", "a", "bc"}, {"flow", "abc"}, {"flow", "ab"}, {"flow", "ab", "c", ""}, {"", "flow", "ab", "c"}, {"ab", "flow", "c"}, {"FLOW", "ab", "c"}, {}} {
		if m.Check(sum, parts...) {
			t.Errorf("accepted for %q", parts)
		}
	}
	for name, other := range map[string]MAC{"label": r.MAC("code/wakanda"), "ring": NewRing().MAC("code/avengers")} {
		if other.Check(sum, "flow", "ab", "c") {
			t.Errorf("accepted under another %s", name)
		}
	}
}

func TestEveryBitOfASumCounts(t *testing.T) {
	m := NewRing().MAC("l")
	raw, err := base64.RawURLEncoding.DecodeString(m.Sum("a"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1
		if m.Check(base64.RawURLEncoding.EncodeToString(raw), "a") {
			t.Errorf("byte %d changed", i)
		}
		raw[i] ^= 1
	}
	good := m.Sum("a")
	last := good[:42] + string(good[42]+1) // bits beyond the last byte: another spelling of the same sum
	for _, s := range []string{"", "=", good[:42], good + "A", good + "=", " " + good, last} {
		if m.Check(s, "a") {
			t.Errorf("accepted %q", s)
		}
	}
}

func TestAnOlderMACKeyStillChecksAndTheNewestSums(t *testing.T) {
	old, next := newKey(), newKey()
	before, after := &Ring{macs: []key{old}}, &Ring{macs: []key{old, next}}
	sum := before.MAC("l").Sum("a")
	if !after.MAC("l").Check(sum, "a") {
		t.Error("the old sum is lost")
	}
	if fresh := after.MAC("l").Sum("a"); fresh == sum || before.MAC("l").Check(fresh, "a") {
		t.Error("the old key still sums")
	}
	if before.MAC("l").Name("a") != after.MAC("l").Name("a") || !after.MAC("l").Check(after.MAC("l").Name("a"), "a") {
		t.Error("a name changes with a key that is added")
	}
}

func TestKeysOfBoxesSumsAndLabelsAreAllDifferent(t *testing.T) {
	k, seen := newKey(), map[string]bool{}
	for _, use := range []string{"seal", "mac"} {
		for _, label := range []string{"", "a", "b"} {
			seen[string(derive(k, use, label))] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d different keys of 6", len(seen))
	}
}
