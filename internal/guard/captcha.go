package guard

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// Captcha is one sort of puzzle that keeps machines away. ProofOfWork and Image are built in.
type Captcha interface {
	// Kind is its name in the config file and on the page.
	Kind() string
	// Offer makes a puzzle, 64 times as hard as usual when hot. Neither Show nor anything else the browser sees may tell the Answer.
	Offer(hot bool) (Puzzle, error)
	// Check compares what was posted in the field captcha. The puzzle is one that Offer made.
	Check(p Puzzle, answer string) bool
}

// Puzzle is a question with what is needed to check its answer. All but Show is sealed into the ticket, so nothing is stored until it is spent.
type Puzzle struct {
	Salt   string            `json:"s,omitempty"`
	Bits   int               `json:"b,omitempty"`
	Answer string            `json:"a,omitempty"`
	Wait   time.Duration     `json:"w,omitempty"` // no answer is needed once the ticket is so old; 0: one always is
	Show   templates.Captcha `json:"-"`           // what the page shows; ID and Kind are set by the guard
}

// ticket is what captcha_id carries, sealed for one flow.
type ticket struct {
	Puzzle
	Kind   string `json:"k"`
	ID     string `json:"i"` // remembered once it is spent
	Issued int64  `json:"t"` // microseconds since 1970
}

const (
	ticketLasts = 15 * time.Minute
	ticketSize  = 2048 // characters; a longer one is not ours
)

// ErrCaptcha says that a puzzle was not solved: no ticket, an unknown one, one of another flow or tenant, one that has expired or was spent,
// an empty or a wrong answer. Which of them is nobody's business.
var ErrCaptcha = errors.New("puzzle not solved")

// TooSoonError says that a ticket without an answer counts from Until on. It was not spent.
type TooSoonError struct{ Until time.Time }

func (e *TooSoonError) Error() string { return "puzzle without an answer: too soon" }

// None lets everybody pass. It is for the demo and for tests: the config check refuses it where resets are on.
type None struct{}

func (None) Kind() string               { return "none" }
func (None) Offer(bool) (Puzzle, error) { return Puzzle{}, nil }
func (None) Check(Puzzle, string) bool  { return true }

// Offer makes a puzzle for one flow. Nothing is written. Its Kind is "none" when there is nothing to solve.
func (g *Guard) Offer(tx store.Tx, flow string) (templates.Captcha, error) {
	kind := g.o.Captcha.Kind()
	if _, ok := g.o.Captcha.(None); ok {
		return templates.Captcha{Kind: kind}, nil
	}
	if flow == "" {
		return templates.Captcha{}, errors.New("offer a puzzle: no flow named")
	}
	p, err := g.o.Captcha.Offer(g.Hot(tx))
	if err != nil {
		return templates.Captcha{}, fmt.Errorf("offer a puzzle: %w", err)
	}
	t := ticket{Puzzle: p, Kind: kind, ID: secret.ID(), Issued: g.now(tx).UnixMicro()}
	plain, err := json.Marshal(t)
	if err != nil {
		return templates.Captcha{}, fmt.Errorf("offer a puzzle: %w", err)
	}
	show := p.Show
	show.Kind, show.ID = kind, base64.RawURLEncoding.EncodeToString(g.tickets.Seal(flow, plain))
	show.Wait = seconds(p.Wait)
	return show, nil
}

// Again offers the ticket with this id once more, with the seconds that are left of its wait, so that a page that is loaded anew does not
// start the waiting over. A ticket that is no longer good, or whose puzzle must not be seen twice, is replaced by a new one.
func (g *Guard) Again(tx store.Tx, flow, id string) (templates.Captcha, error) {
	t, err := g.open(flow, id, g.now(tx))
	if err != nil || t.Wait == 0 {
		return g.Offer(tx, flow)
	}
	switch _, err := g.spent.Get(tx, t.ID); {
	case err == nil:
		return g.Offer(tx, flow)
	case !errors.Is(err, store.ErrNotFound):
		return templates.Captcha{}, fmt.Errorf("offer a puzzle again: %w", err)
	}
	left := t.issued().Add(t.Wait).Sub(g.now(tx))
	return templates.Captcha{Kind: t.Kind, ID: id, Salt: t.Salt, Bits: t.Bits, Wait: seconds(max(left, 0)), Waited: left <= 0}, nil
}

// seconds rounds up, so that waiting them is enough.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// Redeem spends the ticket in the field captcha_id and compares the answer in the field captcha. It does so in a transaction of its own, which
// stands whether the answer was right or wrong: a ticket is good once. ErrCaptcha: not solved. *TooSoonError: no answer was given to a puzzle that
// counts by waiting, and the ticket is too young, or the network has waited too many of them. After any other error it is not solved either.
func (g *Guard) Redeem(ctx context.Context, flow, network string, answer url.Values) error {
	if _, ok := g.o.Captcha.(None); ok {
		return nil
	}
	if len(answer["captcha_id"]) != 1 || len(answer["captcha"]) > 1 {
		return ErrCaptcha
	}
	now := g.clock()
	t, err := g.open(flow, answer.Get("captcha_id"), now)
	if err != nil {
		return err
	}
	text := answer.Get("captcha")
	waited := text == "" && t.Wait > 0
	if ready := t.issued().Add(t.Wait); waited && now.Before(ready) {
		return &TooSoonError{Until: ready}
	}
	right := waited || g.o.Captcha.Check(t.Puzzle, text)
	err = g.db.Write(ctx, func(tx store.Tx) error {
		if waited {
			if err := g.wait(tx, network, t.ID); err != nil {
				return err
			}
		}
		return g.spent.Add(tx, t.ID, "", t.issued().Add(ticketLasts+time.Minute), struct{}{})
	})
	switch {
	case errors.Is(err, store.ErrExists):
		return ErrCaptcha
	case err != nil:
		return fmt.Errorf("spend a puzzle: %w", err)
	case !right:
		return ErrCaptcha
	}
	return nil
}

// wait counts a ticket that is answered by having waited.
func (g *Guard) wait(tx store.Tx, network, id string) error {
	var until time.Time
	r := g.rules.waiting
	err := g.tallies.Change(tx, waitingKey(network), "", func(v *tally, _ bool) (time.Time, error) {
		until, _ = v.raise(r, g.now(tx), id, "")
		return v.until(r), nil
	})
	if err == nil && !until.IsZero() {
		return &TooSoonError{Until: until}
	}
	return err
}

func waitingKey(network string) string { return "waiting/network/" + network }

// open reads a ticket of this flow, of this tenant and of the sort of puzzle in use, that has not expired.
func (g *Guard) open(flow, id string, now time.Time) (ticket, error) {
	var t ticket
	if flow == "" || len(id) > ticketSize {
		return t, ErrCaptcha
	}
	sealed, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || base64.RawURLEncoding.EncodeToString(sealed) != id { // one ticket has one spelling
		return t, ErrCaptcha
	}
	plain, err := g.tickets.Open(flow, sealed)
	if err != nil || json.Unmarshal(plain, &t) != nil {
		return ticket{}, ErrCaptcha
	}
	age := now.Sub(t.issued())
	if t.Kind != g.o.Captcha.Kind() || age >= ticketLasts || age < -time.Minute {
		return ticket{}, ErrCaptcha
	}
	return t, nil
}

func (t ticket) issued() time.Time { return time.UnixMicro(t.Issued) }
