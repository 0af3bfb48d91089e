package templates

import (
	"bytes"
	"fmt"
	"html/template"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// letter is what the HTML of a mail is made from: the text part says the same.
type letter struct {
	Lang, Tenant, Greeting, Code, Closing string
	Body                                  []string
	Facts                                 [][2]string
	After                                 []string
	Link, LinkText                        string
	Info, InfoText                        string
	Accent, Fill, On                      template.CSS
}

// Mail renders m: one line without control characters for the subject, plain text and HTML that say the same.
// A language that is not one of Languages means English.
func (s *Set) Mail(lang string, m Mail) (subject, text, html string, err error) {
	w := s.in(lang)
	name, l := nameOf(m), m.letter()
	tenant := line(l.Tenant)
	out := letter{Lang: w.tag.String(), Tenant: tenant, Closing: tenant}
	if out.Greeting = w.text("mail.hello_nobody"); greetable(l.Name) {
		out.Greeting = w.text("mail.hello", line(l.Name))
	}
	key := "mail." + name
	args := []any{tenant}
	switch m := m.(type) {
	case CodeMail:
		key += "." + m.Purpose
		if _, ok := w.entries[key+".subject"]; !ok {
			key = "mail." + name + ".other"
		}
		out.Code = line(m.Code)
		out.After = append(out.After, w.text("mail.code_mail.minutes", m.Minutes), w.text("mail.code_mail.secret"))
	case MethodAdded:
		args = append(args, s.method(w, m.Kind, m.Label))
	case MethodChanged:
		args = append(args, s.method(w, m.Kind, m.Label))
	case MethodRemoved:
		args = append(args, s.method(w, m.Kind, m.Label))
	case ResetHeld:
		args = append(args, w.moment(m.Until, time.Time{}))
	case AdministratorReset:
		args = append(args, line(m.Who))
	}
	subject = line(w.text(key+".subject", args...))
	out.Body = []string{w.text(key+".body", args...)}
	if m, ok := m.(NotMeActed); ok {
		out.Body = append(out.Body, w.text(w.known("not_me_done", m.What)))
		out.Facts = append(out.Facts, [2]string{w.text("not_me.what"), w.text(w.known("event", m.What))})
		out.After = append(out.After, w.text(w.known("not_me_next", m.What)))
	}
	if l.Login != "" {
		out.Facts = append(out.Facts, [2]string{w.text("mail.account"), line(l.Login)})
	}
	if !l.At.IsZero() {
		out.Facts = append(out.Facts, [2]string{w.text("mail.when"), w.moment(l.At, time.Time{})})
	}
	if l.Where != "" {
		out.Facts = append(out.Facts, [2]string{w.text("mail.where"), w.place(line(l.Where))})
	}
	if w.has(key + ".after") {
		out.After = append(out.After, w.text(key+".after", args...))
	}
	switch m.(type) {
	case MethodAdded, MethodChanged, MethodRemoved:
		if l.NotMe == "" {
			out.After = append(out.After, w.text("mail.not_me_ask"))
		}
	}
	if l.NotMe != "" {
		out.After = append(out.After, w.text("mail.not_me_how"))
		out.Link, out.LinkText = line(l.NotMe), w.text("action.not_me")
	}
	if l.SecurityInfo != "" {
		out.Info, out.InfoText = line(l.SecurityInfo), w.text("action.security_info")
	}
	if l.Help != "" {
		out.After = append(out.After, w.text("mail.help", line(strings.TrimPrefix(l.Help, "mailto:"))))
	}
	accent := l.Accent
	c, bad := parseColour(accent)
	if bad != nil {
		c = mustColour(house)
	}
	shades := c.theme(lightGrounds, false)
	out.Accent, out.Fill, out.On = template.CSS(shades.accent.hex()), template.CSS(shades.fill.hex()), template.CSS(shades.on.hex())
	var page bytes.Buffer
	if err := s.mail.ExecuteTemplate(&page, "mail.html", out); err != nil {
		return "", "", "", fmt.Errorf("render mail %T: %w", m, err)
	}
	return subject, out.text(), page.String(), nil
}

// text is the plain part: short paragraphs, one fact a line, addresses on lines of their own.
func (l letter) text() string {
	var b strings.Builder
	paragraph := func(s string) { b.WriteString(s + "\n\n") }
	paragraph(l.Greeting)
	for _, s := range l.Body {
		paragraph(s)
	}
	if l.Code != "" {
		paragraph("    " + l.Code)
	}
	for _, f := range l.Facts {
		b.WriteString(f[0] + ": " + f[1] + "\n")
	}
	if len(l.Facts) > 0 {
		b.WriteString("\n")
	}
	for _, s := range l.After {
		paragraph(s)
	}
	if l.Link != "" {
		paragraph(l.LinkText + ":\n" + l.Link)
	}
	if l.Info != "" {
		paragraph(l.InfoText + ":\n" + l.Info)
	}
	b.WriteString("-- \n" + l.Closing + "\n")
	return b.String()
}

// method names an authenticator in a sentence: "Authenticator app", "E-mail (i•••@stark.example)".
func (s *Set) method(w *words, kind, label string) string {
	name := w.text(w.known("kind", kind))
	if label = line(label); label == "" || s.isKind(kind, label) {
		return name
	}
	return name + " (" + label + ")"
}

// place says where a deed came from: "Firefox on Linux · 192.0.2.7".
func (w *words) place(where string) string {
	browser, network, ok := strings.Cut(where, " · ")
	if !ok {
		return where
	}
	return w.agent(browser) + " · " + network
}

// line makes one line of a value: no control, no line or paragraph separator, no change of writing direction.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == unicode.ReplacementChar:
			return ' '
		case r == '\u061c', r == '\u200e', r == '\u200f', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// address finds what mail programs turn into a link by themselves.
var address = regexp.MustCompile(`(?i)[\pL\pN]\.[\pL]{2,}|[/\\:@<>]`)

// greetable reports whether a display name, which its owner may be able to choose, reads like a name and not like a message.
func greetable(name string) bool {
	name = line(name)
	return name != "" && len([]rune(name)) <= 64 && !address.MatchString(name)
}
