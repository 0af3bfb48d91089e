package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/sparekey-id/sparekey/internal/store"
)

// Export writes the whole journal in the order of its numbers: as "jsonl", one Entry a line, or as "csv" with a heading and the detail
// as JSON. In CSV a text that a spreadsheet would run as a formula gets an apostrophe in front.
func (j *Journal) Export(ctx context.Context, w io.Writer, format string) error {
	var put func(Entry) error
	flush := func() error { return nil }
	switch format {
	case "jsonl":
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		put = func(e Entry) error { return encoder.Encode(e) }
	case "csv":
		table := csv.NewWriter(w)
		put = func(e Entry) error { return table.Write(e.cells()) }
		flush = func() error { table.Flush(); return table.Error() }
		if err := table.Write(strings.Split(columns, ", ")); err != nil {
			return fmt.Errorf("export journal: %w", err)
		}
	default:
		return fmt.Errorf("export journal: format %q: want jsonl or csv", format)
	}
	after := int64(-1)
	for {
		var rows []Entry
		err := j.db.Read(ctx, func(tx store.Tx) (err error) {
			rows, err = read(tx, `seq > $2 ORDER BY seq LIMIT $3`, after, page)
			return err
		})
		if err != nil {
			return fmt.Errorf("export journal: %w", err)
		}
		for _, e := range rows {
			if err := put(e); err != nil {
				return fmt.Errorf("export journal: %w", err)
			}
		}
		if err := flush(); err != nil {
			return fmt.Errorf("export journal: %w", err)
		}
		if len(rows) < page {
			return nil
		}
		after = rows[len(rows)-1].Seq
	}
}

func (e Entry) cells() []string {
	cells := []string{
		strconv.FormatInt(e.Seq, 10), e.At.Format(time.RFC3339Nano), e.Event, e.Who, e.Actor, e.Flow, e.Client, e.Network, e.raw,
		strconv.FormatInt(e.Link, 10), e.Hash,
	}
	for i, cell := range cells {
		cells[i] = inert(cell)
	}
	return cells
}

// inert makes a cell no formula (OWASP CSV Injection). Spreadsheets look past spaces, and some know the full-width signs.
func inert(cell string) string {
	bare := strings.TrimLeftFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '\ufeff' })
	if bare != "" && strings.ContainsRune("=+-@|%＝＋－＠", []rune(bare)[0]) || cell != bare && strings.ContainsAny(cell[:1], "\t\r\n") {
		return "'" + cell
	}
	return cell
}
