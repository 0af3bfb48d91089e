package sparekey_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/guard"
)

const (
	stored = "kiss@iss.example" // its letters have look-alikes that Unicode folds to them
	evil   = "mallory@evil.example"
)

// unsilenced lets so many codes be sent that silence never is for that reason.
var unsilenced = with(func(t *sparekey.Tenant) {
	many := config.Rate{Count: 10_000, Per: 10 * time.Minute}
	t.Limits = guard.Limits{Sends: many, SendsNetwork: many, Proofs: config.Rate{Count: 100, Per: 24 * time.Hour}, ProofsNetwork: config.Rate{Count: 100, Per: 24 * time.Hour}}
})

// recipients are those of the mails sent since so many had been.
func (h *house) recipients(since int) (list []string) {
	h.t.Helper()
	h.drained()
	for _, m := range h.mails.all()[since:] {
		list = append(list, m.to)
	}
	return list
}

// addressed is a house in which ironman has an app and the address that is stored.
func addressed(t *testing.T, h *house) *browser {
	t.Helper()
	b := h.browser()
	b.register("ironman")
	b.addEmail(stored, 1)
	b.want("Security info")
	h.drained()
	return b
}

// tricks are what may be typed where an address is asked for, and whether it is the one that is stored.
var tricks = map[string]bool{
	stored: true, "KISS@ISS.EXAMPLE": true, "  " + stored + " ": true, "Kiss@iss.Example": true,
	"\u212Aiss@iss.example": false, "k\u0131ss@iss.example": false, "ki\u017Fs@iss.example": false, "K\u0130SS@iss.example": false, "kiss@\u0131ss.example": false,
	"kiss@is\u017F.example": false, "kiss@iss.examp\u217Ce": false, "\uFF4Biss@iss.example": false, "kiss\uFF20iss.example": false, "kiss@iss\u3002example": false,
	"kiss@iss.ex\u0430mple": false, "ki\u00ADss@iss.example": false, "kiss@iss.example\u200B": false, "kiss@is\u0073\u0301.example": false, "kiss@xn--is-eka.example": false,
	stored + "," + evil: false, evil + "," + stored: false, stored + ";" + evil: false, stored + " " + evil: false, stored + "%2C" + evil: false,
	stored + "\r\nBcc: " + evil: false, stored + "\nCc:" + evil: false, stored + "%0d%0aBcc:" + evil: false, stored + "\r\n.\r\nRCPT TO:<" + evil + ">": false,
	"<" + stored + ">": false, "Tony <" + stored + ">": false, evil + " <" + stored + ">": false, "Friends: " + stored + ", " + evil + ";": false, `"` + stored + `"@evil.example`: false,
	stored + "(" + evil + ")": false, stored + "@evil.example": false, "kiss%iss.example@evil.example": false, "@evil.example:" + stored: false, "kiss@[iss.example]": false,
	"kiss@iss.example.": false, "kiss+x@iss.example": false, "k.iss@iss.example": false, `{"email":"` + stored + `"}`: false, `["` + stored + `","` + evil + `"]`: false, evil: false, "*": false, "%": false,
}

// others are those tricks that are addresses of their own, and how they are written to: she may register them.
var others = map[string]string{"kiss@\u0131ss.example": "kiss@xn--ss-gpa.example", "kiss@iss.ex\u0430mple": "kiss@iss.xn--exmple-4nf", "kiss@xn--is-eka.example": "kiss@xn--is-eka.example",
	"kiss%iss.example@evil.example": "kiss%iss.example@evil.example", "kiss+x@iss.example": "kiss+x@iss.example", "k.iss@iss.example": "k.iss@iss.example", evil: evil}

func TestA11_ACodeGoesToTheStoredAddressWhateverIsTyped(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		owner := addressed(t, h)
		for typed, same := range tricks {
			since := len(h.mails.all())
			b := h.browser()
			b.beginReset("ironman")
			b.chooseEmail(typed)
			if !strings.Contains(b.last.body, `name="code"`) || b.last.error() != "" {
				t.Errorf("%q looks different: %q %q", typed, b.last.h1(), b.last.error())
			}
			want := []string(nil)
			if same {
				want = []string{stored}
			}
			if got := h.recipients(since); !slices.Equal(got, want) {
				t.Errorf("%q typed in a reset: sent to %q, want %q", typed, got, want)
			}
			// Sent once more, the recipient is the same, whatever else is posted.
			since = len(h.mails.all())
			h.clock.Advance(10 * time.Second)
			b.post("action", "resend", "email", evil, "address", evil, "to", evil)
			if got := h.recipients(since); !slices.Equal(got, want) {
				t.Errorf("%q typed in a reset, and sent again: to %q, want %q", typed, got, want)
			}
		}
		for typed := range tricks {
			since := len(h.mails.all())
			h.clock.Advance(time.Minute)
			owner.manage("action", "add")
			if strings.Contains(owner.last.body, `name="choose"`) {
				owner.post("choose", "email", "action", "next")
			}
			owner.post("email", typed, "action", "next")
			want := []string(nil)
			if to := others[typed]; to != "" {
				want = []string{to}
			}
			if got := h.recipients(since); !slices.Equal(got, want) || (owner.last.error() == "") != (want != nil) {
				t.Errorf("%q typed at a registration: sent to %q, want %q; %q", typed, got, want, owner.last.error())
			}
		}
	}, unsilenced)
}

