// Package session owns the browser's sign-in: the record of who signed in when and by which proofs, and the cookie that carries its key.
// It keeps sessions on a shelf under the digest of the cookie's value, ends them, and says which relying parties were signed in under them.
// It never renders a page, never verifies a proof, never decides whether an account may still be used: the account's epoch is compared elsewhere.
package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// ErrNone says that the browser has no session: no cookie, an unknown or doubled one, idle too long, or past its absolute end.
var ErrNone = errors.New("no session")

// Session is one browser's sign-in.
type Session struct {
	ID      string           `json:"id"`      // the sid claim: public, opens nothing
	User    string           `json:"user"`    // directory.UserID
	Subject string           `json:"subject"` // from which sub is made
	Login   string           `json:"login"`   // the user name as the directory spells it
	Epoch   int64            `json:"epoch"`   // the account's epoch at sign-in
	At      time.Time        `json:"at"`      // auth_time; the absolute limit counts from here
	Seen    time.Time        `json:"seen"`    // last use, exact to a few minutes; the idle limit counts from here
	Proofs  []identity.Proof `json:"proofs"`
	AMR     []string         `json:"amr,omitempty"`
	Agent   string           `json:"agent,omitempty"` // the browser's own description, for the user's eyes; at most 256 bytes
	Network string           `json:"network,omitempty"`
	Clients []string         `json:"clients,omitempty"` // client ids signed in under this session
	Key     string           `json:"-"`                 // shelf key: the digest of the cookie's value
}

// Options are the limits of a tenant's sessions (NIST SP 800-63B §2.2.3) and its cookie.
type Options struct {
	Idle     time.Duration    // unused so long: over; 0: 8 hours
	Absolute time.Duration    // so long after sign-in: over, used or not; 0: 7 days
	Cookie   string           // base name, with the tenant in it: "sparekey-avengers"
	Secure   bool             // false for an issuer on http://localhost alone
	Now      func() time.Time // nil: the store's clock
}

// Sessions are the sessions of one tenant. A record stays until its absolute end, so that EndAll still knows
// the relying parties of a session that has been idle too long.
type Sessions struct {
	db    *store.Handle
	shelf store.Shelf[Session]
	o     Options
}

// touchEvery is how seldom the time of last use is written.
const touchEvery = 5 * time.Minute

// New keeps sessions in h.
func New(h *store.Handle, o Options) *Sessions {
	o.Idle = cmp.Or(o.Idle, 8*time.Hour)
	o.Absolute = cmp.Or(o.Absolute, 7*24*time.Hour)
	if o.Now == nil {
		o.Now = h.Now
	}
	return &Sessions{db: h, shelf: store.NewShelf[Session]("session"), o: o}
}

// Current is the session of the browser that sent r, or ErrNone. A storage error is neither.
func (s *Sessions) Current(tx store.Tx, r *http.Request) (Session, error) {
	token := s.cookie().Value(r)
	if token == "" {
		return Session{}, ErrNone
	}
	return s.get(tx, secret.Digest(token))
}

// Begin puts a new session on the shelf under a new random value and gives the cookie that carries it.
// ID, Seen and Key are set here; a zero At is now. The session old (a Key; empty: none) ends in the same transaction,
// so that no sign-in goes on under a value that was known before it (ASVS 7.2.4); when it was the same user's,
// the relying parties signed in under it are remembered in the new one.
func (s *Sessions) Begin(tx store.Tx, n Session, old string) (*http.Cookie, Session, error) {
	if n.User == "" || n.Subject == "" {
		return nil, Session{}, errors.New("begin session: a session needs a user and a subject")
	}
	now := s.o.Now().UTC()
	if n.At.IsZero() || n.At.After(now) {
		n.At = now
	}
	n.At, n.Seen, n.ID, n.Agent = n.At.UTC(), now, secret.ID(), clip(n.Agent, 256)
	if old != "" {
		before, err := s.shelf.Take(tx, old)
		switch {
		case err == nil && before.Owner == n.User:
			n.Clients = union(n.Clients, before.Value.Clients)
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return nil, Session{}, fmt.Errorf("end the session before: %w", err)
		}
	}
	token := secret.Token()
	n.Key = secret.Digest(token)
	if err := s.shelf.Add(tx, n.Key, n.User, n.At.Add(s.o.Absolute), n); err != nil {
		return nil, Session{}, fmt.Errorf("begin session: %w", err)
	}
	return s.cookie().Holding(token, 0), n, nil
}

