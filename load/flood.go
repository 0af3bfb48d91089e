package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/sparekey-id/sparekey/internal/crowd"
	"github.com/sparekey-id/sparekey/internal/strangers"
)

// What a flood may cost (F-16): an honest caller's p99 at most so many times what it is without, the server so much memory.
const (
	mostFlood  = 2.0
	mostMemory = 300 // MiB
)

// Honest callers come at these rates, a second, of all of them together. They do not wait for the answer before: a server that is slow is
// asked just as often, and how long an answer took counts from the moment at which it was due to be asked for.
const (
	askedTokens    = 40 // of client credentials, and as many refreshes
	askedDiscovery = 20
)

// turnsOfFlood is how often calm and flood take turns, so that what else the machine does happens to both.
const turnsOfFlood = 4

// flood compares the token endpoint with itself while strangers flood the server.
//
// Driver, strangers and server share the cores here, as they would not elsewhere. What is to be seen is what the flood costs by way of the
// server, so that neither may the strangers' own work slow down the honest, nor may an honest caller who waits for a core be counted as the
// server's slowness: the strangers are a process of their own that runs where nobody else would, and the honest callers have the highest that is given to
// them. The flood arrives at a rate, whether it is answered or not.
func flood(out io.Writer, database, binary string, lasts time.Duration, callers int, wrong float64, size crowd.Size) error {
	dir, err := os.MkdirTemp(".", "load-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary == "" {
		if binary, err = compile(dir); err != nil {
			return err
		}
	}
	own, drop, err := ownSchema(database)
	if err != nil {
		return err
	}
	defer drop()
	port, err := freePort()
	if err != nil {
		return err
	}
	size.Users = max(size.Users, 5000) // of whom hardly one meets more passwords than make a puzzle of the next
	metrics := fmt.Sprintf("localhost:%d", port)
	w, err := newWorld(dir, "sparekey", own, binary, callers, size, "metrics_listen: "+metrics, `trusted_proxies: [127.0.0.0/8, "::1/128"]`)
	if err != nil {
		return err
	}
	defer w.close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	asked := float64(2*askedTokens + askedDiscovery)
	what := strangers.Flood{Authorize: w.people[0].authorizeURL("es"), Token: w.meta["token_endpoint"].(string), Wrong: wrong, Users: size.Users,
		Garbage: asked + 4*wrong} // half of all: a stranger's sign-in is eight requests for two passwords
	setting, err := json.Marshal(what)
	if err != nil {
		return err
	}
	raised := prioritise(-10) == nil
	pid := w.serve.Process.Pid
	var calm, rough honest
	var told strangers.Told
	var work [2]float64
	turn := lasts / turnsOfFlood
	come := func(h *honest, work *float64) {
		before := processor(pid)
		h.ask(w, turn)
		*work += processor(pid) - before
	}
	within := func(lasts time.Duration, f func()) error {
		c := exec.Command(self, "-strangers", string(setting), "-for", lasts.String())
		c.Stderr = os.Stderr
		said, err := c.StdoutPipe()
		if err != nil {
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // the flood has risen
		f()
		var t strangers.Told
		if err := errors.Join(json.NewDecoder(said).Decode(&t), c.Wait()); err != nil {
			return fmt.Errorf("strangers: %w", err)
		}
		told = sumTold(told, t)
		return nil
	}
	// What is made once, such as connections to the database, is made before anything is counted.
	if err := within(5*time.Second, func() { (&honest{}).ask(w, 2*time.Second) }); err != nil {
		return err
	}
	told = strangers.Told{}
	before, err := settled(metrics, pid, nil)
	if err != nil {
		return err
	}
	if err := forgetPeak(pid); err != nil {
		return err
	}
	for range turnsOfFlood {
		come(&calm, &work[0])
		if err := within(turn+3*time.Second, func() { come(&rough, &work[1]) }); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
	most := peak(pid)
	after, err := settled(metrics, pid, &before)
	if err != nil {
		return err
	}

	fmt.Fprintf(out, "%d honest callers ask %d times a second for tokens by client credentials, as often for a refresh, and %d times for discovery, for %g s without and %g s within a flood, in %d turns; %s.\n", callers, askedTokens, askedDiscovery, lasts.Seconds(), lasts.Seconds(), turnsOfFlood, strings.SplitN(database, ":", 2)[0])
	fmt.Fprintf(out, "The flood, arriving at its rate whether it is answered or not: %g wrong passwords a second, each pair of them in a sign-in of a new browser and network, and %.0f pieces of garbage, half of all requests. ", wrong, what.Garbage)
	fmt.Fprintf(out, "The strangers are a process of their own that runs where nobody else would (SCHED_IDLE), so that their own work is not what slows the honest")
	if raised {
		fmt.Fprintf(out, ", and the honest callers have a higher one than the server, so that their own waiting is not counted as its")
	} else {
		fmt.Fprintf(out, "; the honest callers have the server's, since no higher one was given, and their own waiting counts as its")
	}
	fmt.Fprintf(out, ".\n\n| ms | p50 | p99 | p50 in the flood | p99 in the flood | p99 to p99, at most %.1f |\n|---|---|---|---|---|---|\n", mostFlood)
	var missed []string
	for i, name := range []string{"client credentials", "refresh", "discovery"} {
		a, b := calm.took[i], rough.took[i]
		if at(b, 99) > mostFlood*at(a, 99) {
			missed = append(missed, "p99 of "+name)
		}
		fmt.Fprintf(out, "| %s | %.1f | %.1f | %.1f | %.1f | %.2f |\n", name, at(a, 50), at(a, 99), at(b, 50), at(b, 99), at(b, 99)/at(a, 99))
	}
	all := append(calm.failed, rough.failed...)
	fmt.Fprintf(out, "\n| | |\n|---|---|\n| errors of honest callers, none wanted | %d of %d |\n", len(all), calm.asked()+rough.asked())
	fmt.Fprintf(out, "| wrong passwords a second that were answered, of %g | %.0f |\n| garbage a second that was answered, of %.0f | %.0f |\n| strangers who found %d others waiting and went | %d |\n",
		wrong, float64(told.Passwords)/told.Seconds, what.Garbage, float64(told.Garbage)/told.Seconds, 256, told.Left)
	fmt.Fprintf(out, "| cores the server used, without and in the flood | %.2f, %.2f |\n", work[0]/lasts.Seconds(), work[1]/lasts.Seconds())
	fmt.Fprintf(out, "| resident memory at its peak, MiB, less than %d wanted | %.0f |\n", mostMemory, most)
	fmt.Fprintf(out, "| goroutines before and after, no drift wanted | %.0f, %.0f |\n| file descriptors before and after, but for those of the database file, no drift wanted (connections to PostgreSQL come and go, 16 at most) | %.0f, %.0f |\n| threads before and after | %.0f, %.0f |\n",
		before.goroutines, after.goroutines, before.descriptors, after.descriptors, before.threads, after.threads)
	for what, yes := range map[string]bool{"errors of honest callers": len(all) > 0, "memory": most >= mostMemory, "answers to strangers": len(told.Faults) > 0,
		"goroutines": after.goroutines > before.goroutines, "file descriptors": after.descriptors > before.descriptors && !strings.HasPrefix(database, "postgres") || after.descriptors > before.descriptors+16} {
		if yes {
			missed = append(missed, what)
		}
	}
	slices.Sort(missed)
	if len(missed) > 0 {
		fmt.Fprintf(out, "\nMissed: %s.\n", strings.Join(missed, ", "))
	} else {
		fmt.Fprintln(out, "\nAll of it was held.")
	}
	for _, kind := range slices.Sorted(maps.Keys(told.Answers)) {
		fmt.Fprintf(os.Stderr, "%s: %d\n", kind, told.Answers[kind])
	}
	for _, err := range all[:min(len(all), 10)] {
		fmt.Fprintln(os.Stderr, "honest:", err)
	}
	for _, f := range told.Faults {
		fmt.Fprintln(os.Stderr, "strangers:", f)
	}
	return nil
}

func sumTold(a, b strangers.Told) strangers.Told {
	a.Seconds, a.Requests, a.Passwords, a.Garbage, a.Left = a.Seconds+b.Seconds, a.Requests+b.Requests, a.Passwords+b.Passwords, a.Garbage+b.Garbage, a.Left+b.Left
	a.Faults = append(a.Faults, b.Faults...)
	if a.Answers == nil {
		a.Answers = map[string]int{}
	}
	for kind, n := range b.Answers {
		a.Answers[kind] += n
	}
	return a
}

// floodNow is the flood's own process, of less than the lowest priority, so that its work costs the server nothing but what it asks for.
func floodNow(out io.Writer, setting string, lasts time.Duration) error {
	if err := idle(); err != nil {
		return err
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	var f strangers.Flood
	if err := json.Unmarshal([]byte(setting), &f); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	defer cancel()
	told, err := f.Run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(told)
}

// prioritise gives every thread of this process a priority; those that begin later inherit it.
func prioritise(nice int) error {
	return threads(func(id int) error { return syscall.Setpriority(syscall.PRIO_PROCESS, id, nice) })
}

// idle makes every thread of this process one that runs where nobody else would (SCHED_IDLE): a core that runs nothing else counts as free, so
// that whoever wakes up gets it at once.
func idle() error {
	const schedIdle = 5
	return threads(func(id int) error {
		var priority int32
		if _, _, err := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, uintptr(id), schedIdle, uintptr(unsafe.Pointer(&priority))); err != 0 {
			return err
		}
		return nil
	})
}

func threads(f func(id int) error) (err error) {
	all, err := filepath.Glob("/proc/self/task/*")
	for _, t := range all {
		id, _ := strconv.Atoi(filepath.Base(t))
		err = errors.Join(err, f(id))
	}
	return err
}

// honest is what honest callers found.
type honest struct {
	mu     sync.Mutex
	took   [3][]time.Duration // client credentials, refresh, discovery; sorted when at is asked
	failed []error
}

func (h *honest) asked() (n int) {
	for _, t := range h.took {
		n += len(t)
	}
	return n
}

// ask lets every caller ask for so long.
func (h *honest) ask(w *world, lasts time.Duration) {
	began := time.Now()
	var all sync.WaitGroup
	for i, p := range w.people {
		for kind, rate := range []float64{askedTokens, askedTokens, askedDiscovery} {
			one := []func() error{
				func() error {
					return w.fetch(http.DefaultClient, "POST", w.meta["token_endpoint"].(string), url.Values{"client": {"job"}, "grant_type": {"client_credentials"}}, nil)
				},
				func() error { return p.renew("es") },
				func() error { _, err := w.discover(w.origin); return err },
			}[kind]
			every := time.Duration(float64(len(w.people)) / rate * float64(time.Second))
			first := began.Add(every * time.Duration(3*i+kind) / time.Duration(3*len(w.people)))
			all.Go(func() {
				for due := first; due.Sub(began) < lasts; due = due.Add(every) {
					time.Sleep(time.Until(due))
					err := one()
					took := time.Since(due)
					h.mu.Lock()
					h.took[kind] = append(h.took[kind], took)
					if err != nil {
						h.failed = append(h.failed, err)
					}
					h.mu.Unlock()
				}
			})
		}
	}
	all.Wait()
}

// at is a percentile in ms.
func at(all []time.Duration, percent int) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, len(all)*percent/100)].Seconds() * 1e3
}

