package sparekey_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory/local"
	accounts "github.com/sparekey-id/sparekey/internal/account"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
)

// browse gives her a browser whose pages are looked at.
func (x *run) browse() *browser {
	b := x.browserFrom(x.address)
	x.b = b
	cookie := ""
	b.after = func(p page) {
		x.looked(cookie, p)
		cookie = b.cookie(sessionCookie)
	}
	return b
}

// signedIn is a browser of hers with a session by these proofs, as a sign-in a moment ago has left it.
func (x *run) signedIn(kinds ...identity.Kind) *browser {
	x.t.Helper()
	b := x.browse()
	a := x.admin("avengers")
	x.write("avengers", func(tx store.Tx) error {
		acc, err := a.Accounts.Open(tx, x.user.ID)
		if err != nil {
			return err
		}
		held, err := a.Accounts.Authenticators(tx, x.user.ID)
		if err != nil {
			return err
		}
		s := session.Session{User: string(x.user.ID), Subject: acc.Subject, Login: x.login, Epoch: acc.Epoch, AMR: []string{"pwd"}}
		for _, k := range kinds {
			p := identity.Proof{Kind: k, At: x.clock.Now()}
			for _, h := range held {
				if h.Kind == k {
					p.Authenticator = h.ID
				}
			}
			s.Proofs = append(s.Proofs, p)
		}
		cookie, _, err := a.Sessions.Begin(tx, s, "")
		at, _ := url.Parse(x.issuer)
		b.jar.SetCookies(at, []*http.Cookie{cookie})
		return err
	})
	return b
}

// registered binds her an app, and an address where one is given, as a registration long ago has left them.
func (x *run) registered(address string) {
	x.t.Helper()
	seed := []byte("0123456789abcdefghij")
	x.write("avengers", func(tx store.Tx) error {
		a := x.admin("avengers").Accounts
		if _, err := a.Bind(tx, x.user.ID, identity.Authenticator{Kind: identity.TOTP, Label: "Authenticator app", Data: seed}); err != nil {
			return err
		}
		return a.Registered(tx, x.user.ID)
	})
	x.clock.Advance(time.Hour)
	if address != "" {
		x.write("avengers", func(tx store.Tx) error {
			_, err := x.admin("avengers").Accounts.Bind(tx, x.user.ID, identity.Authenticator{Kind: identity.Email, Label: method.Mask(address), Data: []byte(address)})
			return err
		})
		x.clock.Advance(time.Hour)
	}
}

// appKey is the key of the app that registered binds.
const appKey = "GAYTEMZUGU3DOOBZMFRGGZDFMZTWQ2LK"

// past gives her a session and tokens of before.
func (x *run) past() {
	x.t.Helper()
	x.owner = x.signedIn(identity.Password, identity.TOTP)
	x.owner.after = nil
	x.held = x.redeem(x.owner.authorize())
	if x.held.Refresh == "" {
		x.t.Fatal(x.held.raw)
	}
}

// proveApp answers by her app, with a code that was not used before.
func (x *run) proveApp() page {
	x.t.Helper()
	x.clock.Advance(30 * time.Second)
	x.used = x.totp(appKey, 0)
	return x.b.post("code", x.used, "action", "verify")
}

