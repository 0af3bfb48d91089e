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
	Used          time.Time        `json:"used,omitzero"` // zero: not yet
}

// password reports whether the change was one of the password.
func (s stoppable) password() bool {
	switch s.Event {
	case "password_reset", "password_changed", "password_may_have_changed":
		return true
	}
	return false
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

// alarm makes a "This wasn’t me" link for an event, good for 72 hours, once.
func (f *Flows) alarm(tx store.Tx, user directory.UserID, event, authenticator string) (link string, err error) {
	token := secret.Token()
	err = f.alarms.Add(tx, secret.Digest(token), string(user), f.Now().Add(notMeLasts),
		stoppable{User: user, Authenticator: authenticator, Event: event, At: tx.Now()}) // the very time of what was bound in this transaction: none of it is older
	return f.absolute("/not-me", token), err
}

// tell queues a notice of an event to every address of the user, with a link that stops what it tells of.
func (t *turn) tell(tx store.Tx, event string, mail func(templates.Letter) templates.Mail) error {
	if !t.decision.Notify {
		return nil
	}
	l := t.letter()
	var err error
	if l.NotMe, err = t.alarm(tx, t.flow.User, event, ""); err != nil {
		return err
	}
	return t.Flows.tell(tx, t.user, t.flow.Lang, mail(l))
}

// tell queues a notice to every address of the user: the directory's own and all registered ones, each once.
func (f *Flows) tell(tx store.Tx, u directory.User, lang string, mail templates.Mail) error {
	held, err := f.Accounts.Authenticators(tx, u.ID)
	if err != nil {
		return err
	}
	return f.send(tx, u, lang, mail, f.addresses(u, held))
}

func (f *Flows) send(tx store.Tx, u directory.User, lang string, mail templates.Mail, to []string) error {
	for _, address := range to {
		if err := f.Outbox.Queue(tx, notify.Message{User: string(u.ID), To: address, Lang: lang, Mail: mail}); err != nil {
			return err
		}
	}
	return nil
}

// addresses lists where the user can be reached, the directory's own address first.
func (f *Flows) addresses(u directory.User, held []identity.Authenticator) []string {
	var list []string
	add := func(a string) {
		if a != "" && !slices.ContainsFunc(list, func(x string) bool { return method.SameMailbox(x, a) }) {
			list = append(list, a)
		}
	}
	add(u.Email)
	for _, a := range held {
		if a.Suspended {
			continue // it may be a thief's: nothing goes there, least of all a link
		}
		if m, ok := f.Methods[a.Kind].(interface {
			Address(identity.Authenticator) string
		}); ok {
			add(m.Address(a))
		}
	}
	return list
}

// tellChange tells every address of a change of security info, with a link that stops it. also are addresses
// that have just gone, which hear of it too.
func (t *turn) tellChange(tx store.Tx, event string, a identity.Authenticator, also ...string) error {
	if !t.decision.Notify {
		return nil
	}
	held, err := t.Accounts.Authenticators(tx, t.flow.User)
	if err != nil {
		return err
	}
	l := t.letter()
	if l.NotMe, err = t.alarm(tx, t.flow.User, event, a.ID); err != nil {
		return err
	}
	var mail templates.Mail
	switch event {
	case "method_added":
		mail = templates.MethodAdded{Letter: l, Kind: string(a.Kind), Label: a.Label}
	case "method_changed":
		mail = templates.MethodChanged{Letter: l, Kind: string(a.Kind), Label: a.Label}
	default:
		mail = templates.MethodRemoved{Letter: l, Kind: string(a.Kind), Label: a.Label}
	}
	to := t.addresses(t.user, held)
	for _, x := range also {
		if x != "" && !slices.Contains(to, x) {
			to = append(to, x)
		}
	}
	return t.send(tx, t.user, t.flow.Lang, mail, to)
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
		if err := t.send(tx, u, t.Brand.language(), templates.AdministratorReset{Letter: l, Who: t.user.Login}, []string{u.Email}); err != nil {
			return err
		}
	}
	return nil
}

// findAdministrators lists the tenant's administrators, as far as the directory can list users.
func (t *turn) findAdministrators() {
	lister, ok := directory.As[directory.Lister](t.Directory)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, setTimeout)
	defer cancel()
	for u, err := range lister.Users(ctx) {
		if err != nil {
			t.Logger.Warn("list administrators", "tenant", t.Store.Name(), "error", err)
			return
		}
		if t.Policy.Administrator(u) && !u.State.Barred() {
			t.administrators = append(t.administrators, u)
		}
	}
}
