package flows

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
	"github.com/sparekey-id/sparekey/templates"
)

// errUsed says that the link of a notice has acted already.
var errUsed = errors.New("the link was used already")

// notMe shows what the link in a mail would do, or has done. It changes nothing: mail scanners open links (SECURITY RS-07).
func (f *Flows) notMe(w http.ResponseWriter, r *http.Request) {
	a, err := f.alarmed(r)
	if err != nil {
		f.failLink(w, r, err)
		return
	}
	if a.Used.IsZero() {
		f.render(w, r, templates.NotMe{Frame: f.frame(r, f.bind(w, r)), What: a.Event, At: a.At}, http.StatusOK)
		return
	}
	f.showDone(w, r, a, !r.URL.Query().Has("pressed"))
}

// showDone says what the button has done; used: to somebody who pressed it now, or came back, when it had been pressed already.
func (f *Flows) showDone(w http.ResponseWriter, r *http.Request, a stoppable, used bool) {
	page, status := templates.NotMeDone{Frame: f.frame(r, f.browser(r)), What: a.Event, Used: used}, http.StatusOK
	if used {
		status = http.StatusForbidden
	}
	if !a.password() {
		page.SecurityInfo = f.Prefix + "/security-info"
	}
	f.render(w, r, page, status)
}

// alarmed is what the link of the request is about; store.ErrNotFound when it is too old, or none of ours.
func (f *Flows) alarmed(r *http.Request) (stoppable, error) {
	var a store.Record[stoppable]
	err := f.Store.Read(r.Context(), func(tx store.Tx) (err error) {
		if a, err = f.alarms.Get(tx, secret.Digest(r.PathValue("token"))); err == nil {
			err = f.rings(tx, a.Value)
		}
		return err
	})
	return a.Value, err
}

// failLink is fail for whoever came by the link of a notice.
func (f *Flows) failLink(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, store.ErrNotFound) {
		f.Oops(w, r, "link", http.StatusForbidden)
		return
	}
	f.fail(w, r, err)
}

// notMePost acts, once: the authenticator proves nothing any more, every session ends, and changes are frozen
// until a proof from before the change or an operator lifts that.
func (f *Flows) notMePost(w http.ResponseWriter, r *http.Request) {
	form, err := web.Form(r)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	browser := f.browser(r)
	if browser == "" || !secret.Equal(form.Get("csrf"), f.csrf(browser)) || form.Get("action") != "not_me" {
		f.Oops(w, r, "foreign", http.StatusForbidden)
		return
	}
	switch a, err := f.stop(r); {
	case errors.Is(err, errUsed), errors.Is(err, store.ErrChanged):
		f.showDone(w, r, a, true) // at once: what the other one did may be on its way to the disk still
	case err != nil:
		f.failLink(w, r, err)
	default:
		f.Sessions.Expire(w)
		http.Redirect(w, r, r.URL.EscapedPath()+"?pressed=1", http.StatusSeeOther)
	}
}

func (f *Flows) stop(r *http.Request) (stoppable, error) {
	ctx, token := r.Context(), secret.Digest(r.PathValue("token"))
	peek, err := f.alarmed(r)
	if err != nil {
		return peek, err
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	user, err := f.Directory.Get(asking, peek.User)
	if err != nil {
		user = directory.User{ID: peek.User} // stopping does not wait for a directory: the notice goes to the registered addresses
	}
	return peek, f.Store.Write(ctx, func(tx store.Tx) error {
		a, err := f.alarms.Get(tx, token)
		if err != nil {
			return err
		}
		if err := f.rings(tx, a.Value); err != nil {
			return err
		}
		if err := f.use(tx, a.Value.Beside); err != nil {
			return err
		}
		if a.Value.Authenticator != "" {
			if err := f.Accounts.Suspend(tx, a.Value.User, a.Value.Authenticator); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		if err := f.freeze(tx, a.Value); err != nil {
			return err
		}
		if err := f.Accounts.End(tx, a.Value.User); err != nil {
			return err
		}
		if err := f.Guard.Forget(tx, string(a.Value.User)); err != nil {
			return err
		}
		to, err := f.mailboxes(tx, user)
		if err != nil {
			return err
		}
		l := f.letter(user, web.Network(r))
		if a.Value.password() {
			l.SecurityInfo = "" // nobody gets there with a password in doubt
		}
		if err := f.send(tx, user, f.Brand.language(), templates.NotMeActed{Letter: l, What: a.Value.Event}, to...); err != nil {
			return err
		}
		return f.Journal.Record(tx, audit.Event{Name: audit.NotMe, User: string(a.Value.User), Network: web.Network(r), Detail: map[string]string{"kind": a.Value.Event}})
	})
}

// use marks all links to one change as used: errUsed, or store.ErrChanged, for whoever is second with any of them. Their records stay, to say
// so, until they end. They are taken in one order, whichever link was pressed.
func (f *Flows) use(tx store.Tx, keys []string) error {
	for _, key := range slices.Sorted(slices.Values(keys)) {
		a, err := f.alarms.Get(tx, key)
		if errors.Is(err, store.ErrNotFound) { // the address of what is new itself got no link
			continue
		}
		if err != nil {
			return err
		}
		if !a.Value.Used.IsZero() {
			return errUsed
		}
		a.Value.Used = tx.Now()
		if err := f.alarms.Save(tx, &a); err != nil {
			return err
		}
	}
	return nil
}

// freeze stops changes. Who has set a password could sign in with it: until an operator says otherwise it proves nothing,
// and since the methods that set it are in doubt as well, none of them lifts the freeze. Neither does what is left after a method was
// deleted: whoever deleted it may have put his own there just before. A password that is being written at this moment may be a thief's too,
// whatever the notice was of; if the directory refuses it, the one before is in doubt for nothing, until an operator says so.
func (f *Flows) freeze(tx store.Tx, a stoppable) error {
	now, err := f.Accounts.Lock(tx, a.User)
	if err != nil {
		return err
	}
	change := a.At
	writing := now.Intent != ""
	if writing || a.password() || a.Event == "method_removed" {
		change = time.Time{}
	}
	if writing || a.password() {
		if err := f.Accounts.Doubt(tx, a.User); err != nil {
			return err
		}
	}
	return f.Accounts.Freeze(tx, a.User, f.Now().Add(freezeLasts), change)
}
