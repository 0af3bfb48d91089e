package sparekey_test

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// source is every Go file of the plugin that is no test, by path. The demo's relying party, the examples and the
// commands around the plugin have listeners of their own.
func source(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || slices.Contains([]string{"cmd", "examples", "journey", "load", "internal/demo", "testdata", "node_modules"}, path)):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files[path] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// constants are the string constants of a package's files.
func constants(files map[string]*ast.File) map[string]string {
	out := map[string]string{}
	for path, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i := range v.Values {
					if lit, ok := v.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
						out[filepath.Dir(path)+"."+v.Names[i].Name], _ = strconv.Unquote(lit.Value)
					}
				}
			}
		}
	}
	return out
}

// routes are the patterns of every Handle, HandleFunc and of the wrapper "on", with the tenant's prefix left out.
func routes(t *testing.T) []string {
	t.Helper()
	files := source(t)
	known := constants(files)
	var list []string
	for path, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) < 2 {
					return true
				}
				switch x := call.Fun.(type) {
				case *ast.SelectorExpr:
					if x.Sel.Name != "Handle" && x.Sel.Name != "HandleFunc" {
						return true
					}
				case *ast.Ident:
					if x.Name != "on" {
						return true
					}
				default:
					return true
				}
				if id, ok := call.Args[0].(*ast.Ident); ok && id.Name == "pattern" {
					return true // the wrapper itself
				}
				var text func(ast.Expr) string
				text = func(e ast.Expr) string {
					switch x := e.(type) {
					case *ast.BinaryExpr:
						return text(x.X) + text(x.Y)
					case *ast.BasicLit:
						s, err := strconv.Unquote(x.Value)
						if err != nil {
							t.Fatal(err)
						}
						return s
					case *ast.Ident:
						if x.Name == "p" || x.Name == "prefix" {
							return ""
						}
						if s, ok := known[filepath.Dir(path)+"."+x.Name]; ok {
							return s
						}
					case *ast.SelectorExpr:
						return "{" + x.Sel.Name + "}"
					}
					t.Errorf("%s: a route that cannot be read from the source", path)
					return "?"
				}
				list = append(list, filepath.ToSlash(filepath.Dir(path))+" "+text(call.Args[0]))
				return true
			})
		}
	}
	sort.Strings(list)
	return list
}

// makers are the functions that call what makes a session, a code or a token.
func makers(t *testing.T) []string {
	t.Helper()
	makes := map[string]string{"Sessions.Begin": "session", "grants.Add": "code", "newRefresh": "token", "admit": "token", "addCode": "code", "idToken": "token"}
	var list []string
	for path, f := range source(t) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				name := sel.Sel.Name
				if x, ok := sel.X.(*ast.SelectorExpr); ok && makes[x.Sel.Name+"."+name] != "" {
					name = x.Sel.Name + "." + name
				}
				if what := makes[name]; what != "" && (strings.Contains(name, ".") || filepath.Dir(path) == "provider") {
					line := fmt.Sprintf("%s.%s makes a %s", filepath.ToSlash(filepath.Dir(path)), fn.Name.Name, what)
					if !slices.Contains(list, line) {
						list = append(list, line)
					}
				}
				return true
			})
		}
	}
	sort.Strings(list)
	return list
}

// inventory reads testdata/routes.txt: a line is "what | where it can end | the tests that hold it".
func inventory(t *testing.T) (lines [][3]string) {
	t.Helper()
	f, err := os.Open("testdata/routes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "|")
		if len(parts) != 3 {
			t.Fatalf("testdata/routes.txt: %q is not three columns", line)
		}
		lines = append(lines, [3]string{strings.TrimSpace(parts[0]), strings.TrimSpace(parts[1]), strings.TrimSpace(parts[2])})
	}
	return lines
}

// tests are the names of all tests and fuzz targets of a folder's test files.
func tests(t *testing.T, folders ...string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range folders {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
					names[fn.Name.Name] = true
				}
			}
		}
	}
	return names
}

// A second way in is how others came to skip the second factor. Whoever adds a route, or a place that makes a session,
// a code or a token, adds it to the inventory and says which test holds it.
func TestA21_EveryRouteAndEveryMakerOfSessionsAndTokensIsInTheInventory(t *testing.T) {
	there := append(routes(t), makers(t)...)
	if len(there) < 25 {
		t.Fatalf("only %d are read from the source: %q", len(there), there)
	}
	known := tests(t, ".", "flows", "provider", "internal/session", "internal/web", "templates", "journey")
	var listed []string
	for _, line := range inventory(t) {
		listed = append(listed, line[0])
		if !slices.Contains(there, line[0]) {
			t.Errorf("testdata/routes.txt lists %q, which the source does not have", line[0])
		}
		ends := strings.Split(line[1], ", ")
		for _, e := range ends {
			if !slices.Contains([]string{"nothing", "session", "code", "token"}, e) {
				t.Errorf("%s ends in %q", line[0], e)
			}
		}
		if line[2] == "" && line[1] != "nothing" {
			t.Errorf("%s can end in a %s, and no test is named", line[0], line[1])
		}
		for _, name := range strings.Fields(line[2]) {
			if !known[name] {
				t.Errorf("%s: there is no test %s", line[0], name)
			}
		}
	}
	for _, r := range there {
		if n := slices.IndexFunc(listed, func(l string) bool { return l == r }); n < 0 {
			t.Errorf("not in testdata/routes.txt: %s", r)
		}
	}
}
