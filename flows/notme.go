package flows

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
	"github.com/sparekey-id/sparekey/templates"
)

// notMe shows what the link in a mail would do. It changes nothing: mail scanners open links (SECURITY RS-07).
func (f *Flows) notMe(w http.ResponseWriter, r *http.Request) {
	var a store.Record[stoppable]
	err := f.Store.Read(r.Context(), func(tx store.Tx) (err error) {
		if a, err = f.alarms.Get(tx, secret.Digest(r.PathValue("token"))); err == nil {
			err = f.rings(tx, a.Value)
		}
		return err
	})
	if err != nil {
		f.fail(w, r, err)
		return
	}
	f.render(w, r, templates.NotMe{Frame: f.frame(r, f.bind(w, r)), What: a.Value.Event, At: a.Value.At}, http.StatusOK)
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
	if err := f.stop(r); err != nil {
		f.fail(w, r, err)
		return
	}
	f.Sessions.Expire(w)
	http.Redirect(w, r, f.Prefix+"/not-me", http.StatusSeeOther)
}

// notMeDone says what the button has done.
func (f *Flows) notMeDone(w http.ResponseWriter, r *http.Request) {
	f.render(w, r, templates.NotMeDone{Frame: f.frame(r, f.browser(r))}, http.StatusOK)
}

func (f *Flows) stop(r *http.Request) error {
	ctx, token := r.Context(), secret.Digest(r.PathValue("token"))
	var peek store.Record[stoppable]
	err := f.Store.Read(ctx, func(tx store.Tx) (err error) {
		peek, err = f.alarms.Get(tx, token)
		return err
	})
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	user, err := f.Directory.Get(asking, peek.Value.User)
	if err != nil {
		user = directory.User{ID: peek.Value.User} // stopping does not wait for a directory: the notice goes to the registered addresses
	}
	return f.Store.Write(ctx, func(tx store.Tx) error {
		a, err := f.alarms.Take(tx, token)
		if err != nil {
			return err
		}
		if err := f.rings(tx, a.Value); err != nil {
			return err
		}
		for _, key := range a.Value.Beside {
			if err := f.alarms.Drop(tx, key); err != nil {
				return err
			}
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
		if err := f.send(tx, user, f.Brand.language(), templates.NotMeActed{Letter: f.letter(user, web.Network(r))}, to...); err != nil {
			return err
		}
		return f.Journal.Record(tx, audit.Event{Name: "not_me", User: string(a.Value.User), Network: web.Network(r), Detail: map[string]string{"kind": a.Value.Event}})
	})
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
	switch writing := now.Intent != ""; {
	case writing, a.Event == "password_reset", a.Event == "password_changed":
		change = time.Time{}
		if err := f.Accounts.Doubt(tx, a.User); err != nil {
			return err
		}
	case a.Event == "method_removed":
		change = time.Time{}
	}
	return f.Accounts.Freeze(tx, a.User, f.Now().Add(freezeLasts), change)
}
