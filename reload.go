package sparekey

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/internal/config"
)

// bound is what a process is bound to once it has begun.
type bound struct {
	listen, metrics, database, keyring string
	tls                                bool
}

func boundBy(c *Config) bound {
	ring, _ := keyringPath(c) // Check has told
	return bound{cmp.Or(c.Listen, DefaultListen), c.MetricsListen, c.Database, ring, c.TLS != nil}
}

// Reload puts another configuration in the place of the one that serves, whole or not at all: after an error the one from before goes on.
// Requests under way end with the configuration they began with, and the next ones, and Run, have the new one. Users, sessions, codes,
// tokens, flows under way and everything that is counted against anybody stay: they live in the store, and are held to the new
// configuration from then on. Tenants may come and go; the data of one that goes stays. Directories of WithDirectory and the other
// options of Open stay as they are. Neither c nor a Config in use before may be changed afterwards.
//
// The error is a config.Faults, with line and column, when c came from LoadConfig and cannot take the place of what serves, because
// listen, metrics_listen, database, keyring, or whether there is tls, differ (these need a restart), or because a directory of
// type program was not brought to Open; for a Config that a program has made it is one line that names the same keys, as that of Check.
// Any other error says what of the new configuration could not be opened, such as signing keys while the database is away.
func (p *Plugin) Reload(ctx context.Context, c *Config) error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	if err := p.replace(ctx, c); err != nil {
		p.metrics.Counter("sparekey_config_reloads_total", "outcome", "refused")
		return err
	}
	p.metrics.Counter("sparekey_config_reloads_total", "outcome", "reloaded")
	p.log.Info("config reloaded", "tenants", p.Tenants())
	return nil
}

func (p *Plugin) replace(ctx context.Context, c *Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := c.refuse(p.foreign(c)); err != nil {
		return err
	}
	w, err := p.wire(ctx, c)
	if err != nil {
		return err
	}
	close(p.wiring.Swap(w).replaced)
	return nil
}

// foreign names by its path what a good configuration says and this process cannot do. Values are not repeated: an address of a database may
// have a password in it.
func (p *Plugin) foreign(c *Config) map[string]string {
	faults := map[string]string{}
	now := boundBy(c)
	for path, changed := range map[string]bool{
		"listen":         now.listen != p.bound.listen,
		"metrics_listen": now.metrics != p.bound.metrics,
		"database":       now.database != p.bound.database,
		"keyring":        now.keyring != p.bound.keyring && (c.Keyring != "" || now.database == p.bound.database), // the one beside a database goes with it
		"tls":            now.tls != p.bound.tls,
	} {
		if changed {
			faults[path] = "has changed, and needs a restart"
		}
	}
	for name, t := range c.Tenants {
		for at, d := range t.Directories {
			if _, brought := p.given[name+"/"+at]; d.Type == "program" && !brought {
				faults["tenants."+name+".directories."+at+".type"] = "the host program has not brought this directory"
			}
		}
	}
	return faults
}

// refuse makes one error of faults by path, with their places where there is a file.
func (c *Config) refuse(faults map[string]string) error {
	if c.source != nil {
		return c.source.Refuse(faults)
	}
	var l list
	for _, path := range slices.Sorted(maps.Keys(faults)) {
		l.Fault(path, "%s", faults[path])
	}
	if len(l) > 0 {
		return fmt.Errorf("configuration: %s", strings.Join(l, "; "))
	}
	return nil
}

const (
	lookEvery = 2 * time.Second  // a change is taken when two looks have found the same
	tryEvery  = 30 * time.Second // a good file that could not be opened, since the database was away
)

// Follow loads the configuration file anew and reloads it when it, or a file that it names, has changed on disk, and at once when
// something comes on now, which may be nil, such as a SIGHUP; until ctx ends. The log has every fault of a file that is refused, a line
// each; what served before goes on. Values out of the environment stay those of the process.
func (p *Plugin) Follow(ctx context.Context, file string, now <-chan os.Signal) {
	files := p.wiring.Load().files
	if files == nil { // a program has made what serves: the file counts from its next change on
		files = &config.Files{}
		_, _ = loadConfig(file, files)
	}
	watch, again, tried := files.Watch(), false, time.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-now:
		case <-tick.C:
			if !watch.Changed() && !(again && time.Since(tried) > tryEvery) {
				continue
			}
		}
		files, again = p.reloadFile(ctx, file)
		watch, tried = files.Watch(), time.Now()
	}
}

// reloadFile gives the files it looked at, and whether the same files may be good later.
func (p *Plugin) reloadFile(ctx context.Context, file string) (files *config.Files, later bool) {
	files = &config.Files{}
	c, err := loadConfig(file, files)
	if err == nil {
		err = p.Reload(ctx, c)
		later = err != nil
	} else {
		p.metrics.Counter("sparekey_config_reloads_total", "outcome", "refused")
	}
	if err == nil {
		for _, w := range c.Warnings() {
			p.log.Warn("config", "warning", w)
		}
	}
	if err == nil || ctx.Err() != nil {
		return files, false
	}
	var faults config.Faults
	if errors.As(err, &faults) {
		later = false
		for _, f := range faults {
			p.log.Error("config refused", "fault", f.String())
		}
	} else {
		p.log.Error("config refused", "error", err)
	}
	p.log.Warn("config not reloaded: the one from before goes on", "file", file)
	return files, later
}

// Certificate is for tls.Config.GetCertificate: it gives what tls.cert_file and tls.key_file held when LoadConfig read the configuration
// that serves now, so that a certificate is renewed by a reload. It fails when no file named one.
func (p *Plugin) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := p.wiring.Load().certificate; c != nil {
		return c, nil
	}
	return nil, errors.New("tls: no configuration file has named a certificate")
}