// held is what a server holds while nobody is there.
type held struct{ goroutines, descriptors, threads float64 }

// settled is what the server holds when every connection but the one that asks is closed: as soon as it is no more than before, or after half a minute.
func settled(metrics string, pid int, before *held) (h held, err error) {
	http.DefaultClient.CloseIdleConnections()
	for range 30 {
		time.Sleep(time.Second)
		if h, err = holds(metrics, pid); err != nil || before != nil && h.goroutines <= before.goroutines && h.descriptors <= before.descriptors {
			break
		}
		if before == nil {
			before = &h // it has to be so twice
		}
	}
	return h, err
}

func holds(metrics string, pid int) (h held, err error) {
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + metrics + "/")
	if err != nil {
		return h, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return h, err
	}
	m := regexp.MustCompile(`(?m)^go_goroutines (\d+)`).FindSubmatch(text)
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if m == nil || err != nil {
		return h, fmt.Errorf("metrics: no goroutines, or %w", err)
	}
	h.goroutines, _ = strconv.ParseFloat(string(m[1]), 64)
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, d := range open {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, d.Name()))
		if !strings.Contains(to, ".db") { // of a SQLite database a few are kept while it is busy
			h.descriptors++
		}
	}
	h.threads = float64(len(threads))
	return h, nil
}
