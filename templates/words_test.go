package templates

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// The English words that people, screen readers and browser tests hold on to.
var contract = map[string][]string{
	"label": {"User name", "Password", "Code", "New password", "Confirm new password", "E-mail address"},
	"button": {"Next", "Sign in", "Verify", "Back", "Done", "Skip for now", "I want to set up a different method",
		"Use a different account", "Add sign-in method", "Change", "Delete", "Sign out everywhere", "This wasn’t me",
		"I can’t use any of these"},
	"a":       {"Can’t access your account?"},
	"summary": {"Can’t scan the QR code?"},
	"h1": {"Sign in", "More information required", "Keep your account secure", "All set", "Security info",
		"Get back into your account", "Choose a new password", "Your password has been reset", "Ask your administrator"},
}

func TestTheEnglishWordsOfTheContractAreOnThePages(t *testing.T) {
	s := newTestSet(t)
	found := map[string][]string{}
	for _, sample := range samples() {
		for _, e := range tags(document(t, render(t, s, sample.page)), "label", "button", "a", "summary", "h1") {
			found[e.Data] = append(found[e.Data], textOf(e))
		}
	}
	for element, words := range contract {
		for _, w := range words {
			if !slices.Contains(found[element], w) {
				t.Errorf("no <%s> reads %q", element, w)
			}
		}
	}
}

func TestNoLabelOrButtonCarriesACount(t *testing.T) {
	eachPage(t, func(t *testing.T, _ Page, doc *html.Node) {
		for _, e := range tags(doc, "button", "label", "summary", "a") {
			if regexp.MustCompile(`\d`).MatchString(textOf(e)) && !hasClass(e, "choice") {
				t.Errorf("<%s> reads %q", e.Data, textOf(e))
			}
		}
	})
}

func TestTheSecretAndThePuzzleAreWhereScriptsLookForThem(t *testing.T) {
	s := newTestSet(t)
	doc := document(t, render(t, s, Register{Frame: frame(), Prompt: secret}))
	keys := find(doc, func(e *html.Node) bool { return hasAttr(e, "data-secret") })
	if len(keys) != 1 || textOf(keys[0]) != secret.Key {
		t.Error("the key of the authenticator app is not in data-secret")
	}
	doc = document(t, render(t, s, ResetName{Frame: frame(), Captcha: puzzle}))
	puzzles := find(doc, func(e *html.Node) bool { return hasAttr(e, "data-captcha") })
	if len(puzzles) != 1 || attr(puzzles[0], "data-captcha") != `{"id":"ticket","salt":"c2FsdHNhbHRzYWx0c2FsdA","bits":16}` {
		t.Error("the puzzle is not in data-captcha")
	}
	form := tags(doc, "form")[0]
	for _, name := range []string{"captcha", "captcha_id"} {
		if len(find(form, func(e *html.Node) bool { return attr(e, "name") == name })) != 1 {
			t.Errorf("no field %s", name)
		}
	}
	if !strings.Contains(textAndValues(tags(doc, "noscript")[0]), "Please wait 15 seconds") {
		t.Error("without JavaScript nobody says how long to wait")
	}
}

func TestEveryKeyThatIsUsedExistsAndEveryKeyThatExistsIsUsed(t *testing.T) {
	english := newTestSet(t).in("en")
	used := map[string]bool{}
	literal := regexp.MustCompile(`(?:\.T|\.H|\.text|\.plainHTML|\.html)[ (]"([a-z_.]+)"`)
	prefix := regexp.MustCompile(`(?:\.Or|known)[ (]"([a-z_]+)"`)
	// Keys that are put together in Go, or chosen by the rooms that fill the pages.
	prefixes := []string{"field.", "problem.", "oops.", "mail.", "time.month.", "register.", "kind."}
	for _, pattern := range []string{"pages/*.html", "parts/*.html"} {
		names, _ := fs.Glob(files, pattern)
		for _, name := range names {
			text, _ := files.ReadFile(name)
			for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
				used[m[1]] = true
			}
			for _, m := range prefix.FindAllStringSubmatch(string(text), -1) {
				prefixes = append(prefixes, m[1]+".")
			}
		}
	}
	for _, name := range []string{"view.go", "shown.go", "times.go", "mail.go", "words.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = true
		}
		for _, m := range prefix.FindAllStringSubmatch(string(text), -1) {
			prefixes = append(prefixes, m[1]+".")
		}
	}
	for key := range used {
		if !english.has(key) && !strings.HasSuffix(key, ".") {
			t.Errorf("%s is used, but has no words", key)
		}
	}
	for key := range english.entries {
		known := used[key] || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
		if !known {
			t.Errorf("%s has words, but nothing uses it", key)
		}
	}
	for _, p := range prefixes {
		if slices.Contains([]string{"field.", "mail.", "time.month.", "register.", "oops."}, p) {
			continue
		}
		if !english.has(p + "other") {
			t.Errorf("%sother is missing: an unknown name would show its key", p)
		}
	}
}

