package directorytest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
)

func TestTheExampleKeepsTheContract(t *testing.T) {
	directorytest.Run(t, func(t *testing.T) directorytest.Fixture {
		m, f := filled()
		server := httptest.NewServer(service(m))
		t.Cleanup(server.Close)
		client := server.Client()
		client.Timeout = 3 * time.Second
		f.Directory, f.Break = &Staff{server.URL, client}, server.Close
		none := directorytest.Person{} // what the service does not know
		f.AdminLocked, f.TempLocked, f.Expired, f.Privileged = none, none, none, none
		return f
	})
}

// service is the far side of Staff.
func service(m *directorytest.Memory) http.Handler {
	shown := func(u directory.User) person {
		return person{string(u.ID), u.Login, u.Name, u.Email, u.Groups, !u.State.Has(directory.Disabled), u.State.Has(directory.MustChange)}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		found := []person{}
		switch u, err := m.Find(r.Context(), r.URL.Query().Get("name")); {
		case err == nil:
			found = append(found, shown(u))
		case errors.Is(err, directory.ErrAmbiguous):
			found = append(found, person{}, person{})
		}
		json.NewEncoder(w).Encode(found)
	})
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, r *http.Request) {
		u, err := m.Get(r.Context(), directory.UserID(r.URL.Query().Get("id")))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		json.NewEncoder(w).Encode(shown(u))
	})
	mux.HandleFunc("POST /check", func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Password string }
		json.NewDecoder(r.Body).Decode(&q)
		v, _ := m.VerifyPassword(r.Context(), directory.User{ID: directory.UserID(r.URL.Query().Get("id"))}, q.Password)
		json.NewEncoder(w).Encode(map[string]bool{"right": v != directory.Wrong})
	})
	mux.HandleFunc("POST /password", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			New        string
			MustChange bool `json:"must_change"`
		}
		json.NewDecoder(r.Body).Decode(&q)
		u := directory.User{ID: directory.UserID(r.URL.Query().Get("id"))}
		err := m.SetPassword(r.Context(), u, q.New, directory.SetOptions{MustChange: q.MustChange})
		var refusal *directory.PolicyError
		switch {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.As(err, &refusal):
			w.WriteHeader(http.StatusUnprocessableEntity)
			json.NewEncoder(w).Encode(refusal)
		default:
			http.NotFound(w, r)
		}
	})
	return mux
}
