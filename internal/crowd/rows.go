package crowd

import (
	"fmt"
	"time"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/store"
)

// years is how far back the past reaches.
const years = 360 * 24 * time.Hour

func (c *crowd) before(d time.Duration) int64 { return store.Micros(c.now.Add(-d)) }

func (c *crowd) accounts() error {
	return c.each(func(tenant string, t, i int) error {
		return c.put("account", tenant, id(ofUser, t, i), id(ofSubject, t, i), int64(1), c.before(years), c.before(years), int64(0), int64(0), int64(0), int64(0), int64(0), "", int64(0), int64(0), int64(0))
	})
}

// authenticators: each user has an app.
func (c *crowd) authenticators() error {
	return c.each(func(tenant string, t, i int) error {
		user, one := id(ofUser, t, i), id(ofAuthenticator, t, i)
		sealed := c.ring.Box("authenticator/"+tenant).Seal(user+"/"+one, []byte(Seed))
		return c.put("authenticator", tenant, one, user, "totp", "Authenticator app", sealed, c.before(years), int64(0), "", int64(0), int64(1), int64(0))
	})
}

func (c *crowd) localUsers() error {
	return c.each(func(tenant string, t, i int) error {
		login := Login(i)
		email := login + "@example.test"
		return c.put("local_user", tenant, "staff", id(ofUser, t, i), login, login, "A User", email, email, "", int64(0), c.hash, c.before(years), "[]",
			int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), c.before(years))
	})
}

func (c *crowd) members() error {
	return c.each(func(tenant string, t, i int) error {
		return c.put("local_member", tenant, "staff", id(ofUser, t, i), "Everybody")
	})
}

func (c *crowd) signing() error {
	for t := range c.Tenants {
		tenant := Tenant(t)
		box := c.ring.Box("signing/" + tenant)
		for n, one := range []struct {
			alg string
			der []byte
		}{{"RS256", c.rsa}, {"ES256", c.ec}} {
			key := id(ofKey, t, n)
			if err := c.put("signing_key", tenant, key, one.alg, "active", c.before(time.Hour), c.before(time.Hour), int64(0), box.Seal(key, one.der), int64(0)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *crowd) pseudonyms() error {
	return c.each(func(tenant string, t, i int) error {
		return c.put("pseudonym", tenant, id(ofUser, t, i), "user:"+id(ofPseudonym, t, i))
	})
}

// shelves: what has expired lies among what is good, as it comes.
func (c *crowd) shelves() error {
	all := c.Live + c.Expired
	for i := range all {
		t := 0
		if i%2 == 1 {
			t = i / 2 % c.Tenants
		}
		until := store.Micros(c.now.Add(7*24*time.Hour + time.Duration(i)*time.Millisecond))
		if i*c.Expired/all != (i+1)*c.Expired/all {
			until = c.before(time.Hour + time.Duration(i)*time.Millisecond)
		}
		owner := id(ofUser, t, i%max(1, c.users(t)))
		value := fmt.Sprintf(`{"user":%q,"client":"wiki","scopes":["openid","profile","email","offline_access"],"agent":"Mozilla/5.0 (X11; Linux x86_64; rv:152.0) Gecko/20100101 Firefox/152.0","at":"2026-01-01T00:00:00Z"}`, owner)
		if err := c.put("shelf", Tenant(t), "past", id(ofShelf, t, i), owner, int64(1), until, []byte(value)); err != nil {
			return err
		}
	}
	return nil
}

// deeds are what people do most, so often in a hundred.
var deeds = []struct {
	event  string
	often  int
	detail map[string]string
}{
	{audit.SignInOK, 70, map[string]string{"method": "password"}}, {audit.ProofWrong, 10, map[string]string{"kind": "password"}},
	{audit.SessionEnded, 10, nil}, {audit.ResetBegun, 4, nil}, {audit.ProofOK, 4, map[string]string{"kind": "totp"}}, {audit.ResetDone, 2, nil},
}

// journal has the deeds of all tenants mixed, as they came.
func (c *crowd) journal(db *store.DB) error {
	past := make([]*audit.Past, c.Tenants)
	for t := range past {
		past[t] = audit.New(db.Tenant(Tenant(t)), audit.Options{Ring: c.ring}).Past()
	}
	step := years / time.Duration(max(c.Rows, 1))
	for i := range c.Rows {
		t := 0
		if i%2 == 1 && c.Tenants > 1 {
			t = 1 + i/2%(c.Tenants-1)
		}
		at, often := 0, int(uint32(i)*2654435761>>16)%100
		for often >= deeds[at].often {
			often -= deeds[at].often
			at++
		}
		e := audit.Entry{At: c.now.Add(time.Duration(i-c.Rows) * step).UTC(), Event: deeds[at].event, Actor: "user", Client: "wiki",
			Network: fmt.Sprintf("10.%d.%d.0/24", i>>8&255, i&255), Detail: deeds[at].detail}
		if n := c.users(t); n > 0 {
			e.Who = "user:" + id(ofPseudonym, t, int(uint64(i)*0x9e3779b97f4a7c15>>33)%n)
		}
		if at > 2 {
			e.Flow = id(ofFlow, t, i/4)
		}
		row, err := past[t].Row(int64(i+1), e)
		if err != nil {
			return err
		}
		if err := c.put("journal", row...); err != nil {
			return err
		}
	}
	for _, p := range past {
		row, err := p.End()
		if err != nil {
			return err
		}
		if err := c.put("setting", row...); err != nil {
			return err
		}
	}
	return nil
}
