package templates

import (
	"html/template"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What an attacker may put into a name, a label, an address or a reason.
var canaries = []string{
	`"><script>alert(1)</script>`,
	`'><img src=x onerror=alert(1)>`,
	`</title><svg/onload=alert(1)>`,
	`</textarea></noscript></style><b>`,
	"` onfocus=alert(1) autofocus x=`",
	`{{.CSRF}}<!--`,
	`x" onmouseover="alert(1)`,
	"\"\r\n><i>\u2028",
	`javascript:alert(1)`,
	`&lt;script&gt;&#60;b&#62;`,
}

// fill puts text into every string of v, deeply, apart from what only method makes from its own seed (QR, URI)
// and what decides the shape of the page.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			if v.Kind() == reflect.Interface {
				if _, ok := v.Interface().(string); ok {
					v.Set(reflect.ValueOf(text))
				}
				return
			}
			copied := reflect.New(v.Type().Elem())
			copied.Elem().Set(v.Elem())
			fill(copied.Elem(), text)
			v.Set(copied)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(text))
			return
		}
		copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(copied, v)
		for i := range copied.Len() {
			fill(copied.Index(i), text)
		}
		v.Set(copied)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.String:
		switch v.Type() {
		case reflect.TypeFor[template.HTML](), reflect.TypeFor[template.URL](), reflect.TypeFor[Shape]():
		default:
			v.SetString(text)
		}
	}
}

func filled[T any](v T, text string) T {
	copied := reflect.New(reflect.TypeOf(v)).Elem()
	copied.Set(reflect.ValueOf(v))
	fill(copied, text)
	return copied.Interface().(T)
}

func TestA37_NoValueOnAPageBecomesMarkup(t *testing.T) {
	s := newTestSet(t)
	for _, sample := range samples() {
		plain := skeleton(document(t, render(t, s, filled(sample.page, "plain"))))
		for _, canary := range canaries {
			text := render(t, s, filled(sample.page, canary))
			doc := document(t, text)
			if got := skeleton(doc); got != plain {
				t.Errorf("%s: %q changed the elements of the page", sample.name, canary)
			}
			for _, e := range tags(doc, "a", "form", "link", "script", "img", "audio") {
				for _, name := range []string{"href", "action", "src"} {
					if strings.HasPrefix(strings.TrimSpace(strings.ToLower(attr(e, name))), "javascript:") {
						t.Errorf("%s: <%s %s=%q>", sample.name, e.Data, name, attr(e, name))
					}
				}
			}
		}
	}
}

func TestA37_AnOTPLinkIsNothingElse(t *testing.T) {
	s := newTestSet(t)
	p := secret
	p.URI = "javascript:alert(1)"
	if text := render(t, s, Register{Frame: frame(), Prompt: p}); strings.Contains(text, "javascript:") {
		t.Error("a link that runs a script")
	}
}

func TestA37_NoValueInAMailBecomesMarkup(t *testing.T) {
	s := newTestSet(t)
	for _, sample := range mailSamples() {
		_, _, html, err := s.Mail("en", filled(sample.mail, "plain"))
		if err != nil {
			t.Fatal(err)
		}
		plain := skeleton(document(t, html))
		for _, canary := range canaries {
			_, _, html, err := s.Mail("en", filled(sample.mail, canary))
			if err != nil {
				t.Fatal(err)
			}
			if skeleton(document(t, html)) != plain {
				t.Errorf("%s: %q changed the elements of the mail", sample.name, canary)
			}
			if strings.Contains(html, `href="javascript:`) {
				t.Errorf("%s: a link that runs a script", sample.name)
			}
		}
	}
}

func TestA39_NoValueReachesTheHeadersOrMakesALineOfItsOwn(t *testing.T) {
	s := newTestSet(t)
	for _, sample := range mailSamples() {
		for _, breaker := range []string{"\r\n", "\n", "\r", "\u2028", "\u2029", "\u0085", "\x00", "\v", "\f"} {
			subject, text, _, err := s.Mail("en", filled(sample.mail, "x"+breaker+"Bcc: evil@example.com"))
			if err != nil {
				t.Fatal(err)
			}
			if subject != line(subject) || strings.ContainsAny(subject, "\r\n\x00") {
				t.Errorf("%s: subject %q", sample.name, subject)
			}
			for l := range strings.Lines(text) {
				if strings.HasPrefix(l, "Bcc:") {
					t.Errorf("%s: %q made a line of its own", sample.name, breaker)
				}
			}
		}
	}
}

func TestANameThatIsAMessageIsNotGreeted(t *testing.T) {
	for name, want := range map[string]bool{
		"Tony Stark": true, "Dr. Strange": true, "Jean-Luc O’Neill": true, "李小龙": true, "": false, " \t": false,
		"visit evil.example": false, "https://evil": false, "a@b": false, strings.Repeat("x", 65): false, "Tony\r\nStark": true,
	} {
		if greetable(name) != want {
			t.Errorf("greetable(%q) = %v", name, !want)
		}
	}
}

// FuzzZ09_NoValueBecomesMarkup: whatever stands in a value, the elements of pages and mails stay the same.
func FuzzZ09_NoValueBecomesMarkup(f *testing.F) {
	for i := range max(len(samples()), len(canaries)) {
		f.Add(canaries[i%len(canaries)], byte(i))
	}
	s := newTestSet(f)
	all, mails := samples(), mailSamples()
	var plain, plainMail []string
	for _, sample := range all {
		plain = append(plain, skeleton(document(f, render(f, s, filled(sample.page, "plain")))))
	}
	for _, sample := range mails {
		_, _, html, err := s.Mail("de", filled(sample.mail, "plain"))
		if err != nil {
			f.Fatal(err)
		}
		plainMail = append(plainMail, skeleton(document(f, html)))
	}
	f.Fuzz(func(t *testing.T, text string, pick byte) {
		if line(text) == "" {
			return // what is empty is left out
		}
		if _, err := parseColour(text); err == nil {
			return // a colour gets its style sheet
		}
		i := int(pick) % len(all)
		if skeleton(document(t, render(t, s, filled(all[i].page, text)))) != plain[i] {
			t.Errorf("%s: %q changed the elements", all[i].name, text)
		}
		i = int(pick) % len(mails)
		subject, _, html, err := s.Mail("de", filled(mails[i].mail, text))
		if err != nil || subject != line(subject) || skeleton(document(t, html)) != plainMail[i] {
			t.Errorf("%s: %q changed the mail (%v)", mails[i].name, text, err)
		}
	})
}
