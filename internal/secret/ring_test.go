package secret

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARingOpensWhatItSealedBeforeTheRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	first, err := CreateRing(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	sealed, sum := first.Box("seed/a").Seal("u1", []byte("plain")), first.MAC("code/a").Sum("1", "2")

	second, err := OpenRing(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := second.Box("seed/a").Open("u1", sealed); err != nil || string(plain) != "plain" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if !second.MAC("code/a").Check(sum, "1", "2") || second.MAC("code/a").Sum("1", "2") != sum {
		t.Error("the sum is another after a restart")
	}
}

func TestCreateNeverTouchesAFileThatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateRing(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("err = %v, want ErrExist", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file is now %q", text)
	}
}

func TestAMissingRingIsToldFromABrokenOne(t *testing.T) {
	if _, err := OpenRing(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrRing) {
		t.Errorf("err = %v", err)
	}
	if _, err := OpenRing(t.TempDir()); !errors.Is(err, ErrRing) {
		t.Errorf("a folder: err = %v", err)
	}
}

func TestARingThatOthersMayReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	if _, err := CreateRing(path); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o440: true, 0o640: true, 0o644: false, 0o604: false, 0o660: false, 0o620: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenRing(path); (err == nil) != ok || err != nil && !errors.Is(err, ErrRing) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestADamagedRingIsRefusedAndSaysWhere(t *testing.T) {
	good := string(NewRing().text())
	lines := strings.Split(strings.TrimSpace(good), "\n") // remark, mac, seal
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", "at least one"},
		"mac missing":    {lines[2], "at least one"},
		"seal missing":   {lines[1], "at least one"},
		"torn":           {good[:len(good)-20], "line 3"},
		"unknown word":   {good + "sign" + lines[2][4:] + "\n", "line 4"},
		"repeated id":    {good + lines[2] + "\n", "line 4"},
		"id not base32":  {good + "seal 0189 AAAA\n", "line 4"},
		"key too short":  {good + "seal aaaaaaaaaaaaaaaa AAAA\n", "line 4"},
		"key not base64": {good + "seal aaaaaaaaaaaaaaaa ????\n", "line 4"},
		"four words":     {good + lines[2] + " more\n", "line 4"},
		"huge":           {good + strings.Repeat("#\n", ringSize), "above"},
	} {
		if _, err := parseRing([]byte(c.text)); !errors.Is(err, ErrRing) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want %q in it", name, err, c.want)
		}
	}
	secret := strings.Fields(lines[2])[2]
	if _, err := parseRing([]byte(good + "what " + secret)); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("the error repeats the key: %v", err)
	}
	if r, err := parseRing([]byte("\r\n# remark\r\n" + strings.ReplaceAll(good, "\n", "\r\n"))); err != nil || len(r.seals) != 1 {
		t.Errorf("remarks, empty lines and CRLF: %v", err)
	}
}

func TestF13_ANewSealKeySealsAndTheOldOneStillOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	r, err := CreateRing(path)
	if err != nil {
		t.Fatal(err)
	}
	box := r.Box("seed/a")
	old, sum := box.Seal("u", []byte("old")), r.MAC("x").Sum("y")
	if err := r.Rotate(); err != nil {
		t.Fatal(err)
	}
	fresh := box.Seal("u", []byte("new"))
	reopened, err := OpenRing(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]Box{"in place": box, "after a restart": reopened.Box("seed/a")} {
		if plain, err := b.Open("u", old); err != nil || string(plain) != "old" || !b.Stale(old) {
			t.Errorf("%s: old one: %q, %v, stale %v", name, plain, err, b.Stale(old))
		}
		if plain, err := b.Open("u", fresh); err != nil || string(plain) != "new" || b.Stale(fresh) {
			t.Errorf("%s: new one: %q, %v, stale %v", name, plain, err, b.Stale(fresh))
		}
	}
	if reopened.MAC("x").Sum("y") != sum {
		t.Error("sums changed with the seal key")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v after rotation", info.Mode())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".keyring-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestF13_AProcessLearnsOfAKeyWhenItMeetsWhatThatSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	server, err := CreateRing(path)
	if err != nil {
		t.Fatal(err)
	}
	before := server.Box("seed/a").Seal("u", []byte("old"))
	operator, err := OpenRing(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := operator.Rotate(); err != nil {
		t.Fatal(err)
	}
	if server.Box("seed/a").Stale(before) {
		t.Error("the key is known before anything asked for it")
	}
	after, err := operator.Box("seed/a").Reseal("u", before)
	if err != nil || SealedWith(after) == SealedWith(before) {
		t.Fatalf("not sealed anew: %v", err)
	}
	if again, err := operator.Box("seed/a").Reseal("u", after); err != nil || string(again) != string(after) {
		t.Errorf("what the newest key sealed is sealed once more: %v", err)
	}
	if _, err := operator.Box("seed/a").Reseal("another", before); !errors.Is(err, ErrSealed) {
		t.Errorf("sealed anew for another owner: %v", err)
	}
	if plain, err := server.Box("seed/a").Open("u", after); err != nil || string(plain) != "old" {
		t.Errorf("the server opens %q, %v", plain, err)
	}
	if fresh := server.Box("seed/a").Seal("u", nil); SealedWith(fresh) != SealedWith(after) || !strings.HasPrefix(string(fresh), string(server.Head())) {
		t.Error("it goes on sealing with the older key")
	}

	// A key that is taken out is kept while the process lives, and another installation's file is none.
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(operator.text()), "seal "+SealedWith(before), "# ")), 0o600); err != nil {
		t.Fatal(err)
	}
	server.relearn()
	if _, err := server.Box("seed/a").Open("u", before); err != nil || len(server.Keys()) != 2 {
		t.Errorf("the key that was taken out opens nothing any more: %v", err)
	}
	if err := os.WriteFile(path, NewRing().text(), 0o600); err != nil {
		t.Fatal(err)
	}
	if server.relearn() || len(server.Keys()) != 2 {
		t.Error("the keys of another installation were taken up")
	}
}

func TestF13_TwoProcessesThatRotateKeepEachOthersKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	one, err := CreateRing(path)
	if err != nil {
		t.Fatal(err)
	}
	two, err := OpenRing(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(one.Rotate(), two.Rotate(), one.Rotate()); err != nil {
		t.Fatal(err)
	}
	if all, err := OpenRing(path); err != nil || len(all.Keys()) != 4 {
		t.Errorf("%v, %v", all, err)
	}
}
