package main

import (
	_ "embed"

	"github.com/sparekey-id/sparekey"
)

//go:embed example.yaml
var example string

func configCommand(c *call) error {
	verb, err := c.verb("check", "example")
	if err != nil {
		return err
	}
	if verb == "example" {
		if err := c.none(); err != nil {
			return err
		}
		_, err := c.out.Write([]byte(example))
		return err
	}
	file := c.flag("config", "sparekey.yaml")
	if len(c.args) == 1 {
		file, c.args = c.args[0], nil
	}
	if err := c.none(); err != nil {
		return err
	}
	cfg, err := sparekey.LoadConfig(file)
	if err != nil {
		return err
	}
	if c.json(map[string]any{"ok": true, "warnings": cfg.Warnings()}) {
		return nil
	}
	for _, w := range cfg.Warnings() {
		c.say("warning: %s", w)
	}
	c.say("%s is good", file)
	return nil
}