// Names that look like another's, or like another's address, are their own users or nobody.
func TestA11_AResetInTheNameOfALookAlikeWritesToNobodyElse(t *testing.T) {
	h := open(t, unsilenced)
	addressed(t, h)
	err := h.admin("avengers").SetDisabled(t.Context(), h.user("fury"), true, "test") // nobody to be told of resets
	if err != nil {
		t.Fatal(err)
	}
	h.addUser("avengers", "\u0131ronman", "Mallory", "tony@\u017Ftark.example", "Avengers")
	m := h.browser()
	m.register("\u0131ronman")
	m.addEmail(evil, 1)
	h.drained()
	for _, mail := range h.mails.all() {
		if strings.Contains(mail.text, "\u0131ronman") && mail.to != evil {
			t.Errorf("a mail for the look-alike went to %q: %s", mail.to, mail.subject)
		}
	}
	owners := map[string]string{"ironman": stored, "IRONMAN": stored, " ironman ": stored, "\uFF49\uFF52\uFF4F\uFF4E\uFF4D\uFF41\uFF4E": stored, "tony@stark.example": stored, "TONY@STARK.EXAMPLE": stored,
		"\u0131ronman": evil, "tony@\u017Ftark.example": evil, "\u0130ronman": "", "tony@\u017Ftar\u212A.example": "", "t\u043Eny@stark.example": "", "tony@stark\uFF0Eexample": "", "tony@stark.example," + evil: "", "tony@stark.example\u200B": ""}
	for name, owner := range owners {
		for _, typed := range []string{stored, evil} {
			since := len(h.mails.all())
			b := h.browser()
			b.beginReset(name)
			if !strings.Contains(b.last.body, `data-kind="email"`) {
				b.post("choose", "email", "action", "next") // a decoy may show the app alone
			} else {
				b.chooseEmail(typed)
			}
			var want []string
			if owner == typed {
				want = []string{owner}
			}
			if got := h.recipients(since); !slices.Equal(got, want) {
				t.Errorf("a reset of %q with %q: sent to %q, want %q", name, typed, got, want)
			}
		}
	}
	since := len(h.mails.all())
	for name := range owners {
		b := h.browser()
		b.authorize("login_hint", evil)
		b.post("username", name, "email", evil, "action", "next")
		b.post("password", "wrong-"+name, "email", evil, "action", "sign_in")
		if b.last.query("code") != "" {
			t.Errorf("%q signs in", name)
		}
	}
	if got := h.recipients(since); got != nil {
		t.Errorf("a wrong password wrote to %q", got)
	}
}

