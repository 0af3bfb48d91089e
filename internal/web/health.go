package web

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Health returns the handlers of /healthz, which answers while the process serves at all, and of /readyz, which answers 200 when
// ready returns nil within two seconds and 503 with Retry-After otherwise. Why it is not ready goes to the event, not to the caller. What remark returns,
// unless it is empty or nil, is said besides, to whoever asks.
func Health(ready func(context.Context) error, remark func() string) (healthz, readyz http.Handler) {
	healthz = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok\n") })
	readyz = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := ready(ctx); err != nil {
			Note(r, "not_ready", err.Error())
			w.Header().Set("Retry-After", "5")
			say(w, http.StatusServiceUnavailable, "not ready\n")
			return
		}
		text := "ready\n"
		if remark != nil {
			if also := remark(); also != "" {
				text += also + "\n"
			}
		}
		say(w, http.StatusOK, text)
	})
	return healthz, readyz
}

func say(w http.ResponseWriter, status int, text string) {
	NoStore(w)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, text)
}
