// Package templates owns every word and every picture an end-user sees: pages, mails, languages, the style sheet,
// the little JavaScript. It knows kinds, events and problems as plain strings, and never takes a decision:
// whatever is on a page was put into its struct by somebody else.
//
// A page is a struct in pages.go and a file pages/<snake_case_of_the_type>.html. A mail is a struct in mails.go and
// its words. A language is one file in words/. New refuses to start when one of them has no counterpart.
package templates

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

//go:embed pages parts words assets mails
var files embed.FS

// all names every page struct: a struct without its file, or a file without its struct, is refused by New.
var all = []Page{
	SignInName{}, SignInPassword{}, Account{}, Choose{}, Prove{}, NewPassword{}, MoreInformation{},
	RegisterChoose{}, RegisterIntro{}, Register{}, AllSet{}, SecurityInfo{}, ConfirmDelete{}, ResetName{}, ResetWhat{},
	ResetDone{}, Unlock{}, UnlockDone{}, DeadEnd{}, NotMe{}, NotMeDone{}, SignOut{}, SignedOut{}, Wait{}, Oops{}, FormPost{},
}

// Set is all pages, mails, words and assets, parsed and checked. It is safe for concurrent use.
type Set struct {
	Now func() time.Time // for "just now", "yesterday" and countdowns; New sets time.Now

	pages  map[string]func() (*template.Template, error) // parsed when first shown: each has its own copy of the parts, and most are rarely seen
	mail   *template.Template
	words  map[string]*words
	tags   []string // of words, English first
	assets *assets
}

// New parses every page, every language and every asset.
// It fails on a page struct without a file, a file without a struct, a page that cannot be rendered,
// and a language that lacks a key or an argument of English or has one too many.
func New() (*Set, error) { return newSet(files) }

func newSet(from fs.FS) (*Set, error) {
	s := &Set{Now: time.Now, pages: map[string]func() (*template.Template, error){}}
	var err error
	if s.words, s.tags, err = readWords(from); err != nil {
		return nil, err
	}
	if s.assets, err = readAssets(from); err != nil {
		return nil, err
	}
	parts, err := template.ParseFS(from, "parts/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse parts: %w", err)
	}
	if s.mail, err = template.ParseFS(from, "mails/mail.html"); err != nil {
		return nil, fmt.Errorf("parse mail: %w", err)
	}
	found, err := fs.Glob(from, "pages/*.html")
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, file := range found {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if !slices.ContainsFunc(all, func(p Page) bool { return nameOf(p) == name }) {
			faults = append(faults, fmt.Errorf("%s: no page struct of that name", file))
			continue
		}
		s.pages[name] = func() (*template.Template, error) {
			page, err := parts.Clone()
			if err == nil {
				page, err = page.ParseFS(from, file)
			}
			if err != nil {
				return nil, fmt.Errorf("parse %s: %w", file, err)
			}
			return page, nil
		}
	}
	for _, p := range all {
		if s.pages[nameOf(p)] == nil {
			faults = append(faults, fmt.Errorf("pages/%s.html: missing, although %T is a page", nameOf(p), p))
		} else if err := s.Page(io.Discard, p); err != nil {
			faults = append(faults, err)
		}
	}
	for name, parse := range s.pages {
		s.pages[name] = sync.OnceValues(parse)
	}
	if _, _, _, err := s.Mail("", PasswordReset{}); err != nil {
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return s, nil
}

// Page renders p in the language of its frame, English when that is not one of Languages.
// Nothing is written unless the whole page could be rendered.
func (s *Set) Page(w io.Writer, p Page) error {
	parsed := s.pages[nameOf(p)]
	if parsed == nil {
		return fmt.Errorf("render %T: no such page", p)
	}
	page, err := parsed()
	if err != nil {
		return fmt.Errorf("render %T: %w", p, err)
	}
	var out bytes.Buffer
	v := s.view(p)
	if err := page.ExecuteTemplate(&out, "frame", v); err != nil {
		return fmt.Errorf("render %T: %w", p, err)
	}
	if v.Problem.Key != "" && !v.told {
		// The field that the problem belongs to is not on this page: say it above the form, so that it is never lost.
		out.Reset()
		v = s.view(p)
		v.Problem.Field = ""
		if err := page.ExecuteTemplate(&out, "frame", v); err != nil {
			return fmt.Errorf("render %T: %w", p, err)
		}
	}
	_, err = w.Write(out.Bytes())
	return err
}

// Has reports whether the catalogue has the key: "problem.wrong_code", "event.reset.done", …
func (s *Set) Has(key string) bool { _, ok := s.words[s.tags[0]].entries[key]; return ok }

// nameOf gives the snake_case name of a struct's type: SignInName → sign_in_name.
func nameOf(v any) string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return snake(t.Name())
}

func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
