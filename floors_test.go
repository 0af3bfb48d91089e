package sparekey

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors is the house: a package imports only packages on lower floors, never a neighbour. A test suite stands on the
// floor of what it tests. `go generate` draws the README's picture from this table and from the imports.
var floors = [][]string{
	{"directory", "internal/secret", "internal/config"}, // the cellar
	{"templates", "internal/identity", "internal/store", "internal/web"},
	{"internal/policy", "internal/guard", "internal/session", "internal/notify", "internal/audit", "internal/backup", "internal/reseal", "internal/peers"},
	{"internal/method", "internal/account", "directory/local"},
	{"provider", "flows", "internal/admin", "internal/demo", "internal/crowd", "internal/strangers"},
	{""},
	{"cmd/sparekey", "examples/embed", "journey", "load", "internal/picture"},
}

// suites stand on the floor of what they test, and may be imported by tests alone.
var suites = map[string]string{"directory/directorytest": "directory", "internal/store/storetest": "internal/store"}

const module = "github.com/sparekey-id/sparekey"

type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func room(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func floorOf(room string) int {
	if of, ok := suites[room]; ok {
		room = of
	}
	return slices.IndexFunc(floors, func(f []string) bool { return slices.Contains(f, room) })
}

func TestARoomImportsOnlyRoomsOnLowerFloors(t *testing.T) {
	for _, p := range packages(t) {
		from, _ := room(p.ImportPath)
		floor := floorOf(from)
		if floor < 0 {
			t.Errorf("%s stands on no floor: give it one in floors_test.go", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			to, ours := room(path)
			if !ours {
				continue
			}
			if _, suite := suites[to]; suite && suites[from] == "" {
				t.Errorf("%s imports the test suite %s", from, to)
			} else if floorOf(to) >= floor && suites[from] != to {
				t.Errorf("%s (floor %d) imports %s (floor %d)", from, floor-1, to, floorOf(to)-1)
			}
		}
		for _, path := range append(slices.Clone(p.TestImports), p.XTestImports...) {
			to, ours := room(path)
			if ours && to != from && suites[to] != from && floorOf(to) > floor {
				t.Errorf("the tests of %s (floor %d) import %s (floor %d)", from, floor-1, to, floorOf(to)-1)
			}
		}
	}
}

func TestTheOpenIDLibraryLivesInProviderAlone(t *testing.T) {
	for _, p := range packages(t) {
		from, _ := room(p.ImportPath)
		for _, path := range p.Imports {
			if strings.HasPrefix(path, "github.com/zitadel/oidc/") && from != "provider" {
				t.Errorf("%s imports %s", from, path)
			}
		}
	}
}
