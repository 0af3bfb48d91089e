// Package backup writes everything a store holds into one file, and makes of it a store again.
//
// It owns the file's form, what proves that it is whole and of this installation, and what a restored store must not bring back. It never
// holds the key ring: without that the file cannot be restored, and what is sealed in it cannot be read.
//
// The file is gzip around lines of JSON: a head, then for each table its name and columns and an array for each record, and a foot that
// seals all that stands before it. It is the same on both engines, so that a backup also leads from one to the other.
package backup

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Why a file is refused. Nothing has been written then.
var (
	ErrFile    = errors.New("this is no whole backup of Sparekey")
	ErrVersion = errors.New("the backup is of another version")
	ErrKey     = errors.New("the backup is of an installation with another key ring")
)

// form is the number of the file's form.
const form = 1

// longest is how long a line may be, in bytes.
const longest = 16 << 20

// head is the first line.
type head struct {
	Form   int       `json:"sparekey_backup"`
	Schema int64     `json:"schema"`
	Made   time.Time `json:"made"`
	Salt   string    `json:"salt"`
	Proof  string    `json:"proof"` // made of the salt with the key ring
}

// title stands before the records of a table.
type title struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

// foot is the last line.
type foot struct {
	Records int64  `json:"records"`
	Seal    string `json:"seal"` // made of the digest of all lines before with the key ring
}

// Summary says what a file holds, or what came back of it.
type Summary struct {
	Made    time.Time
	Records int64
	Tables  map[string]int64 // records that came back, by table
}

func proof(ring *secret.Ring) secret.MAC { return ring.MAC("backup") }

// Write writes all records, as of one moment, while the servers go on. progress, which may be nil, is called with the number of records
// from time to time.
func Write(ctx context.Context, db *store.DB, ring *secret.Ring, w io.Writer, now time.Time, progress func(records int64)) (Summary, error) {
	out := &writer{zip: gzip.NewWriter(w), sum: sha256.New()}
	h := head{Form: form, Schema: store.Schema(), Made: now.UTC(), Salt: secret.Token()}
	h.Proof = proof(ring).Sum("head", h.Salt)
	out.line(h)
	done := Summary{Made: h.Made}
	at := ""
	err := db.Dump(ctx, func(t store.Table, row []any) error {
		if t.Name != at {
			at = t.Name
			out.line(title{t.Name, t.Columns})
		}
		out.line(row)
		if done.Records++; progress != nil && done.Records%10_000 == 0 {
			progress(done.Records)
		}
		return out.err
	})
	if err != nil {
		return done, fmt.Errorf("back up: %w", err)
	}
	out.line(foot{done.Records, proof(ring).Sum("foot", h.Salt, hex.EncodeToString(out.sum.Sum(nil)))})
	if out.err == nil {
		out.err = out.zip.Close()
	}
	if out.err != nil {
		return done, fmt.Errorf("back up: %w", out.err)
	}
	return done, nil
}

// writer writes lines and remembers the first error.
type writer struct {
	zip *gzip.Writer
	sum hash.Hash
	err error
}

func (w *writer) line(v any) {
	if w.err != nil {
		return
	}
	b, err := json.Marshal(v)
	if err == nil {
		b = append(b, '\n')
		w.sum.Write(b)
		_, err = w.zip.Write(b)
	}
	w.err = err
}

// sealed are the columns that come back and cannot be read without the key they were sealed with.
var sealed = map[string]string{"authenticator": "data", "signing_key": "key"}

// check reads a file and tells whether it is whole, of this version and of this key ring, with every key that what comes back hangs on.
func check(ctx context.Context, ring *secret.Ring, file io.Reader) (Summary, error) {
	keys := ring.Keys()
	return read(ctx, ring, file, func(t store.Table, row []any) error {
		column, ok := sealed[t.Name]
		if !ok {
			return nil
		}
		value, _ := row[t.Column(column)].([]byte)
		if id := secret.SealedWith(value); id != "" && !slices.Contains(keys, id) {
			return fmt.Errorf("%w: it lacks the key %s, which was in it then; put it back", ErrKey, id)
		}
		return nil
	})
}

