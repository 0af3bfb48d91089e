package flows

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

// beginReset is "Can’t access your account?": a flow of its own. The sign-in it was opened from stays as it is.
func (f *Flows) beginReset(w http.ResponseWriter, r *http.Request) {
	if !f.can().set {
		f.Oops(w, r, "not_found", http.StatusNotFound)
		return
	}
	x := Flow{Kind: Reset, Lang: f.language(r)}
	if from := r.URL.Query().Get("from"); from != "" {
		if t, err := f.open(w, r, from); err == nil && t.flow.Kind == SignIn && !t.flow.Done {
			x.Parent, x.Login, x.Lang = t.flow.ID, t.flow.Login, t.flow.Lang
		}
	}
	id, err := f.begin(w, r, &x, nil)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	http.Redirect(w, r, f.Prefix+"/flow/"+id, http.StatusSeeOther)
}

// begin puts a new flow on the shelf, bound to the browser, and does with it what also does.
func (f *Flows) begin(w http.ResponseWriter, r *http.Request, x *Flow, also func(store.Tx) error) (string, error) {
	x.ID, x.Browser, x.Began = secret.ID(), f.bind(w, r), f.Now()
	switch x.Kind {
	case Reset:
		x.Until = x.Began.Add(resetLasts)
	case SignIn:
		x.Until = x.Began.Add(signInLasts)
	default:
		x.Until = x.Began.Add(manageLasts)
	}
	if err := f.seal(x); err != nil {
		return "", err
	}
	return x.ID, f.Store.Write(r.Context(), func(tx store.Tx) error {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		return f.shelf.Add(tx, x.ID, x.owner(), x.Until, *x)
	})
}

// Thin keeps sign-ins and resets that nobody went on with in bounds, the younger ones of each: what ends within the life of a reset is a reset
// or an old sign-in, so that a flood of the one does not crowd out the other (SECURITY A50).
func (f *Flows) Thin(ctx context.Context) error {
	now := f.Now()
	for _, ends := range [][2]time.Time{{now, now.Add(resetLasts)}, {now.Add(resetLasts), now.Add(signInLasts)}} {
		if _, err := f.shelf.Thin(ctx, f.Store, ends[0], ends[1], f.Begun); err != nil {
			return err
		}
	}
	return nil
}

// enterReset decides, once the name is known and the puzzle done, whether this is somebody who can reset.
// Whoever cannot goes on as a decoy, or with `dead_end: direct` to the end at once.
func (t *turn) enterReset() error {
	if !t.offersUnlock() {
		t.flow.What = Forgot
	}
	event := t.event(audit.ResetBegun, t.disguise())
	return t.advance(func(tx store.Tx) error { return t.Journal.Record(tx, event) })
}

// disguise lets a user who may not do what she asks for walk on as a decoy. What it gives is for the journal: why.
func (t *turn) disguise() map[string]string {
	var why map[string]string
	if t.decide(); !t.flow.Decoy && t.decision.Refuse != "" {
		if t.flow.Refused == "" { // said once, however often she goes back and forth
			why = map[string]string{"reason": string(t.decision.Refuse)}
		}
		t.flow.Refused, t.flow.Decoy = t.decision.Refuse, true
		t.decide()
	}
	if t.flow.Decoy && t.direct() {
		t.flow.Dead = true
	}
	return why
}

// offersUnlock reports whether anybody may unlock her account: one answer for every name.
func (t *turn) offersUnlock() bool {
	return slices.ContainsFunc(t.Policy.Resetting(), func(r policy.Rule) bool { return r.Unlock })
}

// direct reports whether the tenant shows the dead end at once: where the first rule for resets says so.
func (f *Flows) direct() bool {
	rules := f.Policy.Resetting()
	return len(rules) > 0 && rules[0].DeadEnd == policy.Direct
}

func (t *turn) showWhat() (templates.Page, error) { return templates.ResetWhat{Frame: t.frame()}, nil }

// resetBack leads to the page before: from a mailed code to its address, from a question to the choice, from there to what is wrong or to the
// name. With a proof given it leads no further than to the choice: what was proven for one name is never brought to another.
func (t *turn) resetBack(asking *Asking) error {
	f := t.flow
	switch {
	case !t.hasBack(asking):
		return errAgain
	case asking != nil && asking.Address != "":
		f.hidden.Asking = nil
		return t.ask(asking.Choice, "") // which sends nothing
	case asking != nil && len(t.choices()) > 1:
		f.hidden.Asking = nil
		return t.commit(nil)
	case !t.offersUnlock():
		return t.rename()
	}
	if f.What == Locked && f.User != "" {
		f.Decoy = false // she may not unlock, but perhaps reset: that is decided anew
	}
	f.What, f.hidden.Asking = "", nil
	return t.commit(nil)
}

