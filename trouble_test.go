package sparekey_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
)

// moody is a directory that can be down or slow.
type moody struct {
	*directorytest.Memory
	slow time.Duration
}

func (m *moody) wait(ctx context.Context) error {
	select {
	case <-time.After(m.slow):
		return nil
	case <-ctx.Done():
		return directory.ErrUnavailable
	}
}

func (m *moody) Find(ctx context.Context, login string) (directory.User, error) {
	if err := m.wait(ctx); err != nil {
		return directory.User{}, err
	}
	return m.Memory.Find(ctx, login)
}

func (m *moody) Get(ctx context.Context, id directory.UserID) (directory.User, error) {
	if err := m.wait(ctx); err != nil {
		return directory.User{}, err
	}
	return m.Memory.Get(ctx, id)
}

func TestF06_ADirectoryThatIsDownOrSlowIsNeverAWrongPasswordAndNeverSuccess(t *testing.T) {
	m := &moody{Memory: &directorytest.Memory{}}
	m.Add(directorytest.Account{User: directory.User{ID: "1", Login: "loki", Groups: []string{"Avengers"}}, Password: password})
	h := open(t, with(func(t *sparekey.Tenant) {
		t.Directories = map[string]sparekey.Directory{"staff": {Type: "program"}}
	}), bring(m))
	done := h.browser().register("loki")
	got := h.redeem(done)
	if got.Refresh == "" {
		t.Fatal(got.raw)
	}
	b := h.browser()
	b.authorize()
	b.post("username", "loki", "action", "next")
	page := b.last
	m.Down(true)
	for range 15 {
		b.last = page
		if p := b.post("password", password, "action", "sign_in"); p.status != 503 {
			t.Fatalf("a directory that is down answered %d %s %s", p.status, p.h1(), p.error())
		}
	}
	if strings.Contains(b.last.body, "does not fit") {
		t.Error("it is called a wrong password")
	}
	if again := h.refresh(got.Refresh); again.status < 500 || again.Access != "" {
		t.Errorf("refresh answered %d %s", again.status, again.raw)
	}
	if p := h.browser(); p.get("/avengers/reset").status != 200 {
		t.Error("the reset page itself needs no directory")
	}
	m.Down(false)
	b.last = page
	if p := b.post("password", password, "action", "sign_in"); p.query("code") == "" {
		t.Errorf("counted as wrong: %d %s %s", p.status, p.h1(), p.error())
	}

	m.slow = 20 * time.Second
	began := time.Now()
	s := h.browser()
	s.authorize()
	if p := s.post("username", "loki", "action", "next"); p.status != 503 || time.Since(began) > 6*time.Second {
		t.Errorf("a slow directory answered %d after %v", p.status, time.Since(began))
	}
	began = time.Now()
	w := h.browser()
	w.get(h.authorizeURL("wakanda"))
	if w.password("ironman", password); time.Since(began) > 3*time.Second {
		t.Errorf("another tenant waited %v", time.Since(began))
	}
}

func TestAPasswordSetWhoseOutcomeIsUnknownEndsEverything(t *testing.T) {
	m := &unsure{Memory: &directorytest.Memory{}}
	m.Add(directorytest.Account{User: directory.User{ID: "1", Login: "loki", Email: "loki@asgard.example", Groups: []string{"Avengers"}}, Password: password})
	h := open(t, with(func(t *sparekey.Tenant) {
		t.Directories = map[string]sparekey.Directory{"staff": {Type: "program"}}
	}), bring(m))
	owner := h.browser()
	owner.register("loki")
	b := h.browser()
	b.reset("loki", owner.key, renewed)
	if b.last.status != 503 || b.last.h1() == "Your password has been reset" {
		t.Errorf("A47: an unknown outcome is shown as %d %s", b.last.status, b.last.h1())
	}
	if p := owner.authorize("prompt", "none"); p.query("error") != "login_required" {
		t.Errorf("a session outlived a reset of unknown outcome: %q", p.location)
	}
	h.await(1, subject("may have"))
}

// unsure sets passwords and cannot say so.
type unsure struct{ *directorytest.Memory }

func (u *unsure) SetPassword(ctx context.Context, who directory.User, next string, o directory.SetOptions) error {
	if err := u.Memory.SetPassword(ctx, who, next, o); err != nil {
		return err
	}
	return directory.ErrOutcomeUnknown
}
