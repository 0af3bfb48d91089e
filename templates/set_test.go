package templates

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// copyOfFiles copies the embedded files, so that a test can break one.
func copyOfFiles(t *testing.T) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(path)
		m[path] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestNewRefusesWhatDoesNotMatch(t *testing.T) {
	replace := func(file, old, new string) func(fstest.MapFS) {
		return func(m fstest.MapFS) {
			text := string(m[file].Data)
			if !strings.Contains(text, old) {
				panic(file + " has no " + old)
			}
			m[file] = &fstest.MapFile{Data: []byte(strings.Replace(text, old, new, 1))}
		}
	}
	for _, c := range []struct {
		name, want string
		harm       func(fstest.MapFS)
	}{
		{"a page without its file", "pages/wait.html: missing", func(m fstest.MapFS) { delete(m, "pages/wait.html") }},
		{"a file without its page", "pages/extra.html: no page struct", func(m fstest.MapFS) { m["pages/extra.html"] = &fstest.MapFile{Data: []byte("x")} }},
		{"a page that does not parse", "parse pages/wait.html", replace("pages/wait.html", "{{end}}", "{{oops}}")},
		{"a field that the struct has not", "can't evaluate field Untill", replace("pages/wait.html", ".P.Until.IsZero", ".P.Untill.IsZero")},
		{"a key that a language lacks", "words/de.yaml: action.next: missing", replace("words/de.yaml", "  next: Weiter\n", "")},
		{"a key that English lacks", "words/de.yaml: action.zurueck: not in words/en.yaml", replace("words/de.yaml", "  back: Zurück\n", "  back: Zurück\n  zurueck: Zurück\n")},
		{"an argument that was lost", `words/de.yaml: sign_in.to_continue: arguments "" instead of "{0}"`, replace("words/de.yaml", "weiter zu {0}", "weiter")},
		{"an empty sentence", "action.next: empty", replace("words/en.yaml", "next: Next", `next: ""`)},
		{"no English", "words/en.yaml: missing", func(m fstest.MapFS) { delete(m, "words/en.yaml") }},
		{"no style sheet", "assets/sparekey.css: missing", func(m fstest.MapFS) { delete(m, "assets/sparekey.css") }},
		{"a file of an unknown kind", "assets/x.exe: no media type", func(m fstest.MapFS) { m["assets/x.exe"] = &fstest.MapFile{} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := copyOfFiles(t)
			if _, err := newSet(m); err != nil {
				t.Fatalf("before the harm: %v", err)
			}
			c.harm(m)
			_, err := newSet(m)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEveryPageStructIsInTheListThatNewChecks(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "pages.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, p := range all {
		listed[nameOf(p)] = true
	}
	declared := 0
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "page" {
			continue
		}
		declared++
		if name := f.Recv.List[0].Type.(*ast.Ident).Name; !listed[snake(name)] {
			t.Errorf("%s is a page, but New does not check it", name)
		}
	}
	if declared != len(all) {
		t.Errorf("%d pages declared, %d checked", declared, len(all))
	}
}

func TestPageWritesAllOrNothing(t *testing.T) {
	s := newTestSet(t)
	var b strings.Builder
	if err := s.Page(&b, stranger{}); err == nil || b.Len() > 0 {
		t.Errorf("wrote %q, err %v", b.String(), err)
	}
	if err := s.Page(brokenPipe{}, SignedOut{Frame: frame()}); err != io.ErrClosedPipe {
		t.Errorf("a failed write is not told: %v", err)
	}
}

type stranger struct{ Frame }

func (stranger) page() {}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
