package main

import (
	"fmt"
	"time"

	"github.com/sparekey-id/sparekey/provider"
)

// keysCommand shows the keys that sign ID tokens, and turns them over.
func keysCommand(c *call) error {
	verb, err := c.verb("list", "rotate")
	if err != nil {
		return err
	}
	if err := c.none(); err != nil {
		return err
	}
	p, name, err := c.pick()
	if err != nil {
		return err
	}
	defer p.Close()
	if verb == "rotate" {
		if c.has("now") && !c.sure("have new keys sign within seconds, and everything refused that the old ones signed: relying parties that keep the published keys for long refuse tokens until they fetch them again") {
			return nil
		}
		if err := p.RotateKeys(c.ctx, name, c.has("now"), c.by()); err != nil {
			return err
		}
		if c.has("now") {
			if err := p.AwaitKeys(c.ctx, name); err != nil {
				return fmt.Errorf("new keys are published, and a server that runs lets them sign: %w", err)
			}
		}
	}
	list := p.Keys(name)
	if c.json(list) {
		return nil
	}
	for _, k := range list {
		c.say("%-6s %-10s %s  %s", k.Alg, k.State, k.ID, since(k))
	}
	return nil
}

// since says in words what has become of a key, and when.
func since(k provider.Key) string {
	day := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	switch k.State {
	case "active":
		return "signs since " + day(k.Active)
	case "distrusted":
		return "signs for some seconds more, until its successor is known everywhere"
	case "leaving":
		return "signs no more, and is published for some seconds more"
	case "withdrawn":
		return fmt.Sprintf("signed from %s until %s, and is believed no more", day(k.Active), day(k.Retired))
	case "retired":
		return fmt.Sprintf("signed from %s until %s", day(k.Active), day(k.Retired))
	}
	return "published since " + day(k.Created) + ", signs once relying parties have had time to fetch it"
}
