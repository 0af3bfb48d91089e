package notify

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

// row is a message this round holds the lease of.
type row struct {
	id, user, kind  string
	recipient, body []byte
	tries           int64
	until, leased   time.Time
}

type tally struct{ taken, sent int }

// Deliver makes one round: it takes at most eight messages that are due, sends them side by side and says how many went out.
// A message that could not be sent is no error; one the store could not note is.
func (o *Outbox) Deliver(ctx context.Context) (int, error) {
	n, err := o.deliver(ctx)
	return n.sent, err
}

func (o *Outbox) deliver(ctx context.Context) (n tally, err error) {
	due, err := o.due(ctx)
	if err != nil || !due {
		return n, err
	}
	rows, err := o.take(ctx)
	if err != nil {
		return n, err
	}
	n.taken = len(rows)
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, r := range rows {
		all.Go(func() {
			ok, bad := o.try(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, bad)
			if ok {
				n.sent++
			}
		})
	}
	all.Wait()
	return n, err
}

// due says whether a round has anything to do, without writing. Nothing is due after its end, so this finds the expired, too.
func (o *Outbox) due(ctx context.Context) (found bool, err error) {
	err = o.db.Read(ctx, func(tx store.Tx) error {
		now := store.Micros(o.o.Now())
		var id string
		err := tx.Row(`SELECT id FROM outbox WHERE tenant = $1 AND state = 'waiting' AND due_at <= $2 AND leased_until <= $2 LIMIT 1`, now).Scan(&id)
		if found = err == nil; errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return found, err
}

// take erases what is out of date and leases what is due.
func (o *Outbox) take(ctx context.Context) (list []row, err error) {
	var gone int64
	err = o.db.Write(ctx, func(tx store.Tx) error {
		now := o.o.Now()
		list = nil
		lock := tx.Locking()
		if lock != "" {
			lock += " SKIP LOCKED" // another node's round takes those
		}
		// The end is named twice so that both the search and the removal come by the index on it.
		_, err := tx.Exec(`DELETE FROM outbox WHERE tenant = $1 AND state <> 'waiting' AND due_at <= $2 AND id IN
			(SELECT id FROM outbox WHERE tenant = $1 AND state <> 'waiting' AND due_at <= $2 LIMIT $3`+lock+`)`, store.Micros(now.Add(-history)), atOnce)
		if err != nil {
			return err
		}
		gone, err = tx.Exec(`UPDATE outbox SET state = 'expired', recipient = $3, body = $3 WHERE tenant = $1 AND id IN
			(SELECT id FROM outbox WHERE tenant = $1 AND state = 'waiting' AND due_at <= $2 AND until <= $2 AND leased_until <= $2 LIMIT $4`+lock+`)`,
			store.Micros(now), []byte{}, atOnce)
		if err != nil {
			return err
		}
		rows, err := tx.Rows(`SELECT id, user_id, kind, recipient, body, tries, until FROM outbox
			WHERE tenant = $1 AND state = 'waiting' AND due_at <= $2 AND leased_until <= $2 AND until > $2 ORDER BY due_at LIMIT $3`+lock, store.Micros(now), batch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r := row{leased: store.Time(store.Micros(now.Add(lease)))}
			var until int64
			if err := rows.Scan(&r.id, &r.user, &r.kind, &r.recipient, &r.body, &r.tries, &until); err != nil {
				return err
			}
			r.tries, r.until = r.tries+1, store.Time(until)
			list = append(list, r)
		}
		for _, r := range list {
			if _, err := tx.Exec(`UPDATE outbox SET leased_until = $3, tries = $4 WHERE tenant = $1 AND id = $2`, r.id, store.Micros(r.leased), r.tries); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lease from the outbox: %w", err)
	}
	for range gone {
		o.o.Metrics(expired)
	}
	return list, nil
}

// try sends one row and notes what came of it.
func (o *Outbox) try(ctx context.Context, r row) (ok bool, err error) {
	// A round that was held up may have lost its lease, or the message its worth.
	left := min(r.until.Sub(o.o.Now()), limit)
	if left <= 0 || r.leased.Sub(o.o.Now()) < left {
		return false, o.later(ctx, r, errors.New("held up before it could be sent"))
	}
	e, err := o.open(r)
	if err == nil {
		under, cancel := context.WithTimeout(ctx, left)
		err = send(under, o.o.Sender, e)
		cancel()
	}
	var never *PermanentError
	switch {
	case err == nil:
		o.o.Metrics(sent)
		return true, o.end(ctx, r, sent)
	case errors.As(err, &never):
		o.o.Metrics(failed)
		o.warn("outbox: refused for good", r, err)
		return false, o.end(ctx, r, failed)
	}
	return false, o.later(ctx, r, err)
}

// send calls the sender, which may be somebody else's code: its panic is an error like any other.
func send(ctx context.Context, s Sender, e Envelope) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the sender panicked") // what it says may quote the message
		}
	}()
	return s.Send(ctx, e)
}

func (o *Outbox) open(r row) (Envelope, error) {
	to, err := o.box.Open("to/"+r.id, r.recipient)
	if err != nil {
		return Envelope{}, fmt.Errorf("open the recipient: %w", err)
	}
	plain, err := o.box.Open("body/"+r.id, r.body)
	if err != nil {
		return Envelope{}, fmt.Errorf("open the message: %w", err)
	}
	var l letter
	if err := json.Unmarshal(plain, &l); err != nil {
		return Envelope{}, &PermanentError{errors.New("the message cannot be read")}
	}
	return Envelope{From: o.o.From, To: string(to), Subject: l.Subject, Text: l.Text, HTML: l.HTML, MessageID: r.id + "@" + domain(o.o.From)}, nil
}

// end notes that the row is done with, and erases what it said.
func (o *Outbox) end(ctx context.Context, r row, state string) error {
	now := store.Micros(o.o.Now())
	var at int64
	if state == sent {
		at = now
	}
	return o.note(ctx, r, `state = $4, sent_at = $5, due_at = $6, leased_until = 0, recipient = $7, body = $7`, state, at, now, []byte{})
}

// later gives the row back, to be tried again.
func (o *Outbox) later(ctx context.Context, r row, why error) error {
	o.o.Metrics("retried")
	o.warn("outbox: not sent, will be tried again", r, why)
	return o.note(ctx, r, `due_at = $4, leased_until = 0`, store.Micros(earlier(o.o.Now().Add(pause(r.tries)), r.until)))
}

// note writes the outcome, unless the lease has ended and somebody else has the row now. It is not given up when ctx ends: a message
// that was sent and is not noted is sent twice.
func (o *Outbox) note(ctx context.Context, r row, assign string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	write := func() error {
		return o.db.Write(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(`UPDATE outbox SET `+assign+` WHERE tenant = $1 AND id = $2 AND state = 'waiting' AND leased_until = $3`,
				append([]any{r.id, store.Micros(r.leased)}, args...)...)
			return err
		})
	}
	err := write()
	for wait := 100 * time.Millisecond; errors.Is(err, store.ErrUnavailable) && wait < 2*time.Second; wait *= 2 {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		err = write()
	}
	if err != nil {
		return fmt.Errorf("note what came of message %s: %w", r.id, err)
	}
	return nil
}

func (o *Outbox) warn(what string, r row, why error) {
	o.o.Logger.Warn(what, slog.String("tenant", o.db.Name()), slog.String("id", r.id), slog.String("kind", r.kind), slog.Int64("tries", r.tries), slog.Any("error", why))
}

// pause is how long to wait after so many tries: from 10 s to an hour, doubling, with half of it left to chance so that the messages
// of a server that was down do not all come back at once.
func pause(tries int64) time.Duration {
	d := time.Hour
	if tries < 9 {
		d = min(10*time.Second<<max(tries, 1), time.Hour)
	}
	half := d / 2
	n, err := rand.Int(rand.Reader, big.NewInt(int64(half)))
	if err != nil {
		return d
	}
	return half + time.Duration(n.Int64())
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
