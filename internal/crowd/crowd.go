// Package crowd fills an empty store with tenants, their users, what those have bound and what they did, as if all had been there for
// years: for tests and figures of scale.
//
// The rows are those that the rooms write, in their own forms: passwords are hashed, seeds and signing keys sealed, the journal chained, so
// that a server serves the store like any other. What costs much and does not matter is made once: every user has the same password and
// hash, every tenant the same signing keys. It is never part of a server.
package crowd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Size says how many of each there are to be. The first tenant has half of the users and half of the journal; the others share the rest.
type Size struct {
	Tenants int
	Users   int
	Rows    int // of the journal
	Live    int // records on shelves that are good for a week
	Expired int // and such as have expired
}

// Password is that of every user.
const Password = "a-password-for-the-load"

// Seed is that of every user's authenticator app.
const Seed = "0123456789abcdefghij"

// Tenant is the name of the i-th tenant.
func Tenant(i int) string {
	if i == 0 {
		return "avengers"
	}
	return fmt.Sprintf("t%04d", i)
}

// Login is that of the i-th user of a tenant, from 0 on.
func Login(i int) string { return fmt.Sprintf("user%d", i) }

// crowd is one filling.
type crowd struct {
	Size
	ring     *secret.Ring
	now      time.Time
	hash     string
	rsa, ec  []byte
	tables   map[string]store.Table
	put      func(table string, row ...any) error
	rows     int64
	all      int64
	progress func(done, all int64)
}

// Fill fills an empty store whose ring that is. progress may be nil; it is called now and then with the rows written and those there will be.
func Fill(ctx context.Context, db *store.DB, ring *secret.Ring, s Size, progress func(done, all int64)) error {
	c := &crowd{Size: s, ring: ring, now: time.Now(), tables: map[string]store.Table{}, progress: progress}
	for _, t := range store.Tables() {
		c.tables[t.Name] = t
	}
	c.all = int64(s.Users)*5 + int64(s.Rows+s.Live+s.Expired+3*s.Tenants)
	var err error
	if c.hash, err = secret.NewHasher(0).Hash(ctx, Password); err != nil {
		return err
	}
	if err := c.keys(); err != nil {
		return err
	}
	type record struct {
		table store.Table
		row   []any
	}
	records, over := make(chan record, 1000), make(chan struct{})
	failed := make(chan error, 1)
	c.put = func(table string, row ...any) error {
		select {
		case records <- record{c.tables[table], row}:
			return nil
		case <-over:
			return context.Canceled
		}
	}
	go func() {
		failed <- c.write(db)
		close(records)
	}()
	defer close(over)
	return db.Load(ctx, func() (store.Table, []any, error) {
		r, more := <-records
		if !more {
			return store.Table{}, nil, <-failed
		}
		if c.rows++; c.progress != nil && c.rows%100_000 == 0 {
			c.progress(c.rows, c.all)
		}
		return r.table, r.row, nil
	})
}

// keys makes the signing keys.
func (c *crowd) keys() error {
	one, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if c.rsa, err = x509.MarshalPKCS8PrivateKey(one); err != nil {
		return err
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c.ec, err = x509.MarshalPKCS8PrivateKey(other)
	return err
}

// write gives all rows, table by table.
func (c *crowd) write(db *store.DB) error {
	for _, f := range []func() error{c.shelves, c.accounts, c.authenticators, c.localUsers, c.members, c.signing, func() error { return c.journal(db) }, c.pseudonyms} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// users is how many a tenant has.
func (c *crowd) users(tenant int) int { return share(c.Users, c.Tenants, tenant) }

func share(all, tenants, tenant int) int {
	if tenants == 1 {
		return all
	}
	rest := all / 2
	if tenant == 0 {
		return all - rest
	}
	n := rest / (tenants - 1)
	if tenant <= rest%(tenants-1) {
		n++
	}
	return n
}

// each walks the users of all tenants.
func (c *crowd) each(f func(tenant string, at, i int) error) error {
	for t := range c.Tenants {
		name := Tenant(t)
		for i := range c.users(t) {
			if err := f(name, t, i); err != nil {
				return err
			}
		}
	}
	return nil
}

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// id is one as secret.ID makes them, the same each time for the same thing. It is mixed by the finalizer of SplitMix64.
func id(what byte, tenant, i int) string {
	var b [16]byte
	x := uint64(what)<<56 | uint64(tenant)<<32 | uint64(i)
	for at := 0; at < 16; at += 8 {
		x += 0x9e3779b97f4a7c15
		z := (x ^ x>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.BigEndian.PutUint64(b[at:], z^z>>31)
	}
	return strings.ToLower(letters.EncodeToString(b[:]))
}

const (
	ofUser = iota + 1
	ofSubject
	ofAuthenticator
	ofPseudonym
	ofFlow
	ofShelf
	ofKey
)