// Restore makes of the empty store that open gives what the file holds, but for what must not come back: sessions, flows, codes, tickets, grants and mails
// that wait are gone, the epoch of every account has risen and no time step of an authenticator app that was ever used is good again. The file is read
// twice: open is not called before it has proved to be whole, of this version and of this key ring. All is one transaction.
// ErrFile, ErrVersion, ErrKey, store.ErrNotEmpty.
func Restore(ctx context.Context, open func() (*store.DB, error), ring *secret.Ring, file io.ReadSeeker, now time.Time, progress func(records int64)) (Summary, error) {
	h, err := check(ctx, ring, file)
	if err != nil {
		return Summary{}, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return h, err
	}
	db, err := open()
	if err != nil {
		return h, err
	}
	// Load asks for one record after the other and read gives them: a channel of batches joins the two.
	type record struct {
		t   store.Table
		row []any
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	batches := make(chan []record, 4)
	var failed error
	go func() {
		defer close(batches)
		var batch []record
		give := func() error {
			select {
			case batches <- batch:
				batch = nil
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		_, failed = read(ctx, ring, file, func(t store.Table, row []any) error {
			if !comesBack(t, row, now) {
				return nil
			}
			if batch = append(batch, record{t, row}); len(batch) < 500 {
				return nil
			}
			return give()
		})
		if failed == nil && len(batch) > 0 {
			failed = give()
		}
	}()
	var batch []record
	var n int64
	h.Tables = map[string]int64{}
	err = db.Load(ctx, func() (store.Table, []any, error) {
		if len(batch) == 0 {
			var more bool
			if batch, more = <-batches; !more {
				return store.Table{}, nil, failed
			}
		}
		one := batch[0]
		batch = batch[1:]
		h.Tables[one.t.Name]++
		if n++; progress != nil && n%10_000 == 0 {
			progress(n)
		}
		return one.t, one.row, nil
	})
	h.Records = n
	if err != nil {
		return h, fmt.Errorf("restore: %w", err)
	}
	return h, nil
}

// lasting are the shelves that come back: what is held against attackers, the browsers that are known, and the links of notices, with which
// an owner stops what she did not do.
var lasting = []string{"tally", "tide", "brake", "browser", "alarm"}

// comesBack reports whether a record is restored, and makes it fit for that.
func comesBack(t store.Table, row []any, now time.Time) bool {
	text := func(column string) string { s, _ := row[t.Column(column)].(string); return s }
	raise := func(column string, to int64) {
		if v, _ := row[t.Column(column)].(int64); v < to {
			row[t.Column(column)] = to
		}
	}
	switch t.Name {
	case "shelf":
		return slices.Contains(lasting, text("shelf"))
	case "outbox":
		return false
	case "account":
		epoch, _ := row[t.Column("epoch")].(int64)
		raise("epoch", epoch+1)
	case "authenticator":
		if text("kind") == "totp" {
			raise("step", now.Unix()/30+1) // with the step that an app's clock may be ahead
		}
	}
	return true
}

// read reads a file from its beginning to its end and gives each record. Whether the file is what it should be is known at the end alone.
func read(ctx context.Context, ring *secret.Ring, file io.Reader, f func(store.Table, []any) error) (Summary, error) {
	zip, err := gzip.NewReader(file)
	if err != nil {
		return Summary{}, fmt.Errorf("%w: %w", ErrFile, err)
	}
	in := &reader{in: bufio.NewReaderSize(zip, 64<<10), sum: sha256.New()}
	var h head
	if line, err := in.line(); err != nil {
		return Summary{}, err
	} else if json.Unmarshal(line, &h) != nil || h.Form == 0 {
		return Summary{}, ErrFile
	}
	switch {
	case h.Form != form || h.Schema != store.Schema():
		return Summary{}, fmt.Errorf("%w: its form is %d and its schema %d, this program reads form %d and schema %d", ErrVersion, h.Form, h.Schema, form, store.Schema())
	case !proof(ring).Check(h.Proof, "head", h.Salt):
		return Summary{}, ErrKey
	}
	done := Summary{Made: h.Made}
	var at store.Table
	for {
		if ctx.Err() != nil {
			return done, ctx.Err()
		}
		before := ""
		if first, err := in.in.Peek(1); err == nil && first[0] != '[' {
			before = hex.EncodeToString(in.sum.Sum(nil))
		}
		line, err := in.line()
		if err != nil {
			return done, err
		}
		if line[0] == '[' {
			row, err := parse(at, line)
			if err != nil {
				return done, err
			}
			done.Records++
			if err := f(at, row); err != nil {
				return done, err
			}
			continue
		}
		var next struct {
			title
			foot
		}
		if json.Unmarshal(line, &next) != nil {
			return done, ErrFile
		}
		if next.Seal == "" {
			if at, err = tableOf(next.title); err != nil {
				return done, err
			}
			continue
		}
		if next.Records != done.Records || !proof(ring).Check(next.Seal, "foot", h.Salt, before) {
			return done, fmt.Errorf("%w: it was changed", ErrFile)
		}
		if _, err := in.in.ReadByte(); !errors.Is(err, io.EOF) { // the checksum of gzip is read here
			return done, fmt.Errorf("%w: something stands behind its end", ErrFile)
		}
		return done, nil
	}
}

func tableOf(t title) (store.Table, error) {
	for _, known := range store.Tables() {
		if known.Name == t.Table && slices.Equal(known.Columns, t.Columns) {
			return known, nil
		}
	}
	return store.Table{}, fmt.Errorf("%w: a table is unknown", ErrFile)
}

// parse reads a record.
func parse(t store.Table, line []byte) ([]any, error) {
	var raw []json.RawMessage
	if json.Unmarshal(line, &raw) != nil || len(raw) == 0 || len(raw) != len(t.Columns) {
		return nil, fmt.Errorf("%w: a record cannot be read", ErrFile)
	}
	row := make([]any, len(raw))
	for i, v := range raw {
		var err error
		switch {
		case t.Bytes[i]:
			var s string
			if err = json.Unmarshal(v, &s); err == nil {
				row[i], err = base64.StdEncoding.DecodeString(s)
			}
		case string(v) == "null":
		case v[0] == '"':
			var s string
			err = json.Unmarshal(v, &s)
			row[i] = s
		default:
			var n int64
			err = json.Unmarshal(v, &n)
			row[i] = n
		}
		if err != nil {
			return nil, fmt.Errorf("%w: a record cannot be read", ErrFile)
		}
	}
	return row, nil
}

// reader reads lines and sums them up.
type reader struct {
	in  *bufio.Reader
	sum hash.Hash
}

func (r *reader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil && len(line) > 1:
			r.sum.Write(line)
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull) && len(line) < longest:
		case err == nil || errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%w: a line is empty or too long", ErrFile)
		default:
			return nil, fmt.Errorf("%w: it ends too early or is damaged: %w", ErrFile, err)
		}
	}
}