// revoke is a relying party's request to end a token.
func (x *run) revoke(token string) int {
	x.t.Helper()
	r, _ := http.NewRequest(http.MethodPost, x.meta("avengers")["revocation_endpoint"].(string), strings.NewReader(url.Values{"token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("wiki", "wiki-secret")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		x.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// inbox gives the newest code sent to an address.
func (x *run) inbox(address string) (code string) {
	x.t.Helper()
	x.o.pause(func() {
		x.deliver()
		for _, m := range x.mails.all() {
			if m.to == address && strings.Contains(strings.ToLower(m.subject), "code") {
				d := sixDigits.FindStringSubmatch(m.text)
				code = d[1] + d[2]
			}
		}
	})
	if code == "" {
		x.t.Fatalf("no code was sent to %s", address)
	}
	return code
}

// row reads one value of the tenant's store.
func (x *run) row(query string, args ...any) (v string) {
	x.t.Helper()
	err := x.admin("avengers").Store.Read(x.t.Context(), func(tx store.Tx) error { return tx.Row(query, args...).Scan(&v) })
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		x.t.Fatal(err)
	}
	return v
}

func (x *run) stored() string {
	return x.row(`SELECT password FROM local_user WHERE tenant = $1 AND id = $2`, string(x.user.ID))
}

// account is what the store knows of her.
func (x *run) account() (acc accounts.Account) {
	x.t.Helper()
	x.write("avengers", func(tx store.Tx) (err error) {
		acc, err = x.admin("avengers").Accounts.Load(tx, x.user.ID)
		return err
	})
	return acc
}

// notices counts the mails of one sort that were queued for her.
func (x *run) notices(kind string) (n int) {
	x.t.Helper()
	x.write("avengers", func(tx store.Tx) error {
		return tx.Row(`SELECT COUNT(*) FROM outbox WHERE tenant = $1 AND user_id = $2 AND kind = $3`, string(x.user.ID), kind).Scan(&n)
	})
	return n
}

// events counts her rows of one sort in the journal.
func (x *run) events(name string) (n int) {
	x.t.Helper()
	x.write("avengers", func(tx store.Tx) error {
		list, err := x.admin("avengers").Journal.Recent(tx, string(x.user.ID), 200)
		for _, e := range list {
			if e.Event == name {
				n++
			}
		}
		return err
	})
	return n
}

// kinds are what she has registered.
func (x *run) kinds() string {
	x.t.Helper()
	var all []string
	x.write("avengers", func(tx store.Tx) error {
		list, err := x.admin("avengers").Accounts.Authenticators(tx, x.user.ID)
		for _, a := range list {
			address := ""
			if a.Kind == identity.Email {
				address = string(a.Data)
			}
			all = append(all, fmt.Sprintf("%s<%s>%s", a.Kind, address, map[bool]string{true: " first"}[a.Default]))
		}
		return err
	})
	return strings.Join(all, ", ")
}

// dead fails if anything that was given out before still counts.
func (x *run) dead(why string) {
	x.t.Helper()
	if x.owner == nil {
		return
	}
	if p := x.owner.authorize("prompt", "none"); p.query("error") != "login_required" {
		x.t.Errorf("%s, and the session of before counts: %q", why, p.location)
	}
	if x.userinfo(x.held.Access) == http.StatusOK {
		x.t.Errorf("%s, and the access token of before counts", why)
	}
	if x.refresh(x.held.Refresh).Access != "" {
		x.t.Errorf("%s, and the refresh token of before counts", why)
	}
}

// faulty is a house with users to be made at no cost, and an outage for its store.
func faulty(t *testing.T, database string, o *outage) (*house, func(t *testing.T) *run) {
	t.Helper()
	post := sparekey.Policy{For: sparekey.For{Groups: []string{"Post"}}, Reset: true, Methods: map[string]sparekey.MethodUse{"email": {}}}
	h := openAt(t, database, quietly, func(h *house) { h.cfg.TrustedProxies = []string{"127.0.0.0/8", "::1/128"} },
		with(func(t *sparekey.Tenant) {
			t.Policies = append(append([]sparekey.Policy{}, t.Policies...), post)
			t.Policies[0].Registration.Skip.Times = 3
		}))
	hash, err := secret.NewHasher(1).Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	users := 0
	return h, func(t *testing.T) *run {
		t.Helper()
		users++
		x := &run{house: h, o: o, login: fmt.Sprintf("user%d", users), address: fmt.Sprintf("198.51.%d.%d", users/250, users%250+1),
			first: hash, hash: hash, old: password, next: renewed}
		x.mail = x.login + "@stark.example"
		n := local.NewUser{Login: x.login, Name: "Somebody", Email: x.mail, Groups: []string{"Avengers"}}
		if err := h.admin("avengers").AddUser(t.Context(), n, "test"); err != nil {
			t.Fatal(err)
		}
		x.user = h.user(x.login)
		x.write("avengers", func(tx store.Tx) error {
			_, err := tx.Exec(`UPDATE local_user SET password = $3 WHERE tenant = $1 AND id = $2`, string(x.user.ID), hash)
			return err
		})
		return x
	}
}
