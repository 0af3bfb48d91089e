// Command load measures what Sparekey costs: it builds the binary, starts it as a process of its own on a store on disk, drives it with eight
// callers, and prints the processor time of that process for each operation, beside the wall time. Times are scaled so that one RS256-2048
// signature, measured in the same run, is 1.0 ms; the floor is a bare net/http answer in the same run.
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	database := flag.String("database", "sqlite:sparekey.db", "where the store is; a relative SQLite path is in a folder of the run's own")
	seconds := flag.Duration("for", 3*time.Second, "how long each operation is driven")
	callers := flag.Int("callers", 8, "how many at once")
	bare := flag.String("bare", "", "serve bare answers at this address: the floor (used by the driver itself)")
	flag.Parse()
	if *bare != "" {
		floor(*bare)
		return
	}
	if err := measure(*database, *seconds, *callers); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// floor is the least an HTTP answer costs.
func floor(address string) {
	_ = http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
}

func measure(database string, lasts time.Duration, callers int) error {
	dir, err := os.MkdirTemp(".", "load-run-") // on the disk of the working folder: durable means durable
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w, err := newWorld(dir, database, callers)
	if err != nil {
		return err
	}
	defer w.close()
	unit := signature()
	fmt.Printf("One RS256-2048 signature took %.2f ms of processor time and is 1.0 ms below. %d callers, %v each, %s.\n\n", unit*1e3, callers, lasts, strings.SplitN(database, ":", 2)[0])
	fmt.Println("| operation | processor ms | p50 ms | p99 ms | a second |\n|---|---|---|---|---|")
	for _, o := range w.operations() {
		r, err := run(o, lasts, callers)
		if err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		fmt.Printf("| %s | %.3f | %.1f | %.1f | %.0f |\n", o.name, r.cpu/unit, r.p50.Seconds()*1e3, r.p99.Seconds()*1e3, r.rate)
	}
	start, err := w.starts(9)
	if err != nil {
		return err
	}
	fmt.Printf("\n| | |\n|---|---|\n| ready after exec, existing store (median of 9) | %d ms |\n| resident memory, idle | %.1f MiB |\n| stripped binary | %.1f MB |\n", start.Milliseconds(), w.idle, w.size)
	return nil
}

// operation is one thing to measure: one does it once, for the i-th caller; pid is the process that pays.
type operation struct {
	name string
	pid  int
	one  func(i int) error
}

type result struct {
	cpu      float64 // seconds of processor time an operation
	p50, p99 time.Duration
	rate     float64
}

func run(o operation, lasts time.Duration, callers int) (result, error) {
	var all []time.Duration
	var mu sync.Mutex
	var failed atomic.Pointer[error]
	drive := func(lasts time.Duration) {
		end := time.Now().Add(lasts)
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				var mine []time.Duration
				for time.Now().Before(end) && failed.Load() == nil {
					began := time.Now()
					if err := o.one(i); err != nil {
						failed.Store(&err)
						return
					}
					mine = append(mine, time.Since(began))
				}
				mu.Lock()
				all = append(all, mine...)
				mu.Unlock()
			})
		}
		group.Wait()
	}
	drive(lasts / 4)
	all = nil
	before, began := processor(o.pid), time.Now()
	drive(lasts)
	cpu, wall := processor(o.pid)-before, time.Since(began)
	if err := failed.Load(); err != nil {
		return result{}, *err
	}
	slices.Sort(all)
	n := len(all)
	return result{cpu: cpu / float64(n), p50: all[n/2], p99: all[n*99/100], rate: float64(n) / wall.Seconds()}, nil
}

// processor is the processor time a process has used, in seconds.
func processor(pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// signature is the processor time of one RS256-2048 signature, in seconds: the median of many.
func signature() float64 {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256([]byte("yardstick"))
	var rounds []float64
	for range 15 {
		before := own()
		for range 40 {
			if _, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]); err != nil {
				panic(err)
			}
		}
		rounds = append(rounds, (own()-before)/40)
	}
	slices.Sort(rounds)
	return rounds[len(rounds)/2]
}

func own() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

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
