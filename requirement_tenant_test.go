package sparekey_test

import (
	"go/ast"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/store"
)

// records are a tenant's records that say who may do what; whole: all the others and their versions, too.
func (h *house) records(tenant string, whole bool) []string {
	h.t.Helper()
	queries := []string{
		`SELECT 'account ' || user_id || ' ' || subject || ' ' || epoch || ' ' || frozen_until || ' ' || require_again_at || ' ' || intent FROM account WHERE tenant = $1`,
		`SELECT 'authenticator ' || id || ' ' || user_id || ' ' || suspended_at || ' ' || step || ' ' || used_at || ' ' || preferred FROM authenticator WHERE tenant = $1`,
		`SELECT 'outbox ' || id FROM outbox WHERE tenant = $1`,
		`SELECT shelf || ' ' || key || ' ' || owner FROM shelf WHERE tenant = $1 AND shelf IN ('session', 'grant', 'alarm', 'browser', 'spent')`,
	}
	if whole {
		queries = append(queries, `SELECT shelf || ' ' || key || ' ' || owner || ' ' || version FROM shelf WHERE tenant = $1`, `SELECT 'journal ' || seq || event FROM journal WHERE tenant = $1`)
	}
	var list []string
	h.write(tenant, func(tx store.Tx) error {
		list = nil
		for _, q := range queries {
			rows, err := tx.Rows(q)
			if err != nil {
				return err
			}
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					return err
				}
				list = append(list, line)
			}
		}
		return nil
	})
	return list
}

func unchanged(t *testing.T, tenant string, before, after []string) {
	t.Helper()
	for what, lists := range map[string][2][]string{"gone": {before, after}, "new": {after, before}} {
		for _, line := range lists[0] {
			if !slices.Contains(lists[1], line) {
				t.Errorf("%s in %s: %s", what, tenant, line)
			}
		}
	}
}

// twins lets both tenants find their users in one directory: the same names and the same ids.
func twins(h *house) {
	m := &directorytest.Memory{}
	m.Add(directorytest.Account{User: directory.User{Login: "ironman", Name: "Tony Stark", Email: "tony@stark.example", Groups: []string{"Avengers"}}, Password: password})
	bringTo("avengers", m)(h)
	bringTo("wakanda", m)(h)
}

func TestA10_WhatOneTenantGaveOutIsNothingInTheOther(t *testing.T) {
	for name, settings := range map[string][]setting{"issuers by path": {twins}, "issuers by host": {twins, hosts}} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, h *house) {
				for _, tenant := range h.p.Tenants() { // the same subject, too
					h.write(tenant, func(tx store.Tx) error {
						if _, err := h.admin(tenant).Accounts.Open(tx, h.user("ironman").ID); err != nil {
							return err
						}
						_, err := tx.Exec(`UPDATE account SET subject = $2 WHERE tenant = $1`, "the-same-in-both")
						return err
					})
				}
				avengers, wakanda := give(t, h), give(t, h.at("wakanda"))
				h.drained()
				for _, way := range [][2]*loot{{avengers, wakanda}, {wakanda, avengers}} {
					from, to := way[0], way[1]
					mine, theirs := h.records(from.tenant, true), h.records(to.tenant, false)
					t.Run("of "+from.tenant, func(t *testing.T) { replay(t, from, to) })
					unchanged(t, from.tenant, mine, h.records(from.tenant, true))
					unchanged(t, to.tenant, theirs, h.records(to.tenant, false))
				}
				for _, l := range []*loot{avengers, wakanda} {
					t.Run("at home in "+l.tenant, func(t *testing.T) { home(t, l) })
				}
			}, settings...)
		})
	}
}

func TestA10_UsersAndClientsAreOfOneTenant(t *testing.T) {
	h := open(t, with(func(t *sparekey.Tenant) {
		t.Clients = append(t.Clients, sparekey.Client{ID: "shop", Secret: config.NewSecret("shop-secret"), RedirectURIs: []string{callback}})
	}))
	w := h.at("wakanda")
	if p := w.browser().signIn("hulk", password); p.query("code") != "" || p.error() == "" {
		t.Errorf("a user of avengers signs in at wakanda: %d %q", p.status, p.location)
	}
	if p := w.browser().authorize("client_id", "shop"); p.status != http.StatusBadRequest || p.location != "" {
		t.Errorf("a client of avengers is sent for at wakanda: %d %q", p.status, p.location)
	}
	ask := []string{"grant_type", "refresh_token", "refresh_token", "x", "client_id", "shop", "client_secret", "shop-secret"}
	if got := h.token("wakanda", ask...); got.Error != "invalid_client" {
		t.Errorf("a client of avengers authenticates at wakanda: %s", got.raw)
	}
	if got := h.token("avengers", ask...); got.Error != "invalid_grant" {
		t.Errorf("and not at home: %s", got.raw)
	}
}

// Guesses from known browsers and from unknown ones are counted apart, so a browser must not be known by what another tenant gave it.
func TestA10_ABrowserKnownToOneTenantIsUnknownToTheOther(t *testing.T) {
	h := open(t, twins)
	w := h.at("wakanda")
	at, owner := h.browser(), w.browser()
	at.register("ironman")
	owner.register("ironman")
	for range 5 {
		b := w.browser()
		b.beginReset("ironman")
		b.post("code", "000000", "action", "verify")
	}
	h.clock.Advance(time.Minute)
	for _, c := range []struct {
		who  string
		b    *browser
		good bool
	}{{"a browser that avengers knows", at.carried(w), false}, {"a browser that wakanda knows", owner, true}} {
		c.b.beginReset("ironman")
		c.b.proveApp(owner.key)
		if got := c.b.last.h1() == "Choose a new password"; got != c.good {
			t.Errorf("%s meets %d %q", c.who, c.b.last.status, c.b.last.h1())
		}
	}
}

// internal/store refuses a statement that is not tied to its tenant. So nobody else may speak to a database.
func TestA10_NobodyButTheStoreSpeaksToADatabase(t *testing.T) {
	drivers := regexp.MustCompile(`^(database/sql|github\.com/jackc/|modernc\.org/sqlite|github\.com/mattn/go-sqlite3)`)
	seen := 0
	for path, f := range source(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ImportSpec)
			if !ok {
				return true
			}
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if drivers.MatchString(name) {
				if seen++; !strings.HasPrefix(path, "internal/store/") {
					t.Errorf("%s imports %s", path, name)
				}
			}
			return true
		})
	}
	if seen < 2 {
		t.Errorf("%d imports of drivers were seen", seen)
	}
}