func TestNoKeyIsEverShown(t *testing.T) {
	key := regexp.MustCompile(`\b(field|action|title|kind|need|about|sign_in|choose|prove|password|rule|more|register|all_set|security_info|delete|reset|dead_end|not_me|not_me_how|not_me_done|not_me_next|sign_out|wait|wait_meanwhile|again|oops|form_post|captcha|notice|problem|event|time|mail)\.[a-z_]+\b`)
	eachPage(t, func(t *testing.T, _ Page, doc *html.Node) {
		if found := key.FindString(textOf(doc)); found != "" {
			t.Errorf("the page shows %q", found)
		}
	})
	s := newTestSet(t)
	for _, lang := range s.Languages() {
		for _, m := range mailSamples() {
			subject, text, _, _ := s.Mail(lang, m.mail)
			if found := key.FindString(subject + text); found != "" {
				t.Errorf("%s.%s shows %q", m.name, lang, found)
			}
		}
	}
}

func TestApostrophesAreTypographic(t *testing.T) {
	for tag, w := range newTestSet(t).words {
		for key, entry := range w.entries {
			for _, sentence := range entry {
				if strings.ContainsAny(sentence, "'\"") {
					t.Errorf("words/%s.yaml: %s: %q", tag, key, sentence)
				}
			}
		}
	}
}

func TestANumberDecidesTheForm(t *testing.T) {
	w := newTestSet(t).in("en")
	for n, want := range map[int]string{0: "0 skips left", 1: "1 skip left", 2: "2 skips left"} {
		if got := w.text("more.skips", n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	// A language with more forms than English: Polish knows one, few, many and other.
	pl, err := parseWords("pl", []byte("language: Polski\nskips: {one: '{0} raz', few: '{0} razy', many: '{0} razów', other: '{0} razu'}"))
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{1: "1 raz", 3: "3 razy", 5: "5 razów", 22: "22 razy"} {
		if got := pl.text("skips", n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func TestAnArgumentThatLooksLikeOneStaysAsItIs(t *testing.T) {
	w := newTestSet(t).in("en")
	if got := w.text("more.skips_until", 2, "{0}"); got != "2 skips left, until {0}" {
		t.Errorf("%q", got)
	}
	if got := w.html("sign_in.to_continue", "<b>{0}"); got != "to continue to <strong>&lt;b&gt;{0}</strong>" {
		t.Errorf("%q", got)
	}
}

func TestTimesAreWrittenInTheLanguage(t *testing.T) {
	s := newTestSet(t)
	at := time.Date(2027, 1, 12, 9, 3, 0, 0, time.FixedZone("CET", 3600))
	for lang, want := range map[string][]string{
		"en": {"12 January", "today", "12 January, 08:03 UTC", "yesterday", "just now", "12 October 2026"},
		"de": {"12. Januar", "heute", "12. Januar, 08:03 UTC", "gestern", "gerade eben", "12. Oktober 2026"},
	} {
		w := s.in(lang)
		got := []string{w.day(at, today), w.ago(at, today), w.moment(at, today), w.ago(today.AddDate(0, 0, -1), today), w.ago(today.Add(-time.Minute), today), w.ago(today.AddDate(0, -3, 0), today)}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", lang, got, want)
		}
	}
}

func TestMatchPicksTheBestAllowedLanguage(t *testing.T) {
	s := newTestSet(t)
	for _, c := range []struct {
		want, allowed []string
		lang          string
	}{
		{nil, nil, "en"},
		{[]string{"de-AT,de;q=0.9,en;q=0.5"}, nil, "de"},
		{[]string{"fr, en-GB;q=0.3"}, []string{"de", "en"}, "en"},
		{[]string{"fr"}, []string{"de", "en"}, "de"},
		{[]string{"en"}, []string{"de"}, "de"},
		{[]string{"de", "en"}, nil, "de"}, // ui_locales, one by one
		{[]string{"\x00;;q=!", "de"}, nil, "de"},
		{[]string{strings.Repeat("de,", 1000)}, nil, "en"},
		{[]string{"de"}, []string{"tlh"}, "de"}, // none of the allowed ones exists: all do
	} {
		if got := s.Match(c.want, c.allowed); got != c.lang {
			t.Errorf("Match(%.40q, %q) = %s, want %s", c.want, c.allowed, got, c.lang)
		}
	}
	if got := s.Languages(); !slices.Equal(got, []string{"en", "de"}) {
		t.Errorf("languages %q", got)
	}
}

func TestAnUnknownLanguageMeansEnglish(t *testing.T) {
	s := newTestSet(t)
	doc := document(t, render(t, s, SignedOut{Frame: frame(func(f *Frame) { f.Lang = "tlh" })}))
	if attr(tags(doc, "html")[0], "lang") != "en" || textOf(tags(doc, "h1")[0]) != "You are signed out" {
		t.Error("not English, or not said to be")
	}
}

func TestABrowserIsNamedInTheLanguageOfThePageAndOfTheMail(t *testing.T) {
	s := newTestSet(t)
	for lang, want := range map[string]string{"en": "Chrome on Linux", "de": "Chrome unter Linux"} {
		page := SecurityInfo{Frame: frame(func(f *Frame) { f.Lang = lang }), Devices: []Device{{Agent: "Chrome on Linux", Network: "192.0.2.7", Seen: today}}}
		if text := textOf(document(t, render(t, s, page))); !strings.Contains(text, want) {
			t.Errorf("%s: %q", lang, text)
		}
		_, text, _, err := s.Mail(lang, PasswordReset{letterOf()})
		if err != nil || !strings.Contains(text, ": "+want+" · 192.0.2.7\n") {
			t.Errorf("%s: %q %v", lang, text, err)
		}
	}
}
