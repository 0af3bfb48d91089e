package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Whoever records an event names it by its constant: a word that is mistyped would be counted by nobody.
func TestEventsAreNamedByTheirConstants(t *testing.T) {
	const root = "../.."
	positions := token.NewFileSet()
	read := func(path string) *ast.File {
		file, err := parser.ParseFile(positions, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	names := map[string]bool{}
	word := func(e ast.Expr) (string, bool) {
		l, ok := e.(*ast.BasicLit)
		if !ok || l.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(l.Value)
		return s, err == nil
	}
	ast.Inspect(read("event.go"), func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if s, ok := word(v.Values[0]); ok {
				names[s] = true
			}
		}
		return true
	})
	if len(names) < 40 {
		t.Fatalf("%d names", len(names))
	}
	// A dotted name is nothing else; of the others it is told by where they stand.
	said := func(e ast.Expr, dotted bool) {
		if s, ok := word(e); ok && names[s] && (!dotted || strings.Contains(s, ".")) {
			t.Errorf("%s: %q has a constant", positions.Position(e.Pos()), s)
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == filepath.Join(root, "internal", "audit") || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		ast.Inspect(read(path), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				said(n, true)
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "event" || f.Sel.Name == "journalled") && len(n.Args) > 0 {
					said(n.Args[0], false)
				}
			case *ast.CompositeLit:
				if f, ok := n.Type.(*ast.SelectorExpr); ok && f.Sel.Name == "Event" {
					for _, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok {
							said(kv.Value, false)
						}
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
