package sparekey_test

import (
	"net/url"
	"testing"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/store"
)

// A number that a page shows leads an operator somewhere, and a page whose visitor has to mend something herself shows none:
// otherwise a stranger could fill the journal by asking for pages that are not there.
func TestEveryReferenceNumberOnAPageLeadsToTheJournal(t *testing.T) {
	m := &moody{Memory: &directorytest.Memory{}}
	for id, login := range map[string]string{"1": "loki", "2": "thor"} {
		m.Add(directorytest.Account{User: directory.User{ID: directory.UserID(id), Login: login, Email: login + "@asgard.example", Groups: []string{"Avengers"}}, Password: password})
	}
	h := open(t, bring(m), rule(func(p *sparekey.Policy) { p.DeadEnd = "direct" }))
	number := func(p page) string { return first(p.body, `(?s)class="number">(.*?)</dd>`) }
	rows := func() int {
		list, err := h.admin("avengers").Journal.Tail(t.Context(), -1, 500)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	leads := func(what string, p page, status int) {
		t.Helper()
		list, err := h.admin("avengers").Journal.Find(t.Context(), number(p))
		if p.status != status || number(p) == "" || err != nil || len(list) == 0 {
			t.Errorf("%s: %d %q: its number %q leads to %d rows: %v", what, p.status, p.h1(), number(p), len(list), err)
		}
	}

	b := h.browser()
	before := rows()
	for what, p := range map[string]page{
		"a page that is not there":    b.get(h.issuer + "/nowhere"),
		"a flow that is not there":    b.get(h.issuer + "/flow/aaaaaaaaaaaaaaaaaaaaaaaaaa"),
		"a client that is not known":  b.get(h.issuer + "/authorize?client_id=nobody&response_type=code"),
		"a form from nowhere":         b.send(h.issuer+"/security-info/sessions", url.Values{"action": {"end"}}),
		"an address that is not hers": b.get(h.issuer + "/authorize?client_id=wiki&response_type=code&redirect_uri=https://elsewhere.example/"),
	} {
		if p.status < 400 || p.status >= 500 || number(p) != "" {
			t.Errorf("%s: %d %q shows the number %q", what, p.status, p.h1(), number(p))
		}
	}
	if n := rows() - before; n != 0 {
		t.Errorf("%d rows were written for a stranger's mistakes", n)
	}

	b = h.browser()
	b.beginReset("thor")
	leads("ask your administrator", b.last, 200)

	b.authorize()
	b.post("username", "loki", "action", "next")
	form := b.last
	m.Down(true)
	leads("a directory that is down", b.post("password", password, "action", "sign_in"), 503)
	m.Down(false)

	b.last = form
	h.failing(func(string) error { return store.ErrUnavailable })
	p := b.post("password", password, "action", "sign_in")
	h.failing(nil)
	if p.status != 503 || number(p) != "" {
		t.Errorf("a store that is down: %d, and the number %q that leads nowhere", p.status, number(p))
	}
}
