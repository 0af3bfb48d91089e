package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// image is what the Dockerfile says of the image, as far as this test can follow it without an engine.
type image struct {
	build                    string // the command that makes the binary
	user                     uint32
	volume, workdir          string
	entrypoint, cmd, healthy []string
}

func readDockerfile(t *testing.T) (m image) {
	t.Helper()
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, ok := strings.Cut(string(text), "\nFROM scratch\n")
	if !ok {
		t.Fatal("the image is not made from scratch")
	}
	one := func(text, pattern string) string {
		found := regexp.MustCompile(`(?m)^`+pattern+`$`).FindAllStringSubmatch(text, -1)
		if len(found) != 1 {
			t.Fatalf("%d lines of the Dockerfile match %s, want one", len(found), pattern)
		}
		return found[0][1]
	}
	list := func(text string) (words []string) {
		if err := json.Unmarshal([]byte(text), &words); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return words
	}
	m.build = one(string(text), `RUN (CGO_ENABLED=0 go build .*?) && .*`)
	user, err := strconv.ParseUint(one(last, `USER (\d+):\d+`), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	m.user, m.volume, m.workdir = uint32(user), one(last, `VOLUME (/\S+)`), one(last, `WORKDIR (/\S+)`)
	m.entrypoint, m.cmd = list(one(last, `ENTRYPOINT (\[.*\])`)), list(one(last, `CMD (\[.*\])`))
	m.healthy = list(one(last, `HEALTHCHECK .*CMD (\[.*\])`))
	return m
}

// The image's contents serve in an empty root: a static binary, a user that is not root, and nothing to write to but the volume.
func TestTheImageServesFromAnEmptyRoot(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("SPAREKEY_REQUIRE") == "1" {
			t.Fatal("root is required, to start a process in a root of its own")
		}
		t.Skip("not root: no process can be started in a root of its own")
	}
	m := readDockerfile(t)
	if m.user == 0 {
		t.Error("the image runs as root")
	}
	root := t.TempDir()
	build := exec.Command("sh", "-c", strings.Replace(m.build, "/out/sparekey", filepath.Join(root, "sparekey"), 1))
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", m.build, err, out)
	}
	binary, err := elf.Open(filepath.Join(root, "sparekey"))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: %v", p.Type)
		}
	}
	volume := filepath.Join(root, m.volume)
	if err := os.Mkdir(volume, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(volume, int(m.user), int(m.user)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	config := "listen: " + address + "\ndatabase: sqlite:sparekey.db\ntenants:\n  avengers:\n    issuer: http://localhost/avengers\n    directories: {staff: {type: local}}\n"
	if err := os.WriteFile(filepath.Join(volume, "sparekey.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	inside := func(words ...string) *exec.Cmd {
		c := &exec.Cmd{Path: words[0], Args: words, Dir: m.workdir, Env: []string{}}
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: m.user, Gid: m.user}}
		return c
	}
	health := append([]string{}, m.healthy...)
	health[len(health)-1] = strings.Replace(health[len(health)-1], "127.0.0.1:8080", address, 1)
	if err := inside(health...).Run(); err == nil {
		t.Error("healthy before it serves")
	}
	serve := inside(append(append([]string{}, m.entrypoint...), m.cmd...)...)
	var said bytes.Buffer
	serve.Stderr = &said
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	stop := func() error {
		_ = serve.Process.Signal(syscall.SIGTERM)
		return <-ended
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if inside(health...).Run() == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not healthy: %v\n%s", stop(), said.String())
		}
	}
	r, _ := http.NewRequest(http.MethodGet, "http://"+address+"/avengers/.well-known/openid-configuration", nil)
	r.Host = "localhost"
	res, err := http.DefaultClient.Do(r)
	if err == nil {
		res.Body.Close()
	}
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("discovery: %v %v", res, err)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped: %v\n%s", err, said.String())
	}
}
