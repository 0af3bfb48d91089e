package sparekey_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// said are the statements that the houses of all tests run, those of the tests themselves left out.
var said storetest.Statements

// say keeps a statement when the room that asked for it is no test.
func say(text string) {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])])
	for {
		f, more := frames.Next()
		if !strings.Contains(f.File, "/internal/store/") {
			if !strings.HasSuffix(f.File, "_test.go") {
				said.Add(text)
			}
			return
		}
		if !more {
			return
		}
	}
}

// TestMain looks at the plan of each statement that any of the tests has met, so that a new one without an index is noticed whichever
// test it was that met it.
func TestMain(m *testing.M) {
	code := m.Run()
	if faults, err := slowStatements(); err != nil || len(faults) > 0 {
		fmt.Println("FAIL: statements of the product that do not come by an index:", err)
		fmt.Println(strings.Join(faults, "\n"))
		code = max(code, 1)
	}
	os.Exit(code)
}

func slowStatements() ([]string, error) {
	folder, err := os.MkdirTemp("", "sparekey-plans-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	ctx := context.Background()
	at := "sqlite:" + filepath.Join(folder, "sparekey.db")
	db, err := store.Open(ctx, at, store.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return storetest.Slow(ctx, at, said.All())
}

// Whatever people, relying parties, operators and the work beside the requests ask of the store comes by an index that names more than the
// tenant, and is not sorted: it costs the same however much there is.
func TestEveryStatementComesByAnIndex(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, database string) {
		var o outage
		_, begin := faulty(t, database, &o)
		for _, e := range errands {
			x := begin(t)
			x.t = t
			e.ready(x)
			e.walk(x)
		}
		x := begin(t)
		x.t = t
		withPast(x)
		x.relyingParty()
		x.guesses()
		x.administrator()
		x.operator()
		x.besides()
	})
	texts := said.All()
	if len(texts) < 95 {
		t.Errorf("%d statements were met: some errands are missing", len(texts))
	}
	storetest.Indexed(t, texts)
}

// relyingParty asks at the endpoints that no errand meets.
func (x *run) relyingParty() {
	x.t.Helper()
	for endpoint, form := range map[string]url.Values{
		"introspection_endpoint":                {"token": {x.held.Access}},
		"pushed_authorization_request_endpoint": {"client_id": {"wiki"}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}},
	} {
		r, _ := http.NewRequest(http.MethodPost, x.meta("avengers")[endpoint].(string), strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("wiki", "wiki-secret")
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode >= 300 {
			x.t.Fatalf("%s: %v, %v", endpoint, res, err)
		}
		res.Body.Close()
	}
}

// guesses are a stranger's: names that are nobody's, wrong passwords and wrong codes, until she has to wait.
func (x *run) guesses() {
	for _, login := range []string{x.login, "nobody-of-that-name"} {
		b := x.browser()
		b.authorize()
		for range 12 {
			if b.last.h1() != "Sign in" {
				break
			}
			b.post(append(b.puzzle(), "username", login, "action", "next")...)
			b.post(append(b.puzzle(), "password", "wrong", "action", "sign_in")...)
		}
		b = x.browser()
		b.beginReset(login)
		for range 7 {
			b.proveApp(appKey[2:] + "AA")
		}
	}
}

// administrator resets the password of one, about which the others are told.
func (x *run) administrator() {
	x.t.Helper()
	x.login = "fury"
	x.user = x.house.user(x.login)
	x.mail, x.next = "fury@shield.example", "an-eye-for-an-eye-42"
	x.registered("fury@home.example")
	x.begins("forgot")
	x.picks("totp")
	x.proveApp()
	x.picks("email")
	x.b.post("email", "fury@home.example", "action", "verify")
	x.b.post("code", x.inbox("fury@home.example"), "action", "verify")
	x.chooses()
}

// operator does what an operator can do.
func (x *run) operator() {
	x.t.Helper()
	ctx, a := x.t.Context(), x.admin("avengers")
	u := x.user
	must := func(what string, err error) {
		x.t.Helper()
		if err != nil {
			x.t.Errorf("%s: %v", what, err)
		}
	}
	_, err := a.Why(ctx, u)
	must("why", err)
	_, err = a.In(ctx, "IT")
	must("group", err)
	list, err := a.Users(ctx)
	must("users", err)
	for _, err := range list {
		must("users", err)
	}
	must("add", a.AddUser(ctx, local.NewUser{Login: "visitor", Name: "A Visitor", Email: "visitor@example.test", Groups: []string{"IT"}, Password: password}, "test"))
	visitor, err := a.Find(ctx, "visitor")
	must("find", err)
	must("disable", a.SetDisabled(ctx, visitor, true, "test"))
	must("remove", a.RemoveUser(ctx, visitor, "test"))
	must("unlock", a.Unlock(ctx, u, true, "test"))
	must("unlock many", a.UnlockMany(ctx, "192.0.2.0/24", true, "test"))
	_, err = a.Methods(ctx, u)
	must("methods", err)
	must("require again", a.RequireAgain(ctx, u, "test"))
	_, err = a.RemoveMethods(ctx, u, "", "test")
	must("remove methods", err)
	_, err = a.SessionList(ctx, u)
	must("sessions", err)
	must("end sessions", a.EndSessions(ctx, u, "test"))
	_, err = a.Journal.Find(ctx, "abcdefgh")
	must("find in the journal", err)
	for _, after := range []int64{-1, 1} {
		_, err = a.Journal.Tail(ctx, after, 50)
		must("tail", err)
	}
	must("export", a.Journal.Export(ctx, io.Discard, "jsonl"))
	_, err = a.Journal.Link(ctx)
	must("link", err)
	_, err = a.Journal.Verify(ctx)
	must("verify", err)
	must("read", a.Store.Read(ctx, func(tx store.Tx) error {
		_, err := a.Journal.Recent(tx, string(u.ID), 8)
		return err
	}))
	_, err = x.house.p.Keyring(ctx)
	must("keyring", err)
}

// besides is what is done beside the requests.
func (x *run) besides() {
	x.t.Helper()
	ctx := x.t.Context()
	a := x.admin("avengers")
	x.write("avengers", func(tx store.Tx) error {
		return a.Journal.Record(tx, audit.Event{Name: audit.SignInOK, User: string(x.user.ID)})
	})
	x.signedIn(identity.Password)
	x.deliver()
	working, stop := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer stop()
	x.house.p.Run(working)
	if n, err := a.Journal.Sweep(ctx, time.Nanosecond); err != nil || n == 0 {
		x.t.Errorf("%d rows of the journal were swept: %v", n, err)
	}
	if err := x.house.p.RotateKeys(ctx, "avengers", true, "test"); err != nil {
		x.t.Error(err)
	}
}
