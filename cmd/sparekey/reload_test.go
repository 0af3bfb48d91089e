package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// served is a running server and its log, line by line.
type served struct {
	t       *testing.T
	process *exec.Cmd
	lines   chan string
	folder  string
	address string
}

func serveIn(t *testing.T, folder string) *served {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sparekey")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	s := &served{t: t, process: exec.Command(binary, "serve", "--config", "sparekey.yaml"), lines: make(chan string, 1000), folder: folder}
	s.process.Dir = folder
	errs, err := s.process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.process.Process.Kill() })
	go func() {
		for lines := bufio.NewScanner(errs); lines.Scan(); {
			s.lines <- lines.Text()
		}
		close(s.lines)
	}()
	s.address = regexp.MustCompile(`"listen":"([^"]+)"`).FindStringSubmatch(s.says(`"msg":"ready"`))[1]
	return s
}

// says waits for a line of the log with these words.
func (s *served) says(words string) string {
	s.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-s.lines:
			if strings.Contains(line, words) {
				return line
			} else if !ok {
				s.t.Fatalf("the log has ended without %q", words)
			}
		case <-limit:
			s.t.Fatalf("the log does not say %q", words)
		}
	}
}

// write puts another file in the place of the one before, as editors do, or into it.
func (s *served) write(name, text string, inPlace bool) {
	s.t.Helper()
	file := filepath.Join(s.folder, name)
	if !inPlace {
		file += ".new"
	}
	err := os.WriteFile(file, []byte(text), 0o600)
	if err == nil && !inPlace {
		err = os.Rename(file, filepath.Join(s.folder, name))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) hangUp() {
	s.t.Helper()
	if err := s.process.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
}

// status is what the wiki gets with this secret when it introspects.
func (s *served) status(tenant, secret string) int {
	s.t.Helper()
	r, err := http.NewRequest("POST", "http://"+s.address+"/"+tenant+"/introspect", strings.NewReader("token=x"))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = "localhost:8080"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("wiki", secret)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

const servedFile = `listen: 127.0.0.1:0
database: sqlite:sparekey.db
tenants:
  avengers:
    issuer: http://localhost:8080/avengers
    directories: {staff: {type: local}}
    clients: [{id: wiki, secret: file:wiki.secret, redirect_uris: ["http://localhost:9/"]}]
`

func TestServeReloadsOnSIGHUPAndWhenAFileChanges(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"sparekey.yaml": servedFile, "wiki.secret": "the-first-secret\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := serveIn(t, folder)
	want := func(tenant, secret string, status int) {
		t.Helper()
		if got := s.status(tenant, secret); got != status {
			t.Errorf("%s with %q answers %d, want %d", tenant, secret, got, status)
		}
	}
	want("avengers", "the-first-secret", http.StatusOK)
	want("wakanda", "", http.StatusNotFound)

	two := servedFile + strings.ReplaceAll(servedFile[strings.Index(servedFile, "  avengers:"):], "avengers", "wakanda")
	s.write("sparekey.yaml", two, false)
	s.hangUp()
	if line := s.says(`"msg":"config reloaded"`); !strings.Contains(line, `"level":"INFO"`) || !strings.Contains(line, `"tenants":["avengers","wakanda"]`) {
		t.Error(line)
	}
	want("wakanda", "the-first-secret", http.StatusOK)

	for text, fault := range map[string]string{
		strings.Replace(two, "listen: 127.0.0.1:0", "listen: 127.0.0.1:1", 1):        `sparekey.yaml:1:9: listen: has changed, and needs a restart`,
		strings.Replace(two, "    issuer:", "    isuer:", 1):                         `sparekey.yaml:5:5: tenants.avengers.isuer: unknown key`,
		strings.Replace(servedFile, "file:wiki.secret, redirect_uris: [", "x: [", 1): `sparekey.yaml:7:`,
	} {
		s.write("sparekey.yaml", text, true)
		s.hangUp()
		s.says(fault)
		s.says(`"msg":"config not reloaded`)
		want("wakanda", "the-first-secret", http.StatusOK)
	}

	// Without a signal: a fault, and the file mended; then a secret that it names.
	s.write("sparekey.yaml", "database: [\n", true)
	if line := s.says(`"msg":"config refused"`); !strings.Contains(line, `"fault":"sparekey.yaml:2:1: `) {
		t.Error(line)
	}
	s.write("sparekey.yaml", servedFile, true)
	s.says(`"msg":"config reloaded","tenants":["avengers"]`)
	want("wakanda", "", http.StatusNotFound)
	want("avengers", "the-first-secret", http.StatusOK)
	s.write("wiki.secret", "the-second-one\n", false)
	s.says(`"msg":"config reloaded"`)
	want("avengers", "the-second-one", http.StatusOK)
	want("avengers", "the-first-secret", http.StatusUnauthorized)

	if err := s.process.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for range s.lines {
	}
	if err := s.process.Wait(); err != nil {
		t.Error(err)
	}
}
