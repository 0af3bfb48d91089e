package notify

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"github.com/sparekey-id/sparekey/templates"
)

// words are all words of the product, read once.
var words = sync.OnceValues(templates.New)

// room is an outbox on an open store, with a sender that keeps what it is given.
type room struct {
	*Outbox
	t     *testing.T
	db    *store.DB
	clock *storetest.Clock
	ring  *secret.Ring
	mu    sync.Mutex
	out   []Envelope
	fail  func(Envelope) error // what the sender answers; nil: it sends
	log   bytes.Buffer
	tally map[string]int
}

func open(t *testing.T, db *store.DB, clock *storetest.Clock) *room {
	r := &room{t: t, db: db, clock: clock, ring: secret.NewRing(), tally: map[string]int{}}
	r.Outbox = r.other("avengers")
	return r
}

// other is the outbox of another tenant, or of another node of the same.
func (r *room) other(tenant string) *Outbox {
	r.t.Helper()
	set, err := words()
	if err != nil {
		r.t.Fatal(err)
	}
	return New(r.db.Tenant(tenant), Options{
		Ring: r.ring, Templates: set, From: "Sparekey <no-reply@login.example>", Sender: Func(r.send), Now: r.clock.Now,
		Logger:  slog.New(slog.NewTextHandler(writer{r}, nil)),
		Metrics: func(outcome string) { r.mu.Lock(); defer r.mu.Unlock(); r.tally[outcome]++ },
	})
}

type writer struct{ r *room }

func (w writer) Write(b []byte) (int, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.log.Write(b)
}

func (r *room) send(_ context.Context, e Envelope) error {
	if r.fail != nil {
		if err := r.fail(e); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = append(r.out, e)
	return nil
}

func (r *room) sent() []Envelope {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.out)
}

func code(to, digits string) Message {
	return Message{User: "u-1", To: to, Lang: "en", Mail: templates.CodeMail{Letter: templates.Letter{Tenant: "Avengers"}, Code: digits, Minutes: 5, Purpose: "reset"}}
}

func (r *room) queue(m ...Message) {
	r.t.Helper()
	if err := r.Outbox.db.Write(r.t.Context(), func(tx store.Tx) error { return r.Queue(tx, m...) }); err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) deliver(want int) {
	r.t.Helper()
	if n, err := r.Deliver(r.t.Context()); n != want || err != nil {
		r.t.Fatalf("delivered %d, %v, want %d", n, err, want)
	}
}

// rest is what a row holds.
type rest struct {
	state           string
	recipient, body []byte
	tries           int64
}

func (r *room) rows() (list []rest) {
	r.t.Helper()
	err := r.Outbox.db.Read(r.t.Context(), func(tx store.Tx) error {
		rows, err := tx.Rows(`SELECT state, recipient, body, tries FROM outbox WHERE tenant = $1 ORDER BY created_at`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var x rest
			if err := rows.Scan(&x.state, &x.recipient, &x.body, &x.tries); err != nil {
				return err
			}
			list = append(list, x)
		}
		return rows.Err()
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// erased checks that the only row is in this state and says nothing any more.
func (r *room) erased(state string) {
	r.t.Helper()
	rows := r.rows()
	if len(rows) != 1 || rows[0].state != state || len(rows[0].recipient)+len(rows[0].body) != 0 {
		r.t.Errorf("rows %+v, want one that is %s and empty", rows, state)
	}
}

func each(t *testing.T, f func(t *testing.T, r *room)) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { f(t, open(t, db, clock)) })
}

func TestRS03_AMessageIsSentAfterItsDeedAndNotInIt(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.queue(code("ironman@stark.example", "482913"))
		if len(r.sent()) != 0 {
			t.Fatal("the sender was called while the deed was done")
		}
		r.deliver(1)
		out := r.sent()
		if len(out) != 1 {
			t.Fatalf("%d messages, want 1", len(out))
		}
		e := out[0]
		if e.To != "ironman@stark.example" || e.From != "Sparekey <no-reply@login.example>" || !strings.Contains(e.Subject, "Avengers") {
			t.Errorf("envelope from %q to %q about %q", e.From, e.To, e.Subject)
		}
		if !strings.Contains(e.Text, "482913") || !strings.Contains(e.HTML, "482913") {
			t.Error("the code is missing from the text or from the HTML")
		}
		if id, ok := strings.CutSuffix(e.MessageID, "@login.example"); !ok || len(id) != 26 {
			t.Errorf("message id %q, want 26 characters at the sender's domain", e.MessageID)
		}
		r.deliver(0)
		if len(r.sent()) != 1 || r.tally[sent] != 1 {
			t.Errorf("sent %d times, counted %v", len(r.sent()), r.tally)
		}
	})
}

