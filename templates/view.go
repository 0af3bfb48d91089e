package templates

import (
	"html/template"
	"strings"
	"time"
	"unicode"
)

// view is what a page file sees: the frame's fields and the methods here directly, the page's own under .P.
type view struct {
	Frame
	P     Page
	words *words
	set   *Set
	now   time.Time
	told  bool // the problem has been shown
	given bool // something on the page has the focus
}

func (s *Set) view(p Page) *view {
	w := s.in(p.frame().Lang)
	v := &view{Frame: p.frame(), P: p, words: w, set: s, now: s.Now()}
	v.Lang = w.tag.String()
	return v
}

// T gives a sentence of the catalogue.
func (v *view) T(key string, args ...any) string { return v.words.text(key, args...) }

// H is T with bold arguments.
func (v *view) H(key string, args ...any) template.HTML { return v.words.html(key, args...) }

// Or gives prefix.name, or prefix.other when the catalogue does not know the name.
func (v *view) Or(prefix, name string, args ...any) string {
	return v.words.text(v.words.known(prefix, name), args...)
}

// Kind names a kind of authenticator.
func (v *view) Kind(kind string) string { return v.Or("kind", kind) }

// Agent names a browser and what it runs on, which are kept in English: "Firefox on Linux".
func (v *view) Agent(s string) string { return v.words.agent(s) }

func (w *words) agent(s string) string {
	if browser, system, ok := strings.Cut(s, " on "); ok {
		return w.text("agent", browser, system)
	}
	return s
}

// Initial is the first letter of the organisation's name without its article, for the mark.
func (v *view) Initial() string {
	name := v.Tenant
	for _, tag := range v.set.tags { // the name may be in any language
		for _, article := range strings.Fields(v.set.words[tag].text("articles")) {
			name = strings.TrimPrefix(name, article+" ")
		}
	}
	for _, r := range name {
		return string(unicode.ToUpper(r))
	}
	return ""
}

// Asset gives the address of a file under assets.
func (v *view) Asset(name string) string { return v.Base + "/assets/" + v.set.assets.names[name] }

// AccentSheet gives the address of the style sheet of the tenant's accent; empty when it has none.
func (v *view) AccentSheet() string {
	name := v.set.assets.accentName(v.Accent)
	if name == "" {
		return ""
	}
	return v.Base + "/assets/" + name
}

// Steps lists the bar of steps: true for those reached.
func (v *view) Steps() []bool {
	if v.Of < 1 || v.Of > 12 {
		return nil
	}
	steps := make([]bool, v.Of)
	for i := range steps {
		steps[i] = i < v.At
	}
	return steps
}

// Field is one input with its label, its problem and what browsers may fill in.
type Field struct {
	Name, ID, Label, Type, Complete, Mode, Value, Hint string
	Code, Toggle, Required, Focus, Bad                 bool
	Max                                                int
	Error                                              template.HTML
	Show, Hide                                         string // words for the button that shows what was typed
	Describe                                           string // ids of further descriptions
}

// fields are the inputs that pages may have, by their name in the form.
var fields = map[string]Field{
	"username": {Complete: "username", Type: "text", Max: 320},
	"password": {Complete: "current-password", Type: "password", Toggle: true, Max: 4096},
	"old":      {Complete: "current-password", Type: "password", Toggle: true, Max: 4096},
	"new":      {Complete: "new-password", Type: "password", Toggle: true, Max: 4096, Describe: "rules"},
	"confirm":  {Complete: "new-password", Type: "password", Toggle: true, Max: 4096},
	"code":     {Complete: "one-time-code", Type: "text", Mode: "numeric", Code: true, Max: 64},
	"email":    {Complete: "email", Type: "email", Mode: "email", Max: 320},
}

// Field prepares an input. The first one on a page gets the focus, unless a problem needs it more.
func (v *view) Field(name, value string) Field {
	f := fields[name]
	f.Name, f.ID, f.Value, f.Required = name, name, value, true
	f.Label = v.T("field." + name)
	f.Show, f.Hide = v.T("action.show"), v.T("action.hide")
	return v.tell(f)
}

func (v *view) tell(f Field) Field {
	if v.Problem.Key != "" && v.Problem.Field == f.Name {
		f.Bad, f.Focus, f.Error = true, true, v.ProblemText()
		v.given = true
	} else if !v.given && v.Problem.Key == "" {
		f.Focus, v.given = true, true
	}
	return f
}

// Wrong reports whether the problem belongs to the named field.
func (v *view) Wrong(name string) bool { return v.Problem.Key != "" && v.Problem.Field == name }

// ProblemText says what went wrong, and when trying again makes sense.
func (v *view) ProblemText() template.HTML {
	v.told = true
	key := v.Problem.Key
	if _, ok := v.words.entries[key]; !ok {
		key = "problem.other"
	}
	args := make([]any, len(v.Problem.Args))
	for i, a := range v.Problem.Args {
		if t, ok := a.(time.Time); ok {
			a = v.Clock(t)
		}
		args[i] = a
	}
	out := v.words.plainHTML(key, args...)
	if wait := v.Problem.Until; wait.After(v.now) {
		if left := int(wait.Sub(v.now).Seconds()) + 1; left <= 120 {
			out += " " + v.words.plainHTML("again.in", v.countdown(left))
		} else {
			out += " " + v.words.plainHTML("again.at", v.Clock(wait))
		}
	}
	return out
}

// Rejected lists the rules a new password failed.
func (v *view) Rejected(rules []Rule) (failed []Rule) {
	for _, r := range rules {
		if r.Failed {
			failed = append(failed, r)
		}
	}
	return failed
}
