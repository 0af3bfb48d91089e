package main

import (
	_ "embed"
	"encoding/json"
	"errors"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
)

//go:embed example.yaml
var example string

func configCommand(c *call) error {
	verb, err := c.verb("check", "schema", "example")
	if err != nil {
		return err
	}
	switch verb {
	case "example":
		if err := c.none(); err != nil {
			return err
		}
		_, err := c.out.Write([]byte(example))
		return err
	case "schema":
		if err := c.none(); err != nil {
			return err
		}
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		return e.Encode(config.Schema(sparekey.Config{}))
	}
	file := c.flag("config", "sparekey.yaml")
	if len(c.args) == 1 {
		file, c.args = c.args[0], nil
	}
	if err := c.none(); err != nil {
		return err
	}
	cfg, err := sparekey.LoadConfig(file)
	if faults := (config.Faults)(nil); errors.As(err, &faults) {
		lines := []string{}
		for _, f := range faults {
			lines = append(lines, f.String())
		}
		c.json(map[string]any{"ok": false, "faults": lines, "warnings": []string{}})
	}
	if err != nil {
		return err
	}
	if c.json(map[string]any{"ok": true, "faults": []string{}, "warnings": append([]string{}, cfg.Warnings()...)}) {
		return nil
	}
	for _, w := range cfg.Warnings() {
		c.say("warning: %s", w)
	}
	c.say("%s is good", file)
	return nil
}
