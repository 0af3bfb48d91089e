package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
)

// floor is the least an HTTP answer costs, and at /hash the least an answer to a password costs.
func floor(address string) {
	collectLess()
	hasher := secret.NewHasher(0)
	stored, err := hasher.Hash(context.Background(), password)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.HandleFunc("/hash", func(w http.ResponseWriter, r *http.Request) {
		if ok, _, err := hasher.Verify(r.Context(), stored, password); !ok || err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	_ = http.ListenAndServe(address, mux)
}

// collectLess is what the server does.
func collectLess() {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(192 << 20)
}

// start starts the server and gives the time until it was ready.
func (w *world) start() (time.Duration, error) {
	began := time.Now()
	w.serve = exec.Command(w.bin, "serve", "--config", w.config)
	if err := w.serve.Start(); err != nil {
		return 0, err
	}
	err := ready(w.origin)
	return time.Since(began), err
}

// ready waits until the provider is.
func ready(origin string) error {
	began := time.Now()
	for time.Since(began) < 20*time.Second {
		if res, err := http.Get(origin + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	return errors.New("the server did not become ready")
}

func (w *world) starts(n int) (time.Duration, error) {
	var all []time.Duration
	for range n {
		w.stop()
		d, err := w.start()
		if err != nil {
			return 0, err
		}
		all = append(all, d)
	}
	slices.Sort(all)
	return all[n/2], nil
}

func (w *world) stop() {
	_ = w.serve.Process.Signal(os.Interrupt)
	_ = w.serve.Wait()
}

func (w *world) close() {
	w.stop()
	for _, beside := range []*exec.Cmd{w.bare, w.free} {
		if beside == nil {
			continue
		}
		_ = beside.Process.Kill()
		_ = beside.Wait()
	}
}

// resident is the memory a process has in use, in MiB.
func resident(pid int) float64 { return mebibytes(pid, "VmRSS") }

// peak is the most it has had in use since forgetPeak, or since it began.
func peak(pid int) float64 { return mebibytes(pid, "VmHWM") }

func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o600)
}

// mebibytes is a line of a process's status.
func mebibytes(pid int, line string) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(line + `:\s+(\d+) kB`).FindSubmatch(raw)
	if m == nil {
		return 0
	}
	kb, _ := strconv.ParseFloat(string(m[1]), 64)
	return kb / 1024
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// compile builds the server as it is released.
func compile(dir string) (string, error) {
	bin, err := filepath.Abs(filepath.Join(dir, "sparekey"))
	if err != nil {
		return "", err
	}
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "github.com/sparekey-id/sparekey/cmd/sparekey")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return bin, nil
}
