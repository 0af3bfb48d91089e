package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/user"
	"slices"
	"strings"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/admin"
)

// call is one call of a command: its arguments and flags, in whatever order they came.
type call struct {
	ctx       context.Context
	in        io.Reader
	out, errs io.Writer
	args      []string
	flags     map[string][]string
}

func parse(args []string) (*call, error) {
	c := &call{flags: map[string][]string{}}
	for i := 0; i < len(args); i++ {
		name, ok := strings.CutPrefix(args[i], "--")
		if !ok {
			c.args = append(c.args, args[i])
			continue
		}
		name, value, has := strings.Cut(name, "=")
		switch {
		case name == "":
			c.args = append(c.args, args[i+1:]...)
			return c, nil
		case flagNamed(name).name != "" && flagNamed(name).value == "":
			if has {
				return nil, usage("--%s takes no value", name)
			}
		case !has:
			if i++; i == len(args) || strings.HasPrefix(args[i], "--") {
				return nil, usage("--%s needs a value", name)
			}
			value = args[i]
		}
		c.flags[name] = append(c.flags[name], value)
	}
	return c, nil
}

func (c *call) flag(name, otherwise string) string {
	if v := c.flags[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return otherwise
}

func (c *call) has(name string) bool { return len(c.flags[name]) > 0 }

// only refuses flags that are not among the known ones. It is asked before anything is done.
func (c *call) only(known string) error {
	for _, name := range slices.Sorted(maps.Keys(c.flags)) {
		switch {
		case slices.Contains(strings.Fields(known), name):
		case flagNamed(name).name != "":
			return usage("this command has no --%s", name)
		default:
			return usage("unknown flag --%s", name)
		}
	}
	return nil
}

// verb takes the word after the command.
func (c *call) verb(allowed ...string) (string, error) {
	if len(c.args) == 0 || !slices.Contains(allowed, c.args[0]) {
		return "", usage("say one of %s", strings.Join(allowed, ", "))
	}
	v := c.args[0]
	c.args = c.args[1:]
	return v, nil
}

// one takes the only argument left.
func (c *call) one(what string) (string, error) {
	if len(c.args) != 1 {
		return "", usage("name one %s", what)
	}
	return c.args[0], nil
}

func (c *call) none() error {
	if len(c.args) > 0 {
		return usage("unexpected %q", c.args[0])
	}
	return nil
}

// json prints v for a script and reports true when --json was given.
func (c *call) json(v any) bool {
	if !c.has("json") {
		return false
	}
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
	return true
}

func (c *call) say(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }

// sure reports whether --yes was given; otherwise it prints what would be done.
func (c *call) sure(format string, args ...any) bool {
	if c.has("yes") {
		return true
	}
	c.say("would "+format+"; say --yes to do it", args...)
	return false
}

// by is who the journal names as the operator.
func (c *call) by() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// open opens the plugin beside a running server.
func (c *call) open() (*sparekey.Plugin, error) {
	cfg, err := sparekey.LoadConfig(c.flag("config", "sparekey.yaml"))
	if err != nil {
		return nil, err
	}
	return sparekey.Open(c.ctx, cfg)
}

// pick opens the plugin and picks the tenant.
func (c *call) pick() (*sparekey.Plugin, string, error) {
	p, err := c.open()
	if err != nil {
		return nil, "", err
	}
	name := c.flag("tenant", "")
	names := p.Tenants()
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	if !slices.Contains(names, name) {
		p.Close()
		if name == "" {
			return nil, "", usage("which tenant? --tenant %s", strings.Join(names, "|"))
		}
		return nil, "", noTenant(name, names)
	}
	return p, name, nil
}

// tenant opens the plugin and gives what an operator may do at the tenant.
func (c *call) tenant() (*admin.Admin, func(), error) {
	p, name, err := c.pick()
	if err != nil {
		return nil, nil, err
	}
	return p.Admin(name), func() { p.Close() }, nil
}

func noTenant(name string, names []string) error {
	return fmt.Errorf("no tenant %q; there is %s", name, strings.Join(names, ", "))
}

// user opens the tenant and finds the user named by the only argument.
func (c *call) user() (*admin.Admin, directory.User, func(), error) {
	login, err := c.one("user")
	if err != nil {
		return nil, directory.User{}, nil, err
	}
	a, done, err := c.tenant()
	if err != nil {
		return nil, directory.User{}, nil, err
	}
	u, err := a.Find(c.ctx, login)
	if err != nil {
		done()
		return nil, directory.User{}, nil, err
	}
	return a, u, done, nil
}
