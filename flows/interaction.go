package flows

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/account"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Begin starts what a relying party (or one of our own pages) asks for, and gives the path the browser goes to.
// A live session of this browser is gone on from, unless the request wants the user anew. also, if any, is committed with the flow.
func (f *Flows) Begin(w http.ResponseWriter, r *http.Request, q identity.SignInRequest, also func(store.Tx) error) (string, error) {
	x := Flow{Kind: SignIn, Request: q, Login: q.LoginHint, Lang: f.language(r, q.Languages...)}
	var s session.Session
	var standing identity.Standing
	var err error
	if q.SignOut { // a directory that is down keeps nobody from leaving
		x.Kind = SignOut
		err = f.Store.Read(r.Context(), func(tx store.Tx) (err error) {
			s, err = f.Sessions.Current(tx, r)
			return err
		})
	} else {
		s, standing, err = f.signedIn(r)
	}
	if err != nil && !errors.Is(err, session.ErrNone) {
		return "", fmt.Errorf("read session: %w", err)
	}
	hinted := q.LoginHint == "" || q.LoginHint == s.Login
	switch {
	case err != nil:
	case x.Kind == SignOut:
		x.User, x.Login, x.Session, x.Named = directory.UserID(s.User), s.Login, s.Key, true
	case standing != identity.Gone && !q.Again && hinted && (q.Subject == "" || q.Subject == s.Subject):
		x.User, x.Login, x.Session, x.Proofs, x.Epoch = directory.UserID(s.User), s.Login, s.Key, s.Proofs, s.Epoch
		x.Named = !q.Choose
	case q.LoginHint == "":
		x.Login = s.Login
	}
	id, err := f.begin(w, r, &x, also)
	if err != nil {
		return "", err
	}
	return f.Prefix + "/flow/" + id, nil
}

// Outcome gives who was signed in by the flow, to the browser that began it; else store.ErrNotFound.
func (f *Flows) Outcome(tx store.Tx, r *http.Request, id string) (identity.Authentication, error) {
	browser := f.browser(r)
	if browser == "" || len(id) > 64 {
		return identity.Authentication{}, store.ErrNotFound
	}
	rec, err := f.shelf.Get(tx, id)
	if err != nil {
		return identity.Authentication{}, err
	}
	if rec.Value.Browser != browser || !rec.Value.Done || rec.Value.Outcome == nil {
		return identity.Authentication{}, store.ErrNotFound
	}
	return *rec.Value.Outcome, nil
}

// Over takes the flow off its shelf, for the one who uses its outcome; store.ErrNotFound when somebody was first.
func (f *Flows) Over(tx store.Tx, id string) error {
	_, err := f.shelf.Take(tx, id)
	return err
}

// Standing says whether the authentication that look finds still counts, now: the account's epoch, a reset under way, the directory's
// state and the policy of this moment. A directory that cannot be reached is an error: no token is made.
func (f *Flows) Standing(ctx context.Context, look func(store.Tx) (identity.Authentication, error)) (user directory.User, _ identity.Standing, err error) {
	var a identity.Authentication
	var acc account.Account
	var held []identity.Authenticator
	err = f.whole(ctx, func(tx store.Tx) (_ directory.UserID, err error) {
		a, err = look(tx)
		return directory.UserID(a.User), err
	}, func(tx store.Tx, u directory.User) (err error) {
		user = u
		acc, held, err = f.Accounts.Known(tx, u.ID)
		return err
	})
	switch {
	case err != nil:
		return user, identity.Gone, err
	case user.ID == "", user.State.Barred(), acc.Subject == "" || acc.Epoch != a.Epoch || acc.Intent != "":
		return user, identity.Gone, nil
	}
	d := f.Policy.Decide(policy.Facts{Now: f.Now(), For: policy.SignIn, User: user, Held: held, Proofs: a.Proofs, Address: f.Methods.FromDirectory(user),
		Asked: acc.Asked()})
	switch {
	case d.Refuse != "":
		return user, identity.Gone, nil
	case !d.Enough, d.PasswordDue, d.Missing > 0 && !d.MaySkip && !excused(acc, d, a, f.Now()):
		return user, identity.Due, nil
	}
	return user, identity.Good, nil
}

// near is a directory whose users are in this very store.
type near interface {
	GetIn(tx store.Tx, id directory.UserID) (directory.User, error)
}

// whole reads what first reads, the user it names, if any, and what then reads of her; one who is gone is the zero user. All of it is one
// snapshot where her directory is in this store. Any other directory is asked in between, so that no transaction waits for a network.
func (f *Flows) whole(ctx context.Context, first func(store.Tx) (directory.UserID, error), then func(store.Tx, directory.User) error) error {
	var id directory.UserID
	here, isNear := f.Directory.(near)
	err := f.Store.Read(ctx, func(tx store.Tx) (err error) {
		if id, err = first(tx); err != nil || id == "" || !isNear {
			return err
		}
		u, err := here.GetIn(tx, id)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return fmt.Errorf("get user: %w", err)
		}
		return then(tx, u)
	})
	if err != nil || id == "" || isNear {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	u, err := f.Directory.Get(asking, id)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return fmt.Errorf("get user: %w", err)
	}
	return f.Store.Read(ctx, func(tx store.Tx) error { return then(tx, u) })
}

// excused reports whether this sign-in was let go by a skip or within a snooze: then it counts although the next one
// will not be let go. Where skipping ends by a date, that ends with it.
func excused(acc account.Account, d policy.Decision, a identity.Authentication, now time.Time) bool {
	return !acc.SnoozedUntil.IsZero() && !acc.SnoozedUntil.Before(a.At) && (d.SkipUntil.IsZero() || now.Before(d.SkipUntil)) &&
		(d.SkipsLeft >= 0 || !d.SkipUntil.IsZero()) // and skipping has not been switched off
}
