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
// A live session of this browser is gone on from, unless the request wants the user anew.
func (f *Flows) Begin(w http.ResponseWriter, r *http.Request, q identity.SignInRequest) (string, error) {
	x := Flow{Kind: SignIn, Request: q, Login: q.LoginHint, Lang: f.language(r, q.Languages...)}
	if q.SignOut {
		x.Kind = SignOut
	}
	var s session.Session
	err := f.Store.Read(r.Context(), func(tx store.Tx) (err error) {
		s, err = f.Sessions.Current(tx, r)
		return err
	})
	switch {
	case err == nil && x.Kind == SignOut:
		x.User, x.Login, x.Session, x.Named = directory.UserID(s.User), s.Login, s.Key, true
	case err == nil:
		if q.LoginHint == "" {
			x.Login = s.Login
		}
		hinted := q.LoginHint == "" || q.LoginHint == s.Login
		if standing, err := f.Standing(r.Context(), identity.Authentication{User: s.User, Epoch: s.Epoch, At: s.At, Proofs: s.Proofs}, q.Client); err != nil {
			return "", err
		} else if standing != identity.Gone && !q.Again && hinted && (q.Subject == "" || q.Subject == s.Subject) {
			x.User, x.Login, x.Session, x.Proofs, x.Epoch = directory.UserID(s.User), s.Login, s.Key, s.Proofs, s.Epoch
			x.Named = !q.Choose
		}
	case !errors.Is(err, session.ErrNone):
		return "", fmt.Errorf("read session: %w", err)
	}
	id, err := f.begin(w, r, &x)
	if err != nil {
		return "", err
	}
	return f.Prefix + "/flow/" + id, nil
}

// Outcome hands over who was signed in by the flow: once, to the browser that began it; else store.ErrNotFound.
func (f *Flows) Outcome(r *http.Request, id string) (identity.Authentication, error) {
	browser := f.browser(r)
	if browser == "" || len(id) > 64 {
		return identity.Authentication{}, store.ErrNotFound
	}
	var out identity.Authentication
	err := f.Store.Write(r.Context(), func(tx store.Tx) error {
		rec, err := f.shelf.Get(tx, id)
		if err != nil {
			return err
		}
		if rec.Value.Browser != browser || !rec.Value.Done || rec.Value.Outcome == nil {
			return store.ErrNotFound
		}
		if rec, err = f.shelf.Take(tx, id); err != nil {
			return err
		}
		out = *rec.Value.Outcome
		return nil
	})
	return out, err
}

// Standing says whether an authentication still counts, now: the account's epoch, a reset under way, the directory's
// state and the policy of this moment. A directory that cannot be reached is an error: no token is made.
func (f *Flows) Standing(ctx context.Context, a identity.Authentication, client string) (identity.Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	user, err := f.Directory.Get(ctx, directory.UserID(a.User))
	if errors.Is(err, directory.ErrNotFound) {
		return identity.Gone, nil
	}
	if err != nil {
		return identity.Gone, fmt.Errorf("get user: %w", err)
	}
	if user.State.Barred() {
		return identity.Gone, nil
	}
	var acc account.Account
	var held []identity.Authenticator
	err = f.Store.Read(ctx, func(tx store.Tx) (err error) {
		acc, held, err = f.Accounts.Known(tx, user.ID)
		return err
	})
	switch {
	case err != nil:
		return identity.Gone, err
	case acc.Subject == "" || acc.Epoch != a.Epoch || acc.Intent != "":
		return identity.Gone, nil
	}
	d := f.Policy.Decide(policy.Facts{Now: f.Now(), For: policy.SignIn, User: user, Held: held, Proofs: a.Proofs, Address: f.directoryAddress(user),
		Asked: policy.Asked{Skips: acc.Skips, SnoozedUntil: acc.SnoozedUntil, RequiredAgain: acc.RequireAgainAt, FrozenUntil: acc.FrozenUntil}})
	switch {
	case d.Refuse != "":
		return identity.Gone, nil
	case !d.Enough, d.PasswordDue, d.Missing > 0 && !d.MaySkip && !excused(acc, d, a, f.Now()):
		return identity.Due, nil
	}
	return identity.Good, nil
}

// excused reports whether this sign-in was let go by a skip or within a snooze: then it counts although the next one
// will not be let go. Where skipping ends by a date, that ends with it.
func excused(acc account.Account, d policy.Decision, a identity.Authentication, now time.Time) bool {
	return !acc.SnoozedUntil.IsZero() && !acc.SnoozedUntil.Before(a.At) && (d.SkipUntil.IsZero() || now.Before(d.SkipUntil)) &&
		(d.SkipsLeft >= 0 || !d.SkipUntil.IsZero()) // and skipping has not been switched off
}
