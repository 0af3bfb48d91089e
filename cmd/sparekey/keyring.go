package main

import (
	"fmt"

	"github.com/sparekey-id/sparekey/internal/reseal"
)

// keyringCommand shows the keys with which the database is sealed, adds one, and seals anew what hangs on the older ones.
func keyringCommand(c *call) error {
	verb, err := c.verb("list", "add", "reseal")
	if err != nil {
		return err
	}
	if err := c.none(); err != nil {
		return err
	}
	p, err := c.open()
	if err != nil {
		return err
	}
	defer p.Close()
	switch verb {
	case "add":
		if !c.sure("add a key to the keyring, with which everything is sealed from then on") {
			return nil
		}
		id, err := p.AddKey(c.ctx, c.by())
		if err != nil {
			return err
		}
		if !c.json(map[string]string{"id": id}) {
			c.say("%s is in the keyring. Copy the file to every node and keep a copy of it, start the servers again, and then say sparekey keyring reseal.", id)
		}
		return nil
	case "reseal":
		done, keys, err := p.Reseal(c.ctx, c.by(), c.progress("sealed anew"))
		if err != nil {
			return fmt.Errorf("%w; %s done, and it can be begun again", err, several(int(done), "value is", "values are"))
		}
		if !c.json(keys) {
			c.say("%s sealed anew", several(int(done), "value", "values"))
			tell(c, keys)
		}
		if n := reseal.Stale(keys); n > 0 {
			return fmt.Errorf("%s on older keys still: start every server again that has run since the key was added, and say it once more", several(int(n), "value hangs", "values hang"))
		}
		return nil
	}
	keys, err := p.Keyring(c.ctx)
	if err == nil && !c.json(keys) {
		tell(c, keys)
	}
	return err
}

// tell says of each key what hangs on it.
func tell(c *call, keys []reseal.Key) {
	for _, k := range keys {
		state := "older; it may be taken out of the file when no backup needs it"
		switch {
		case k.Missing:
			state = "missing: put it back"
		case k.Newest:
			state = "seals"
		case k.Values > 0:
			state = "older; sparekey keyring reseal frees it"
		}
		c.say("%s  %s  %s", k.ID, several(int(k.Values), "value", "values"), state)
	}
}
