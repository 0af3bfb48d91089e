// Package notify owns the outbox: what has to be sent is written, rendered and sealed, in the transaction of the deed it tells of,
// and sent afterwards. No page waits for a mail server, and no answer's time tells whether there was anything to send (SECURITY RS-03).
//
// A row is leased before it is sent, so that two nodes never send it at once; it is tried again until it is out of date; what it says
// is erased when it was sent or can no longer be. A crash between sending and noting it costs one message sent twice, never one lost.
//
// It chooses no words and looks no address up, and it logs neither.
package notify

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// Message is one thing to tell one user.
type Message struct {
	User  string // directory.UserID; may be empty
	To    string // one address, local@domain, nothing around it: as it is stored, never as it was typed
	Lang  string
	Mail  templates.Mail
	Until time.Time // not sent after this, such as the end of a code; zero: 3 days from now
}

// Envelope is a message on its way out: one sender, one recipient.
type Envelope struct {
	From      string // an address with or without a display name
	To        string // local@domain
	Subject   string // one line
	Text      string
	HTML      string // may be empty
	MessageID string // without angle brackets; the same each time the message is tried
}

// Sender hands an envelope on. It is called from several goroutines and gives up when ctx ends. After a PermanentError the message
// is not tried again; any other error means later. Its text is logged: it must not name the recipient or quote the message.
type Sender interface {
	Send(ctx context.Context, e Envelope) error
}

// Func is a Sender that hands each envelope to a function, such as the mailbox of the demo.
type Func func(ctx context.Context, e Envelope) error

// Send calls f.
func (f Func) Send(ctx context.Context, e Envelope) error { return f(ctx, e) }

// PermanentError says that a message can never be sent: trying again would be for nothing.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

// Options of an outbox. Ring, Templates, From and Sender are required.
type Options struct {
	Ring      *secret.Ring
	Templates *templates.Set
	From      string // CheckFrom says whether it will do
	Sender    Sender
	Now       func() time.Time     // nil: the store's clock
	Logger    *slog.Logger         // nil: silent
	Metrics   func(outcome string) // called with "sent", "retried", "failed" or "expired"; nil: nobody counts
}

const (
	keep    = 3 * 24 * time.Hour    // how long a message without an end of its own is tried
	limit   = 30 * time.Second      // how long one try may take
	lease   = 3 * limit             // how long a row belongs to the round that took it
	batch   = 8                     // rows in a round, sent side by side
	atOnce  = 100                   // rows that one round forgets or finds out of date, so that nobody waits long behind it
	rounds  = 3                     // rounds side by side, so that one slow server of a recipient does not stop the others
	breath  = 25 * time.Millisecond // how long after a commit a round begins, so that the request which queued something has been answered (SECURITY RS-02, RS-03)
	history = 7 * 24 * time.Hour    // how long the bare row of a finished message stays for whoever asks what became of it
)

// Outbox is one tenant's. It is safe for concurrent use.
type Outbox struct {
	db   *store.Handle
	o    Options
	box  secret.Box
	wake chan struct{}
	told atomic.Int64 // when trouble was last told of, in microseconds
}

// New sends from h.
func New(h *store.Handle, o Options) *Outbox {
	if o.Now == nil {
		o.Now = h.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = func(string) {}
	}
	return &Outbox{db: h, o: o, box: o.Ring.Box("outbox/" + h.Name()), wake: make(chan struct{}, 1)}
}

// Run sends what is due in these outboxes of one store until ctx ends, and returns when what was under way has come to an end. Each wakes
// when a transaction that queued something is committed in this process; one look a second finds those that have something else due.
// Once until is closed nothing more is taken, and what was under way then comes to its own end.
func Run(ctx context.Context, until <-chan struct{}, db *store.DB, outboxes ...*Outbox) {
	var all sync.WaitGroup
	defer all.Wait()
	byTenant := map[string]*Outbox{}
	for _, o := range outboxes {
		byTenant[o.db.Name()] = o
		all.Go(func() { o.run(ctx, until) })
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for len(outboxes) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-until:
			return
		case <-tick.C:
		}
		names, err := db.Holding(ctx, "outbox", "state = 'waiting' AND due_at <= $2 AND leased_until <= $2", outboxes[0].o.Now())
		if err != nil && ctx.Err() == nil {
			outboxes[0].trouble(err)
		}
		for _, name := range names {
			if o := byTenant[name]; o != nil {
				o.nudge()
			}
		}
	}
}

func (o *Outbox) run(ctx context.Context, until <-chan struct{}) {
	var under sync.WaitGroup
	defer under.Wait()
	places := make(chan struct{}, rounds)
	for {
		select {
		case <-ctx.Done():
			return
		case <-until:
			return
		case places <- struct{}{}: // a wake-up stays where it is until a round can answer it
		}
		select {
		case <-ctx.Done():
			return
		case <-until:
			return
		case <-o.wake:
			// The page that the deed belongs to is answered first: sending at once would slow it down, and tell that there is something to send.
			select {
			case <-ctx.Done():
				return
			case <-time.After(breath):
			}
		}
		under.Go(func() {
			defer func() { <-places }()
			n, err := o.deliver(ctx)
			if err != nil && ctx.Err() == nil {
				o.trouble(err)
			}
			if err == nil && n.taken > 0 {
				o.nudge()
			}
		})
	}
}

// trouble tells the log, once a minute, that the store fails.
func (o *Outbox) trouble(err error) {
	now, told := o.o.Now(), o.told.Load()
	if now.Sub(time.UnixMicro(told)).Abs() >= time.Minute && o.told.CompareAndSwap(told, now.UnixMicro()) {
		o.o.Logger.Error("outbox: the store fails", slog.String("tenant", o.db.Name()), slog.Any("error", err))
	}
}

// nudge wakes Run.
func (o *Outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
