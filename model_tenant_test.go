package sparekey_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// likeAvengers gives wakanda the rules, the limits, the clients and the directory of avengers.
func likeAvengers(h *house) {
	t, own := h.cfg.Tenants["avengers"], h.cfg.Tenants["wakanda"]
	t.Issuer, t.Name = own.Issuer, own.Name
	h.cfg.Tenants["wakanda"], h.brought["wakanda"] = t, h.brought["avengers"]
}

// bring takes what one tenant gave out to the other, where it has to be nothing, and gives what was wrong.
func (l *ledger) bring(rt *rapid.T, to *ledger, h *house) string {
	if len(l.families) == 0 {
		return ""
	}
	f := rapid.SampledFrom(l.families).Draw(rt, "family")
	forms := []url.Values{{"grant_type": {"authorization_code"}, "code": {f.code}, "redirect_uri": {callback}, "code_verifier": {verifier}}}
	for _, r := range f.refresh {
		forms = append(forms, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r}})
	}
	for _, form := range forms {
		if _, got := to.told(h, "/token", form); got.Access != "" || got.Error != "invalid_grant" {
			return fmt.Sprintf("%v is answered %d %s", form, got.status, got.raw)
		}
	}
	tokens := f.refresh
	for a := range f.access {
		tokens = append(tokens[:len(tokens):len(tokens)], a)
		if s := h.userinfo(a); s != http.StatusUnauthorized {
			return fmt.Sprintf("an access token is answered %d", s)
		}
	}
	for _, token := range tokens {
		if _, is := to.told(h, "/introspect", url.Values{"token": {token}}); !strings.Contains(is.raw, `"active":false`) {
			return "a token is active: " + is.raw
		}
		to.told(h, "/revoke", url.Values{"token": {token}})
	}
	if b := f.of.b.carried(h); b.authorize("prompt", "none").query("error") != "login_required" {
		return fmt.Sprintf("a session is one: %q", b.last.location)
	}
	return ""
}

// Two tenants with the same users, by name, id, subject and password, and the same clients, in one database: whatever happens in the one, in whatever
// order, the other is as a model of it alone says, and what the one gave out is nothing in the other.
func TestS04_TwoTenantsInterleavedAreAsIfEachWereAlone(t *testing.T) {
	t.Parallel()
	long := with(func(t *sparekey.Tenant) {
		t.Sessions = sparekey.Sessions{Idle: config.Duration(365 * 24 * time.Hour), Absolute: config.Duration(365 * 24 * time.Hour)}
		t.Tokens.RefreshAbsolute = config.Duration(365 * 24 * time.Hour)
	})
	storetest.EachURL(t, func(t *testing.T, database string) {
		here := openArmoury(t, database, long, likeAvengers, quietly)
		there := &armoury{house: here.at("wakanda"), m: here.m}
		second := here.plugin()
		t.Cleanup(func() { second.Close() })
		var nodes [2][2]*house // of each tenant
		for i, a := range []*armoury{here, there} {
			for k, p := range []*sparekey.Plugin{here.p, second} {
				nodes[i][k] = here.at(a.tenant)
				nodes[i][k].p, nodes[i][k].client = p, &http.Client{Transport: served{p}}
			}
		}
		brought := 0
		walks, found := 0, false
		rapid.Check(t, func(rt *rapid.T) {
			if walks++; walks > rounds(30) && !found {
				return
			}
			var ledgers [2]*ledger
			who := here.soul(1, false, "One")
			twin := *who
			twin.key, twin.app, twin.mail = there.equip(who.id, who.address)
			for i, a := range []*armoury{here, there} {
				ledgers[i] = &ledger{armoury: a, nodes: nodes[i], who: []*soul{who, &twin}[i]}
				a.write(a.tenant, func(tx store.Tx) error {
					if _, err := a.admin(a.tenant).Accounts.Open(tx, ledgers[i].who.id); err != nil {
						return err
					}
					_, err := tx.Exec(`UPDATE account SET subject = $3 WHERE tenant = $1 AND user_id = $2`, string(ledgers[i].who.id), "subject of "+ledgers[i].who.login)
					return err
				})
			}
			var log []string
			names := []string{"authorize", "authorize", "redeem", "redeem", "redeem", "refresh", "refresh", "refresh", "revoke", "sign in", "sign out", "reset", "end by an operator", "wait", "bring", "bring", "bring"}
			deeds := [2]map[string]func(*house) string{ledgers[0].deeds(rt), ledgers[1].deeds(rt)}
			do := func(i int, name string) {
				node := rapid.IntRange(0, 1).Draw(rt, "node")
				log = append(log, fmt.Sprintf("%s at %s on node %d", name, ledgers[i].tenant, node))
				wrong := ""
				if name == "bring" {
					brought++
					wrong = ledgers[i].bring(rt, ledgers[1-i], nodes[1-i][node])
				} else {
					wrong = deeds[i][name](nodes[i][node])
				}
				ledgers[1-i].who.password = ledgers[i].who.password // they have one directory
				for k := range ledgers {
					if wrong == "" {
						if wrong = ledgers[k].compare(); wrong != "" {
							wrong = ledgers[k].tenant + ": " + wrong
						}
					}
				}
				if wrong != "" {
					found = true
					rt.Fatalf("%s\nafter %s", wrong, strings.Join(log, ", "))
				}
			}
			for i := range ledgers {
				do(i, "sign in")
				do(i, "redeem")
			}
			for range rapid.IntRange(4, 16).Draw(rt, "deeds") {
				do(rapid.IntRange(0, 1).Draw(rt, "tenant"), rapid.SampledFrom(names).Draw(rt, "deed"))
			}
		})
		if brought < 20 {
			t.Errorf("only %d times something was brought to the other tenant", brought)
		}
	})
}
