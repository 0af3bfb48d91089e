// Command sparekey is the operator's hand: it serves, shows the demo, checks a configuration, and does for a user
// what she cannot do herself. Exit codes: 0 done, 1 refused or failed (one line on stderr says what), 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sparekey-id/sparekey/internal/config"
)

// command is one word of the command line.
type command struct {
	name, args, help, example string
	flags                     map[string]string // that it knows, by the verb after it; "" for a command without verbs
	within                    time.Duration     // it gives up after so long; 0: it takes as long as it takes
	run                       func(*call) error
}

// at are the flags of every command that works on a tenant's store, beside a running server or without one.
const at = "config tenant "

// commands is the whole command line. A command takes the flags that mean something to it, and refuses the others.
var commands = []command{
	{"demo", "[--listen localhost:8080] [--exposed] [--data DIR] [--verbose]", "try it: provider, relying app and mailbox on this machine", "sparekey demo --listen localhost:0",
		map[string]string{"": "listen data exposed verbose"}, 0, demoCommand},
	{"serve", "--config FILE", "serve; on SIGHUP, and when the file or one that it names changes, the configuration is read anew: taken whole, or refused with its faults in the log", "sparekey serve --config /etc/sparekey/sparekey.yaml", map[string]string{"": "config"}, 0, serveCommand},
	{"config", "check|schema|example [FILE]", "check a configuration file, or print its JSON Schema, or one to start from", "sparekey config check sparekey.yaml",
		map[string]string{"check": "config json", "schema": "", "example": ""}, time.Minute, configCommand},
	{"user", "add|list|show|disable|enable|remove|set-password USER", "users of the embedded directory", "sparekey user add ironman --name 'Tony Stark' --email tony@stark.example --group Avengers",
		map[string]string{"add": at + "json name email phone group verified privileged password-stdin", "list": at + "json", "show": at + "json",
			"disable": at + "yes", "enable": at, "remove": at + "yes", "set-password": at + "json yes password-stdin"}, time.Minute, userCommand},
	{"unlock", "USER [--thaw] | --network ADDRESS | --brake", "lift throttles and locks, sign-in and reset; with --thaw what “This wasn’t me” froze, too", "sparekey unlock ironman --tenant avengers",
		map[string]string{"": at + "json thaw network brake"}, time.Minute, unlockCommand},
	{"methods", "list|remove|require-again USER | --group G", "what a user has registered", "sparekey methods require-again --group Avengers --yes",
		map[string]string{"list": at + "json", "remove": at + "yes id all", "require-again": at + "yes group"}, 0, methodsCommand},
	{"sessions", "list|end USER", "where a user is signed in", "sparekey sessions end ironman --yes", map[string]string{"list": at + "json", "end": at + "yes"}, time.Minute, sessionsCommand},
	{"why", "USER", "which policy applies, what is asked and why", "sparekey why ironman --json", map[string]string{"": at + "json"}, time.Minute, whyCommand},
	{"health", "URL", "ask a server whether it is ready", "sparekey health http://127.0.0.1:8080/readyz", map[string]string{"": ""}, time.Minute, healthCommand},
	{"keys", "list|rotate [--now]", "the keys that sign ID tokens; rotate publishes successors, which sign when relying parties have had a day to fetch them; with --now new ones sign within seconds, and the old ones end", "sparekey keys rotate",
		map[string]string{"list": at + "json", "rotate": at + "json now yes"}, time.Minute, keysCommand},
	{"keyring", "list|add|reseal", "the keys that seal the database; add one, and then seal anew what hangs on the older ones, while the servers go on", "sparekey keyring reseal",
		map[string]string{"list": "config json", "add": "config json yes", "reseal": "config json"}, 0, keyringCommand},
	{"backup", "FILE", "write everything but the keyring into a new file, while the servers go on", "sparekey backup monday.backup", map[string]string{"": "config json"}, 0, backupCommand},
	{"restore", "FILE", "fill an empty database from a backup; every session and token has ended then", "sparekey restore monday.backup", map[string]string{"": "config json"}, 0, restoreCommand},
	{"journal", "tail|export|verify|find REFERENCE", "what happened", "sparekey journal find K7H2-M9QQ-XW4P",
		map[string]string{"tail": at + "json user", "export": at + "format output", "verify": at + "json", "find": at + "json"}, 0, journalCommand},
}

// known are the flags that a call of the command may carry. A verb that is none is the command's own to refuse.
func (c command) known(args []string) (string, bool) {
	if flags, ok := c.flags[""]; ok {
		return flags, true
	}
	if len(args) == 0 {
		return "", false
	}
	flags, ok := c.flags[args[0]]
	return flags, ok
}

// usageError is answered with exit code 2.
type usageError string

func (e usageError) Error() string { return string(e) }

func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

func main() {
	os.Exit(run(asked(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errTerminated is the cause of an end that a service manager asks for, and no person at a terminal.
var errTerminated = errors.New("terminated")

// asked ends when the process is asked to end. Asking once more changes nothing: some send a signal twice.
func asked() context.Context {
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cause := context.Canceled
		if <-signals == syscall.SIGTERM {
			cause = errTerminated
		}
		end(cause)
	}()
	return ctx
}

func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		help(out)
		if len(args) == 0 {
			return 2
		}
		return 0
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		if slices.ContainsFunc(args[1:], func(a string) bool { return a == "-h" || a == "--help" }) {
			c.explain(out)
			return 0
		}
		l, err := parse(args[1:])
		if err == nil {
			if flags, ok := c.known(l.args); ok {
				err = l.only(flags)
			}
		}
		if err == nil {
			if c.within > 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, c.within)
				defer stop()
			}
			l.ctx, l.in, l.out, l.errs = ctx, in, out, errs
			if err = c.run(l); c.within > 0 && errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("gave up after %v: %w", c.within, err)
			}
		}
		return report(errs, c, err)
	}
	fmt.Fprintf(errs, "sparekey: no command %q; sparekey help lists them\n", args[0])
	return 2
}

// report prints what went wrong and gives the exit code. The faults of a config file stand as they are, one a line, for editors to find.
func report(errs io.Writer, c command, err error) int {
	var wrong usageError
	var faults config.Faults
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(errs, "sparekey %s: %s\nusage: sparekey %s %s\n", c.name, wrong, c.name, c.args)
		return 2
	case errors.As(err, &faults):
		fmt.Fprintln(errs, faults)
	default:
		fmt.Fprintf(errs, "sparekey %s: %s\n", c.name, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return 1
}

func help(w io.Writer) {
	fmt.Fprint(w, "Sparekey: sign-in, self-service password reset and security info, as an OpenID Connect provider.\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  sparekey %s\n      %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
	fmt.Fprint(w, "\nWith --help a command names its flags; they may stand before or after the argument.\nWhat destroys wants --yes, and without it says what it would do.\n")
}
