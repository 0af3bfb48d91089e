package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

func (s suite) shelves(t *testing.T) {
	t.Run("what is added is read as it was", func(t *testing.T) {
		d := s.desk(t)
		until := d.hour().Add(123456 * time.Microsecond)
		d.add("a", "tony", until, gadget{"repulsor", 2})
		r := d.get("a")
		if r.Key != "a" || r.Owner != "tony" || r.Version != 1 || !r.Until.Equal(until) || r.Value != (gadget{"repulsor", 2}) {
			t.Fatalf("got %+v", r)
		}
	})
	t.Run("keys are exact: case, spaces and look-alikes are other keys", func(t *testing.T) {
		d := s.desk(t)
		d.add("key", "", d.hour(), gadget{})
		for _, other := range []string{"Key", "key ", " key", "ke%", "k_y", "kеy", "", "KEY"} {
			d.gone(other)
		}
	})
	t.Run("a taken key is refused and keeps its record", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "tony", d.hour(), gadget{"first", 1})
		d.writeWant(store.ErrExists, func(tx store.Tx) error { return gadgets.Add(tx, "a", "pepper", d.hour(), gadget{"second", 2}) })
		equal(t, "the record", d.get("a").Value, gadget{"first", 1})
	})
	t.Run("another shelf has keys of its own", func(t *testing.T) {
		d := s.desk(t)
		other := store.NewShelf[gadget]("other")
		d.add("a", "tony", d.hour(), gadget{"mine", 1})
		d.write(func(tx store.Tx) error { return other.Add(tx, "a", "tony", d.hour(), gadget{"yours", 1}) })
		d.write(func(tx store.Tx) error { return other.Drop(tx, "a") })
		equal(t, "the record", d.get("a").Value.Name, "mine")
	})
	t.Run("Save changes all but the key and raises the version", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "tony", d.hour(), gadget{"old", 1})
		r := d.get("a")
		later := d.hour().Add(time.Hour)
		r.Owner, r.Until, r.Value = "pepper", later, gadget{"new", 2}
		d.write(func(tx store.Tx) error { return gadgets.Save(tx, &r) })
		equal(t, "the version in memory", r.Version, 2)
		got := d.get("a")
		if got.Owner != "pepper" || !got.Until.Equal(later) || got.Value != (gadget{"new", 2}) || got.Version != 2 {
			t.Fatalf("got %+v", got)
		}
		d.write(func(tx store.Tx) error { return gadgets.Save(tx, &r) })
		equal(t, "the version in memory", r.Version, 3)
	})
	t.Run("Save of an older reading is refused with ErrChanged", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "", d.hour(), gadget{})
		first, second := d.get("a"), d.get("a")
		first.Value.Count = 1
		d.write(func(tx store.Tx) error { return gadgets.Save(tx, &first) })
		second.Value.Count = 2
		d.writeWant(store.ErrChanged, func(tx store.Tx) error { return gadgets.Save(tx, &second) })
		equal(t, "the version in memory", second.Version, 1)
		equal(t, "the count", d.get("a").Value.Count, 1)
	})
	t.Run("Note changes the value alone and makes nobody's Save fail", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "tony", d.hour(), gadget{"old", 1})
		r, noted := d.get("a"), d.get("a")
		noted.Owner, noted.Until, noted.Value = "pepper", d.hour().Add(time.Hour), gadget{"noted", 2}
		d.write(func(tx store.Tx) error { return gadgets.Note(tx, noted) })
		if got := d.get("a"); got.Owner != "tony" || !got.Until.Equal(d.hour()) || got.Value != noted.Value || got.Version != 1 {
			t.Fatalf("got %+v", got)
		}
		r.Value = gadget{"saved", 3}
		d.write(func(tx store.Tx) error { return gadgets.Save(tx, &r) })
		d.writeWant(store.ErrChanged, func(tx store.Tx) error { return gadgets.Note(tx, noted) })
		equal(t, "the record", d.get("a").Value.Name, "saved")
		d.write(func(tx store.Tx) error { return gadgets.Drop(tx, "a") })
		d.writeWant(store.ErrChanged, func(tx store.Tx) error { return gadgets.Note(tx, r) })
		d.gone("a")
	})
	t.Run("Save of a record that was taken, dropped or never there is refused with ErrChanged", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "", d.hour(), gadget{})
		r := d.get("a")
		d.write(func(tx store.Tx) error { return gadgets.Drop(tx, "a") })
		d.writeWant(store.ErrChanged, func(tx store.Tx) error { return gadgets.Save(tx, &r) })
		d.gone("a")
	})
	t.Run("a version that a failed transaction raised in memory is put back", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "", d.hour(), gadget{})
		r, oops := d.get("a"), errors.New("oops")
		d.writeWant(oops, func(tx store.Tx) error {
			for range 3 {
				must(t, gadgets.Save(tx, &r))
			}
			return oops
		})
		equal(t, "the version in memory", r.Version, 1)
		func() {
			defer func() { recover() }()
			d.h.Write(t.Context(), func(tx store.Tx) error { must(t, gadgets.Save(tx, &r)); panic("oops") })
		}()
		equal(t, "the version in memory", r.Version, 1)
		d.write(func(tx store.Tx) error { return gadgets.Save(tx, &r) })
	})
	t.Run("Take hands a record over once", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "tony", d.hour(), gadget{"ring", 1})
		var r store.Record[gadget]
		d.write(func(tx store.Tx) (err error) { r, err = gadgets.Take(tx, "a"); return err })
		if r.Key != "a" || r.Owner != "tony" || r.Value.Name != "ring" {
			t.Fatalf("got %+v", r)
		}
		d.writeWant(store.ErrNotFound, func(tx store.Tx) error { _, err := gadgets.Take(tx, "a"); return err })
		d.gone("a")
	})
	t.Run("what a failed transaction took is there again", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "", d.hour(), gadget{"ring", 1})
		oops := errors.New("oops")
		d.writeWant(oops, func(tx store.Tx) error {
			_, err := gadgets.Take(tx, "a")
			must(t, err)
			return oops
		})
		equal(t, "the record", d.get("a").Value.Name, "ring")
	})
	t.Run("Drop removes, and does not mind what is not there", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "", d.hour(), gadget{})
		for range 2 {
			d.write(func(tx store.Tx) error { return gadgets.Drop(tx, "a") })
			d.gone("a")
		}
	})
	t.Run("errors name the shelf and never the key", func(t *testing.T) {
		d := s.desk(t)
		err := d.h.Read(t.Context(), func(tx store.Tx) error { _, err := gadgets.Get(tx, "sesame"); return err })
		equal(t, "the error", fmt.Sprint(err), "get gadget: no such record")
	})
}

