package templates

import (
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// words is one language: a catalogue of sentences by dotted key. A sentence has arguments {0}, {1}, …;
// where the first whole number among them decides the form, it is a map of plural forms (CLDR: one, few, other, …).
type words struct {
	tag     language.Tag
	name    string // as its speakers call it: "Deutsch"
	entries map[string]map[plural.Form]string
}

var forms = map[string]plural.Form{"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many, "other": plural.Other}

var argument = regexp.MustCompile(`\{(\d)\}`)

// readWords reads words/*.yaml. English is the measure: every other language has the same keys and arguments.
func readWords(from fs.FS) (map[string]*words, []string, error) {
	found, err := fs.Glob(from, "words/*.yaml")
	if err != nil {
		return nil, nil, err
	}
	all := map[string]*words{}
	for _, file := range found {
		text, err := fs.ReadFile(from, file)
		if err != nil {
			return nil, nil, err
		}
		w, err := parseWords(strings.TrimSuffix(path.Base(file), ".yaml"), text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		all[w.tag.String()] = w
	}
	english := all["en"]
	if english == nil {
		return nil, nil, errors.New("words/en.yaml: missing")
	}
	tags := slices.Sorted(maps.Keys(all))
	slices.SortStableFunc(tags, func(a, b string) int {
		switch {
		case a == "en":
			return -1
		case b == "en":
			return 1
		}
		return 0
	})
	var faults []error
	for _, tag := range tags[1:] {
		faults = append(faults, all[tag].compare(english)...)
	}
	return all, tags, errors.Join(faults...)
}

func parseWords(tag string, text []byte) (*words, error) {
	t, err := language.Parse(tag)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	w := &words{tag: t, entries: map[string]map[plural.Form]string{}}
	if err := w.flatten("", tree); err != nil {
		return nil, err
	}
	w.name = w.text("language")
	return w, nil
}

func (w *words) flatten(prefix string, tree map[string]any) error {
	if _, ok := tree["other"].(string); ok && prefix != "" && pluralKeys(tree) {
		entry := map[plural.Form]string{}
		for k, v := range tree {
			entry[forms[k]] = v.(string)
		}
		w.entries[prefix] = entry
		return nil
	}
	for k, v := range tree {
		key := k
		if prefix != "" {
			key = prefix + "." + k
		}
		switch v := v.(type) {
		case string:
			if strings.TrimSpace(v) == "" {
				return fmt.Errorf("%s: empty", key)
			}
			w.entries[key] = map[plural.Form]string{plural.Other: v}
		case map[string]any:
			if err := w.flatten(key, v); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s: neither words nor a group of words (quote it?)", key)
		}
	}
	return nil
}

// pluralKeys reports whether a group is the plural forms of one sentence: "other" and at least one further form.
func pluralKeys(tree map[string]any) bool {
	for k, v := range tree {
		if _, ok := forms[k]; !ok {
			return false
		}
		if _, ok := v.(string); !ok {
			return false
		}
	}
	return len(tree) > 1
}

// compare tells in which keys and arguments w differs from English.
func (w *words) compare(english *words) (faults []error) {
	fault := func(key, text string) {
		faults = append(faults, fmt.Errorf("words/%s.yaml: %s: %s", w.tag, key, text))
	}
	for key, entry := range english.entries {
		mine, ok := w.entries[key]
		if !ok {
			fault(key, "missing")
			continue
		}
		if a, b := arguments(entry), arguments(mine); a != b {
			fault(key, fmt.Sprintf("arguments %q instead of %q", b, a))
		}
	}
	for key := range w.entries {
		if _, ok := english.entries[key]; !ok {
			fault(key, "not in words/en.yaml")
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return faults
}

// arguments names the arguments that the main form uses, sorted: "{0} {1}".
func arguments(entry map[plural.Form]string) string {
	found := argument.FindAllString(entry[plural.Other], -1)
	slices.Sort(found)
	return strings.Join(slices.Compact(found), " ")
}

// text gives the sentence of a key with its arguments put in.
// A key that the catalogue lacks gives the key itself: Set.Has and the tests see to it that none does.
func (w *words) text(key string, args ...any) string {
	return w.fill(key, args, func(a any) string { return fmt.Sprint(a) })
}

// html is text with the sentence escaped; arguments become bold, those that are HTML already stay as they are.
func (w *words) html(key string, args ...any) template.HTML {
	return w.markup(key, args, "<strong>", "</strong>")
}

// plainHTML is html without the bold.
func (w *words) plainHTML(key string, args ...any) template.HTML {
	return w.markup(key, args, "", "")
}

func (w *words) markup(key string, args []any, before, after string) template.HTML {
	for i, a := range args {
		switch a := a.(type) {
		case template.HTML, int:
		default:
			args[i] = template.HTML(before + template.HTMLEscapeString(fmt.Sprint(a)) + after)
		}
	}
	return template.HTML(w.fillEscaped(key, args))
}

func (w *words) fill(key string, args []any, show func(any) string) string {
	return put(w.form(key, args), args, show)
}

func (w *words) fillEscaped(key string, args []any) string {
	return put(template.HTMLEscapeString(w.form(key, args)), args, func(a any) string { return fmt.Sprint(a) })
}

// form picks the plural form by the first whole number among the arguments.
func (w *words) form(key string, args []any) string {
	entry, ok := w.entries[key]
	if !ok {
		return key
	}
	if len(entry) > 1 {
		for _, a := range args {
			if n, ok := a.(int); ok {
				if s, ok := entry[plural.Cardinal.MatchPlural(w.tag, n, 0, 0, 0, 0)]; ok {
					return s
				}
				break
			}
		}
	}
	return entry[plural.Other]
}

// put replaces {0}, {1}, … in one pass, so that an argument that looks like one stays as it is.
func put(sentence string, args []any, show func(any) string) string {
	if !strings.Contains(sentence, "{") {
		return sentence
	}
	return argument.ReplaceAllStringFunc(sentence, func(m string) string {
		if i := int(m[1] - '0'); i < len(args) {
			return show(args[i])
		}
		return ""
	})
}
