package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a PostgreSQL primary and a standby that every commit waits for, started for one test on loopback and gone with it.
type Cluster struct {
	t       testing.TB
	bin     string
	as      []string // what commands are started by
	dir     string
	ports   [2]int
	primary int // which of the two
}

// NewCluster starts both. Where this machine has no PostgreSQL server the test is skipped, or fails where SPAREKEY_REQUIRE=1.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t, bin: serverFolder()}
	if why := c.missing(); why != "" {
		if os.Getenv("SPAREKEY_REQUIRE") == "1" {
			t.Fatalf("%s, and SPAREKEY_REQUIRE=1 wants a PostgreSQL primary and its standby", why)
		}
		t.Skipf("%s: no PostgreSQL primary and standby can be started", why)
	}
	var err error
	if c.dir, err = os.MkdirTemp(memory(), "sparekey-cluster-*"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(c.dir) })
	if os.Getuid() == 0 {
		c.as = []string{"runuser", "-u", "postgres", "--"}
		if out, err := exec.Command("chown", "postgres", c.dir).CombinedOutput(); err != nil {
			t.Fatalf("chown: %v: %s", err, out)
		}
	}
	t.Cleanup(func() {
		for i := range c.ports {
			c.signal(i, syscall.SIGCONT)
			c.signal(i, syscall.SIGKILL)
		}
	})
	c.ports[0] = freePort(t, 0)
	c.ports[1] = freePort(t, c.ports[0])
	c.run("initdb", "-D", c.data(0), "-U", "postgres", "-A", "trust", "-N")
	c.start(0)
	c.follow(1)
	return c
}

// freePort is one that nobody listens at, but that other one, and below those that the system gives to whoever connects.
func freePort(t testing.TB, other int) int {
	t.Helper()
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(12_000))
		if err != nil {
			t.Fatal(err)
		}
		port := 20_000 + int(n.Int64())
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
		}
		if err == nil && port != other {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// serverFolder is where the newest PostgreSQL server has its commands; empty: there is none.
func serverFolder() string {
	newest, at := -1, ""
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	for _, file := range all {
		bin := filepath.Dir(file)
		if n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin))); n > newest {
			newest, at = n, bin
		}
	}
	return at
}

// missing says what a cluster lacks here; empty: nothing.
func (c *Cluster) missing() string {
	if c.bin == "" {
		return "there is no PostgreSQL server in /usr/lib/postgresql"
	}
	if _, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid())); err != nil {
		return "the kernel does not list the children of a process"
	}
	if os.Getuid() == 0 {
		if out, err := exec.Command("runuser", "-u", "postgres", "--", "true").CombinedOutput(); err != nil {
			return fmt.Sprintf("root cannot become the user postgres (%v %s)", err, out)
		}
	}
	return ""
}

func (c *Cluster) data(i int) string { return filepath.Join(c.dir, fmt.Sprint("server", i)) }

