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
)

// command is one word of the command line.
type command struct {
	name, args, help string
	run              func(*call) error
}

// commands is the whole command line.
var commands = []command{
	{"demo", "[--listen localhost:8080] [--data DIR]", "try it: provider, relying app and mailbox on this machine", demoCommand},
	{"serve", "--config FILE", "serve", serveCommand},
	{"config", "check|example", "check a configuration file, or print one to start from", configCommand},
	{"user", "add|list|show|disable|enable|remove|set-password", "users of the embedded directory", userCommand},
	{"unlock", "USER", "lift throttles and locks, sign-in and reset", unlockCommand},
	{"methods", "list|remove|require-again USER | --group G", "what a user has registered", methodsCommand},
	{"sessions", "list|end USER", "where a user is signed in", sessionsCommand},
	{"why", "USER", "which policy applies, what is asked and why", whyCommand},
	{"health", "URL", "ask a server whether it is ready", healthCommand},
	{"journal", "tail|export|verify|find REFERENCE", "what happened", journalCommand},
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
		l, err := parse(args[1:])
		if err == nil {
			l.ctx, l.in, l.out, l.errs = ctx, in, out, errs
			err = c.run(l)
			if err == nil {
				err = l.unread()
			}
		}
		var wrong usageError
		switch {
		case err == nil:
			return 0
		case errors.As(err, &wrong):
			fmt.Fprintf(errs, "sparekey %s: %s\nusage: sparekey %s %s\n", c.name, wrong, c.name, c.args)
			return 2
		}
		fmt.Fprintf(errs, "sparekey %s: %s\n", c.name, err)
		return 1
	}
	fmt.Fprintf(errs, "sparekey: no command %q; sparekey help lists them\n", args[0])
	return 2
}

func help(w io.Writer) {
	fmt.Fprint(w, "Sparekey: sign-in, self-service password reset and security info, as an OpenID Connect provider.\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  sparekey %s\n      %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
	fmt.Fprint(w, "\nCommands for users take --config FILE (default sparekey.yaml), --tenant NAME (where there are several) and --json.\nFlags may stand before or after the argument. What destroys wants --yes, and without it says what it would do.\n")
}
