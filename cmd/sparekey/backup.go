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
	n, made, err := sparekey.Restore(c.ctx, cfg, f, c.progress("restored"))
	if err != nil {
		return err
	}
	if !c.json(map[string]any{"records": n, "made": made.Format(time.RFC3339)}) {
		c.say("%d records are back as of %s. Every session and token has ended: users sign in anew.", n, made.Format(time.RFC3339))
	}
	return nil
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
