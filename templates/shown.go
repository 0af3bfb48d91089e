package templates

import (
	"encoding/json"
	"html/template"
	"strings"
)

// What single pages show beyond plain sentences.

// Wide reports whether the page needs a wide card.
func (v *view) Wide() bool { _, ok := v.P.(SecurityInfo); return ok }

// ForReset reports whether proving serves a reset or an unlock.
func (v *view) ForReset() bool {
	switch p := v.P.(type) {
	case Choose:
		return p.Purpose == "reset" || p.Purpose == "unlock"
	case Prove:
		return p.Purpose == "reset" || p.Purpose == "unlock"
	}
	return false
}

func (v *view) prompt() Prompt {
	switch p := v.P.(type) {
	case Prove:
		return p.Prompt
	case Register:
		return p.Prompt
	}
	return Prompt{}
}

// Heading names what a Prove page asks.
func (v *view) Heading() string {
	if v.prompt().Shape == AskAddress {
		return v.T("prove.address")
	}
	return v.Or("prove", v.prompt().Kind)
}

// How tells what to do on a Prove page.
func (v *view) How() template.HTML {
	p := v.prompt()
	switch {
	case p.Shape == AskAddress:
		return v.H("prove.address_how")
	case p.Kind == "totp":
		return v.words.plainHTML("prove.totp_how", v.Tenant)
	case p.Kind == "email" && v.ForReset() && p.Hint == "":
		return v.H("prove.email_perhaps")
	case p.Kind == "email" && v.ForReset():
		return v.H("prove.email_perhaps_to", p.Hint)
	}
	return v.H(v.words.known("prove", p.Kind+"_how"), p.Hint)
}

// Intro gives a sentence about the kind to be registered.
func (v *view) Intro(suffix string) string {
	p, _ := v.P.(RegisterIntro)
	key := "register." + p.Kind + suffix
	if !v.words.has(key) {
		key = "register.other" + suffix
	}
	return v.T(key)
}

// RegisterHeading names the step of a registration.
func (v *view) RegisterHeading() string {
	if p, _ := v.P.(Register); p.Change && p.Prompt.Kind == "email" && p.Prompt.Shape == AskAddress {
		return v.T("register.email_change")
	}
	return v.T(v.step("", "register.other_intro"))
}

// RegisterHow tells what to do in that step.
func (v *view) RegisterHow() template.HTML {
	p := v.prompt()
	about := p.Hint
	if p.Kind == "totp" {
		return v.words.plainHTML(v.step("_how", "register.other_how"), v.Tenant)
	}
	return v.H(v.step("_how", "register.other_how"), about)
}

// step gives the key register.<kind>_<shape><suffix>.
func (v *view) step(suffix, otherwise string) string {
	p := v.prompt()
	if key := "register." + p.Kind + "_" + string(p.Shape) + suffix; v.words.has(key) {
		return key
	}
	return otherwise
}

// ScanInstead tells what to do without a camera.
func (v *view) ScanInstead() template.HTML {
	uri := v.prompt().URI
	link := template.HTML(`<a href="` + template.HTMLEscapeString(string(uri)) + `">` +
		template.HTMLEscapeString(v.T("register.no_scan_open")) + `</a>`)
	if !strings.HasPrefix(string(uri), "otpauth:") {
		link = template.HTML(template.HTMLEscapeString(v.T("register.no_scan_open")))
	}
	return v.H("register.no_scan_how", link)
}

// Skips tells how often, and until when, registration may still be put off.
func (v *view) Skips() string {
	p, _ := v.P.(MoreInformation)
	switch {
	case p.SkipLeft > 0 && !p.SkipUntil.IsZero():
		return v.T("more.skips_until", p.SkipLeft, v.Day(p.SkipUntil))
	case p.SkipLeft > 0:
		return v.T("more.skips", p.SkipLeft)
	case !p.SkipUntil.IsZero():
		return v.T("more.until", v.Day(p.SkipUntil))
	}
	return ""
}

// Rule says a rule for a new password.
func (v *view) Rule(r Rule) string {
	key := r.Key
	if !v.words.has(key) {
		key = v.words.known("rule", strings.TrimPrefix(r.Key, "rule."))
	}
	return v.T(key, r.Args...)
}

// Label gives the label of an authenticator unless it says no more than its kind does.
func (v *view) Label(kind, label string) string {
	if v.set.isKind(kind, label) {
		return ""
	}
	return label
}

// isKind reports whether a label is the kind's name in any language: labels are stored in one, pages shown in another.
func (s *Set) isKind(kind, label string) bool {
	for _, w := range s.words {
		if label == w.text(w.known("kind", kind)) {
			return true
		}
	}
	return false
}

// Sub is the line below an authenticator's name: its label, when it was added, when it was used.
func (v *view) Sub(m MethodRow) string {
	var parts []string
	if label := v.Label(m.Kind, m.Label); label != "" {
		parts = append(parts, label)
	}
	if !m.Added.IsZero() {
		parts = append(parts, v.T("security_info.added", v.Ago(m.Added)))
	}
	if !m.Used.IsZero() {
		parts = append(parts, v.T("security_info.used", v.Ago(m.Used)))
	}
	return strings.Join(parts, " · ")
}

// IsLong reports whether a wait takes so long that she does something else meanwhile.
func (v *view) IsLong() bool {
	p, _ := v.P.(Wait)
	return (p.Reason == "reset" || p.Reason == "reset_held") && !p.Until.IsZero()
}

// Oops gives title or text of an error page.
func (v *view) Oops(what string) string {
	p, _ := v.P.(Oops)
	if key := "oops." + p.Reason + "." + what; v.words.has(key) {
		return v.T(key)
	}
	return v.T("oops.other." + what)
}

func (v *view) captcha() *Captcha {
	switch p := v.P.(type) {
	case SignInPassword:
		return p.Captcha
	case ResetName:
		return p.Captcha
	}
	return nil
}

// Puzzle is the proof of work for the script: {"id":…,"salt":…,"bits":…}.
func (v *view) Puzzle() string {
	c := v.captcha()
	b, _ := json.Marshal(struct {
		ID   string `json:"id"`
		Salt string `json:"salt"`
		Bits int    `json:"bits"`
	}{c.ID, c.Salt, c.Bits})
	return string(b)
}

// Captcha is the input for what the picture shows.
func (v *view) Captcha() Field {
	f := Field{Name: "captcha", ID: "captcha", Label: v.T("captcha.image"), Type: "text", Complete: "off", Required: true, Max: 20}
	if v.Wrong("captcha") {
		return v.tell(f)
	}
	return f
}

// Picture and Sound let data: addresses of their own media type through, and nothing else.
func (v *view) Picture(data string) template.URL { return dataURL(data, "image/") }
func (v *view) Sound(data string) template.URL   { return dataURL(data, "audio/") }

func dataURL(data, kind string) template.URL {
	if !strings.HasPrefix(data, "data:"+kind) {
		return ""
	}
	return template.URL(data)
}

func (w *words) has(key string) bool { _, ok := w.entries[key]; return ok }
