package guard

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// browser is the record that a user has signed in from a browser. Its key is a digest of the browser's cookie and the user,
// so the store tells neither the cookie's value nor which users share a browser.
type browser struct {
	Since time.Time `json:"since"`
}

const (
	browserKept   = 180 * 24 * time.Hour
	browsersAUser = 20
)

// device is the value of the browser's cookie; false: none, a strange one, or more than one, as when somebody planted one.
func (g *Guard) device(r *http.Request) (string, bool) {
	value := g.cookie().Value(r)
	return value, len(value) == 43
}

func browserKey(device, user string) string { return secret.Digest(device + "/" + user) }

// KnownBrowser reports whether the user has signed in from this browser in the last 180 days. It is a reason to count her tries apart
// from strangers', and no proof of anything.
func (g *Guard) KnownBrowser(tx store.Tx, r *http.Request, user string) bool {
	device, ok := g.device(r)
	if !ok {
		return false
	}
	v, err := g.browsers.Get(tx, browserKey(device, user))
	return err == nil && v.Owner == user
}

// Know remembers that the user signs in from this browser, and gives the cookie by which it is known. It keeps the 20 browsers used last.
func (g *Guard) Know(tx store.Tx, r *http.Request, user string) (*http.Cookie, error) {
	if user == "" {
		return nil, errors.New("know a browser: no user named")
	}
	device, ok := g.device(r)
	if !ok {
		device = secret.Token()
	}
	now, key, added := tx.Now(), browserKey(device, user), false
	err := g.browsers.Change(tx, key, user, func(v *browser, found bool) (time.Time, error) {
		if added = !found; added {
			v.Since = now
		}
		return now.Add(browserKept), nil
	})
	if err == nil && added {
		err = g.crowdOut(tx, user)
	}
	if err != nil {
		return nil, fmt.Errorf("know a browser: %w", err)
	}
	return g.cookie().Holding(device, int(browserKept/time.Second)), nil
}

// crowdOut forgets the browsers used longest ago.
func (g *Guard) crowdOut(tx store.Tx, user string) error {
	all, err := g.browsers.Owned(tx, user)
	if err != nil {
		return err
	}
	for len(all) > browsersAUser {
		oldest := 0
		for i := range all {
			if all[i].Until.Before(all[oldest].Until) {
				oldest = i
			}
		}
		if err := g.browsers.Drop(tx, all[oldest].Key); err != nil {
			return err
		}
		all = append(all[:oldest], all[oldest+1:]...)
	}
	return nil
}

// Forget makes every browser of the user unknown, as after "This wasn't me".
func (g *Guard) Forget(tx store.Tx, user string) error {
	if _, err := g.browsers.DropOwned(tx, user); err != nil {
		return fmt.Errorf("forget browsers: %w", err)
	}
	return nil
}
