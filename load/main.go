// Command load measures what Sparekey costs: it builds the binary, starts it as a process of its own on a store on disk, drives it with eight
// callers, and prints the processor time of that process for each operation, beside the wall time. Times are scaled so that one RS256-2048
// signature, measured in the same run, is 1.0 ms; the floor is a bare net/http answer in the same run.
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sparekey-id/sparekey/internal/crowd"
)

func main() {
	database := flag.String("database", "sqlite:sparekey.db", "where the store is; a relative SQLite path is in a folder of the run's own, on PostgreSQL a schema of the run's own is made")
	binary := flag.String("binary", "", "measure this program instead of building one")
	only := flag.String("only", "", "measure the operations alone whose names match this regular expression")
	asJSON := flag.Bool("json", false, "print JSON instead of Markdown")
	lasts := flag.Duration("for", 5*time.Second, "how long each operation is driven, in five turns")
	callers := flag.Int("callers", 8, "how many at once")
	rests := flag.Duration("rest", 0, "wait so long after the load before the resident memory is read again; the server gives memory back within a minute or so")
	bare := flag.String("bare", "", "be the floor, at this address (used by the driver itself)")
	free := flag.String("free", "", "be a provider with this config whose passwords cost nothing to check (used by the driver itself)")
	scale := flag.Bool("scale", false, "compare the same operations on a store with hardly anything in it and on one that is filled as -tenants, -users, -rows and -expired say")
	inFlood := flag.Bool("flood", false, "compare the token endpoint with itself while strangers flood the server with wrong passwords and garbage")
	wrong := flag.Float64("wrong", 80, "of the flood: so many wrong passwords a second")
	several := flag.Int("nodes", 1, "compare the throughput of one node with that of so many on the same PostgreSQL database")
	share := flag.Float64("share", 0.2, "of -nodes: what each may use of a core")
	strange := flag.String("strangers", "", "be the flood that this says (used by the driver itself)")
	var size crowd.Size
	flag.IntVar(&size.Tenants, "tenants", 1, "so many tenants; the first has half of the users and of the journal")
	flag.IntVar(&size.Users, "users", 0, "so many users, or one for each caller")
	flag.IntVar(&size.Rows, "rows", 0, "so many rows in the journal")
	flag.IntVar(&size.Live, "live", 0, "so many sessions and the like that are good")
	flag.IntVar(&size.Expired, "expired", 0, "so many of those that have expired, to be swept under load")
	flag.Parse()
	size.Users = max(size.Users, *callers)
	if *free != "" {
		fmt.Fprintln(os.Stderr, "load:", provide(*free))
		os.Exit(1)
	}
	if *bare != "" {
		floor(*bare)
		return
	}
	wanted, err := regexp.Compile(*only)
	switch {
	case err != nil:
	case *strange != "":
		err = floodNow(os.Stdout, *strange, *lasts)
	case *scale:
		err = compare(os.Stdout, *database, *binary, wanted, *lasts, *callers, size)
	case *several > 1:
		err = nodes(os.Stdout, *database, *binary, *several, *share, *lasts, *callers, size)
	case *inFlood:
		err = flood(os.Stdout, *database, *binary, *lasts, *callers, *wrong, size)
	default:
		var r report
		if r, err = measure(*database, *binary, wanted, *lasts, *rests, *callers, size); err == nil {
			err = r.print(os.Stdout, *asJSON)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func measure(database, binary string, wanted *regexp.Regexp, lasts, rests time.Duration, callers int, size crowd.Size) (r report, err error) {
	dir, err := os.MkdirTemp(".", "load-run-") // on the disk of the working folder: durable means durable
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	if binary == "" {
		if binary, err = compile(dir); err != nil {
			return r, err
		}
	}
	database, drop, err := ownSchema(database)
	if err != nil {
		return r, err
	}
	defer drop()
	w, err := newWorld(dir, "sparekey", database, binary, callers, size)
	if err != nil {
		return r, err
	}
	if err := w.startBeside(dir); err != nil {
		return r, err
	}
	defer w.close()
	r = report{Callers: callers, Seconds: lasts.Seconds(), Database: strings.SplitN(database, ":", 2)[0], Idle: w.idle, Size: w.size}
	if r.Operations, err = costs(w.operations(wanted), lasts, callers); err != nil {
		return r, err
	}
	time.Sleep(rests)
	r.Rests, r.Loaded = rests.Seconds(), resident(w.serve.Process.Pid)
	start, err := w.starts(9)
	r.Start = start.Seconds() * 1e3
	return r, err
}

// operation is one thing to measure: one does it once, for the i-th caller; pid is the process that pays. What is beside it is driven at
// the same time, by half of the callers, to be compared with it: a hash of 19 MiB costs what its neighbours leave of the caches.
type operation struct {
	name   string
	pid    int
	one    func(i int) error
	beside *operation
}

// rounds is how often the operations take turns: what a shared machine does meanwhile then happens to all of them, and the median forgets it.
const rounds = 5

// costs drives the operations in turns. The processor time of each is the median of its rounds.
func costs(operations []operation, lasts time.Duration, callers int) (all []cost, err error) {
	turns := map[string][]turn{}
	for range rounds {
		for _, o := range operations {
			together := []operation{o}
			if o.beside != nil {
				together = append(together, *o.beside)
			}
			got, err := drive(together, lasts/rounds, callers/len(together))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", o.name, err)
			}
			for i, t := range got {
				turns[together[i].name] = append(turns[together[i].name], t)
			}
		}
	}
	for _, o := range operations {
		all = append(all, sum(o.name, turns[o.name]))
		if o.beside != nil {
			all = append(all, sum(o.beside.name, turns[o.beside.name]))
		}
	}
	return all, nil
}

// turn is one round of one operation.
type turn struct {
	took                       []time.Duration // by each repetition
	processor, wall, signature float64         // seconds; of all, of all, of one signature just before and after
	idle                       float64         // seconds of all cores that nobody used
}

func sum(name string, turns []turn) cost {
	c := cost{Name: name}
	var took []time.Duration
	var scaled, signatures []float64
	var wall, work, idle float64
	for _, t := range turns {
		took, wall, work, idle = append(took, t.took...), wall+t.wall, work+t.processor, idle+t.idle
		scaled, signatures = append(scaled, t.processor/float64(len(t.took))/t.signature), append(signatures, t.signature)
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	c.Processor, c.Signature = median(scaled), median(signatures)*1e3
	c.P50, c.P99, c.Rate = ms(took[len(took)/2]), ms(took[len(took)*99/100]), float64(len(took))/wall
	c.Ratio, c.Cores, c.Allowed = c.P99/c.P50, work/wall, work/(work+idle)
	return c
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// drive does the operations over and over at the same time, for so long, with so many callers each, after a quarter of that to warm up.
func drive(together []operation, lasts time.Duration, callers int) ([]turn, error) {
	turns, errs := make([]turn, len(together)), make([]error, len(together))
	at := func(lasts time.Duration) error {
		var group sync.WaitGroup
		for i, o := range together {
			group.Go(func() {
				before, free, began := processor(o.pid), unused(), time.Now()
				turns[i].took, errs[i] = o.repeat(lasts, callers)
				turns[i].processor, turns[i].wall = processor(o.pid)-before, time.Since(began).Seconds()
				turns[i].idle = unused() - free
			})
		}
		group.Wait()
		return errors.Join(errs...)
	}
	if err := at(lasts / 4); err != nil {
		return nil, err
	}
	one := signature()
	err := at(lasts)
	one = (one + signature()) / 2
	for i := range turns {
		turns[i].signature = one
	}
	return turns, err
}

func (o operation) repeat(lasts time.Duration, callers int) (all []time.Duration, err error) {
	var mu sync.Mutex
	var failed atomic.Pointer[error]
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
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return all, nil
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

// unused is how long the cores of this machine have had nothing to do so far, or had to wait for a disk, in seconds of one core.
func unused() float64 {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(strings.SplitN(string(raw), "\n", 2)[0])
	idle, _ := strconv.ParseFloat(fields[4], 64)
	disk, _ := strconv.ParseFloat(fields[5], 64)
	return (idle + disk) / 100
}

func cores() string { return fmt.Sprintf("%d cores", runtime.NumCPU()) }

var anything = regexp.MustCompile("")

var yardstick = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// signature is the processor time of one RS256-2048 signature here and now, in seconds: the median of a few tries.
func signature() float64 {
	key, err := yardstick()
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256([]byte("yardstick"))
	var tries []float64
	for range 7 {
		before := own()
		for range 40 {
			if _, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]); err != nil {
				panic(err)
			}
		}
		tries = append(tries, (own()-before)/40)
	}
	return median(tries)
}

func own() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
