package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/internal/audit"
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
	a, done, err := c.tenant()
	if err != nil {
		return err
	}
	defer done()
	switch verb {
	case "tail":
		list, err := a.Journal.Tail(c.ctx, -1, 50)
		if err != nil {
			return err
		}
		return printEntries(c, list)
	case "find":
		reference, err := c.one("reference number")
		if err != nil {
			return err
		}
		list, err := a.Journal.Find(c.ctx, reference)
		if err != nil {
			return err
		}
		return printEntries(c, list)
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

func printEntries(c *call, list []audit.Entry) error {
	if c.json(append([]audit.Entry{}, list...)) {
		return nil
	}
	for _, e := range list {
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
		c.say("%s", line)
	}
	return nil
}