func (s suite) ends(t *testing.T) {
	until := func(d desk) time.Time { return d.clock.Now().Add(time.Minute) }
	t.Run("A46 a record counts until the moment before its end and not from its end on", func(t *testing.T) {
		d := s.desk(t)
		end := until(d)
		d.add("a", "tony", end, gadget{"a", 1})
		r := d.get("a")
		d.clock.Set(end.Add(-time.Microsecond))
		d.get("a")
		equal(t, "the keys", d.keys("tony"), "[a]")
		d.clock.Set(end)
		d.gone("a")
		equal(t, "the keys", d.keys("tony"), "[]")
		d.writeWant(store.ErrNotFound, func(tx store.Tx) error { _, err := gadgets.Take(tx, "a"); return err })
		d.writeWant(store.ErrChanged, func(tx store.Tx) error { r.Until = d.hour(); return gadgets.Save(tx, &r) })
		d.write(func(tx store.Tx) error {
			all, err := gadgets.DropOwned(tx, "tony")
			equal(t, "the number handed over", len(all), 0)
			return err
		})
	})
	t.Run("A46 a clock that steps back does not matter to what was taken", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "", until(d), gadget{})
		d.write(func(tx store.Tx) error { _, err := gadgets.Take(tx, "a"); return err })
		d.clock.Advance(-10 * time.Minute)
		d.gone("a")
	})
	t.Run("an expired key may be used again, and an older reading of it cannot be saved over it", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "tony", until(d), gadget{"old", 1})
		old := d.get("a")
		d.clock.Advance(time.Minute)
		d.add("a", "pepper", d.hour(), gadget{"new", 2})
		d.writeWant(store.ErrChanged, func(tx store.Tx) error { return gadgets.Save(tx, &old) })
		r := d.get("a")
		if r.Owner != "pepper" || r.Value != (gadget{"new", 2}) {
			t.Fatalf("got %+v", r)
		}
	})
	t.Run("a record without an end stays", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "tony", time.Time{}, gadget{"a", 1})
		d.clock.Advance(200 * 365 * 24 * time.Hour)
		r := d.get("a")
		if !r.Until.IsZero() {
			t.Fatalf("its end is %v", r.Until)
		}
		d.write(func(tx store.Tx) error { return gadgets.Save(tx, &r) })
		equal(t, "the keys", d.keys("tony"), "[a]")
	})
}