// Touch remembers that the session was used. It writes at most once in five minutes (oftener only where Idle is below forty),
// and never brings an ended session back.
func (s *Sessions) Touch(ctx context.Context, was Session) error {
	every := min(touchEvery, s.o.Idle/8)
	if d := s.o.Now().Sub(was.Seen); d.Abs() < every {
		return nil
	}
	err := s.db.Write(ctx, func(tx store.Tx) error {
		return s.change(tx, was.Key, func(v *Session) bool {
			now := s.o.Now()
			if now.Sub(v.Seen).Abs() < every {
				return false
			}
			v.Seen = now.UTC()
			return true
		})
	})
	if err != nil && !errors.Is(err, ErrNone) {
		return fmt.Errorf("touch session: %w", err)
	}
	return nil
}

// Signed remembers that client was signed in under the session, so that it can be told when the session ends.
// ErrNone when the session is over.
func (s *Sessions) Signed(tx store.Tx, in Session, client string) error {
	return s.change(tx, in.Key, func(v *Session) bool {
		if slices.Contains(v.Clients, client) {
			return false
		}
		v.Clients = union(v.Clients, []string{client})
		return true
	})
}

// End ends the session with this Key; it is no error when it is over already.
func (s *Sessions) End(tx store.Tx, key string) error {
	return s.shelf.Drop(tx, key)
}

// EndAll ends every session of the user and gives the client ids that were signed in under them, each once, in order.
func (s *Sessions) EndAll(tx store.Tx, user string) ([]string, error) {
	if user == "" {
		return nil, errors.New("end sessions: no user named")
	}
	ended, err := s.shelf.DropOwned(tx, user)
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	var clients []string
	for _, r := range ended {
		clients = union(clients, r.Value.Clients)
	}
	return clients, nil
}

// List gives the user's living sessions, the last used first.
func (s *Sessions) List(tx store.Tx, user string) ([]Session, error) {
	if user == "" {
		return nil, nil
	}
	records, err := s.shelf.Owned(tx, user)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	var list []Session
	for _, r := range records {
		if v := r.Value; s.living(v) {
			v.Key = r.Key
			list = append(list, v)
		}
	}
	slices.SortStableFunc(list, func(a, b Session) int { return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// Find is the user's living session with this public id; another user's is ErrNone.
func (s *Sessions) Find(tx store.Tx, sid, user string) (Session, error) {
	list, err := s.List(tx, user)
	if err != nil {
		return Session{}, err
	}
	for _, v := range list {
		if v.ID == sid {
			return v, nil
		}
	}
	return Session{}, ErrNone
}

// Living is the living session with this Key, in one look; ErrNone when it is over or another user's.
func (s *Sessions) Living(tx store.Tx, key, user string) (Session, error) {
	v, err := s.get(tx, key)
	if err == nil && v.User != user {
		return Session{}, ErrNone
	}
	return v, err
}

// Expire takes the cookie away from the browser. It does not end the session.
func (s *Sessions) Expire(w http.ResponseWriter) {
	http.SetCookie(w, s.cookie().Holding("", -1))
}

func (s *Sessions) get(tx store.Tx, key string) (Session, error) {
	r, err := s.shelf.Get(tx, key)
	if errors.Is(err, store.ErrNotFound) {
		return Session{}, ErrNone
	}
	if err != nil {
		return Session{}, fmt.Errorf("read session: %w", err)
	}
	if r.Value.Key = r.Key; !s.living(r.Value) {
		return Session{}, ErrNone
	}
	return r.Value, nil
}

// change rewrites a living session, and reads it again when somebody else was first; it never makes one.
func (s *Sessions) change(tx store.Tx, key string, f func(*Session) (write bool)) error {
	for range 50 {
		r, err := s.shelf.Get(tx, key)
		if errors.Is(err, store.ErrNotFound) || err == nil && !s.living(r.Value) {
			return ErrNone
		}
		if err != nil {
			return err
		}
		if !f(&r.Value) {
			return nil
		}
		if err = s.shelf.Save(tx, &r); !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
	return store.ErrChanged
}

// end is when the session is over unless it is used again.
func (s *Sessions) end(v Session) time.Time {
	idle, absolute := v.Seen.Add(s.o.Idle), v.At.Add(s.o.Absolute)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}

func (s *Sessions) living(v Session) bool { return s.o.Now().Before(s.end(v)) }

// cookie has no lifetime of its own: it goes with the browser (OWASP Session Management).
func (s *Sessions) cookie() web.Cookie {
	return web.Cookie{Base: s.o.Cookie + "-session", Secure: s.o.Secure}
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// clip cuts s to at most n bytes of valid UTF-8.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
