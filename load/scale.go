package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/crowd"
	"github.com/sparekey-id/sparekey/internal/store"
)

// What scale may cost: a request on a full store at most so many times what it costs on an empty one, a thousand tenants so much memory
// and so much time at start.
const (
	mostRatio = 1.3
	mostMiB   = 60
	mostStart = time.Second
)

// few are in the store that hardly anything is in: enough that no two callers reset the same user within one step of her app.
const few = 2000

// compare drives the same operations on a store with hardly anything in it and on a full one, in turns, and prints what each costs.
func compare(out io.Writer, database, binary string, wanted *regexp.Regexp, lasts time.Duration, callers int, size crowd.Size) error {
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
	var worlds [2]*world
	for i, s := range []crowd.Size{{Tenants: 1, Users: few, Rows: 10 * few}, size} {
		name := []string{"empty", "full"}[i]
		at := strings.Replace(database, ".db", "-"+name+".db", 1)
		own, drop, err := ownSchema(at)
		if err != nil {
			return err
		}
		defer drop()
		if worlds[i], err = newWorld(dir, name, own, binary, callers, s); err != nil {
			return err
		}
		defer worlds[i].close()
	}
	empty, full := worlds[0], worlds[1]
	engine := strings.SplitN(database, ":", 2)[0]
	fmt.Fprintf(out, "%d users, %d journal rows and %d records on shelves, %d tenants, %s; filled in %.0f s. Beside it a store of one tenant, %d users and ten rows for each. %d callers, %g s each operation in five turns.\n\n",
		size.Users, size.Rows, size.Live+size.Expired, size.Tenants, engine, full.filled.Seconds(), few, callers, lasts.Seconds())

	var all []operation
	for _, w := range worlds {
		all = append(all, w.paths(wanted)...)
	}
	n := len(all) / 2
	var turns []operation
	for i := range n {
		a, b := all[i], all[n+i]
		a.name, b.name = a.name+"\x00", b.name+"\x01"
		turns = append(turns, a, b)
	}
	costs, err := costs(turns, lasts, callers)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "| operation | processor ms, empty | full | ratio | p50 ms, empty | full | ratio |\n|---|---|---|---|---|---|---|\n")
	worst := 0.0
	for i := range n {
		a, b := costs[2*i], costs[2*i+1]
		worst = max(worst, b.Processor/a.Processor)
		fmt.Fprintf(out, "| %s | %.3f | %.3f | %.2f | %.2f | %.2f | %.2f |\n", strings.TrimRight(a.Name, "\x00"), a.Processor, b.Processor, b.Processor/a.Processor, a.P50, b.P50, b.P50/a.P50)
	}
	fmt.Fprintf(out, "\nThe largest ratio of processor times is %.2f; %.1f is the limit.\n\n", worst, mostRatio)
	if err := full.commands(out); err != nil {
		return err
	}
	if err := full.swept(out, callers); err != nil {
		return err
	}
	return starts(out, empty, full)
}

// starts compares how long the servers take to be ready and what they hold when idle.
func starts(out io.Writer, empty, full *world) error {
	var took [2][]time.Duration
	var held [2][]float64
	for range 5 {
		for i, w := range []*world{empty, full} {
			w.stop()
			d, err := w.start()
			if err != nil {
				return err
			}
			took[i] = append(took[i], d)
			time.Sleep(3 * time.Second)
			held[i] = append(held[i], resident(w.serve.Process.Pid))
		}
	}
	for i := range took {
		slices.Sort(took[i])
		slices.Sort(held[i])
	}
	fmt.Fprintf(out, "| start, median of 5 | 1 tenant | %d tenants | more | limit |\n|---|---|---|---|---|\n", full.store.Tenants)
	fmt.Fprintf(out, "| ready after exec, ms | %d | %d | %d | %d |\n", took[0][2].Milliseconds(), took[1][2].Milliseconds(), (took[1][2] - took[0][2]).Milliseconds(), mostStart.Milliseconds())
	fmt.Fprintf(out, "| resident when idle, MiB | %.1f | %.1f | %.1f | %d |\n", held[0][2], held[1][2], held[1][2]-held[0][2], mostMiB)
	return nil
}

