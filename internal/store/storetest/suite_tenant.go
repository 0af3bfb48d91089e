package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// statements asserts that a text which is not scoped to its tenant never reaches the database (SECURITY A10, A49).
func (s suite) statements(t *testing.T) {
	d := s.desk(t)
	d.write(func(tx store.Tx) error { _, err := tx.Exec(putSetting, "mine", []byte("1")); return err })
	run := func(text string, args ...any) error {
		return d.h.Write(t.Context(), func(tx store.Tx) error {
			_, err := tx.Rows(text, args...)
			return err
		})
	}
	for name, text := range map[string]string{
		"no tenant":             `SELECT name FROM setting`,
		"a tenant as text":      `SELECT name FROM setting WHERE tenant = 'wakanda'`,
		"$1 in quotes":          `SELECT name FROM setting WHERE name = '$1 tenant = $1'`,
		"$1 as a name":          `SELECT name AS "tenant = $1" FROM setting`,
		"$1 in a comment":       `SELECT name FROM setting -- tenant = $1`,
		"$1 in a long comment":  `SELECT name FROM setting /* tenant = $1 */`,
		"$10":                   `SELECT name FROM setting WHERE tenant = $10`,
		"every other tenant":    `SELECT name FROM setting WHERE tenant <> $1`,
		"a comparison with $2":  `SELECT name FROM setting WHERE tenant = $2 AND name = $1`,
		"$1 beside the tenant":  `SELECT name, tenant FROM setting WHERE name = $1`,
		"an OR":                 `SELECT name FROM setting WHERE tenant = $1 OR name = 'x'`,
		"an OR inside":          `SELECT name FROM setting WHERE (tenant = $1 OR name = 'x')`,
		"a second statement":    `SELECT name FROM setting WHERE tenant = $1; DELETE FROM setting`,
		"a join":                `SELECT a.name FROM setting a JOIN setting b ON a.name = b.name WHERE a.tenant = $1`,
		"a list of tables":      `SELECT a.name FROM setting a, setting b WHERE a.tenant = $1 AND a.tenant = $1`,
		"a union":               `SELECT name FROM setting WHERE tenant = $1 UNION SELECT name FROM setting`,
		"a select within":       `SELECT name FROM setting WHERE tenant = $1 AND name IN (SELECT name FROM setting)`,
		"an insert for another": `INSERT INTO setting (name, tenant, value) VALUES ($1, 'wakanda', 'x') RETURNING name`,
		"an insert, swapped":    `INSERT INTO setting (tenant, name, value) VALUES ('wakanda', $1, 'x') RETURNING name`,
		"an update of all":      `UPDATE setting SET tenant = $1`,
		"a record moved":        `UPDATE setting SET value = 'x', tenant = $1 WHERE name = 'x' RETURNING name`,
		"a pragma":              `PRAGMA user_version`,
		"an end":                `COMMIT`,
		"an open quote":         `SELECT name FROM setting WHERE tenant = $1 AND name = '`,
		"nothing":               ``,
	} {
		t.Run("A10 refused: "+name, func(t *testing.T) {
			args := make([]any, max(0, strings.Count(text, "$2")))
			err := run(text, args...)
			if err == nil || !strings.Contains(err.Error(), "store: ") {
				t.Fatalf("got %v", err)
			}
		})
	}
	for _, text := range []string{
		`SELECT name FROM setting WHERE tenant = $1`,
		`SELECT name FROM setting WHERE tenant = $1 AND (name = 'x' OR name = 'y')`,
		`SELECT a.name FROM setting a JOIN setting b ON b.tenant = a.tenant AND a.name = b.name WHERE a.tenant = $1`,
		`SELECT name FROM setting WHERE tenant = $1 AND name IN (SELECT name FROM setting WHERE tenant = $1)`,
		`INSERT INTO setting (tenant, name, value) SELECT $1, user_id, 'x' FROM account WHERE tenant = $1 RETURNING name`,
		`INSERT INTO pseudonym (tenant, user_id, name) VALUES ($1, 'a', 'b') ON CONFLICT (tenant, user_id) DO UPDATE SET name = excluded.name WHERE pseudonym.tenant = excluded.tenant RETURNING name`,
		`SELECT name FROM setting WHERE tenant = $1 AND name IS DISTINCT FROM 'x; -'`,
	} {
		if err := run(text); err != nil && !strings.Contains(text, "; -") {
			t.Errorf("%s: %v", text, err)
		}
	}
	t.Run("the number of arguments must be right", func(t *testing.T) {
		for _, args := range [][]any{{}, {"a", "b"}} {
			if run(getSetting, args...) == nil {
				t.Fatalf("%d arguments were accepted for one", len(args))
			}
		}
	})
	t.Run("A49 an argument is never SQL", func(t *testing.T) {
		for _, text := range []string{`' OR '1'='1`, `x'; DELETE FROM setting; --`, `$1`, `") OR 1=1 --`, `\' OR 1=1 --`} {
			wants(t, d.h.Read(t.Context(), func(tx store.Tx) error { return tx.Row(getSetting, text).Scan(new([]byte)) }), store.ErrNotFound)
		}
		d.read(func(tx store.Tx) error { return tx.Row(getSetting, "mine").Scan(new([]byte)) })
	})
}

