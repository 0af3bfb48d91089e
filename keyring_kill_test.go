package sparekey_test

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/reseal"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// TestF13_SealingAnewIsFinishedAfterAnyKill kills the real command with SIGKILL while it adds a key or seals anew, and lets it finish at last. It is
// done ten times on each engine, and 200 times with SPAREKEY_DEEP=1.
func TestF13_SealingAnewIsFinishedAfterAnyKill(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "sparekey")
	if out, err := exec.Command("go", "build", "-o", bin, "./cmd/sparekey").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	kills := 10
	if deep() {
		kills = 200
	}
	storetest.EachURL(t, func(t *testing.T, url string) { killReseal(t, bin, url, kills) })
}

func killReseal(t *testing.T, bin, url string, kills int) {
	file := filepath.Join(t.TempDir(), "sparekey.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\ndatabase: %q\nkeyring: file:keyring\n"+
		"tenants: {avengers: {issuer: 'http://localhost:8080/avengers', directories: {staff: {type: local}}}}\n", url)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := sparekey.LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	open := func() *sparekey.Plugin {
		t.Helper()
		p, err := sparekey.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	seeds := bindSeeds(t, p, "user", 2000)
	p.Close()

	stale := func() int64 {
		t.Helper()
		p := open()
		defer p.Close()
		keys, err := p.Keyring(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return reseal.Stale(keys)
	}
	run := func(within time.Duration, args ...string) {
		t.Helper()
		c := exec.Command(bin, append(args, "--config", file)...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(within, func() { c.Process.Kill() })
		c.Wait()
	}
	run(time.Minute, "keyring", "add", "--yes")
	began := time.Now()
	run(time.Minute, "keyring", "reseal")
	whole := time.Since(began)
	between, before := 0, stale()
	for range kills {
		if before == 0 {
			run(anyTime(t, 150*time.Millisecond), "keyring", "add", "--yes")
			if before = stale(); before == 0 { // it was killed before
				run(time.Minute, "keyring", "add", "--yes")
				before = stale()
			}
		}
		run(anyTime(t, whole), "keyring", "reseal")
		left := stale()
		if left > before {
			t.Fatalf("%d values hang on older keys, and %d did before", left, before)
		}
		if left > 0 && left < before {
			between++
		}
		before = left
	}
	if out, err := exec.Command(bin, "keyring", "reseal", "--config", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if n := stale(); n != 0 {
		t.Errorf("%d values hang on older keys", n)
	}
	(&house{t: t, cfg: cfg}).keepKeys(1)
	p = open()
	defer p.Close()
	sameSeeds(t, p, seeds)
	t.Logf("%d kills, %d of them in the middle", kills, between)
	if deep() && between == 0 {
		t.Error("none of the kills was in the middle of the work")
	}
}

func anyTime(t *testing.T, below time.Duration) time.Duration {
	t.Helper()
	d, err := rand.Int(rand.Reader, big.NewInt(int64(below)))
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(d.Int64())
}
