package flows

import (
	"errors"
	"net/http"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
	"github.com/sparekey-id/sparekey/templates"
)

// handlers is the one table from step to what it shows and what it does.
// show returns the page; act changes the flow and commits it. An act that returns nil is followed by a 303.
var handlers = map[Step]struct {
	show func(*turn) (templates.Page, error)
	act  func(*turn) error
}{
	Identify:    {(*turn).showIdentify, (*turn).actIdentify},
	AskWhat:     {(*turn).showWhat, (*turn).actWhat},
	Prove:       {(*turn).showProve, (*turn).actProve},
	Hold:        {(*turn).showHold, (*turn).actHold},
	NewPassword: {(*turn).showNewPassword, (*turn).actNewPassword},
	Register:    {(*turn).showRegister, (*turn).actRegister},
	Confirm:     {(*turn).showConfirm, (*turn).actConfirm},
	AskSignOut:  {(*turn).showSignOut, (*turn).actSignOut},
	Refused:     {(*turn).showRefused, (*turn).actRefused},
	Finish:      {(*turn).showFinish, (*turn).actFinish},
	Finished:    {(*turn).showFinished, (*turn).actFinished},
}

// get shows where the flow stands. It writes nothing but a notice that was shown.
func (f *Flows) get(w http.ResponseWriter, r *http.Request) {
	t, err := f.open(w, r, r.PathValue("id"))
	if err != nil {
		f.fail(w, r, err)
		return
	}
	web.Note(r, "step", string(t.step))
	if t.busy() {
		f.fail(w, r, errBusy)
		return
	}
	page, err := handlers[t.step].show(t)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	if page != nil { // nil: show has answered itself, with a redirect
		t.render(page, http.StatusOK)
	}
}

// post hands the form to the step the flow stands at, and answers 303 whatever came of it, so that back, reload,
// a second tab and a double post always meet the true step.
func (f *Flows) post(w http.ResponseWriter, r *http.Request) {
	form, err := web.Form(r)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	t, err := f.open(w, r, r.PathValue("id"))
	if err != nil {
		f.fail(w, r, err)
		return
	}
	if !secret.Equal(form.Get("csrf"), f.csrf(t.flow.Browser)) {
		f.Oops(w, r, "foreign", http.StatusForbidden)
		return
	}
	t.form = form
	web.Note(r, "step", string(t.step))
	if t.busy() {
		http.Redirect(w, r, t.here(), http.StatusSeeOther)
		return
	}
	t.flow.Problem, t.flow.Notice = templates.Problem{}, ""
	switch err := handlers[t.step].act(t); {
	case err == nil:
		http.Redirect(w, r, t.where(), http.StatusSeeOther)
	case errors.Is(err, store.ErrChanged), errors.Is(err, errAgain):
		http.Redirect(w, r, t.here(), http.StatusSeeOther) // nothing was done: the record says where it stands
	default:
		f.fail(w, r, err)
	}
}

// where is the address the browser goes to next.
func (t *turn) where() string {
	if t.flow.Done && t.flow.Outcome != nil {
		return t.onward()
	}
	if t.flow.Done && t.flow.Kind == Manage {
		to := t.Prefix + "/security-info"
		if said := doneBy[t.flow.Task.Do]; said != "" {
			to += "?done=" + said
		}
		return to
	}
	return t.here()
}

// doneBy is what the security-info page announces of a task that was done: a word of its address, and the notice of that name.
var doneBy = map[string]string{"add": "method_added", "change": "method_changed", "delete": "method_removed", "default": "default_changed", "password": "password_changed"}

// problem stores what was wrong with the answer, for the next GET to show beside the field.
func (t *turn) problem(field, key string, args ...any) error {
	return t.problemUntil(field, key, time.Time{}, args...)
}

func (t *turn) problemUntil(field, key string, until time.Time, args ...any) error {
	t.flow.Problem = templates.Problem{Field: field, Key: "problem." + key, Args: args, Until: until}
	return t.commit(nil)
}
