package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sparekey-id/sparekey"
)

// backupCommand writes a new file, which nobody else may read. One that could not be finished is removed.
func backupCommand(c *call) (err error) {
	file, err := c.one("file")
	if err != nil {
		return err
	}
	p, err := c.open()
	if err != nil {
		return err
	}
	defer p.Close()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(file)
		}
	}()
	n, err := p.Backup(c.ctx, f, c.progress("backed up"))
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return err
	}
	if !c.json(map[string]any{"file": file, "records": n}) {
		c.say("%s holds %d records. Keep it apart from the keyring: either is worth nothing without the other.", file, n)
	}
	return nil
}

func restoreCommand(c *call) error {
	file, err := c.one("file")
	if err != nil {
		return err
	}
	cfg, err := sparekey.LoadConfig(c.flag("config", "sparekey.yaml"))
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	back, err := sparekey.Restore(c.ctx, cfg, f, c.progress("restored"))
	if err != nil {
		return err
	}
	if c.json(back) {
		return nil
	}
	c.say("%d records are back as of %s, which is %s ago. Users of embedded directories: %d, methods: %d, signing keys: %d.",
		back.Records, back.Made.Format(time.RFC3339), time.Since(back.Made).Round(time.Minute), back.Users, back.Methods, back.SigningKeys)
	c.say("Every session and token has ended: users sign in anew.")
	c.say("\nThe backup knows nothing of what was done after it, and that is undone. What follows is as it was then; where it had been done, do it again.")
	for _, u := range undone(back) {
		c.say("  - %s: %s", u.what, u.with)
	}
	c.say("The journal has what was done up to the backup. What was done later is in `sparekey journal export`, if you keep one, and in the database that was lost.")
	return nil
}

// deed is something that a restore undoes, and the command that does it again.
type deed struct{ what, with string }

// undone are the deeds that protect somebody and of which a backup made before them knows nothing.
func undone(back sparekey.Restored) (list []deed) {
	if back.Users > 0 {
		list = append(list, deed{"users who were removed or disabled can sign in again", "sparekey user remove|disable USER --yes"},
			deed{"a password that was changed or reset is the one before it", "sparekey user set-password USER --yes"})
	}
	if back.Methods > 0 {
		list = append(list, deed{"methods that were deleted, replaced or stopped by “This wasn’t me” count again", "sparekey methods remove USER --yes, or methods require-again USER|--group G --yes"})
	}
	list = append(list, deed{"a registration that was required again is not", "sparekey methods require-again USER|--group G --yes"})
	if back.SigningKeys > 0 {
		list = append(list, deed{"signing keys that were replaced sign and verify again", "sparekey keys rotate --now --yes, where one may have been seen by others"})
	}
	return list
}

// progress says on stderr, where somebody looks on, how far long work has come.
func (c *call) progress(done string) func(int64) {
	f, ok := c.errs.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	var last time.Time
	return func(records int64) {
		if time.Since(last) > 200*time.Millisecond {
			last = time.Now()
			fmt.Fprintf(f, "%s %d records\r", done, records)
		}
	}
}
