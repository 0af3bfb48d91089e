// Package config reads a YAML file strictly into structs whose fields carry `yaml:"name"`: unknown and repeated keys, wrong types,
// missing ${NAME} and unreadable file: values are faults, all told at once with line and column, before and together with those
// that the owner of the settings finds. It knows how settings are written, never what one means, and no fault, warning or
// error of it repeats a secret.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const (
	maxFile  = 1 << 20  // bytes
	maxWork  = 32 << 20 // 64 bytes and its path for each value, counted each time an alias is used: no honest file of that size gets there
	maxDepth = 64
	maxKey   = 256 // bytes
)

// Load reads a file into a struct and lets check look at the result; the error is Faults, or that of reading the file.
// The struct keeps what it held where the file says nothing, so it may come filled with defaults; after an error it must not be used.
// Check is called even when there are faults already, unless the file is no YAML at all; what it finds at or below a value
// that could not be decoded is dropped.
func Load(file string, into any, check func(*Source)) error {
	return new(Files).Load(file, into, check)
}

// Load is Load, and adds the file and those that it names to f, after an error as well.
func (f *Files) Load(file string, into any, check func(*Source)) error {
	text, err := readAtMost(file, maxFile+1)
	f.note(file, text, err)
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	return f.parse(file, text, into, check)
}

func readAtMost(file string, bytes int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, bytes))
}

// Parse is Load for a text at hand; file is named in faults, and its folder is where relative paths start.
func Parse(file string, text []byte, into any, check func(*Source)) error {
	return new(Files).parse(file, text, into, check)
}

func (f *Files) parse(file string, text []byte, into any, check func(*Source)) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Struct {
		panic("config: into must be a pointer to a struct")
	}
	s := &Source{file: file, folder: filepath.Dir(file), files: f, places: map[string]place{"": {1, 1}}, broken: map[string]bool{}}
	root, ok := s.read(text)
	if !ok {
		return s.result()
	}
	if root != nil {
		(&decoder{s}).value(root, target.Elem(), "")
	}
	s.checking = true
	if check != nil {
		check(s)
	}
	return s.result()
}

// read parses the text into one tree and notes every place in it. The tree is nil when the file says nothing.
func (s *Source) read(text []byte) (*yaml.Node, bool) {
	if len(text) > maxFile {
		s.add(Fault{Line: 1, Column: 1, Text: fmt.Sprintf("the file is larger than %d bytes", maxFile)})
		return nil, false
	}
	if at, what := unreadable(text); what != "" {
		line := bytes.Count(text[:at], []byte("\n")) + 1
		column := utf8.RuneCount(text[bytes.LastIndexByte(text[:at], '\n')+1:at]) + 1
		s.add(Fault{Line: line, Column: column, Text: what})
		return nil, false
	}
	var document, second yaml.Node
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err == nil {
		err = loader.Load(&document)
	}
	if errors.Is(err, io.EOF) {
		return nil, true
	}
	if err != nil {
		s.add(syntax(err))
		return nil, false
	}
	if err := loader.Load(&second); err == nil {
		s.add(Fault{Line: second.Line, Column: second.Column, Text: "a second document begins here; one file holds one"})
		return nil, false
	} else if !errors.Is(err, io.EOF) {
		s.add(syntax(err))
		return nil, false
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, true
	}
	root := document.Content[0]
	if work := maxWork; !s.survey(root, "", place{1, 1}, 0, &work) {
		return nil, false
	}
	if null(root) {
		return nil, true
	}
	return root, true
}

// unreadable finds the first byte that cannot stand in a config file; the parser would not say where it is.
func unreadable(text []byte) (at int, what string) {
	for at < len(text) {
		c, size := utf8.DecodeRune(text[at:])
		switch {
		case c == utf8.RuneError && size <= 1:
			return at, "the file is not UTF-8 here"
		case c < ' ' && c != '\n' && c != '\r' && c != '\t', c >= 0x7f && c < 0xa0 && c != 0x85, c&^1 == 0xfffe:
			return at, "a control character stands here"
		}
		at += size
	}
	return 0, ""
}

// syntax turns the parser's error into a fault that does not repeat the text it stumbled upon.
func syntax(err error) Fault {
	var at *yaml.LoadError
	if !errors.As(err, &at) {
		return Fault{Line: 1, Column: 1, Text: "this is not YAML"}
	}
	f := Fault{Line: max(at.Mark.Line, 1), Column: max(at.Mark.Column, 1), Text: at.Message}
	if strings.Contains(f.Text, "unknown anchor") {
		f.Text = "this alias has no anchor; quote a value that begins with *"
	}
	if at.ContextMsg != "" {
		f.Text += " " + at.ContextMsg
		if at.ContextMark.Line > 0 && at.ContextMark.Line != f.Line {
			f.Text += fmt.Sprintf(" that began on line %d", at.ContextMark.Line)
		}
	}
	return f
}
