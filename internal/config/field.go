package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// field is a struct field that the file may set. Fields without a yaml tag are not the file's; embedded structs lend theirs.
// A tag `oneof:"a b"` lists the words a string, or each item of a list of strings, may be.
type field struct {
	name  string
	index []int
	oneof []string
	typ   reflect.Type
}

func fieldsOf(t reflect.Type) (out []field) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				out = append(out, inner)
			}
		case name != "" && name != "-" && f.IsExported():
			out = append(out, field{name, []int{i}, strings.Fields(f.Tag.Get("oneof")), f.Type})
		}
	}
	return out
}

func names(fields []field) (out []string) {
	for _, f := range fields {
		out = append(out, f.name)
	}
	return out
}

// choice holds a decoded value to the words its field allows.
func (d *decoder) choice(n *yaml.Node, v reflect.Value, f field, path string) {
	if len(f.oneof) == 0 || d.broken[path] {
		return
	}
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	check := func(n *yaml.Node, v reflect.Value, path string) {
		if v.Kind() == reflect.String && !d.broken[path] && !slices.Contains(f.oneof, v.String()) {
			d.fault(n, path, "%s is not one of %s%s", shown(n.Value), strings.Join(f.oneof, ", "), guess(n.Value, f.oneof))
		}
	}
	if v.Kind() != reflect.Slice {
		check(n, v, path)
		return
	}
	for i := range v.Len() {
		check(plain(n.Content[i]), v.Index(i), index(path, i))
	}
}

// Words holds a struct that a program has filled to the words its fields allow, as Load does with a file. What is empty is not said.
func Words(of any, fault func(path, format string, args ...any)) {
	words(reflect.ValueOf(of), "", fault)
}

func words(v reflect.Value, path string, fault func(path, format string, args ...any)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			words(v.Elem(), path, fault)
		}
	case reflect.Map:
		for _, key := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			words(v.MapIndex(key), join(path, key.String()), fault)
		}
	case reflect.Slice:
		for i := range v.Len() {
			words(v.Index(i), index(path, i), fault)
		}
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			in, at := v.FieldByIndex(f.index), join(path, f.name)
			if len(f.oneof) > 0 {
				within(in, at, f.oneof, fault)
			}
			words(in, at, fault)
		}
	}
}

// within holds a text, or each of a list, to the words allowed.
func within(v reflect.Value, path string, allowed []string, fault func(path, format string, args ...any)) {
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			within(v.Index(i), index(path, i), allowed, fault)
		}
	} else if word := v.String(); word != "" && !slices.Contains(allowed, word) {
		fault(path, "%q is not one of %s%s", word, strings.Join(allowed, ", "), guess(word, allowed))
	}
}

func unknown(key string, known []string) string {
	if g := guess(key, known); g != "" {
		return "unknown key" + g
	}
	if len(known) == 0 {
		return "unknown key; none is known here"
	}
	slices.Sort(known)
	return "unknown key; known here: " + strings.Join(known, ", ")
}

// guess returns "; did you mean “x”?" for the known word nearest to one that is not, or nothing when none is near.
func guess(word string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		n := distance(folded(word), folded(k))
		if n < least && n*3 <= max(len(k), 3) {
			best, least = k, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// folded makes methodsRequired, methods-required and methods_required one word.
func folded(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s))
}

// distance counts the letters to add, drop, change or swap with their neighbour; words too long to be meant are far.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 100
	}
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			n := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				n = min(n, rows[i-2][j-2]+1)
			}
			rows[i][j] = n
		}
	}
	return rows[len(x)][len(y)]
}
