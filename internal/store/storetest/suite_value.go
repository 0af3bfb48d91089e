package storetest

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

type (
	word   string
	number int32
	yes    bool
	stuff  []byte
)

func (s suite) values(t *testing.T) {
	d := s.desk(t)
	// echo stores a number, a text and bytes in a row of their own and reads them back.
	d.write(func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO journal (tenant, at, event) VALUES ($1, 0, 'x')`)
		return err
	})
	echo := func(t *testing.T, n any, text any, dest ...any) {
		t.Helper()
		must(t, d.h.Write(t.Context(), func(tx store.Tx) error {
			changed, err := tx.Exec(`UPDATE journal SET link = $2, hash = $3 WHERE tenant = $1`, n, text)
			equal(t, "the number of rows changed", changed, 1)
			return err
		}))
		must(t, d.h.Read(t.Context(), func(tx store.Tx) error {
			return tx.Row(`SELECT link, hash FROM journal WHERE tenant = $1`).Scan(dest...)
		}))
	}
	t.Run("numbers and texts come back as they were", func(t *testing.T) {
		for _, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
			for _, text := range []string{"", "a", "Ünï•çødé 🔑", strings.Repeat("long ", 5000), `'"\;--`, "line\nline\ttab"} {
				var gotN int64
				var gotText string
				echo(t, n, text, &gotN, &gotText)
				equal(t, "the number", gotN, n)
				equal(t, "the text", gotText, text)
			}
		}
	})
	t.Run("named types, small numbers and bools", func(t *testing.T) {
		var w word
		var n number
		echo(t, number(-7), word("w"), &n, &w)
		equal(t, "the number", n, -7)
		equal(t, "the word", w, "w")
		for _, flag := range []bool{true, false} {
			var b bool
			var y yes
			echo(t, flag, "", &b, &w)
			equal(t, "the flag", b, flag)
			echo(t, yes(flag), "", &y, &w)
			equal(t, "the flag", y, yes(flag))
		}
	})
	t.Run("NULL is nil, to and fro", func(t *testing.T) {
		var n *int64
		var text *string
		echo(t, nil, (*string)(nil), &n, &text)
		if n != nil || text != nil {
			t.Fatalf("got %v, %v", n, text)
		}
		five, high := int64(5), "high"
		echo(t, &five, &high, &n, &text)
		if n == nil || *n != 5 || text == nil || *text != "high" {
			t.Fatalf("got %v, %v", n, text)
		}
		err := d.h.Write(t.Context(), func(tx store.Tx) error {
			if _, err := tx.Exec(`UPDATE journal SET link = NULL WHERE tenant = $1`); err != nil {
				return err
			}
			return tx.Row(`SELECT link FROM journal WHERE tenant = $1`).Scan(new(int64))
		})
		if err == nil {
			t.Fatal("NULL was read as a number")
		}
	})
	t.Run("times are microseconds, and the zero time is zero", func(t *testing.T) {
		for _, at := range []time.Time{{}, time.Date(2026, 6, 1, 12, 0, 0, 123456789, time.FixedZone("", 7200)), time.UnixMicro(-5)} {
			var micros int64
			var got time.Time
			echo(t, at, "", &micros, new(string))
			equal(t, "the stored number", micros, store.Micros(at))
			echo(t, store.Micros(at), "", &got, new(string))
			if !got.Equal(at.Truncate(time.Microsecond)) || got.IsZero() != at.IsZero() {
				t.Fatalf("%v became %v", at, got)
			}
		}
	})
	t.Run("bytes come back as they were, empty ones too", func(t *testing.T) {
		for i, b := range [][]byte{{}, nil, {0}, {0, 1, 0xff, 0}, bytes.Repeat([]byte{7}, 1<<16)} {
			name := string(rune('a' + i))
			var got stuff
			must(t, d.h.Write(t.Context(), func(tx store.Tx) error {
				if _, err := tx.Exec(putSetting, name, stuff(b)); err != nil {
					return err
				}
				return tx.Row(getSetting, name).Scan(&got)
			}))
			if !bytes.Equal(got, b) {
				t.Fatalf("%v became %v", b, got)
			}
		}
	})
	t.Run("what is no text is refused on both engines alike", func(t *testing.T) {
		for _, text := range []string{"a\x00b", "\xff", "\xed\xa0\x80"} {
			err := d.h.Write(t.Context(), func(tx store.Tx) error { return gadgets.Drop(tx, text) })
			if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("%q: got %v", text, err)
			}
		}
	})
	t.Run("what fits no column is refused", func(t *testing.T) {
		for _, odd := range []any{struct{}{}, []string{"a"}, map[string]int{}, uint64(math.MaxUint64)} {
			err := d.h.Write(t.Context(), func(tx store.Tx) error {
				_, err := tx.Exec(`UPDATE journal SET link = $2 WHERE tenant = $1`, odd)
				return err
			})
			if err == nil {
				t.Fatalf("%T was stored", odd)
			}
		}
		if d.h.Write(t.Context(), func(tx store.Tx) error { _, err := tx.Exec(putSetting, "text", "not bytes"); return err }) == nil {
			t.Log("a text was stored as bytes")
		}
		if d.h.Read(t.Context(), func(tx store.Tx) error { return tx.Row(`SELECT event FROM journal WHERE tenant = $1`).Scan(new(int64)) }) == nil {
			t.Fatal("a text was read as a number")
		}
	})
	t.Run("sums and counts are numbers", func(t *testing.T) {
		var sum, n int64
		must(t, d.h.Write(t.Context(), func(tx store.Tx) error {
			if _, err := tx.Exec(`UPDATE journal SET link = 41 WHERE tenant = $1`); err != nil {
				return err
			}
			return tx.Row(`SELECT sum(link + 1), count(*) FROM journal WHERE tenant = $1`).Scan(&sum, &n)
		}))
		equal(t, "the sum", sum, 42)
		equal(t, "the count", n, 1)
	})
}
