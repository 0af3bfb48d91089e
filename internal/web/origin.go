package web

import "net/http"

// CrossOrigin gives requests that may change something (all methods but GET, HEAD, OPTIONS) to deny when a browser sent them
// for another origin, told by Sec-Fetch-Site and, where that is missing, by Origin. A nil deny answers an empty 403.
// It is for pages alone: relying parties post to the endpoints of the provider from wherever they are.
func CrossOrigin(next http.Handler, deny http.Handler) http.Handler {
	if deny == nil {
		deny = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			NoStore(w)
			w.WriteHeader(http.StatusForbidden)
		})
	}
	check := http.NewCrossOriginProtection()
	check.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Note(r, "denied", "cross-origin")
		deny.ServeHTTP(w, r)
	}))
	return check.Handler(next)
}
