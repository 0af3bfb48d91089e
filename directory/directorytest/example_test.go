package directorytest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sparekey-id/sparekey/directory"
)

// Staff is a whole adapter: users live in a service that speaks JSON.
//
//	GET  /users?name=NAME      the users of that name
//	GET  /user?id=ID           one user, or 404
//	POST /check?id=ID          {"password"} → {"right"}; an id of nobody costs as much
//	POST /password?id=ID       {"new", "must_change"} → 204, or 422 {"reason"}
type Staff struct {
	URL    string
	Client *http.Client // with a timeout
}

// person is a user as the service writes her.
type person struct {
	ID, Login, Name, Mail string
	Groups                []string
	Active, Due           bool
}

func (p person) user() directory.User {
	u := directory.User{ID: directory.UserID(p.ID), Login: p.Login, Name: p.Name, Email: p.Mail, Groups: p.Groups}
	if !p.Active {
		u.State |= directory.Disabled
	}
	if p.Due {
		u.State |= directory.MustChange
	}
	return u
}

func (s *Staff) Find(ctx context.Context, login string) (directory.User, error) {
	if !utf8.ValidString(login) || len(login) > 256 || strings.TrimSpace(login) == "" {
		login = "\x00" // what cannot be a name costs the same query
	}
	var found []person
	if err := s.call(ctx, "GET", "/users?name="+url.QueryEscape(login), nil, &found); err != nil {
		return directory.User{}, err
	}
	switch len(found) {
	case 0:
		return directory.User{}, directory.ErrNotFound
	case 1:
		return found[0].user(), nil
	}
	return directory.User{}, directory.ErrAmbiguous
}

func (s *Staff) Get(ctx context.Context, id directory.UserID) (directory.User, error) {
	var p person
	err := s.call(ctx, "GET", "/user?id="+url.QueryEscape(string(id)), nil, &p)
	if err != nil {
		return directory.User{}, err
	}
	return p.user(), nil
}

func (s *Staff) VerifyPassword(ctx context.Context, u directory.User, password string) (directory.Verdict, error) {
	var answer struct{ Right bool }
	err := s.call(ctx, "POST", "/check?id="+url.QueryEscape(string(u.ID)), map[string]any{"password": password}, &answer)
	if err != nil || !answer.Right || password == "" {
		return directory.Wrong, err
	}
	now, err := s.Get(ctx, u.ID) // the state that counts is today's
	switch {
	case err != nil:
		return directory.Wrong, err
	case now.State.Barred():
		return directory.RightButBarred, nil
	case now.State.Has(directory.MustChange):
		return directory.RightButDue, nil
	}
	return directory.Right, nil
}

func (s *Staff) SetPassword(ctx context.Context, u directory.User, next string, o directory.SetOptions) error {
	if next == "" {
		return &directory.PolicyError{Reason: directory.TooShort}
	}
	err := s.call(ctx, "POST", "/password?id="+url.QueryEscape(string(u.ID)), map[string]any{"new": next, "must_change": o.MustChange}, nil)
	if errors.Is(err, directory.ErrUnavailable) {
		return fmt.Errorf("%w: %w", directory.ErrOutcomeUnknown, err)
	}
	return err
}

// call turns every answer but the expected ones into ErrUnavailable.
func (s *Staff) call(ctx context.Context, method, path string, body, answer any) error {
	text, _ := json.Marshal(body)
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	res, err := s.Client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
			return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
		}
		return nil
	case http.StatusNoContent:
		return nil
	case http.StatusNotFound:
		return directory.ErrNotFound
	case http.StatusUnprocessableEntity:
		refusal := &directory.PolicyError{Reason: directory.Refused}
		json.NewDecoder(res.Body).Decode(refusal)
		return refusal
	}
	return fmt.Errorf("%w: %s", directory.ErrUnavailable, res.Status)
}

// Example shows how little a place where users live has to be: the type Staff above is all of it.
func Example() {
	var staff directory.Directory = &Staff{URL: "https://staff.example.com", Client: &http.Client{Timeout: 3 * time.Second}}
	_, checks := directory.As[directory.PasswordVerifier](staff)
	_, unlocks := directory.As[directory.Unlocker](staff)
	fmt.Println("checks passwords:", checks)
	fmt.Println("unlocks accounts:", unlocks)
	// Output:
	// checks passwords: true
	// unlocks accounts: false
}