func TestADeedThatWasUndoneSendsNothing(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		undone := errors.New("undone")
		err := r.Outbox.db.Write(t.Context(), func(tx store.Tx) error {
			if err := r.Queue(tx, code("ironman@stark.example", "482913")); err != nil {
				return err
			}
			return undone
		})
		if !errors.Is(err, undone) {
			t.Fatal(err)
		}
		r.deliver(0)
		if len(r.rows()) != 0 {
			t.Error("a row is left")
		}
	})
}

func TestWhatWaitsIsSealedAndWhatWasSentIsErased(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.queue(code("ironman@stark.example", "482913"))
		rows := r.rows()
		if len(rows) != 1 || rows[0].state != waiting || len(rows[0].body) == 0 {
			t.Fatalf("rows %+v", rows)
		}
		if all := string(rows[0].recipient) + string(rows[0].body); strings.Contains(all, "482913") || strings.Contains(all, "stark") {
			t.Error("A04 the row shows the code or the recipient")
		}
		r.deliver(1)
		r.erased(sent)
	})
}

func TestA10_AnOutboxSendsItsTenantsMailsOnly(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.queue(code("ironman@stark.example", "482913"))
		wakanda := r.other("wakanda")
		if n, err := wakanda.Deliver(t.Context()); n != 0 || err != nil {
			t.Errorf("another tenant delivered %d, %v", n, err)
		}
		err := wakanda.db.Write(t.Context(), func(tx store.Tx) error { return wakanda.Erase(tx, "u-1") })
		if err != nil {
			t.Fatal(err)
		}
		rows, err := r.take(t.Context())
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		if _, err := wakanda.open(rows[0]); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("opened by another tenant: %v", err)
		}
		other := rows[0]
		other.id = secret.ID()
		if _, err := r.Outbox.open(other); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("a body moved to another row: %v", err)
		}
	})
}

func TestErasingAUserRemovesHerMails(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		m := code("pepper@stark.example", "482913")
		m.User = "u-2"
		r.queue(code("ironman@stark.example", "482913"), m)
		if err := r.Outbox.db.Write(t.Context(), func(tx store.Tx) error { return r.Erase(tx, "u-1") }); err != nil {
			t.Fatal(err)
		}
		r.deliver(1)
		if out := r.sent(); out[0].To != "pepper@stark.example" {
			t.Errorf("sent to %s", out[0].To)
		}
	})
}

func TestFinishedRowsGoAfterAWeek(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.queue(code("ironman@stark.example", "482913"), code("not an address", "482913"))
		r.deliver(1)
		r.clock.Advance(history - time.Second)
		r.queue(code("pepper@stark.example", "482913"))
		r.deliver(1)
		if n := len(r.rows()); n != 3 {
			t.Errorf("%d rows before the week is over, want 3", n)
		}
		r.clock.Advance(time.Second)
		r.queue(code("pepper@stark.example", "482913"))
		r.deliver(1)
		if n := len(r.rows()); n != 2 {
			t.Errorf("%d rows after it, want 2", n)
		}
	})
}

func TestLG01_TheLogNamesNeitherRecipientNorCode(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.fail = func(Envelope) error { return errors.New("later") }
		r.queue(code("ironman@stark.example", "482913"), code("hulk@stark.example, x@evil.example", "482913"))
		r.deliver(0)
		log := r.log.String()
		if strings.Contains(log, "stark") || strings.Contains(log, "482913") || strings.Contains(log, "evil") {
			t.Errorf("the log says %s", log)
		}
		if !strings.Contains(log, "later") || !strings.Contains(log, "not one plain address") || !strings.Contains(log, "CodeMail") {
			t.Errorf("the log does not say what happened: %s", log)
		}
	})
}
