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

	"github.com/sparekey-id/sparekey/internal/config"
)

// command is one word of the command line.
type command struct {
	name, args, help string
	flags            map[string]string // that it knows, by the verb after it; "" for a command without verbs
	run              func(*call) error
}

// beside are the flags of every command that works on a tenant's store, beside a running server or without one.
const beside = "config tenant json yes "

// commands is the whole command line.
var commands = []command{
	{"demo", "[--listen localhost:8080] [--data DIR] [--verbose]", "try it: provider, relying app and mailbox on this machine", map[string]string{"": "listen data verbose"}, demoCommand},
	{"serve", "--config FILE", "serve", map[string]string{"": "config"}, serveCommand},
	{"config", "check|schema|example [FILE]", "check a configuration file, or print its JSON Schema, or one to start from", map[string]string{"check": "config json", "schema": "json", "example": ""}, configCommand},
	{"user", "add|list|show|disable|enable|remove|set-password USER", "users of the embedded directory",
		map[string]string{"add": beside + "name email phone group verified privileged password-stdin", "list": beside, "show": beside,
			"disable": beside, "enable": beside, "remove": beside, "set-password": beside + "password-stdin"}, userCommand},
	{"unlock", "USER [--thaw] | --network ADDRESS | --brake", "lift throttles and locks, sign-in and reset; with --thaw what “This wasn’t me” froze, too",
		map[string]string{"": beside + "thaw network brake"}, unlockCommand},
	{"methods", "list|remove|require-again USER | --group G", "what a user has registered",
		map[string]string{"list": beside, "remove": beside + "id all", "require-again": beside + "group"}, methodsCommand},
	{"sessions", "list|end USER", "where a user is signed in", map[string]string{"list": beside, "end": beside}, sessionsCommand},
	{"why", "USER", "which policy applies, what is asked and why", map[string]string{"": beside}, whyCommand},
	{"health", "URL", "ask a server whether it is ready", map[string]string{"": ""}, healthCommand},
	{"keys", "list|rotate [--now]", "the keys that sign ID tokens; rotate publishes successors, which sign when relying parties have had a day to fetch them, or at once",
		map[string]string{"list": beside, "rotate": beside + "now"}, keysCommand},
	{"backup", "FILE", "write everything but the keyring into a file, while the servers go on", map[string]string{"": "config json"}, backupCommand},
	{"restore", "FILE", "fill an empty database from a backup; every session and token has ended then", map[string]string{"": "config json"}, restoreCommand},
	{"journal", "tail|export|verify|find REFERENCE", "what happened",
		map[string]string{"tail": beside, "export": beside + "format output", "verify": beside, "find": beside}, journalCommand},
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
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
			fmt.Fprintf(out, "sparekey %s %s\n  %s\n", c.name, c.args, c.help)
			return 0
		}
		l, err := parse(args[1:])
		if err == nil {
			if flags, ok := c.known(l.args); ok {
				err = l.only(flags)
			}
		}
		if err == nil {
			l.ctx, l.in, l.out, l.errs = ctx, in, out, errs
			err = c.run(l)
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
	fmt.Fprint(w, "\nCommands for users take --config FILE (default sparekey.yaml), --tenant NAME (where there are several) and --json.\nFlags may stand before or after the argument. What destroys wants --yes, and without it says what it would do.\n")
}