// raws are requests in which a field is there twice, is a list, or comes another way than as a form.
func raws(field, good, bad string, more url.Values) map[string]*http.Request {
	rest := more.Encode()
	enc := func(pairs ...string) string {
		text := rest
		for i := 0; i+1 < len(pairs); i += 2 {
			text += "&" + url.QueryEscape(pairs[i]) + "=" + url.QueryEscape(pairs[i+1])
		}
		return text
	}
	object := func(value string) string {
		text := `{"` + field + `":` + value
		for k := range more {
			text += `,"` + k + `":"` + more.Get(k) + `"`
		}
		return text + "}"
	}
	parts := func(values ...string) (string, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for k := range more {
			w.WriteField(k, more.Get(k))
		}
		for _, v := range values {
			w.WriteField(field, v)
		}
		w.Close()
		return w.FormDataContentType(), b.String()
	}
	const form = "application/x-www-form-urlencoded"
	list := map[string]*http.Request{}
	add := func(name, kind, query, body string) {
		r, _ := http.NewRequest(http.MethodPost, "?"+query, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		list[name] = r
	}
	add("twice", form, "", enc(field, good, field, bad))
	add("twice, the other way round", form, "", enc(field, bad, field, good))
	add("twice the same", form, "", enc(field, good, field, good))
	add("an array", form, "", enc(field+"[]", good, field+"[]", bad))
	add("an array beside the field", form, "", enc(field, good, field+"[]", bad))
	add("an array of one", form, "", enc(field+"[0]", good))
	add("a map", form, "", enc(field+"[a]", good, field+"[b]", bad))
	add("semicolons", form, "", rest+"&"+field+"="+good+";"+field+"="+bad)
	add("a NUL", form, "", enc(field, good+"\x00"+bad))
	add("no UTF-8", form, "", enc(field, good+"\xc0\xae"))
	add("another charset", form+"; charset=utf-7", "", enc(field, good))
	add("two content types", form+", application/json", "", enc(field, good))
	add("JSON", "application/json", "", object(`"`+good+`"`))
	add("a JSON list", "application/json", "", object(`["`+good+`","`+bad+`"]`))
	add("JSON that says it is a form", form, "", object(`["`+good+`","`+bad+`"]`))
	kind, body := parts(good)
	add("multipart", kind, "", body)
	kind, body = parts(good, bad)
	add("multipart, twice", kind, "", body)
	add("plain text", "text/plain", "", enc(field, good))
	add("in the query alone", form, field+"="+url.QueryEscape(bad), rest)
	add("all of it in the query", form, enc(field, bad), "")
	return list
}

func TestA11_ARepeatedOrListedFieldIsNoField(t *testing.T) {
	h := open(t, unsilenced)
	owner := addressed(t, h)
	// Each place: how to come there, the field, what would be right, and what the page goes on to when it is posted.
	for _, place := range []struct {
		name, field, good string
		come              func() *browser
		on                func(page) bool
	}{
		{"the name in a reset", "username", "ironman", func() *browser { b := h.browser(); b.get("/avengers/reset"); return b }, func(p page) bool { return !strings.Contains(p.body, "data-captcha") }},
		{"the address in a reset", "email", stored, func() *browser { b := h.browser(); b.beginReset("ironman"); b.pick("email"); return b }, func(p page) bool { return strings.Contains(p.body, `name="code"`) }},
		{"the address at a registration", "email", "tony@tower.example", func() *browser {
			h.clock.Advance(time.Minute)
			b := owner.twin()
			b.manage("action", "add")
			b.post("choose", "email", "action", "next")
			return b
		}, func(p page) bool { return strings.Contains(p.body, `name="code"`) }},
		{"the name at sign-in", "username", "ironman", func() *browser { b := h.browser(); b.authorize(); return b }, func(p page) bool { return strings.Contains(p.body, `name="password"`) }},
	} {
		t.Run(place.name, func(t *testing.T) {
			b := place.come()
			here := b.last.url.String()
			ready := func() url.Values {
				more := url.Values{"csrf": {b.token()}, "action": {"next"}}
				solved := b.puzzle()
				for i := 0; i+1 < len(solved); i += 2 {
					more.Set(solved[i], solved[i+1])
				}
				return more
			}
			since := len(h.mails.all())
			for name, r := range raws(place.field, place.good, evil, ready()) {
				query := r.URL.RawQuery
				r.URL, _ = url.Parse(here)
				r.URL.RawQuery = query
				r.Header.Set("Origin", h.origin)
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				if p := b.do(r); p.status != http.StatusBadRequest && !(strings.Contains(name, "query") && (p.status == http.StatusOK || p.status == http.StatusForbidden)) {
					t.Errorf("%s: %d %q", name, p.status, p.h1())
				}
				if b.get(here); place.on(b.last) {
					t.Errorf("%s was taken: %q %q", name, b.last.h1(), b.last.error())
					return
				}
			}
			if got := h.recipients(since); got != nil {
				t.Errorf("sent to %q", got)
			}
			more := ready()
			more.Set(place.field, place.good)
			if b.send(here+"?"+place.field+"="+url.QueryEscape(evil), more); !place.on(b.last) {
				t.Errorf("the plain form is not taken: %q %q", b.last.h1(), b.last.error())
			}
			var want []string
			if place.field == "email" {
				want = []string{place.good}
			}
			if got := h.recipients(since); !slices.Equal(got, want) {
				t.Errorf("sent to %q, want %q", got, want)
			}
		})
	}
}

// pick chooses a way to prove by its kind, where there is a choice.
func (b *browser) pick(kind string) page {
	b.h.t.Helper()
	for _, tag := range tagsOf(b.last.body, "choose") {
		if strings.Contains(tag, `data-kind="`+kind+`"`) {
			return b.post("choose", first2(tag, "value"), "action", "next")
		}
	}
	return b.last
}

// tagsOf are the tags of the fields of that name.
func tagsOf(body, name string) (list []string) {
	for {
		tag := hidden(body, name)
		if tag == "" {
			return list
		}
		list = append(list, tag)
		_, body, _ = strings.Cut(body, tag)
	}
}

// What is posted beside it changes nothing about whom a code goes to where no address is asked for.
func TestA11_ACodeBeforeRegistrationGoesToTheDirectorysAddress(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.Registration.Needs = "email" }))
	b := h.browser()
	b.signIn("ironman", password)
	b.post("action", "next", "email", evil)
	b.post("choose", b.choice("email"), "email", evil, "address", evil, "action", "next")
	h.clock.Advance(time.Minute)
	b.post("action", "resend", "email", evil)
	if got := h.recipients(0); !slices.Equal(got, []string{"tony@stark.example", "tony@stark.example"}) {
		t.Errorf("sent to %q", got)
	}
}

// Whoever may write to the directory must not be able to keep a notice from a registered address.
func TestA11_AnAddressThatLooksLikeARegisteredOneDoesNotTakeItsPlace(t *testing.T) {
	h := open(t)
	h.addUser("avengers", "vision", "Vision", "\u212Aiss@iss.example", "Avengers")
	b := h.browser()
	b.register("vision")
	b.addEmail(stored, 1)
	h.drained()
	since := len(h.mails.all())
	h.clock.Advance(time.Minute)
	h.browser().reset("vision", b.key, renewed)
	if got := h.recipients(since); !slices.Equal(got, []string{stored}) {
		t.Errorf("of a reset hear %q", got)
	}
}
