package sparekey_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
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
