package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/argon2"
)

func hashed(t *testing.T, h *Hasher, password string) string {
	t.Helper()
	s, err := h.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPW07_AHashIsArgon2idWithASaltOfItsOwn(t *testing.T) {
	h := NewHasher(0)
	a, b := hashed(t, h, "correct horse"), hashed(t, h, "correct horse")
	if a == b {
		t.Error("two hashes of one password are the same: no salt")
	}
	if !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %q", a)
	}
	for _, s := range []string{a, b} {
		if ok, stale, err := h.Verify(t.Context(), s, "correct horse"); !ok || stale || err != nil {
			t.Errorf("ok %v, stale %v, %v", ok, stale, err)
		}
	}
	if ok, stale, err := h.Verify(t.Context(), a, "correct horsf"); ok || stale || err != nil {
		t.Errorf("wrong password: ok %v, stale %v, %v", ok, stale, err)
	}
	if ok, _, _ := h.Verify(t.Context(), a, ""); ok {
		t.Error("the empty password is accepted")
	}
}

func TestPW02_APasswordIsTakenWhole(t *testing.T) {
	h := NewHasher(1)
	long := strings.Repeat("x", 72)
	for name, c := range map[string][2]string{
		"byte 73":         {long + "a", long + "b"},
		"71 and 72 bytes": {long[:71], long},
		"character 200":   {strings.Repeat("y", 199) + "a", strings.Repeat("y", 199) + "b"},
		"case":            {"Correct horse", "correct horse"},
		"space at an end": {"correct horse", "correct horse "},
		"NUL":             {"correct\x00horse", "correct"},
	} {
		if ok, _, err := h.Verify(t.Context(), hashed(t, h, c[0]), c[1]); ok || err != nil {
			t.Errorf("%s does not count: %v", name, err)
		}
	}
}

func TestPW07_TheSamePasswordTypedOnAnotherKeyboardMatches(t *testing.T) {
	h := NewHasher(1)
	if ok, _, err := h.Verify(t.Context(), hashed(t, h, "cafe\u0301"), "caf\u00e9"); !ok || err != nil {
		t.Errorf("ok %v, %v", ok, err)
	}
}

func foreign(memory, passes uint32, lanes uint8, salt, size int) string {
	s := []byte(strings.Repeat("s", salt))
	return phc{memory, passes, lanes, s, argon2.IDKey([]byte("pw"), s, passes, memory, lanes, uint32(size))}.String()
}

func TestAWeakerHashIsAcceptedAndCalledStale(t *testing.T) {
	h := NewHasher(1)
	for stored, want := range map[string]bool{
		foreign(19<<10, 2, 1, 16, 32): false,
		foreign(32<<10, 2, 2, 16, 32): false,
		foreign(8<<10, 2, 1, 16, 32):  true,
		foreign(19<<10, 1, 1, 16, 32): true,
		foreign(19<<10, 2, 1, 8, 32):  true,
		foreign(19<<10, 2, 1, 16, 16): true,
	} {
		if ok, stale, err := h.Verify(t.Context(), stored, "pw"); !ok || stale != want || err != nil {
			t.Errorf("%s: ok %v, stale %v, %v", stored, ok, stale, err)
		}
	}
}

func TestA50_AStoredHashCannotAskForUnboundedWork(t *testing.T) {
	h := NewHasher(1)
	good := hashed(t, h, "pw")
	before := h.Count()
	tail := good[strings.LastIndex(good[:strings.LastIndex(good, "$")], "$"):]
	for _, cost := range []string{"m=4194304,t=2,p=1", "m=131073,t=1,p=1", "m=19456,t=9,p=1", "m=19456,t=2,p=9", "m=131072,t=5,p=1",
		"m=4294967295,t=4294967295,p=255", "m=19456,t=0,p=1", "m=19456,t=2,p=0", "m=7,t=2,p=1", "m=0,t=0,p=0", "m=-1,t=2,p=1",
		"m=19456,t=2,p=257", "m=019456,t=2,p=1", "m=19456,t=2,p=1,x=1", "m=19456,t=2", ""} {
		if ok, _, err := h.Verify(t.Context(), "$argon2id$v=19$"+cost+tail, "pw"); ok || !errors.Is(err, ErrHash) {
			t.Errorf("%s: ok %v, %v", cost, ok, err)
		}
	}
	for _, stored := range []string{"", "pw", "$", "$$$$$", good + "$", good + "=", "x" + good, good[:len(good)-30],
		strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1), "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"$argon2id$v=19$m=19456,t=2,p=1$$", foreign(19<<10, 2, 1, 7, 32), foreign(19<<10, 2, 1, 65, 32), foreign(19<<10, 2, 1, 16, 15), foreign(19<<10, 2, 1, 16, 65), "$argon2id$v=19$m=19456,t=2,p=1$c3Nzc3Nzc3M$"} {
		if ok, _, err := h.Verify(t.Context(), stored, "pw"); ok || !errors.Is(err, ErrHash) {
			t.Errorf("%q: ok %v, %v", stored, ok, err)
		}
	}
	if h.Count() != before {
		t.Errorf("%d hashes were computed for rubbish", h.Count()-before)
	}
}

func TestRS02_AnUnknownUserCostsWhatAKnownOneCosts(t *testing.T) {
	h := NewHasher(1)
	stored := hashed(t, h, "pw")
	cost := func(f func()) int64 { before := h.Count(); f(); return h.Count() - before }
	right := cost(func() { h.Verify(t.Context(), stored, "pw") })
	wrong := cost(func() { h.Verify(t.Context(), stored, "no") })
	nobody := cost(func() {
		if err := h.Waste(t.Context(), "pw"); err != nil {
			t.Error(err)
		}
	})
	if right != 1 || wrong != 1 || nobody != 1 {
		t.Errorf("right %d, wrong %d, nobody %d", right, wrong, nobody)
	}
}

func TestF16_OnlySoManyPasswordsAreHashedAtOnceAndWaitingEndsWithTheRequest(t *testing.T) {
	h := NewHasher(2)
	h.seats <- struct{}{} // both seats are taken
	h.seats <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := h.Hash(ctx, "pw"); done <- err }()
	select {
	case err := <-done:
		t.Fatalf("hashed without a seat: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	<-h.seats      // one is free
	for range 20 { // a free seat and an ended request are both ready: neither may win by chance
		if _, err := h.Hash(ctx, "pw"); !errors.Is(err, context.Canceled) {
			t.Fatalf("a request that is over was served: %v", err)
		}
	}
	if h.Count() != 0 {
		t.Errorf("%d hashes", h.Count())
	}
	if _, err := h.Hash(t.Context(), "pw"); err != nil {
		t.Error(err)
	}
	if len(h.seats) != 1 {
		t.Errorf("%d seats taken, the seat was not given back", len(h.seats))
	}
}

func TestAHasherServesManyAtOnce(t *testing.T) {
	h := NewHasher(2)
	stored := hashed(t, h, "pw 3")
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			if ok, _, err := h.Verify(t.Context(), stored, fmt.Sprint("pw ", i)); ok != (i == 3) || err != nil {
				t.Errorf("password %d: %v, %v", i, ok, err)
			}
		})
	}
	all.Wait()
}

func FuzzAStoredHashNeverPanicsAndHasOneSpelling(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c3Nzc3Nzc3Nzc3Nzc3Nzcw$aGFzaGhhc2hoYXNoaGFzaA")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parsePHC(s); err == nil && (p.String() != s || p.memory > maxMemory || p.passes > maxPasses || p.lanes < 1) {
			t.Errorf("%q read as %v", s, p)
		}
	})
}
