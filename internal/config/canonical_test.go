package config

import (
	"strings"
	"testing"
)

func TestCanonicalTellsEverySettingApart(t *testing.T) {
	type inner struct {
		Text  string
		Names []string
	}
	type all struct {
		Own   string `node:"own"`
		Key   Secret
		Life  Duration
		Flag  *bool
		Inner map[string]inner
		Bytes []byte
		hid   string
	}
	no := false
	base := func() all {
		return all{Own: "a", Key: NewSecret("s"), Life: 5, Inner: map[string]inner{"x": {Text: "t", Names: []string{"a", "b"}}, "y": {}}, Bytes: []byte("picture"), hid: "h"}
	}
	first := string(Canonical(base()))
	for range 20 {
		if v := base(); string(Canonical(v)) != first || string(Canonical(&v)) == "" {
			t.Fatal("not always the same")
		}
	}
	for name, change := range map[string]func(*all){
		"a secret":          func(v *all) { v.Key = NewSecret("S") },
		"a secret less":     func(v *all) { v.Key = Secret{} },
		"a number":          func(v *all) { v.Life = 6 },
		"no is not nothing": func(v *all) { v.Flag = &no },
		"an empty entry":    func(v *all) { delete(v.Inner, "y") },
		"a name":            func(v *all) { v.Inner["z"] = v.Inner["x"]; delete(v.Inner, "x") },
		"two lists":         func(v *all) { v.Inner["x"] = inner{"t", []string{"ab"}} },
		"an order":          func(v *all) { v.Inner["x"] = inner{"t", []string{"b", "a"}} },
		"a byte":            func(v *all) { v.Bytes[0]++ },
		"no bytes":          func(v *all) { v.Bytes = nil },
		"a line break":      func(v *all) { v.Inner["x"] = inner{"t\n.Life=7", []string{"a", "b"}} },
	} {
		v := base()
		if change(&v); string(Canonical(v)) == first {
			t.Errorf("%s makes no difference", name)
		}
	}
	v := base()
	if v.Own, v.hid = "b", "H"; string(Canonical(v)) != first || strings.Contains(first, `"h"`) {
		t.Error("what is a node's own makes a difference")
	}
}

func TestCanonicalIsNoLongerThanWhatItIsOf(t *testing.T) {
	picture := struct{ Picture []byte }{make([]byte, 1<<20)}
	if n := len(Canonical(picture)); n > len(picture.Picture) {
		t.Errorf("%d bytes for a picture of %d", n, len(picture.Picture))
	}
}