// rename brings a reset back to its name, which is not forgotten. All that hung on it is: whose it was, and whether anybody's; and the next
// name takes a puzzle of its own. What guard has counted stays counted.
func (t *turn) rename() error {
	if len(t.flow.Proofs) > 0 {
		return errAgain
	}
	login := t.flow.Login
	t.forgetUser()
	t.flow.Login, t.flow.What = login, ""
	return t.commit(nil)
}

func (t *turn) actWhat() error {
	if t.action() == "back" {
		return t.rename()
	}
	switch What(t.field("what")) {
	case Forgot:
		t.flow.What = Forgot
	case Locked:
		t.flow.What = Locked
	default:
		return errAgain
	}
	why := t.disguise()
	if why == nil {
		return t.advance(nil)
	}
	refused := audit.UnlockRefused
	if t.flow.What == Forgot {
		refused = audit.ResetRefused
	}
	return t.advance(func(tx store.Tx) error { return t.Journal.Record(tx, t.event(refused, why)) })
}

// showRefused is the dead end. At sign-in it is left by another account; a way back to the choices is left to whoever came by her own wish.
// However she came here, the journal has it once: her reference number leads an operator there.
func (t *turn) showRefused() (templates.Page, error) {
	if !t.flow.Told {
		if err := t.tellDeadEnd(); err != nil && !errors.Is(err, store.ErrChanged) { // changed: another tab has told it
			return nil, err
		}
	}
	page := templates.DeadEnd{Frame: t.frame(), Reference: reference(t.flow.ID)}
	switch {
	case t.flow.Kind == SignIn:
		page.Other, page.Return = true, t.flow.Dead
	case t.flow.Kind == Manage:
		page.Return = true
	default:
		page.Back = t.back()
	}
	return page, nil
}

// reference is the number a person reads to an operator: the first twelve characters of an id, in groups of four.
// The journal finds the flow by it, however it is typed.
func reference(id string) string {
	if len(id) < 12 {
		return id
	}
	id = strings.ToUpper(id[:12])
	return id[:4] + "-" + id[4:8] + "-" + id[8:]
}

func (t *turn) actRefused() error {
	switch {
	case t.action() == "different_account" && t.flow.Kind == SignIn:
		t.forgetUser()
		return t.commit(nil)
	case t.action() == "back" && t.flow.Kind == Manage:
		return t.leave()
	case t.action() == "back" && t.flow.Kind == SignIn && t.flow.Dead:
		t.flow.Dead = false
		return t.commit(nil)
	}
	return errAgain
}

// showHold says how long a reset waits while resets are under attack in the whole tenant.
func (t *turn) showHold() (templates.Page, error) {
	return templates.Wait{Frame: t.frame(), Reason: "reset_held", Until: t.decision.NotBefore, Here: t.here(), Back: t.back(), Reference: reference(t.flow.ID)}, nil
}

func (t *turn) actHold() error { return errAgain }

// holdBack lets the flow live until the wait is over and tells the user of it, with a link that stops the reset.
func (t *turn) holdBack(deed func(store.Tx) error) func(store.Tx) error {
	t.flow.HeldUntil, t.flow.Until = t.decision.NotBefore, t.decision.NotBefore.Add(resetLasts)
	return func(tx store.Tx) error {
		if deed != nil {
			if err := deed(tx); err != nil {
				return err
			}
		}
		if err := t.tell(tx, "reset_begun", func(l templates.Letter) templates.Mail {
			return templates.ResetHeld{Letter: l, Until: t.decision.NotBefore}
		}); err != nil {
			return err
		}
		return t.Journal.Record(tx, t.event(audit.ResetHeld, nil))
	}
}

// dead ends the flow at "Ask your administrator". The flow's id is the reference number the operator finds in the journal.
func (t *turn) dead() error {
	t.flow.Dead = true
	return t.tellDeadEnd()
}

// tellDeadEnd journals the dead end, and why she is there as far as anything is known of it.
func (t *turn) tellDeadEnd() error {
	why := t.decision.Refuse
	if why == "" {
		why = t.flow.Refused
	}
	t.flow.Told = true
	return t.commit(func(tx store.Tx) error { // a save: of two tabs at once one is second
		return t.Journal.Record(tx, t.event(audit.DeadEnd, map[string]string{"reason": string(why)}))
	})
}

// back is where a reset came from.
func (t *turn) back() string {
	if t.flow.Parent != "" {
		return t.Prefix + "/flow/" + t.flow.Parent
	}
	return t.Prefix + "/security-info"
}
