package secret

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
)

func TestEN08_ASealedValueShowsNothingAndOpensForItsOwnerAlone(t *testing.T) {
	r := NewRing()
	box, plain := r.Box("authenticator/avengers"), []byte("JBSWY3DPEHPK3PXP")
	sealed := box.Seal("ironman", plain)
	if bytes.Contains(sealed, plain[:6]) {
		t.Fatal("the plain text is in the sealed one")
	}
	if bytes.Equal(sealed, box.Seal("ironman", plain)) {
		t.Error("sealed twice gives the same bytes: the nonce repeats")
	}
	if got, err := box.Open("ironman", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("opened %q, %v", got, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another owner":      func() ([]byte, error) { return box.Open("hulk", sealed) },
		"no owner":           func() ([]byte, error) { return box.Open("", sealed) },
		"A10 another tenant": func() ([]byte, error) { return r.Box("authenticator/wakanda").Open("ironman", sealed) },
		"another kind":       func() ([]byte, error) { return r.Box("outbox/avengers").Open("ironman", sealed) },
		"another ring":       func() ([]byte, error) { return NewRing().Box("authenticator/avengers").Open("ironman", sealed) },
	} {
		if got, err := open(); !errors.Is(err, ErrSealed) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestA43_EveryBitOfASealedValueCounts(t *testing.T) {
	box := NewRing().Box("l")
	sealed := box.Seal("u", []byte("sixteen byte text"))
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			if _, err := box.Open("u", changed); !errors.Is(err, ErrSealed) {
				t.Fatalf("bit %d of byte %d changed: %v", bit, i, err)
			}
		}
	}
	for n := range sealed {
		if _, err := box.Open("u", sealed[:n]); !errors.Is(err, ErrSealed) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := box.Open("u", append(bytes.Clone(sealed), 0)); !errors.Is(err, ErrSealed) {
		t.Error("lengthened")
	}
}

func TestNothingAtAllCanBeSealed(t *testing.T) {
	box := NewRing().Box("l")
	if got, err := box.Open("", box.Seal("", nil)); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	if box.Stale(nil) || box.Stale([]byte("rubbish that is long enough to have a head")) {
		t.Error("rubbish is called stale")
	}
}

func TestABoxServesManyAtOnce(t *testing.T) {
	r := NewRing()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			label := strings.Repeat("x", i%3+1)
			sealed := r.Box(label).Seal("u", []byte(label))
			if got, err := r.Box(label).Open("u", sealed); err != nil || string(got) != label {
				t.Errorf("%q, %v", got, err)
			}
			if !r.MAC(label).Check(r.MAC(label).Sum("a"), "a") {
				t.Error("sum")
			}
			if i == 10 {
				r.Rotate()
			}
		})
	}
	all.Wait()
}

func FuzzZ05_OnlyWhatWasSealedOpens(f *testing.F) {
	box := NewRing().Box("l")
	sealed := box.Seal("owner", []byte("plain"))
	f.Add(sealed, "owner")
	f.Add(sealed[:len(sealed)-1], "owner")
	f.Add([]byte{boxVersion}, "")
	f.Fuzz(func(t *testing.T, given []byte, owner string) {
		if _, err := box.Open(owner, given); err == nil && (owner != "owner" || !bytes.Equal(given, sealed)) {
			t.Errorf("opened %x for %q", given, owner)
		}
	})
}
