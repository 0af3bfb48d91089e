package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/sparekey-id/sparekey"

// table reads the floors from the test that holds them, the cellar first.
func table() ([][]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "floors_test.go", nil, 0)
	if err != nil {
		return nil, err
	}
	var floors [][]string
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != "floors" {
			return true
		}
		for _, row := range v.Values[0].(*ast.CompositeLit).Elts {
			var rooms []string
			for _, room := range row.(*ast.CompositeLit).Elts {
				name, err := strconv.Unquote(room.(*ast.BasicLit).Value)
				if err == nil {
					rooms = append(rooms, name)
				}
			}
			floors = append(floors, rooms)
		}
		return false
	})
	if len(floors) == 0 {
		return nil, errors.New("floors_test.go has no table")
	}
	return floors, nil
}

// imports gives, for each room, the rooms it imports.
func imports() (map[string][]string, error) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	all := map[string][]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); err != nil {
			return nil, err
		}
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		all[from] = nil
		for _, path := range p.Imports {
			if to, ok := strings.CutPrefix(path, module); ok {
				all[from] = append(all[from], strings.TrimPrefix(to, "/"))
			}
		}
	}
	return all, nil
}

const (
	wide, high, gap, left = 1120, 64, 46, 96
)

// floors draws the house: the highest floor on top, a line for each import.
func floors() ([]byte, error) {
	rows, err := table()
	if err != nil {
		return nil, err
	}
	uses, err := imports()
	if err != nil {
		return nil, err
	}
	type spot struct{ x, y, w int }
	at := map[string]spot{}
	var b strings.Builder
	whole := len(rows)*(high+gap) + gap
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="14" role="img" aria-label="The rooms of the house, floor by floor, with their imports">`+"\n", wide, whole)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" rx="16" fill="#f3f4f6"/>`+"\n", wide, whole)
	for i, row := range rows {
		var there []string
		for _, room := range row {
			if _, ok := uses[room]; ok {
				there = append(there, room)
			}
		}
		y := gap + (len(rows)-1-i)*(high+gap)
		name := fmt.Sprintf("floor %d", i-1)
		if i == 0 {
			name = "cellar"
		}
		fmt.Fprintf(&b, `<text x="20" y="%d" fill="#5a606b">%s</text>`+"\n", y+high/2+5, name)
		if len(there) == 0 {
			continue
		}
		w := (wide - left - 20 - (len(there)-1)*14) / len(there)
		for k, room := range there {
			at[room] = spot{left + k*(w+14), y, w}
		}
	}
	var lines []string
	for from, list := range uses {
		for _, to := range list {
			a, ok := at[from]
			c, found := at[to]
			if ok && found {
				x1, y1, x2, y2 := a.x+a.w/2, a.y+high, c.x+c.w/2, c.y
				lines = append(lines, fmt.Sprintf(`<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="#8a1c24" stroke-opacity=".22"/>`, x1, y1, x1, y1+gap/2, x2, y2-gap/2, x2, y2))
			}
		}
	}
	slices.Sort(lines)
	b.WriteString(strings.Join(lines, "\n") + "\n")
	var rooms []string
	for room := range at {
		rooms = append(rooms, room)
	}
	slices.Sort(rooms)
	for _, room := range rooms {
		s := at[room]
		shown := strings.TrimPrefix(room, "internal/")
		if room == "" {
			shown = "plugin.go  config.go  tenant.go"
		}
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="12" fill="#fff" stroke="#dfe2e7"/><text x="%d" y="%d" text-anchor="middle" fill="#1b1d21" font-weight="600">%s</text>`+"\n",
			s.x, s.y, s.w, high, s.x+s.w/2, s.y+high/2+5, shown)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String()), nil
}