// run runs a command of PostgreSQL.
func (c *Cluster) run(command string, args ...string) {
	c.t.Helper()
	args = append(append(append([]string{}, c.as...), filepath.Join(c.bin, command)), args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = c.dir
	// What a server inherits from pg_ctl would keep a pipe open for as long as it runs.
	out, err := os.CreateTemp("", "sparekey-cluster-*.log")
	if err != nil {
		c.t.Fatal(err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		logged, _ := exec.Command("tail", "-n", "10", c.data(0)+".log", c.data(1)+".log").CombinedOutput()
		c.t.Fatalf("%s: %v: %s%s", command, err, said, logged)
	}
}

func (c *Cluster) start(i int) {
	c.t.Helper()
	options := fmt.Sprintf("-c listen_addresses=127.0.0.1 -p %d -c unix_socket_directories= -c max_connections=100 -c synchronous_commit=on -c wal_keep_size=64MB -c wal_retrieve_retry_interval=100ms", c.ports[i])
	c.run("pg_ctl", "-D", c.data(i), "-w", "-l", c.data(i)+".log", "-o", options, "start")
}

// follow makes a server the standby of the primary, from nothing, and returns when commits wait for it.
func (c *Cluster) follow(i int) {
	c.t.Helper()
	if err := os.RemoveAll(c.data(i)); err != nil {
		c.t.Fatal(err)
	}
	c.run("pg_basebackup", "-D", c.data(i), "-d", fmt.Sprintf("host=127.0.0.1 port=%d user=postgres application_name=standby", c.ports[c.primary]),
		"-R", "-X", "stream", "-c", "fast", "-N")
	c.start(i)
	c.Tell("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	for end := time.Now().Add(20 * time.Second); c.Tell(`SELECT COALESCE(MAX(sync_state), 'none') FROM pg_stat_replication WHERE state = 'streaming'`) != "sync"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatal("the standby does not follow")
		}
	}
}

// URL names both servers, the one that began as the primary first, and means the one that can be written to.
func (c *Cluster) URL() string {
	return fmt.Sprintf("postgres://postgres@/postgres?host=127.0.0.1,127.0.0.1&port=%d,%d&sslmode=disable&target_session_attrs=read-write", c.ports[0], c.ports[1])
}

// Standby names the standby alone.
func (c *Cluster) Standby() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", c.ports[1-c.primary])
}

// Tell runs texts on the primary, and gives the first value of the last one's answer.
func (c *Cluster) Tell(texts ...string) (said string) {
	c.t.Helper()
	return c.tell(c.primary, texts...)
}

func (c *Cluster) tell(i int, texts ...string) (said string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", c.ports[i]))
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, text := range texts {
		rows, err := conn.Query(ctx, text)
		for err == nil && rows.Next() {
			values, _ := rows.Values()
			said = fmt.Sprint(values[0])
		}
		if err == nil {
			err = rows.Err()
		}
		if err != nil {
			c.t.Fatalf("%s: %v", text, err)
		}
	}
	return said
}

// processes are those of a server, its first one in front.
func (c *Cluster) processes(i int) (all []int) {
	text, err := os.ReadFile(filepath.Join(c.data(i), "postmaster.pid"))
	if err != nil {
		return nil
	}
	line, _, _ := strings.Cut(string(text), "\n")
	first, err := strconv.Atoi(line)
	if err != nil {
		return nil
	}
	command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", first))
	if !strings.Contains(string(command), c.data(i)) { // it has ended, and the number may be another's
		return nil
	}
	all = append(all, first)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", first, first))
	for _, field := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(field); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

func (c *Cluster) signal(i int, s syscall.Signal) (sent int) {
	for _, pid := range c.processes(i) {
		if syscall.Kill(pid, s) == nil {
			sent++
		}
	}
	return sent
}

// Kill ends the primary as a power cut does: all of its processes at once, with nothing said to anybody.
func (c *Cluster) Kill() {
	c.t.Helper()
	c.signal(c.primary, syscall.SIGSTOP) // nobody acts between the first and the last
	if c.signal(c.primary, syscall.SIGKILL) == 0 {
		c.t.Fatal("the primary does not run")
	}
	for end := time.Now().Add(5 * time.Second); c.processes(c.primary) != nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// Hang stops all processes of the standby where they are: whoever connects waits.
func (c *Cluster) Hang() { c.signal(1-c.primary, syscall.SIGSTOP) }

// Cut cuts the line between the two for good: the standby gets nothing more, and every commit waits for it.
func (c *Cluster) Cut() {
	c.t.Helper()
	c.tell(1-c.primary, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	for end := time.Now().Add(20 * time.Second); c.Tell("SELECT COUNT(*) FROM pg_stat_replication") != "0"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatal("the standby follows still")
		}
	}
}

// Promote makes the standby the primary, and returns when it can be written to. No commit waits for another server then.
func (c *Cluster) Promote() {
	c.t.Helper()
	c.run("pg_ctl", "-D", c.data(1-c.primary), "-w", "promote")
	c.primary = 1 - c.primary
}

// Replace makes the server that was killed the standby of the one that is the primary now.
func (c *Cluster) Replace() { c.t.Helper(); c.follow(1 - c.primary) }
