package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// flag is one flag of some commands.
type flag struct{ name, value, help string } // no value: a switch

var flags = []flag{
	{"config", "FILE", "the configuration; sparekey.yaml when it is not said"},
	{"tenant", "NAME", "which tenant, where there are several"},
	{"json", "", "print JSON, for scripts"},
	{"yes", "", "do it; without it the command says what it would do"},
	{"listen", "HOST:PORT", "where the provider listens; app and mailbox take the two ports after it, and 0 takes free ones"},
	{"data", "DIR", "keep the demo's database there; without it nothing is kept"},
	{"exposed", "", "let --listen take an address that other machines reach, such as a container's"},
	{"verbose", "", "show the log"},
	{"name", "NAME", "the user's name in full"},
	{"email", "ADDRESS", "her e-mail address"},
	{"phone", "NUMBER", "her telephone number"},
	{"group", "GROUP", "a group of hers; may be repeated. methods require-again: all its members"},
	{"verified", "", "the e-mail address is known to be hers"},
	{"privileged", "", "her password is never reset here"},
	{"password-stdin", "", "read the password from standard input, one line; without it one is made up and printed"},
	{"thaw", "", "let changes through again after “This wasn’t me”, too"},
	{"now", "", "the old keys are trusted no more: new ones sign some seconds later, and then nothing that the old ones signed is believed"},
	{"network", "ADDRESS", "lift what counts against the network of an address"},
	{"brake", "", "lift the brake on resets of the whole tenant"},
	{"id", "ID", "the one method, by the id that methods list shows"},
	{"all", "", "every method of the user"},
	{"user", "USER", "what was done to her alone"},
	{"format", "FORMAT", "jsonl or csv"},
	{"output", "FILE", "write there, to a file that is not there yet"},
}

// flagNamed finds a flag; there is none when its name is empty.
func flagNamed(name string) flag {
	if i := slices.IndexFunc(flags, func(f flag) bool { return f.name == name }); i >= 0 {
		return flags[i]
	}
	return flag{}
}

// explain prints the help of one command: each verb with its flags, what each flag is for, and one example.
func (c command) explain(w io.Writer) {
	fmt.Fprintf(w, "sparekey %s %s\n  %s\n\n", c.name, c.args, c.help)
	verbs, _, _ := strings.Cut(c.args, " ")
	if c.flags[""] != "" {
		verbs = ""
	}
	known := ""
	for _, verb := range strings.Split(verbs, "|") {
		if names := strings.Fields(c.flags[verb]); len(names) > 0 {
			fmt.Fprintf(w, "  %-28s --%s\n", strings.TrimSpace("sparekey "+c.name+" "+verb), strings.Join(names, " --"))
			known += " " + c.flags[verb]
		}
	}
	if known != "" {
		fmt.Fprintln(w)
	}
	for _, f := range flags {
		if slices.Contains(strings.Fields(known), f.name) {
			fmt.Fprintf(w, "  %-20s %s\n", strings.TrimSpace("--"+f.name+" "+f.value), f.help)
		}
	}
	if known != "" {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "  For example: %s\n", c.example)
}

// several counts things in words.
func several(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