// paths are the operations that are compared.
func (w *world) paths(wanted *regexp.Regexp) []operation {
	pid := w.serve.Process.Pid
	return slices.DeleteFunc([]operation{
		{"authorize, code, token, userinfo with a live session", pid, func(i int) error { return w.people[i].flow("es") }, nil},
		{"userinfo", pid, func(i int) error { return w.people[i].userinfo() }, nil},
		{"introspection", pid, func(i int) error { return w.people[i].introspect() }, nil},
		{"client credentials", pid, func(i int) error {
			return w.fetch(http.DefaultClient, "POST", w.meta["token_endpoint"].(string), url.Values{"client": {"job"}, "grant_type": {"client_credentials"}}, nil)
		}, nil},
		{"refresh", pid, func(i int) error { return w.people[i].renew("es") }, nil},
		{"sign-in with user name and password, code, token", pid, func(i int) error { return w.people[i].signIn("es") }, nil},
		{"page of security info", pid, func(i int) error { return w.people[i].page("/avengers/security-info") }, nil},
		{"reset by the app, up to its answer", pid, func(i int) error { return w.people[i].reset(crowd.Login(int(w.next.Add(1)))) }, nil},
	}, func(o operation) bool { return !wanted.MatchString(o.name) })
}

// commands times what an operator types.
func (w *world) commands(out io.Writer) error {
	login := crowd.Login(max(w.store.Users/4, 1))
	fmt.Fprintf(out, "| command on the full store | ms |\n|---|---|\n")
	for _, words := range []string{"user show " + login, "why " + login, "journal tail", "journal tail --user " + login, "journal find aaaaaaaaaa", "sessions list " + login, "unlock " + login, "keyring list", "user list"} {
		args := append(strings.Fields(words), "--config", w.config)
		if !strings.HasPrefix(words, "journal find") && words != "keyring list" {
			args = append(args, "--tenant", crowd.Tenant(0))
		}
		c := exec.Command(w.bin, args...)
		began := time.Now()
		text, err := c.CombinedOutput()
		var refused *exec.ExitError
		if err != nil && !(errors.As(err, &refused) && strings.Contains(string(text), "nothing found")) {
			return fmt.Errorf("%s: %w: %.300s", words, err, text)
		}
		fmt.Fprintf(out, "| %s | %d |\n", strings.ReplaceAll(words, login, "USER"), time.Since(began).Milliseconds())
	}
	fmt.Fprintln(out)
	return nil
}

// swept drives requests before and while the server sweeps what has expired, and compares their worst.
func (w *world) swept(out io.Writer, callers int) error {
	if w.store.Expired == 0 {
		return nil
	}
	cfg, err := sparekey.LoadConfig(w.config)
	if err != nil {
		return err
	}
	db, err := store.Open(context.Background(), cfg.Database, store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	h := db.Tenant(crowd.Tenant(0))
	if err := expire(h, w.store.Expired); err != nil {
		return err
	}
	oldest := func() (until int64) {
		_ = h.Read(context.Background(), func(tx store.Tx) error {
			return tx.Row(`SELECT until FROM shelf WHERE tenant = $1 AND until <= $2 ORDER BY until LIMIT 1`, tx.Now()).Scan(&until)
		})
		return until
	}
	var sweeping, over atomic.Bool
	var mu sync.Mutex
	took := map[bool][]time.Duration{}
	var group sync.WaitGroup
	var failed error
	for i := range callers {
		group.Go(func() {
			for n := 0; !over.Load(); n++ {
				during, began := sweeping.Load(), time.Now()
				ask := w.people[i].userinfo
				if n%2 == 1 {
					ask = func() error { return w.people[i].renew("es") }
				}
				err := ask()
				d := time.Since(began)
				mu.Lock()
				took[during] = append(took[during], d)
				failed = errors.Join(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	first, began := oldest(), time.Now()
	var from time.Time
	for time.Since(began) < 4*time.Minute {
		now := oldest()
		if now != first && from.IsZero() {
			from = time.Now()
			sweeping.Store(true)
		}
		if now == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	over.Store(true)
	group.Wait()
	if failed != nil {
		return failed
	}
	p := func(during bool, percent int) float64 {
		all := took[during]
		if len(all) == 0 {
			return 0
		}
		slices.Sort(all)
		return all[min(len(all)-1, len(all)*percent/100)].Seconds() * 1e3
	}
	fmt.Fprintf(out, "%d expired records were swept in %.1f s while %d callers asked for userinfo and refreshed.\n\n| | no sweep | sweeping |\n|---|---|---|\n| p50 ms | %.1f | %.1f |\n| p99 ms | %.1f | %.1f |\n| requests | %d | %d |\n\n",
		w.store.Expired, time.Since(from).Seconds(), callers, p(false, 50), p(true, 50), p(false, 99), p(true, 99), len(took[false]), len(took[true]))
	return nil
}

// expire puts records on a shelf that have expired.
func expire(h *store.Handle, n int) error {
	past := store.NewShelf[string]("past")
	for at := 0; at < n; at += 1000 {
		err := h.Write(context.Background(), func(tx store.Tx) error {
			for i := at; i < min(at+1000, n); i++ {
				if err := past.Add(tx, fmt.Sprintf("expired-%d-%d", i*7919%n, i), "", tx.Now().Add(-time.Hour+time.Duration(i)*time.Millisecond), strings.Repeat("x", 300)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
