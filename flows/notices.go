package flows

import (
	"context"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// stoppable is what a "This wasn’t me" link points at: the change it can stop.
type stoppable struct {
	User          directory.UserID `json:"user"`
	Authenticator string           `json:"authenticator,omitempty"`
	Event         string           `json:"event"`
	At            time.Time        `json:"at"`
	Via           string           `json:"via,omitempty"`    // the authenticator to whose address it was mailed; empty: no authenticator's
	Beside        []string         `json:"beside,omitempty"` // keys of all links to this change: one of them is good, once
	Used          time.Time        `json:"used,omitzero"`    // when one of them was; zero: not yet
}

// password reports whether the change was one of the password.
func (s stoppable) password() bool {
	switch s.Event {
	case "password_reset", "password_changed", "password_may_have_changed":
		return true
	}
	return false
}

// mailbox is where a user can be reached.
type mailbox struct {
	address string
	of      string    // the authenticator whose address it is; empty: the directory's own, or one that has just gone
	since   time.Time // when that was bound; zero: the directory's own
	told    bool      // hears of a change, and is given no power over it
}

// letter is what every mail of a flow carries.
func (t *turn) letter() templates.Letter {
	l := t.Flows.letter(t.user, t.network())
	if a := agent(t.r); a != "" {
		l.Where = a + " · " + l.Where
	}
	return l
}

func (f *Flows) letter(u directory.User, where string) templates.Letter {
	return templates.Letter{Tenant: f.Brand.Name, Accent: f.Brand.Accent, Help: f.Brand.Help, Name: u.Name, Login: u.Login,
		At: f.Now(), Where: where, SecurityInfo: f.absolute("/security-info", "")}
}

// alert queues a notice of a change to every mailbox, each with a "This wasn’t me" link of its own, good for 72 hours; of all of them one
// is good, once. The address of a method that is new itself hears of it without one: it may be a thief's; and so may one that went (heard).
func (f *Flows) alert(tx store.Tx, u directory.User, lang string, a stoppable, to []mailbox, l templates.Letter, mail func(templates.Letter) templates.Mail) error {
	a.At = tx.Now() // the very time of what was bound in this transaction: none of it is older
	tokens := make([]string, len(to))
	for i := range to {
		tokens[i] = secret.Token()
		a.Beside = append(a.Beside, secret.Digest(tokens[i]))
	}
	for i, m := range to {
		if l.NotMe = ""; !m.told && (m.of == "" || m.of != a.Authenticator) {
			a.Via, l.NotMe = m.of, f.absolute("/not-me", tokens[i])
			if err := f.alarms.Add(tx, a.Beside[i], string(a.User), f.Now().Add(notMeLasts), a); err != nil {
				return err
			}
		}
		if err := f.send(tx, u, lang, mail(l), m); err != nil {
			return err
		}
	}
	return nil
}

// rings reports whether the link is good still, as far as it depends on where it was mailed: the address of a method that was stopped or
// deleted since may be a thief's, and what was mailed there alone stops nothing any more.
func (f *Flows) rings(tx store.Tx, a stoppable) error {
	if a.Via == "" {
		return nil
	}
	_, held, err := f.Accounts.Known(tx, a.User)
	if err == nil && !slices.ContainsFunc(held, func(x identity.Authenticator) bool { return x.ID == a.Via && !x.Suspended }) {
		err = store.ErrNotFound
	}
	return err
}

// tell queues a notice of an event to every address of the user, with a link that stops what it tells of.
func (t *turn) tell(tx store.Tx, event string, mail func(templates.Letter) templates.Mail) error {
	if !t.decision.Notify {
		return nil
	}
	to, err := t.mailboxes(tx, t.user)
	if err != nil {
		return err
	}
	return t.alert(tx, t.user, t.flow.Lang, stoppable{User: t.flow.User, Event: event}, to, t.letter(), mail)
}

func (f *Flows) send(tx store.Tx, u directory.User, lang string, mail templates.Mail, to ...mailbox) error {
	for _, m := range to {
		if err := f.Outbox.Queue(tx, notify.Message{User: string(u.ID), To: m.address, Lang: lang, Mail: mail}); err != nil {
			return err
		}
	}
	return nil
}

// mailboxes lists where the user can be reached, each once: the directory's own address first, then all registered ones.
func (f *Flows) mailboxes(tx store.Tx, u directory.User) ([]mailbox, error) {
	held, err := f.Accounts.Authenticators(tx, u.ID)
	if err != nil {
		return nil, err
	}
	list := another(nil, mailbox{address: u.Email})
	for _, a := range held {
		if !a.Suspended { // it may be a thief's: nothing goes there, least of all a link
			list = another(list, mailbox{address: f.Methods.Address(a), of: a.ID, since: a.BoundAt})
		}
	}
	return list, nil
}

// another adds a mailbox, unless it is among the list already, or none.
func another(list []mailbox, m mailbox) []mailbox {
	if m.address == "" || slices.ContainsFunc(list, func(x mailbox) bool { return method.SameMailbox(x.address, m.address) }) {
		return list
	}
	return append(list, m)
}

// tellChange tells every address of a change of security info, with a link that stops it. gone is the authenticator that has just gone, if
// any, whose address hears of it too (SECURITY EN-05).
func (t *turn) tellChange(tx store.Tx, event string, a, gone identity.Authenticator) error {
	if !t.decision.Notify {
		return nil
	}
	to, err := t.mailboxes(tx, t.user)
	if err != nil {
		return err
	}
	if !gone.Suspended {
		to = another(to, mailbox{address: t.Methods.Address(gone), told: t.heard(to, gone)})
	}
	return t.alert(tx, t.user, t.flow.Lang, stoppable{User: t.flow.User, Authenticator: a.ID, Event: event}, to, t.letter(), func(l templates.Letter) templates.Mail {
		switch event {
		case "method_added":
			return templates.MethodAdded{Letter: l, Kind: string(a.Kind), Label: a.Label}
		case "method_changed":
			return templates.MethodChanged{Letter: l, Kind: string(a.Kind), Label: a.Label}
		}
		return templates.MethodRemoved{Letter: l, Kind: string(a.Kind), Label: a.Label}
	})
}

// heard reports whether one of the mailboxes is at least as surely the user's as the address that has just gone: the directory's own, one bound
// earlier, or one that has been there for longer than the link of its own notice was good. Then the address that went needs no link, and a
// mailbox that was given up, perhaps because somebody else reads it, keeps no power over the account. Where none is, it gets one: whoever
// deleted it may have put his own there just before.
func (t *turn) heard(to []mailbox, gone identity.Authenticator) bool {
	return slices.ContainsFunc(to, func(m mailbox) bool { return m.since.Before(gone.BoundAt) || t.Now().Sub(m.since) > notMeLasts })
}

// tellAdministrators tells the tenant's other administrators that one of them reset the password (SECURITY RS-10).
func (t *turn) tellAdministrators(tx store.Tx) error {
	if !t.decision.Administrator {
		return nil
	}
	for _, u := range t.administrators {
		if u.ID == t.flow.User || u.Email == "" {
			continue
		}
		l := t.Flows.letter(u, t.network())
		if err := t.send(tx, u, t.Brand.language(), templates.AdministratorReset{Letter: l, Who: t.user.Login}, mailbox{address: u.Email}); err != nil {
			return err
		}
	}
	return nil
}

// findAdministrators lists the tenant's administrators, as far as the directory can list users.
func (t *turn) findAdministrators() {
	ctx, cancel := context.WithTimeout(t.ctx, setTimeout)
	defer cancel()
	members, ok := directory.Members(ctx, t.Directory, t.Policy.Administrators...)
	if !ok {
		return
	}
	for u, err := range members {
		if err != nil {
			t.Logger.Warn("list administrators", "tenant", t.Store.Name(), "error", err)
			return
		}
		if t.Policy.Administrator(u) && !u.State.Barred() {
			t.administrators = append(t.administrators, u)
		}
	}
}
