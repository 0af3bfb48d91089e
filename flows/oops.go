package flows

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
	"github.com/sparekey-id/sparekey/templates"
)

// fail turns an error into the page that tells the end-user what to do next. It is the one place that does,
// and the error's own text goes to the log alone.
func (f *Flows) fail(w http.ResponseWriter, r *http.Request, err error) {
	reason, status := "internal", http.StatusInternalServerError
	var wait *guard.WaitError
	switch {
	case errors.Is(err, errForeign), errors.Is(err, store.ErrNotFound):
		reason, status = "expired", http.StatusForbidden
	case errors.Is(err, web.ErrTooLarge):
		reason, status = "too_large", http.StatusRequestEntityTooLarge
	case errors.Is(err, web.ErrForm):
		reason, status = "bad_request", http.StatusBadRequest
	case errors.As(err, &wait):
		web.NoStore(w)
		fr := f.frame(r, f.browser(r))
		f.render(w, r, templates.Wait{Frame: fr, Reason: "sign_in", Until: wait.Until}, http.StatusTooManyRequests)
		return
	case errors.Is(err, errBusy):
		f.render(w, r, templates.Wait{Frame: f.frame(r, f.browser(r)), Reason: "password", Here: r.URL.EscapedPath()}, http.StatusConflict)
		return
	case errors.Is(err, context.Canceled) && !errors.Is(err, directory.ErrOutcomeUnknown): // whoever asked has gone: nobody's fault, and no line in the log
		reason, status = "unavailable", 499
	case errors.Is(err, directory.ErrUnavailable), errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, directory.ErrOutcomeUnknown):
		reason, status = "unavailable", http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "10")
	}
	if status >= 500 {
		f.Logger.Error("page failed", "tenant", f.Store.Name(), "request", web.RequestID(r), "error", err)
	}
	f.Oops(w, r, reason, status)
}

// Oops shows an error page: provider and the root use it too. A failure of ours has a reference number; what the visitor has to mend has none.
func (f *Flows) Oops(w http.ResponseWriter, r *http.Request, reason string, status int) {
	web.Note(r, "oops", reason)
	page := templates.Oops{Frame: f.frame(r, f.browser(r)), Reason: reason}
	if status >= 500 {
		page.Reference = f.noted(r, reason)
	}
	switch reason {
	case "expired", "foreign", "not_found", "link":
		page.Again = f.Prefix + "/security-info"
	}
	f.render(w, r, page, status)
}

// noteWait is how long a page of ours that failed waits for the journal. The store may have been waited for already, and the page is to
// come within five seconds in all (SECURITY F-05).
const noteWait = 500 * time.Millisecond

// noted journals a failure that a page tells of and gives the page its number, which leads an operator to the row, and the row's request
// to the log. Where it cannot be journalled now there is no number: one that is shown leads somewhere.
func (f *Flows) noted(r *http.Request, reason string) string {
	ctx, stop := context.WithTimeout(r.Context(), noteWait)
	defer stop()
	number := reference(web.RequestID(r))
	err := f.Store.Write(ctx, func(tx store.Tx) error {
		return f.Journal.Record(tx, audit.Event{Name: audit.ProblemMet, Network: web.Network(r),
			Detail: map[string]string{"reference": number, "request": web.RequestID(r), "reason": reason}})
	})
	if err != nil {
		return ""
	}
	return number
}
