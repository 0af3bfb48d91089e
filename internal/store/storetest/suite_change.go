package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

func (s suite) changes(t *testing.T) {
	count := func(d desk, until time.Time) {
		d.Helper()
		d.write(func(tx store.Tx) error {
			return gadgets.Change(tx, "a", "tony", func(v *gadget, found bool) (time.Time, error) {
				v.Count++
				return until, nil
			})
		})
	}
	t.Run("Change makes a record that is not there", func(t *testing.T) {
		d := s.desk(t)
		d.write(func(tx store.Tx) error {
			return gadgets.Change(tx, "a", "tony", func(v *gadget, found bool) (time.Time, error) {
				if found || *v != (gadget{}) {
					t.Errorf("found %v, %+v", found, *v)
				}
				v.Name = "new"
				return d.hour(), nil
			})
		})
		r := d.get("a")
		if r.Owner != "tony" || r.Value.Name != "new" || r.Version != 1 || !r.Until.Equal(d.hour()) {
			t.Fatalf("got %+v", r)
		}
	})
	t.Run("Change alters one that is there, and an older reading of it cannot be saved any more", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "tony", d.hour(), gadget{"a", 1})
		r := d.get("a")
		later := d.hour().Add(time.Hour)
		d.write(func(tx store.Tx) error {
			return gadgets.Change(tx, "a", "", func(v *gadget, found bool) (time.Time, error) {
				if !found {
					t.Error("not found")
				}
				v.Count++
				return later, nil
			})
		})
		d.writeWant(store.ErrChanged, func(tx store.Tx) error { return gadgets.Save(tx, &r) })
		got := d.get("a")
		if got.Owner != "tony" || got.Value != (gadget{"a", 2}) || !got.Until.Equal(later) {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("Change sees nothing of an expired record and takes its place", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "pepper", d.clock.Now().Add(time.Minute), gadget{"old", 7})
		old := d.get("a")
		d.clock.Advance(time.Minute)
		count(d, d.hour())
		r := d.get("a")
		if r.Owner != "tony" || r.Value != (gadget{Count: 1}) {
			t.Fatalf("got %+v", r)
		}
		d.writeWant(store.ErrChanged, func(tx store.Tx) error { return gadgets.Save(tx, &old) })
	})
	t.Run("an end that has passed removes the record, or makes none", func(t *testing.T) {
		d := s.desk(t)
		for range 2 {
			count(d, d.clock.Now())
			d.gone("a")
			count(d, d.hour())
		}
	})
	t.Run("Change may keep a record for ever", func(t *testing.T) {
		d := s.desk(t)
		count(d, time.Time{})
		d.clock.Advance(1e6 * time.Hour)
		count(d, time.Time{})
		equal(t, "the count", d.get("a").Value.Count, 2)
	})
	t.Run("an error changes nothing and comes back as it is", func(t *testing.T) {
		d := s.desk(t)
		d.add("a", "tony", d.hour(), gadget{"a", 1})
		oops := errors.New("oops")
		d.write(func(tx store.Tx) error {
			err := gadgets.Change(tx, "a", "pepper", func(v *gadget, _ bool) (time.Time, error) {
				v.Count = 9
				return time.Time{}, oops
			})
			if err != oops {
				t.Errorf("got %v", err)
			}
			return nil
		})
		r := d.get("a")
		if r.Value.Count != 1 || r.Owner != "tony" || r.Version != 1 {
			t.Fatalf("got %+v", r)
		}
	})
}
