package sparekey_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// marked are the methods on the page that bear a mark, by name.
func (b *browser) marked(mark string) (names []string) {
	for _, m := range regexp.MustCompile(`(?s)<b[^>]*>([^<]*)</b>((?: <em[^>]*>[^<]*</em>)*)`).FindAllStringSubmatch(b.last.body, -1) {
		if strings.Contains(m[2], ">"+mark+"</em>") {
			names = append(names, m[1])
		}
	}
	return names
}

func TestOneMethodIsUsedFirstWhateverIsChangedOrStopped(t *testing.T) {
	h := open(t)
	b := withEmail(t, h)
	first := func(want string) {
		t.Helper()
		b.get("/avengers/security-info")
		b.want("Security info")
		if got := b.marked("used first"); !slices.Equal(got, []string{want}) {
			t.Errorf("used first: %q, not %q", got, want)
		}
	}
	first("Authenticator app")
	b.manage("action", "change", "id", b.ids("totp")[0])
	b.app()
	first("Authenticator app")
	h.press(linkOf(h.await(1, to("tony@home.example", "changed"))))
	b.authorize()
	b.password("ironman", password)
	first("E-mail")
	if got := b.marked("suspended"); !slices.Equal(got, []string{"Authenticator app"}) {
		t.Errorf("suspended: %q", got)
	}
	if b.post("action", "default", "id", b.ids("totp")[0]); b.last.status == 200 {
		t.Error("a suspended method is offered to be used first")
	}
	first("E-mail")
}

func TestAllSetListsWhatCounts(t *testing.T) {
	h := open(t)
	h.addUser("avengers", "thor", "Thor", "thor@asgard.example", "Avengers")
	thief := h.browser()
	thief.register("thor")
	h.press(linkOf(h.await(1, to("thor@asgard.example", "added"))))
	if err := h.admin("avengers").Unlock(t.Context(), h.user("thor"), true, "test"); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.authorize()
	b.password("thor", password)
	b.app()
	b.want("All set")
	if n := strings.Count(b.last.body, "<b>Authenticator app</b>"); n != 1 || len(b.marked("used first")) != 1 {
		t.Errorf("%d methods are listed, used first: %q", n, b.marked("used first"))
	}
}

func TestEveryChangeOfSecurityInfoIsAnnouncedOnce(t *testing.T) {
	h := open(t)
	b := withEmail(t, h)
	said := func() string {
		return first(b.last.body, `(?s)<p class="notice" role="status">(.*?)</p>`)
	}
	for _, c := range []struct {
		deed func()
		want string
	}{
		{func() { b.addEmail("tony@tower.example", 1) }, "Your method was added."},
		{func() {
			b.manage("action", "change", "id", b.ids("email")[0])
			b.post("email", "tony@away.example", "action", "next")
			b.post("code", h.code(1, "tony@away.example"), "action", "verify")
		}, "Your method was changed."},
		{func() {
			b.manage("action", "delete", "id", b.ids("email")[0])
			b.post("action", "delete")
		}, "Your method was deleted."},
		{func() { b.manage("action", "default", "id", b.ids("email")[0]) }, "Another method is used first now."},
		{func() {
			b.manage("action", "password")
			b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
		}, "Your password was changed."},
	} {
		c.deed()
		b.want("Security info")
		if got := said(); got != c.want {
			t.Errorf("%s says %q, not %q", b.last.url, got, c.want)
		}
		if b.get("/avengers/security-info"); said() != "" {
			t.Errorf("%q is said again", said())
		}
	}
	b.post("action", "password")
	for b.last.h1() == "Verify it’s you" || b.last.h1() == "Sign in" {
		b.post("action", "back")
	}
	if b.last.h1() == "Choose a new password" {
		b.post("action", "back")
	}
	b.want("Security info")
	if said() != "" {
		t.Errorf("going back is announced as %q", said())
	}
	for _, word := range []string{"method_stolen", "other", "<b>x</b>", "skipped"} {
		if b.get("/avengers/security-info?done=" + word); said() != "" {
			t.Errorf("?done=%s says %q", word, said())
		}
	}
}

func TestTheWordsOfAChangeFitIt(t *testing.T) {
	h := open(t)
	b := withEmail(t, h)
	heading := func() string { return first(b.last.body, `(?s)<h2 class="title">(.*?)</h2>`) }
	b.manage("action", "change", "id", b.ids("email")[0])
	if heading() != "Your new e-mail address" {
		t.Errorf("a change of the address is headed %q", heading())
	}
	b.manage("action", "add")
	b.pick("email")
	if heading() != "Add your e-mail address" {
		t.Errorf("a further address is headed %q", heading())
	}
	b.manage("action", "password")
	b.post("old", "not-the-one-i-have", "new", renewed, "confirm", renewed, "action", "next")
	if got := b.last.error(); got != "That is not your current password. Try again." {
		t.Errorf("a wrong current password meets %q", got)
	}
	h.clock.Advance(11 * time.Minute)
	b.get("/avengers/security-info")
	b.post("action", "add")
	b.post("password", "not-the-one-i-have", "action", "sign_in")
	if got := b.last.error(); got != "That is not your current password. Try again." {
		t.Errorf("a wrong password before a change meets %q", got)
	}
	b.get("/avengers/security-info")
	b.post("action", "sign_out_everywhere")
	b.want("You are signed out")
	if !strings.Contains(b.last.body, `class="primary" href="/avengers/security-info">Sign in</a>`) {
		t.Error("no way to sign in anew")
	}
}

// What is chosen already on the page of methods is one that she has not got, as long as there is one.
func TestAMethodThatIsMissingIsChosenFirst(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.register("ironman")
	chosen := func(want string) {
		t.Helper()
		b.manage("action", "add")
		m := regexp.MustCompile(`<input[^>]*name="choose"[^>]*value="(\w+)"[^>]* checked>`).FindStringSubmatch(b.last.body)
		if len(m) != 2 || m[1] != want {
			t.Errorf("chosen is %q, not %q, on %s %q", m, want, b.last.h1(), first(b.last.body, `(?s)(<fieldset.*</fieldset>)`))
		}
	}
	chosen("email") // beside the app
	h.clock.Advance(time.Minute)
	b.addEmail("tony@home.example", 1)
	chosen("totp") // she has both, and it is the stronger one
	h.press(linkOf(h.await(1, func(m mail) bool { return m.to == "tony@stark.example" && strings.Contains(m.text, "t•••@home") })))
	b.authorize()
	b.password("ironman", password)
	chosen("email") // hers was stopped
}
