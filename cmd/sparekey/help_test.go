package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every flag that a command takes is named and explained in its help, beside one example that it would take.
func TestTheHelpOfACommandNamesItsFlagsAndGivesAnExample(t *testing.T) {
	used := map[string]bool{}
	for _, c := range commands {
		var out bytes.Buffer
		if code := run(t.Context(), []string{c.name, "--help"}, nil, &out, &out); code != 0 {
			t.Errorf("%s --help: exit code %d", c.name, code)
		}
		for verb, names := range c.flags {
			if !strings.Contains(c.args, verb) {
				t.Errorf("%s: the usage does not name %s", c.name, verb)
			}
			for _, name := range strings.Fields(names) {
				used[name] = true
				if f := flagNamed(name); f.help == "" || !strings.Contains(out.String(), "  "+strings.TrimSpace("--"+name+" "+f.value)+" ") {
					t.Errorf("%s --help does not explain --%s:\n%s", c.name, name, out.String())
				}
				if !strings.Contains(out.String(), " --"+name) {
					t.Errorf("%s %s: --%s is not in its line", c.name, verb, name)
				}
			}
		}
		words := strings.Fields(c.example)
		l, err := parse(words[2:])
		if err != nil || words[1] != c.name || !strings.Contains(out.String(), "For example: "+c.example+"\n") {
			t.Fatalf("%s: %q is no example of it: %v", c.name, c.example, err)
		}
		if known, ok := c.known(l.args); !ok || l.only(known) != nil {
			t.Errorf("%s refuses its example: %v", c.name, l.only(known))
		}
	}
	for _, f := range flags {
		if !used[f.name] {
			t.Errorf("no command takes --%s", f.name)
		}
	}
}

// A directory or database that does not answer holds no operator for ever; what may rightly take long is left its time.
func TestAnOperatorsCommandEndsByItself(t *testing.T) {
	for _, c := range commands {
		long := slices.Contains([]string{"demo", "serve", "journal", "methods", "keyring", "backup", "restore"}, c.name)
		if long != (c.within == 0) {
			t.Errorf("%s gives up after %v", c.name, c.within)
		}
	}
	old := commands
	defer func() { commands = old }()
	commands = []command{{name: "wait", flags: map[string]string{"": ""}, within: time.Millisecond, run: func(c *call) error {
		<-c.ctx.Done()
		return context.Cause(c.ctx)
	}}}
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"wait"}, nil, &errs, &errs); code != 1 || errs.String() != "sparekey wait: gave up after 1ms: context deadline exceeded\n" {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

func TestOneThingIsCountedInTheSingular(t *testing.T) {
	for n, want := range map[int]string{0: "0 methods", 1: "1 method", 2: "2 methods"} {
		if got := several(n, "method", "methods"); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
