package sparekey_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
)

// Whatever a form says, a mail goes to the addresses that are stored for the user; it can be read as text, and no name in it is markup.
func TestUI04_EveryMailIsTextAsWellAndGoesWhereItsUserLives(t *testing.T) {
	h := open(t, with(func(t *sparekey.Tenant) { t.Name = `The <b id="canary">Avengers</b> & "Co"` }))
	const evil = "x@evil.example"
	insist := func(b *browser) {
		b.watch(func(r *http.Request, body []byte, send func(*http.Request) *http.Response) *http.Response {
			if r.Method != http.MethodPost {
				return send(r)
			}
			form, err := url.ParseQuery(string(body))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"to", "email", "mail", "address", "recipient", "user", "cc", "bcc", "reply_to", "from"} {
				if !form.Has(name) {
					form.Set(name, evil)
				}
			}
			c := again(r, []byte(form.Encode()))
			c.URL.RawQuery = url.Values{"email": {evil}, "to": {evil}}.Encode()
			return send(c)
		})
	}
	tour(t, h, insist)
	h.addUser("avengers", "thor", "Thor", "thor@asgard.example", "Avengers")
	h.equip(h.user("thor").ID, "thor@home.example")
	b := h.browser()
	insist(b)
	b.beginReset("thor")
	b.chooseEmail("thor@home.example")
	b.post("code", h.code(1, "thor@home.example"), "action", "verify", "email", evil)
	b.post("new", renewed, "confirm", renewed, "email", evil, "action", "next")
	b.want("Your password has been reset")
	h.await(1, to("thor@home.example", "was reset"))
	h.await(1, to("thor@asgard.example", "was reset"))
	var subjects []string
	for _, m := range h.mails.all() {
		if !slices.Contains([]string{"tony@stark.example", "tony@home.example", "tony@tower.example", "thor@asgard.example", "thor@home.example"}, m.to) {
			t.Errorf("%q went to %s", m.subject, m.to)
		}
		if strings.Contains(m.text, "thor") == strings.Contains(m.text, "ironman") || strings.Contains(m.text, "thor") != strings.HasPrefix(m.to, "thor@") {
			t.Errorf("%q of another user went to %s: %s", m.subject, m.to, m.text)
		}
		if len(strings.TrimSpace(m.text)) < 40 || strings.Contains(m.text, "<p") || strings.Contains(m.text, "&amp;") || !strings.Contains(m.text, `The <b id="canary">`) {
			t.Errorf("the text of %q is %q", m.subject, m.text)
		}
		if strings.Contains(m.html, `<b id="canary"`) || !strings.Contains(m.html, "&lt;b id=") {
			t.Errorf("the tenant's name is markup in %q: %s", m.subject, m.html)
		}
		if strings.Contains(m.text+m.html+m.subject, "evil.") {
			t.Errorf("what a form says is in %q", m.subject)
		}
		if !slices.Contains(subjects, m.subject) {
			subjects = append(subjects, m.subject)
		}
	}
	if len(subjects) < 6 {
		t.Errorf("only %d sorts of mail were sent: %q", len(subjects), subjects)
	}
}

// Nobody has to transcribe a picture, type six boxes or a name twice, or guess how much time is left (WCAG 2.2 3.3.8, 3.3.7, 2.2.1).
func TestUI07_NothingIsTranscribedNothingTypedTwiceAndTimeIsTold(t *testing.T) {
	h := open(t)
	h.equip(h.user("ironman").ID, "tony@home.example")
	b := h.browser()
	b.authorize()
	b.post("username", "ironman", "action", "next")
	b.follow("aside")
	b.want("Get back into your account")
	field := func(name string) string {
		t.Helper()
		all := regexp.MustCompile(`<input[^>]*name="`+name+`"[^>]*>`).FindAllString(b.last.body, -1)
		if len(all) != 1 {
			t.Fatalf("%d fields %q on %s", len(all), name, b.last.body)
		}
		return all[0]
	}
	if v := first2(field("username"), "value"); v != "ironman" {
		t.Errorf("3.3.7: the name has to be typed again: %q", v)
	}
	// Without JavaScript nothing is solved: the page says how long to wait, and waiting is the answer.
	if strings.Contains(b.last.body, "<img") || strings.Contains(field("captcha"), `type="text"`) || !regexp.MustCompile(`<noscript>.*15.*</noscript>`).MatchString(b.last.body) {
		t.Errorf("3.3.8: there is something to transcribe, or nothing says what to do without JavaScript: %s", b.last.body)
	}
	h.clock.Advance(5 * time.Second)
	b.post("username", "ironman", "action", "next")
	if got := shown(b.last); got != atName || b.last.error() == "" || first2(field("username"), "value") != "ironman" {
		t.Errorf("too early it leads to %q with %q and %s", got, b.last.error(), field("username"))
	}
	h.clock.Advance(10 * time.Second)
	if b.post("username", "ironman", "action", "next"); shown(b.last) != atWhat {
		t.Fatalf("who has waited meets %q %q", shown(b.last), b.last.error())
	}
	b.post("what", "forgot", "action", "next")
	b.chooseEmail("tony@home.example")
	code := h.code(1, "tony@home.example")
	if in := field("code"); !strings.Contains(in, `autocomplete="one-time-code"`) || strings.Contains(in, `maxlength="6"`) || strings.Contains(in, "onpaste") {
		t.Errorf("3.3.8: a pasted code does not fit: %s", in)
	}
	for _, told := range []string{`data-expires="300"`, `data-soon="`, `data-over="`, `role="status"`, fmt.Sprintf(`<time datetime="%s"`, h.clock.Now().Add(5*time.Minute).Format(time.RFC3339)), `value="resend"`} {
		if !strings.Contains(b.last.body, told) {
			t.Errorf("2.2.1: the page has no %s", told)
		}
	}
	if b.post("code", "\u00a0"+code[:3]+" "+code[3:]+"\n", "action", "verify"); shown(b.last) != atNew {
		t.Errorf("3.3.8: the code as it was copied is refused: %s", b.last.error())
	}
	b.post("new", "short", "confirm", "short", "action", "next")
	if in := field("new"); !strings.Contains(in, `aria-invalid="true"`) || !strings.Contains(in, "new-error") || !strings.Contains(b.last.body, `role="alert"`) {
		t.Errorf("3.3.1: what is wrong is not told beside its field: %s", in)
	}
	b.post("new", renewed, "confirm", renewed, "action", "next")
	b.follow("primary")
	if !strings.Contains(b.last.body, "ironman") || !strings.Contains(b.last.body, `name="password"`) {
		t.Errorf("3.3.7: back at the sign-in the name has to be typed again: %s", b.last.body)
	}
}