func (s suite) owners(t *testing.T) {
	t.Run("Owned and DropOwned see one owner's records of one shelf, in order", func(t *testing.T) {
		d := s.desk(t)
		other := store.NewShelf[gadget]("other")
		for _, key := range []string{"c", "a", "b"} {
			d.add(key, "tony", d.hour(), gadget{Name: key})
		}
		d.add("p", "pepper", d.hour(), gadget{})
		d.add("n", "", d.hour(), gadget{})
		d.write(func(tx store.Tx) error { return other.Add(tx, "o", "tony", d.hour(), gadget{}) })
		equal(t, "the keys", d.keys("tony"), "[a b c]")
		d.write(func(tx store.Tx) error {
			all, err := gadgets.DropOwned(tx, "tony")
			if len(all) != 3 || all[0].Key != "a" || all[1].Value.Name != "b" || all[2].Owner != "tony" {
				t.Errorf("dropped %+v", all)
			}
			return err
		})
		equal(t, "the keys", d.keys("tony"), "[]")
		equal(t, "the keys", d.keys("pepper"), "[p]")
		d.get("n")
		d.read(func(tx store.Tx) error { _, err := other.Get(tx, "o"); return err })
	})
	t.Run("nobody owns nothing", func(t *testing.T) {
		d := s.desk(t)
		d.add("n", "", d.hour(), gadget{})
		equal(t, "the keys", d.keys(""), "[]")
		d.write(func(tx store.Tx) error { _, err := gadgets.DropOwned(tx, ""); return err })
		d.get("n")
	})
}

func (s suite) sweeping(t *testing.T) {
	t.Run("Sweep removes what has expired of all tenants and shelves, and nothing else", func(t *testing.T) {
		db, clock := s.open(t)
		soon, later := clock.Now().Add(time.Minute), clock.Now().Add(time.Hour)
		for _, tenant := range []string{"avengers", "wakanda"} {
			must(t, db.Tenant(tenant).Write(t.Context(), func(tx store.Tx) error {
				for i := range 700 {
					must(t, gadgets.Add(tx, fmt.Sprint("soon", i), "tony", soon, gadget{}))
				}
				must(t, gadgets.Add(tx, "later", "tony", later, gadget{}))
				return gadgets.Add(tx, "never", "", time.Time{}, gadget{})
			}))
		}
		sweep := func(want int64) {
			t.Helper()
			n, err := db.Sweep(t.Context())
			must(t, err)
			equal(t, "the number swept", n, want)
		}
		sweep(0)
		clock.Advance(time.Minute)
		sweep(1400)
		sweep(0)
		clock.Advance(time.Hour)
		sweep(2)
		clock.Advance(100 * 365 * 24 * time.Hour)
		sweep(0)
		must(t, db.Tenant("wakanda").Read(t.Context(), func(tx store.Tx) error { _, err := gadgets.Get(tx, "never"); return err }))
		equal(t, "the statistics", db.Stats()["swept"], 1402)
	})
}

// madeUp asserts that a key which no record can have is that of none, and spoils no transaction.
func (s suite) madeUp(t *testing.T) {
	d := s.desk(t)
	d.add("key", "tony", d.hour(), gadget{"a", 1})
	for _, key := range []string{"a\x00b", "\xff", "key\x00", "\x00"} {
		d.write(func(tx store.Tx) error {
			_, err := gadgets.Get(tx, key)
			wants(t, err, store.ErrNotFound)
			_, err = gadgets.Take(tx, key)
			wants(t, err, store.ErrNotFound)
			_, err = gadgets.Get(tx, "key")
			return err
		})
	}
}
