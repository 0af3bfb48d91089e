package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Source is the file being read: where each value stands, and what is wrong with it.
// A path names a value by keys and indexes, "tenants.avengers.policies[0].for"; a value that is not written has the place of the
// nearest one around it. It serves one goroutine.
type Source struct {
	file, folder string
	files        *Files
	places       map[string]place
	broken       map[string]bool // paths whose value could not be decoded, unknown keys among them
	faults       []Fault
	warnings     []Fault
	checking     bool // what was found from now on may only follow from a fault before
}

type place struct{ line, column int }

// Fault adds a fault at a path.
func (s *Source) Fault(path, format string, args ...any) {
	for p := path; s.checking && p != ""; p = parent(p) {
		if s.broken[p] {
			return
		}
	}
	s.add(s.at(path, fmt.Sprintf(format, args...)))
}

// Warn adds a warning at a path: the file is accepted all the same.
func (s *Source) Warn(path, format string, args ...any) {
	s.warnings = append(s.warnings, s.at(path, fmt.Sprintf(format, args...)))
}

// Warnings returns the warnings so far, in the order of the file. The Source may be kept for it after Load.
func (s *Source) Warnings() []Fault { return sorted(s.warnings) }

// Whole reports whether everything written at a path and below it could be read. What several values say together is judged only then.
func (s *Source) Whole(path string) bool {
	for p := range s.broken {
		if below, ok := strings.CutPrefix(p, path); ok && (below == "" || below[0] == '.' || below[0] == '[') {
			return false
		}
	}
	return true
}

// Resolve returns a path of the file system, a relative one as seen from the file's folder.
func (s *Source) Resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.folder, path)
}

// ReadFile reads a file that a setting names, by the path that Resolve gives. Whoever watches the config watches it, too.
func (s *Source) ReadFile(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	s.files.note(name, text, err)
	return text, err
}

// Refuse turns what is found wrong after Load, texts by path, into Faults with their places; nil when there is nothing.
// The Source may be kept for it.
func (s *Source) Refuse(texts map[string]string) error {
	var faults []Fault
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		faults = append(faults, s.at(path, texts[path]))
	}
	if len(faults) == 0 {
		return nil
	}
	return sorted(faults)
}

func (s *Source) at(path, text string) Fault {
	p := path
	for {
		if at, ok := s.places[p]; ok {
			return Fault{File: s.file, Line: at.line, Column: at.column, Path: path, Text: text}
		}
		if p == "" {
			return Fault{File: s.file, Path: path, Text: text}
		}
		p = parent(p)
	}
}

func (s *Source) add(f Fault) {
	f.File = s.file
	if len(s.faults) < enoughFaults {
		s.faults = append(s.faults, f)
	}
}

func (s *Source) result() error {
	if len(s.faults) == 0 {
		return nil
	}
	return sorted(s.faults)
}

// survey notes the place of every value: a single value stands where it is, a mapping or list in a mapping
// where its key is. It gives up on what is too deep or too much, so that the decoder need not count.
func (s *Source) survey(n *yaml.Node, path string, at place, depth int, left *int) bool {
	*left -= 64 + len(path)
	if depth > maxDepth || *left < 0 {
		what := "the values are too many, each counted as often as aliases repeat it"
		if depth > maxDepth {
			what = fmt.Sprintf("nested deeper than %d", maxDepth)
		}
		s.add(Fault{Line: n.Line, Column: n.Column, Text: what})
		return false
	}
	n = plain(n)
	if n.Kind == yaml.ScalarNode && (n.Value != "" || !null(n)) || at.line == 0 {
		at = place{n.Line, n.Column}
	}
	s.places[path] = at
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := plain(n.Content[i])
			if len(key.Value) > maxKey {
				s.add(Fault{Line: key.Line, Column: key.Column, Text: fmt.Sprintf("a key is longer than %d bytes", maxKey)})
				return false
			}
			if !s.survey(n.Content[i+1], join(path, key.Value), place{key.Line, key.Column}, depth+1, left) {
				return false
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if !s.survey(item, index(path, i), place{}, depth+1, left) {
				return false
			}
		}
	}
	return true
}

// plain follows an alias to what it stands for. An alias cannot stand for an alias.
func plain(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parent cuts the last key or index off. A key with a dot in it costs only steps that find nothing.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }
