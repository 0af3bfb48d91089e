package templates

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Every sample in every language is held to these.
func eachPage(t *testing.T, check func(t *testing.T, p Page, doc *html.Node)) {
	t.Helper()
	s := newTestSet(t)
	for _, lang := range s.Languages() {
		for _, sample := range samples() {
			t.Run(sample.name+"."+lang, func(t *testing.T) {
				page := inLanguage(sample.page, lang)
				check(t, page, document(t, render(t, s, page)))
			})
		}
	}
}

func TestEveryPageHasOneHeadingWhichIsItsTitle(t *testing.T) {
	eachPage(t, func(t *testing.T, p Page, doc *html.Node) {
		h1 := tags(doc, "h1")
		if len(h1) != 1 {
			t.Fatalf("%d h1", len(h1))
		}
		if got, want := textOf(tags(doc, "title")[0]), textOf(h1[0])+" · "+p.frame().Tenant; got != want {
			t.Errorf("title %q, want %q", got, want)
		}
		if got := attr(tags(doc, "html")[0], "lang"); got != p.frame().Lang {
			t.Errorf("lang %q", got)
		}
		if len(tags(doc, "main")) != 1 {
			t.Error("not exactly one main")
		}
	})
}

func TestEveryPageHasOnePrimaryButtonAndEnterPressesIt(t *testing.T) {
	eachPage(t, func(t *testing.T, p Page, doc *html.Node) {
		primary := find(doc, func(e *html.Node) bool { return hasClass(e, "primary") })
		want := 1
		switch p := p.(type) {
		case Oops:
			if p.Again == "" {
				want = 0
			}
		case SecurityInfo:
			if p.Frozen {
				want = 0
			}
		}
		if len(primary) != want {
			t.Fatalf("%d primary buttons, want %d", len(primary), want)
		}
		if want == 0 || primary[0].Data == "a" {
			return
		}
		form := primary[0].Parent
		for ; form.Data != "form"; form = form.Parent {
		}
		// Implicit submission presses the first submit button of the form (HTML, 4.10.21.2).
		for _, b := range tags(form, "button") {
			if kind := attr(b, "type"); kind == "" || kind == "submit" {
				if b != primary[0] {
					t.Errorf("Enter presses %q", textOf(b))
				}
				break
			}
		}
	})
}

func TestUI07_EveryInputHasALabelAndSaysWhatToFillIn(t *testing.T) {
	eachPage(t, func(t *testing.T, _ Page, doc *html.Node) {
		for _, in := range tags(doc, "input") {
			if attr(in, "type") == "hidden" || hasAttr(in, "hidden") {
				continue
			}
			if attr(in, "type") == "radio" {
				if in.Parent.Data != "label" || textOf(in.Parent) == "" {
					t.Errorf("radio %s=%s without a label", attr(in, "name"), attr(in, "value"))
				}
				continue
			}
			id := attr(in, "id")
			labels := find(doc, func(e *html.Node) bool { return e.Data == "label" && attr(e, "for") == id })
			if id == "" || len(labels) != 1 || textOf(labels[0]) == "" {
				t.Errorf("input %q: %d labels", attr(in, "name"), len(labels))
			}
			if !hasAttr(in, "autocomplete") {
				t.Errorf("input %q does not tell browsers what it is for", attr(in, "name"))
			}
		}
	})
}

func TestUI07_AProblemIsTiedToItsFieldAndGetsTheFocus(t *testing.T) {
	eachPage(t, func(t *testing.T, p Page, doc *html.Node) {
		problem := p.frame().Problem
		focused := find(doc, func(e *html.Node) bool { return hasAttr(e, "autofocus") })
		if len(focused) > 1 {
			t.Errorf("%d elements want the focus", len(focused))
		}
		if problem.Key == "" {
			return
		}
		alerts := find(doc, func(e *html.Node) bool { return attr(e, "role") == "alert" })
		if len(alerts) != 1 {
			t.Fatalf("%d alerts", len(alerts))
		}
		invalid := find(doc, func(e *html.Node) bool { return hasAttr(e, "aria-invalid") })
		for _, in := range invalid {
			if attr(in, "name") != problem.Field || !hasAttr(in, "autofocus") {
				t.Errorf("%q is invalid instead of %q, or has no focus", attr(in, "name"), problem.Field)
			}
			if !strings.Contains(attr(in, "aria-describedby"), attr(alerts[0], "id")) {
				t.Error("the problem does not describe the field")
			}
		}
		if len(invalid) == 0 && problem.Field != "choose" && problem.Field != "captcha" {
			t.Errorf("nothing is marked invalid for %q", problem.Field)
		}
	})
}

func TestIDsAreUniqueAndDescriptionsExist(t *testing.T) {
	eachPage(t, func(t *testing.T, _ Page, doc *html.Node) {
		seen := map[string]bool{}
		for _, e := range find(doc, func(e *html.Node) bool { return hasAttr(e, "id") }) {
			if seen[attr(e, "id")] {
				t.Errorf("id %q twice", attr(e, "id"))
			}
			seen[attr(e, "id")] = true
		}
		for _, name := range []string{"aria-describedby", "for", "data-toggle"} {
			for _, e := range find(doc, func(e *html.Node) bool { return hasAttr(e, name) }) {
				for id := range strings.FieldsSeq(attr(e, name)) {
					if !seen[id] {
						t.Errorf("%s=%q points nowhere", name, id)
					}
				}
			}
		}
	})
}

func TestUI02_NoPageHasInlineScriptOrStyle(t *testing.T) {
	eachPage(t, func(t *testing.T, p Page, doc *html.Node) {
		if len(tags(doc, "style")) > 0 {
			t.Error("style element")
		}
		for _, s := range tags(doc, "script") {
			if !strings.HasPrefix(attr(s, "src"), "/avengers/assets/sparekey-") || s.FirstChild != nil || attr(s, "nonce") != "bm9uY2U" {
				t.Errorf("script %v", s.Attr)
			}
		}
		for _, e := range find(doc, func(*html.Node) bool { return true }) {
			for _, a := range e.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("<%s %s>", e.Data, a.Key)
				}
			}
		}
	})
}

func TestUI01_EveryFormPostsToTheFlowWithItsToken(t *testing.T) {
	eachPage(t, func(t *testing.T, p Page, doc *html.Node) {
		forms := tags(doc, "form")
		if _, ok := p.(FormPost); ok {
			if len(forms) != 1 || attr(forms[0], "action") != "https://wiki.example.com/callback" {
				t.Error("the response goes elsewhere")
			}
			if strings.Contains(textAndValues(forms[0]), "csrf-value") {
				t.Error("our token goes to the relying party")
			}
			return
		}
		for _, f := range forms {
			if attr(f, "method") != "post" || attr(f, "action") != "/avengers/flow/k3jx" {
				t.Errorf("form %v", f.Attr)
			}
			tokens := find(f, func(e *html.Node) bool { return attr(e, "name") == "csrf" })
			if len(tokens) != 1 || attr(tokens[0], "value") != "csrf-value" {
				t.Error("form without its token")
			}
			for _, b := range tags(f, "button") {
				if attr(b, "type") != "button" && (attr(b, "name") != "action" || attr(b, "value") == "") {
					t.Errorf("button %q says no action", textOf(b))
				}
			}
		}
	})
}

func textAndValues(n *html.Node) string {
	var b strings.Builder
	html.Render(&b, n)
	return b.String()
}

func TestWaysBackWorkWithEmptyFields(t *testing.T) {
	eachPage(t, func(t *testing.T, _ Page, doc *html.Node) {
		for _, f := range tags(doc, "form") {
			if len(find(f, func(e *html.Node) bool { return hasAttr(e, "required") })) == 0 {
				continue
			}
			for _, b := range tags(f, "button") {
				if attr(b, "type") != "button" && !hasClass(b, "primary") && !hasAttr(b, "formnovalidate") {
					t.Errorf("%q is held up by empty fields", textOf(b))
				}
			}
		}
	})
}

func TestUI07_TheUserNameIsCarriedForward(t *testing.T) {
	s := newTestSet(t)
	for _, p := range []Page{
		SignInPassword{Frame: frame(), Login: "ironman"},
		NewPassword{Frame: frame(), Purpose: "reset", Login: "ironman"},
		Prove{Frame: frame(), Purpose: "manage", Prompt: Prompt{Shape: AskSecret, Kind: "password"}},
	} {
		doc := document(t, render(t, s, p))
		names := find(doc, func(e *html.Node) bool { return attr(e, "name") == "username" })
		if len(names) != 1 || attr(names[0], "value") != "ironman" || attr(names[0], "autocomplete") != "username" {
			t.Errorf("%T: the password manager is not told whose password it is", p)
		}
		if shown := find(doc, func(e *html.Node) bool { return hasClass(e, "who") }); len(shown) != 1 || textOf(shown[0]) != "ironman" {
			t.Errorf("%T: the user name is not shown", p)
		}
	}
}

func TestPW05_PasswordsAndCodesAreFilledInByBrowsers(t *testing.T) {
	eachPage(t, func(t *testing.T, _ Page, doc *html.Node) {
		want := map[string]string{"password": "current-password", "old": "current-password", "new": "new-password", "confirm": "new-password", "code": "one-time-code", "username": "username"}
		for _, in := range tags(doc, "input") {
			if attr(in, "type") == "hidden" {
				continue
			}
			name := attr(in, "name")
			if complete := want[name]; complete != "" && attr(in, "autocomplete") != complete {
				t.Errorf("%s: autocomplete %q", name, attr(in, "autocomplete"))
			}
			if attr(in, "type") == "password" && attr(in, "value") != "" {
				t.Errorf("%s: a password was put on the page", name)
			}
			if name == "code" && attr(in, "inputmode") != "numeric" {
				t.Error("code: no keyboard of digits")
			}
			if hasAttr(in, "onpaste") || attr(in, "autocomplete") == "off" && slices.Contains([]string{"password", "new", "code"}, name) {
				t.Errorf("%s: paste or managers are hindered", name)
			}
		}
	})
}

func TestAProblemWhoseFieldIsNotOnThePageIsToldAboveTheForm(t *testing.T) {
	s := newTestSet(t)
	doc := document(t, render(t, s, Register{Frame: frame(wrong("elsewhere", "problem.email_taken")), Prompt: app}))
	alerts := find(doc, func(e *html.Node) bool { return attr(e, "role") == "alert" })
	if len(alerts) != 1 || !strings.Contains(textOf(alerts[0]), "That address is set up already.") {
		t.Fatalf("the problem is lost: %d alerts", len(alerts))
	}
}

func TestAProblemTellsWhenToTryAgain(t *testing.T) {
	s := newTestSet(t)
	text := textOf(document(t, render(t, s, Prove{Purpose: "reset", Prompt: app, Frame: frame(func(f *Frame) {
		f.Problem = Problem{Key: "problem.wait", Until: today.Add(3 * 3600e9)}
	})})))
	for _, want := range []string{"There were too many tries. Try again after 17:05 UTC."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
}
