package sparekey_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// ready is what a node says of its readiness, and what its metric does.
func (p *pair) ready(i int) (status int, text, metric string) {
	node := []*sparekey.Plugin{p.p, p.second}[i]
	w := httptest.NewRecorder()
	node.ServeHTTP(w, httptest.NewRequest(http.MethodGet, p.origin+"/readyz", nil))
	m := httptest.NewRecorder()
	node.Metrics().ServeHTTP(m, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(m.Body.String()) {
		if rest, ok := strings.CutPrefix(line, "sparekey_other_nodes_config_differs "); ok {
			metric = strings.TrimSpace(rest)
		}
	}
	return w.Code, w.Body.String(), metric
}

func (p *pair) wantReady(i int, text, metric string) {
	p.t.Helper()
	for end := time.Now().Add(25 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		code, got, counted := p.ready(i)
		if code == http.StatusOK && got == text && counted == metric {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("node %d: %d %q, %s; want %q, %s", i, code, got, counted, text, metric)
		}
	}
}

// One node is given another secret of a client: each says so and serves all the same, until the other one has the same. What is compared tells
// nothing of the secret without the keyring.
func TestNodesSayThatTheirConfigurationsDiffer(t *testing.T) {
	t.Parallel()
	p := two(t, 1)
	const ready, differs = "ready\n", "ready\nconfig: 1 of 1 other nodes have another one\n"
	db := storetest.Open(t, p.cfg.Database, store.Options{Now: p.clock.Now})
	marks := func() (all []string) {
		err := db.Tenant(store.Installation).Read(t.Context(), func(tx store.Tx) error {
			rows, err := tx.Rows(`SELECT value FROM shelf WHERE tenant = $1 AND shelf = $2 ORDER BY key`, "node")
			for err == nil && rows.Next() {
				var v []byte
				var said struct{ Config string }
				err = errors.Join(rows.Scan(&v), json.Unmarshal(v, &said))
				all = append(all, said.Config)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	p.wantReady(1, ready, "0") // the first one may have looked before there was a second
	other := func() *sparekey.Config {
		c := *p.cfg
		c.Listen, c.Tenants = p.cfg.Listen, map[string]sparekey.Tenant{}
		for name, t := range p.cfg.Tenants {
			c.Tenants[name] = t
		}
		t := c.Tenants["avengers"]
		t.Clients = append([]sparekey.Client{}, t.Clients...)
		t.Clients[0].Secret = sparekey.NewSecret("wiki-secret-of-tomorrow")
		c.Tenants["avengers"] = t
		return &c
	}
	before := marks()
	if err := p.second.Reload(t.Context(), other()); err != nil {
		t.Fatal(err)
	}
	p.wantReady(1, differs, "1")
	p.wantReady(0, differs, "1")
	if after := marks(); len(before) != 2 || len(after) != 2 || before[0] != before[1] || after[0] == after[1] {
		t.Errorf("%v, then %v", before, after)
	}
	if err := p.p.Reload(t.Context(), other()); err != nil {
		t.Fatal(err)
	}
	p.wantReady(0, ready, "0")
	p.wantReady(1, ready, "0")
	if after := marks(); after[0] != after[1] || after[0] == before[0] {
		t.Errorf("%v, then %v", before, after)
	}
}
