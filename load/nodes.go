package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sparekey-id/sparekey/internal/crowd"
)

// mostShare is what two nodes should give of what one does, at least.
const mostShare = 1.8

// balance lets new connections to the servers of a world go to these addresses in turns, as a balancer without affinity does; the requests carry
// the same host wherever they go.
func balance(w *world, addresses ...string) {
	var n atomic.Int64
	host := strings.TrimPrefix(w.origin, "http://")
	t := http.DefaultTransport.(*http.Transport)
	t.CloseIdleConnections()
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == host {
			address = addresses[int(n.Add(1))%len(addresses)]
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

// quota lets a process use so much of one core and no more. The function it gives ends that.
func quota(pid int, share float64) (end func(), err error) {
	const period = 20_000 // microseconds
	for _, root := range []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup"} {
		dir := filepath.Join(root, fmt.Sprintf("sparekey-load-%d", pid))
		if err = os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		put := func(name, text string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
		if err = put("cpu.max", fmt.Sprintf("%.0f %d", share*period, period)); err != nil {
			err = errors.Join(put("cpu.cfs_period_us", fmt.Sprint(period)), put("cpu.cfs_quota_us", fmt.Sprintf("%.0f", share*period)))
		}
		if err == nil {
			err = put("cgroup.procs", fmt.Sprint(pid))
		}
		if err == nil {
			return func() {
				_ = os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(fmt.Sprint(pid)), 0o644)
				_ = os.Remove(dir)
			}, nil
		}
		_ = os.Remove(dir)
	}
	return nil, err
}

// nodes compares what one node does in a second with what several do on the same database.
//
// Driver, nodes and database share the cores of one machine, where two nodes that may use all of them give hardly more than one that does. So each
// node is given the same small share of a core, of which there is enough for all: what the second one adds is then lost only where they wait for
// each other, in the database or by way of it. An operation costs each a little more where more processes share the caches of these cores, which
// is told apart. That is what a machine of its own for each would show, and not how fast such a machine is.
func nodes(out io.Writer, database, binary string, count int, share float64, lasts time.Duration, callers int, size crowd.Size) error {
	if !strings.HasPrefix(database, "postgres") {
		return errors.New("several nodes need -database postgres://…")
	}
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
	size.Users = max(size.Users, callers*count)
	w, err := newWorld(dir, "sparekey", own, binary, callers*count, size)
	if err != nil {
		return err
	}
	defer w.close()
	addresses, pids := []string{strings.TrimPrefix(w.origin, "http://")}, []int{w.serve.Process.Pid}
	text, err := os.ReadFile(w.config)
	if err != nil {
		return err
	}
	for i := 1; i < count; i++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		at := fmt.Sprintf("localhost:%d", port)
		config := filepath.Join(dir, fmt.Sprintf("sparekey-%d.yaml", i))
		if err := os.WriteFile(config, []byte(strings.Replace(string(text), "listen: "+addresses[0], "listen: "+at, 1)), 0o600); err != nil {
			return err
		}
		node := exec.Command(binary, "serve", "--config", config)
		if err := node.Start(); err != nil {
			return err
		}
		defer func() {
			_ = node.Process.Signal(os.Interrupt)
			_ = node.Wait()
		}()
		if err := ready("http://" + at); err != nil {
			return err
		}
		addresses, pids = append(addresses, at), append(pids, node.Process.Pid)
	}
	limited := true
	for _, pid := range pids {
		end, err := quota(pid, share)
		if err != nil {
			limited = false
			fmt.Fprintln(os.Stderr, "load: no share of a core can be set:", err)
			break
		}
		defer end()
	}

	if limited {
		fmt.Fprintf(out, "Each node may use %.2f of a core and no more, so that %d of them, the driver and PostgreSQL have enough of the %s: what a second node adds is lost only where nodes wait for each other. It says nothing about how fast a whole machine is. ", share, count, cores())
	} else {
		fmt.Fprintf(out, "No share of a core could be set (cgroups), and driver, nodes and PostgreSQL share the %s: throughput says nothing about a second node here, the processor time of an operation does. ", cores())
	}
	fmt.Fprintf(out, "%d callers for each node, who wait for each answer; their connections go to the nodes in turns. %g s each, in %d turns.\n\n", callers, lasts.Seconds(), turnsOfNodes)
	fmt.Fprintf(out, "| operation | one node, a second | %d nodes, a second | times, at least %.1f for two | times, did an operation cost the node the same | processor ms at the node, one | of %d | cores a node used, one | of %d |\n|---|---|---|---|---|---|---|---|---|\n", count, mostShare, count, count)
	for _, o := range w.paths(anything) {
		if strings.HasPrefix(o.name, "reset") { // which the limits of a user allow but now and then
			continue
		}
		var done [2]int
		var wall, work [2]float64
		for range turnsOfNodes {
			for i, active := range []int{1, count} {
				balance(w, addresses[:active]...)
				if _, err := o.repeat(lasts/turnsOfNodes/4, callers*active); err != nil {
					return fmt.Errorf("%s: %w", o.name, err)
				}
				before, began := used(pids[:active]), time.Now()
				took, err := o.repeat(lasts/turnsOfNodes, callers*active)
				if err != nil {
					return fmt.Errorf("%s: %w", o.name, err)
				}
				done[i] += len(took)
				wall[i] += time.Since(began).Seconds()
				work[i] += used(pids[:active]) - before
			}
		}
		one, all := float64(done[0])/wall[0], float64(done[1])/wall[1]
		fmt.Fprintf(out, "| %s | %.0f | %.0f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n", o.name, one, all, all/one, all/one*(work[1]/float64(done[1]))/(work[0]/float64(done[0])),
			work[0]/float64(done[0])*1e3, work[1]/float64(done[1])*1e3, work[0]/wall[0], work[1]/wall[1]/float64(count))
	}
	return nil
}

// turnsOfNodes is how often one node and all of them take turns.
const turnsOfNodes = 3

func used(pids []int) (seconds float64) {
	for _, pid := range pids {
		seconds += processor(pid)
	}
	return seconds
}
