package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/internal/admin"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/store"
)

func journalCommand(c *call) error {
	verb, err := c.verb("tail", "export", "verify", "find")
	if err != nil {
		return err
	}
	if verb != "find" {
		if err := c.none(); err != nil {
			return err
		}
	}
	format := c.flag("format", "jsonl")
	if format != "jsonl" && format != "csv" {
		return usage("--format jsonl or csv, not %q", format)
	}
	if verb == "find" {
		return findEntries(c)
	}
	a, done, err := c.tenant()
	if err != nil {
		return err
	}
	defer done()
	switch verb {
	case "tail":
		list, err := latest(c, a)
		if err != nil || c.json(append([]audit.Entry{}, list...)) {
			return err
		}
		for _, e := range list {
			c.say("%s", inWords(e))
		}
	case "export":
		to := c.out
		if file := c.flag("output", ""); file != "" {
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			to = f
		}
		return a.Journal.Export(c.ctx, to, format)
	case "verify":
		v, err := a.Journal.Verify(c.ctx)
		if err != nil {
			return err
		}
		if !c.json(map[string]any{"ok": v.OK(), "linked": v.Linked, "unlinked": v.Unlinked, "broken": append([]int64{}, v.Broken...)}) {
			c.say("%d rows linked, %d not yet linked", v.Linked, v.Unlinked)
		}
		if !v.OK() {
			return fmt.Errorf("the chain is broken at %v", v.Broken)
		}
	}
	return nil
}

// latest are the newest entries of the tenant, or of one user.
func latest(c *call, a *admin.Admin) (list []audit.Entry, err error) {
	const most = 50
	if !c.has("user") {
		return a.Journal.Tail(c.ctx, -1, most)
	}
	u, err := a.Find(c.ctx, c.flag("user", ""))
	if err != nil {
		return nil, err
	}
	err = a.Store.Read(c.ctx, func(tx store.Tx) error {
		list, err = a.Journal.Recent(tx, string(u.ID), most)
		return err
	})
	slices.Reverse(list)
	return list, err
}

// findEntries looks through the tenant named, or through all of them: whoever reads a number out seldom says whose it is.
func findEntries(c *call) error {
	reference, err := c.one("reference number")
	if err != nil {
		return err
	}
	p, err := c.open()
	if err != nil {
		return err
	}
	defer p.Close()
	names := p.Tenants()
	if c.has("tenant") {
		names = []string{c.flag("tenant", "")}
	}
	type found struct {
		Tenant string `json:"tenant"`
		audit.Entry
	}
	list := []found{}
	for _, name := range names {
		a := p.Admin(name)
		if a == nil {
			return noTenant(name, p.Tenants())
		}
		entries, err := a.Journal.Find(c.ctx, reference)
		if err != nil {
			return err
		}
		for _, e := range entries {
			list = append(list, found{name, e})
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("nothing found under %q", reference)
	}
	if c.json(list) {
		return nil
	}
	for _, e := range list {
		c.say("%s  %s", e.Tenant, inWords(e.Entry))
	}
	return nil
}

// inWords is an entry as one line.
func inWords(e audit.Entry) string {
	line := fmt.Sprintf("%s  %-22s %s", e.At.Format(time.DateTime), e.Event, e.Who)
	if e.Actor != "user" {
		line += " by " + e.Actor
	}
	for _, x := range [][2]string{{"flow", e.Flow}, {"client", e.Client}, {"from", e.Network}} {
		if x[1] != "" {
			line += " " + x[0] + "=" + x[1]
		}
	}
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		line += " " + k + "=" + e.Detail[k]
	}
	return line
}
