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
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	database := flag.String("database", "sqlite:sparekey.db", "where the store is; a relative SQLite path is in a folder of the run's own, on PostgreSQL a schema of the run's own is made")
	binary := flag.String("binary", "", "measure this program instead of building one")
	only := flag.String("only", "", "measure the operations alone whose names match this regular expression")
	asJSON := flag.Bool("json", false, "print JSON instead of Markdown")
	lasts := flag.Duration("for", 3*time.Second, "how long each operation is driven")
	callers := flag.Int("callers", 8, "how many at once")
	rests := flag.Duration("rest", 0, "wait so long after the load before the resident memory is read again; the server gives memory back within a minute or so")
	bare := flag.String("bare", "", "be the floor, at this address (used by the driver itself)")
	flag.Parse()
	if *bare != "" {
		floor(*bare)
		return
	}
	wanted, err := regexp.Compile(*only)
	var r report
	if err == nil {
		r, err = measure(*database, *binary, wanted, *lasts, *rests, *callers)
	}
	if err == nil && *asJSON {
		err = r.json(os.Stdout)
	} else if err == nil {
		r.markdown(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func measure(database, binary string, wanted *regexp.Regexp, lasts, rests time.Duration, callers int) (r report, err error) {
	dir, err := os.MkdirTemp(".", "load-run-") // on the disk of the working folder: durable means durable
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	database, drop, err := ownSchema(database)
	if err != nil {
		return r, err
	}
	defer drop()
	w, err := newWorld(dir, database, binary, callers)
	if err != nil {
		return r, err
	}
	defer w.close()
	r = report{Callers: callers, Seconds: lasts.Seconds(), Database: strings.SplitN(database, ":", 2)[0], Idle: w.idle, Size: w.size}
	for _, o := range w.operations() {
		if !wanted.MatchString(o.name) {
			continue
		}
		before := signature() * 1e3
		cost, err := run(o, lasts, callers)
		if err != nil {
			return r, fmt.Errorf("%s: %w", o.name, err)
		}
		cost.Signature = (before + signature()*1e3) / 2
		cost.Processor /= cost.Signature
		r.Operations = append(r.Operations, cost)
	}
	time.Sleep(rests)
	r.Rests, r.Loaded = rests.Seconds(), resident(w.serve.Process.Pid)
	start, err := w.starts(9)
	r.Start = start.Seconds() * 1e3
	return r, err
}

// operation is one thing to measure: one does it once, for the i-th caller; pid is the process that pays.
type operation struct {
	name string
	pid  int
	one  func(i int) error
}

func run(o operation, lasts time.Duration, callers int) (cost, error) {
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
		return cost{}, *err
	}
	slices.Sort(all)
	n := len(all)
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	return cost{Name: o.name, Processor: cpu / float64(n) * 1e3, P50: ms(all[n/2]), P99: ms(all[n*99/100]), Rate: float64(n) / wall.Seconds()}, nil
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

// signature is the processor time of one RS256-2048 signature here and now, in seconds: the median of a few rounds.
func signature() float64 {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256([]byte("yardstick"))
	var rounds []float64
	for range 7 {
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
