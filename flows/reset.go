package flows

import (
	"net/http"
	"strings"

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
	id, err := f.begin(w, r, &x)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	http.Redirect(w, r, f.Prefix+"/flow/"+id, http.StatusSeeOther)
}

// begin puts a new flow on the shelf, bound to the browser.
func (f *Flows) begin(w http.ResponseWriter, r *http.Request, x *Flow) (string, error) {
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
		return f.shelf.Add(tx, x.ID, x.owner(), x.Until, *x)
	})
}

// enterReset decides, once the name is known and the puzzle done, whether this is somebody who can reset.
// Whoever cannot goes on as a decoy, or with `dead_end: direct` to the end at once.
func (t *turn) enterReset() error {
	if !t.offersUnlock() {
		t.flow.What = Forgot
	}
	t.decide()
	event := t.event("reset.begun", nil)
	if !t.flow.Decoy && t.decision.Refuse != "" {
		t.flow.Refused, t.flow.Decoy = t.decision.Refuse, true
		event.Detail = map[string]string{"reason": string(t.flow.Refused)}
	}
	direct := t.direct()
	if t.flow.Decoy && direct {
		t.flow.Dead = true
	}
	return t.advance(func(tx store.Tx) error { return t.Journal.Record(tx, event) })
}

// offersUnlock reports whether the first rule that lets anybody reset also lets her unlock: one answer for every name.
func (t *turn) offersUnlock() bool {
	for _, r := range t.Policy.Rules {
		if r.Reset {
			return r.Unlock
		}
	}
	return false
}

// direct reports whether the tenant shows the dead end at once: where any rule for resets says so.
func (f *Flows) direct() bool {
	for _, r := range f.Policy.Rules {
		if r.Reset {
			return r.DeadEnd == policy.Direct
		}
	}
	return false
}

func (t *turn) showWhat() (templates.Page, error) { return templates.ResetWhat{Frame: t.frame()}, nil }

func (t *turn) actWhat() error {
	switch What(t.field("what")) {
	case Forgot:
		t.flow.What = Forgot
	case Locked:
		t.flow.What = Locked
	default:
		return errAgain
	}
	return t.advance(nil)
}

func (t *turn) showRefused() (templates.Page, error) {
	return templates.DeadEnd{Frame: t.frame(), Reference: reference(t.flow.ID), Back: t.back()}, nil
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

func (t *turn) actRefused() error { return errAgain }

// dead ends the flow at "Ask your administrator". The flow's id is the reference number the operator finds in the journal.
func (t *turn) dead() error {
	t.flow.Dead = true
	detail := map[string]string{"reason": string(t.flow.Refused)}
	return t.commit(func(tx store.Tx) error { return t.Journal.Record(tx, t.event("dead_end", detail)) })
}

// back is where a reset came from.
func (t *turn) back() string {
	if t.flow.Parent != "" {
		return t.Prefix + "/flow/" + t.flow.Parent
	}
	return t.Prefix + "/security-info"
}
