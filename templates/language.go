package templates

import (
	"slices"

	"golang.org/x/text/language"
)

// Languages gives the tags of all catalogues, English first: "en", "de".
func (s *Set) Languages() []string { return slices.Clone(s.tags) }

// Match picks the one of Languages that suits best. want holds Accept-Language values (RFC 9110 §12.5.4) or
// language tags (ui_locales), best first; what cannot be read is passed over. allowed narrows the choice and its
// first language is the fallback; empty allows all.
func (s *Set) Match(want, allowed []string) string {
	var names []string
	var tags []language.Tag
	for _, a := range allowed {
		if w := s.words[a]; w != nil {
			names, tags = append(names, a), append(tags, w.tag)
		}
	}
	if len(names) == 0 {
		for _, a := range s.tags {
			names, tags = append(names, a), append(tags, s.words[a].tag)
		}
	}
	var wanted []language.Tag
	for _, w := range want {
		if len(w) > 256 {
			continue // nobody speaks that many: do not spend time on it
		}
		if parsed, _, err := language.ParseAcceptLanguage(w); err == nil {
			wanted = append(wanted, parsed...)
		}
		if len(wanted) > 20 {
			break
		}
	}
	_, i, confidence := language.NewMatcher(tags).Match(wanted...)
	if confidence == language.No {
		return names[0]
	}
	return names[i]
}

// in gives the words of a language, English when there are none.
func (s *Set) in(lang string) *words {
	if w := s.words[lang]; w != nil {
		return w
	}
	return s.words[s.tags[0]]
}
