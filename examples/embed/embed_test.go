package main

import (
	"context"
	"encoding/base32"
	"fmt"
	"go/parser"
	"go/token"
	"html"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
)

func TestTheProgramsUsersKeepTheContract(t *testing.T) {
	directorytest.Run(t, func(*testing.T) directorytest.Fixture {
		users := &Users{}
		for login, state := range map[string]directory.State{"adalove": 0, "bobwhite": 0, "disabled": directory.Disabled, "locked": directory.AdminLocked, "duesoon": directory.MustChange} {
			users.Add(directory.User{Login: login, Name: "The " + login, Groups: []string{"Staff"}, State: state}, login+"-Password-7")
		}
		person := func(login string) directorytest.Person {
			return directorytest.Person{Login: login, Password: login + "-Password-7", Name: "The " + login, Groups: []string{"Staff"}}
		}
		return directorytest.Fixture{Directory: users, Ada: person("adalove"), Bob: person("bobwhite"), Disabled: person("disabled"), AdminLocked: person("locked"),
			MustChange: person("duesoon"), Unbreakable: true, Refused: []directorytest.Refusal{{Reason: directory.TooShort}}}
	})
}

func TestTheProgramNeedsNothingThatIsInternal(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 4 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if strings.Contains(i.Path.Value, "/internal/") {
				t.Errorf("%s imports %s, which a foreign program cannot", file, i.Path.Value)
			}
		}
	}
}

// browser walks pages by their forms.
type browser struct {
	t    *testing.T
	http http.Client
	at   *url.URL
	page string
}

func (b *browser) done(res *http.Response, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.at, b.page = res.Request.URL, string(body)
}

func (b *browser) get(address string) { b.t.Helper(); b.done(b.http.Get(address)) }

// post sends the page's form with its hidden fields and these pairs.
func (b *browser) post(pairs ...string) {
	b.t.Helper()
	form := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(b.page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	b.done(b.http.PostForm(b.at.String(), form))
}

func (b *browser) shows(text string) {
	b.t.Helper()
	if !strings.Contains(html.UnescapeString(b.page), text) {
		b.t.Fatalf("%s does not show %q:\n%s", b.at, text, b.page)
	}
}

func TestAForeignProgramSignsItsOwnUsersIn(t *testing.T) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	origin := fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	users := &Users{}
	users.Add(directory.User{Login: "ada", Name: "Ada Lovelace", Email: "ada@example.com", EmailVerified: true}, "notes-on-the-engine")
	log.SetOutput(t.Output()) // slog's default writes there, too
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, origin, t.TempDir(), users) }()
	jar, _ := cookiejar.New(nil)
	b := &browser{t: t, http: http.Client{Jar: jar, Timeout: 30 * time.Second}}

	b.get(origin + "/")
	b.shows("Engine room")
	b.get(origin + "/sign-in")
	b.shows("Analytical Engines")
	second := browser{t: t, http: b.http} // a tab beside it, which begins a sign-in of its own
	second.get(origin + "/sign-in")
	second.shows("Analytical Engines")
	b.post("username", "Ada", "action", "next")
	b.post("password", "not this one at all", "action", "sign_in")
	b.shows("Sign in")
	b.post("password", "notes-on-the-engine", "action", "sign_in")

	b.shows("More information required")
	b.post("action", "next")
	b.post("action", "next")
	shown := regexp.MustCompile(`data-secret[^>]*>([^<]*)<`).FindStringSubmatch(b.page)
	if shown == nil {
		t.Fatalf("no key at %s:\n%s", b.at, b.page)
	}
	key := strings.ReplaceAll(shown[1], " ", "")
	if _, err := base32.StdEncoding.DecodeString(key); err != nil {
		t.Fatalf("the key %q: %v", key, err)
	}
	b.post("action", "next")
	code, err := totp.GenerateCode(key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b.post("code", code, "action", "verify")
	b.shows("All set")
	b.post("action", "done")

	if b.at.String() != origin+"/" {
		t.Errorf("she lands at %s, want the program's own page", b.at)
	}
	b.shows("Good day, Ada Lovelace.")
	b.get(origin + "/id/security-info")
	b.shows("Security info")
	b.get(origin + "/signed-in?code=x&state=forged&iss=" + url.QueryEscape(origin+"/id"))
	b.shows("this sign-in was not begun here")

	stop()
	if err := <-ended; err != nil {
		t.Errorf("the program ended with %v", err)
	}
}