func (s suite) tenants(t *testing.T) {
	db, clock := s.open(t)
	ours, theirs := desk{t, db.Tenant("avengers"), clock}, desk{t, db.Tenant("wakanda"), clock}
	ours.add("key", "user", ours.hour(), gadget{"ours", 1})
	record := ours.get("key")

	t.Run("A10 a record of one tenant is not there for another", func(t *testing.T) {
		d := desk{t, theirs.h, clock}
		d.gone("key")
		equal(t, "the keys", d.keys("user"), "[]")
		d.writeWant(store.ErrNotFound, func(tx store.Tx) error { _, err := gadgets.Take(tx, "key"); return err })
		d.writeWant(store.ErrChanged, func(tx store.Tx) error { r := record; r.Value.Name = "stolen"; return gadgets.Save(tx, &r) })
		d.write(func(tx store.Tx) error { return gadgets.Drop(tx, "key") })
		d.write(func(tx store.Tx) error {
			all, err := gadgets.DropOwned(tx, "user")
			equal(t, "the number dropped", len(all), 0)
			return err
		})
		d.writeWant(errNothing, func(tx store.Tx) error {
			return gadgets.Change(tx, "key", "user", func(v *gadget, found bool) (time.Time, error) {
				if found || v.Name != "" {
					t.Errorf("found %+v", *v)
				}
				return time.Time{}, errNothing
			})
		})
		equal(t, "our record", ours.get("key"), record)
	})
	t.Run("A10 both tenants may use the same keys and owners", func(t *testing.T) {
		d := desk{t, theirs.h, clock}
		d.add("key", "user", d.hour(), gadget{"theirs", 2})
		equal(t, "our record", ours.get("key").Value.Name, "ours")
		equal(t, "their record", d.get("key").Value.Name, "theirs")
		d.write(func(tx store.Tx) error { _, err := gadgets.DropOwned(tx, "user"); return err })
		equal(t, "our record", ours.get("key"), record)
	})
	t.Run("A10 names that look alike are different tenants", func(t *testing.T) {
		for _, name := range []string{"Avengers", "avengers ", "avengers%", "avenger", "аvengers", "'avengers'"} {
			d := desk{t, db.Tenant(name), clock}
			d.gone("key")
		}
	})
	t.Run("A10 a transaction tells its tenant", func(t *testing.T) {
		theirs.read(func(tx store.Tx) error { equal(t, "the tenant", tx.Tenant(), "wakanda"); return nil })
		equal(t, "the tenant", theirs.h.Name(), "wakanda")
	})
	t.Run("A10 a tenant has a name", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Fatal("a handle without a tenant was given")
			}
		}()
		db.Tenant("")
	})
}

var errNothing = errors.New("nothing to do")
