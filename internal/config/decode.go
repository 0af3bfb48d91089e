package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// Scalar is a type with a notation of its own. DecodeConfig gets the text with every ${NAME} replaced; its error completes
// the fault and should say what is expected.
type Scalar interface{ DecodeConfig(text string) error }

type decoder struct{ *Source }

// fault marks the value as broken, so that a check of the same value is not heard.
func (d *decoder) fault(n *yaml.Node, path, format string, args ...any) {
	d.broken[path] = true
	d.add(Fault{Line: n.Line, Column: n.Column, Path: path, Text: fmt.Sprintf(format, args...)})
}

// value decodes into v, which can be set.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	n = plain(n)
	if n.Style&yaml.TaggedStyle != 0 {
		d.fault(n, path, "tags (!…) are not known here")
		return
	}
	switch into := v.Addr().Interface().(type) {
	case *Secret:
		d.secret(n, into, path)
		return
	case *Path:
		if text, ok := d.text(n, path); ok {
			d.path(n, into, text, path)
		}
		return
	case *time.Duration:
		d.scalar(n, (*Duration)(into), path)
		return
	case *time.Time:
		d.scalar(n, (*moment)(into), path)
		return
	case Scalar:
		d.scalar(n, into, path)
		return
	case encoding.TextUnmarshaler:
		d.scalar(n, unmarshaler{into}, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path)
	case reflect.Struct:
		d.fields(n, v, path)
	case reflect.Map:
		d.entries(n, v, path)
	case reflect.Slice:
		d.items(n, v, path)
	default:
		d.basic(n, v, path)
	}
}

func (d *decoder) fields(n *yaml.Node, v reflect.Value, path string) {
	if null(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "keys with values are expected here, not %s", kind(n))
		return
	}
	known := fieldsOf(v.Type())
	d.pairs(n, path, func(key, value *yaml.Node, at string) {
		for _, f := range known {
			if f.name == key.Value {
				d.value(value, v.FieldByIndex(f.index), at)
				d.choice(plain(value), v.FieldByIndex(f.index), f, at)
				return
			}
		}
		text := "unknown key"
		if len(d.faults) < maxFaults {
			text = unknown(key.Value, names(known))
		}
		d.fault(key, at, "%s", text)
	})
}

func (d *decoder) entries(n *yaml.Node, v reflect.Value, path string) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	if null(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "names with values are expected here, not %s", kind(n))
		return
	}
	d.pairs(n, path, func(key, value *yaml.Node, at string) {
		name, entry := reflect.ValueOf(key.Value).Convert(v.Type().Key()), reflect.New(v.Type().Elem()).Elem()
		if old := v.MapIndex(name); old.IsValid() {
			entry.Set(old)
		}
		d.value(value, entry, at)
		v.SetMapIndex(name, entry)
	})
}

// pairs calls f for each key that is a plain one and stands there for the first time.
func (d *decoder) pairs(n *yaml.Node, path string, f func(key, value *yaml.Node, at string)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := plain(n.Content[i])
		at := join(path, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || null(key) || key.Style&yaml.TaggedStyle != 0:
			d.fault(key, path, "a key is a word, not %s", kind(key))
		case key.Tag == "!!merge":
			d.fault(key, path, "<< is not known here: write the keys, or use an alias for the whole value")
		case seen[key.Value] > 0:
			d.fault(key, at, "this key is on line %d already", seen[key.Value])
		default:
			seen[key.Value] = key.Line
			f(key, n.Content[i+1], at)
		}
	}
}

func (d *decoder) items(n *yaml.Node, v reflect.Value, path string) {
	if null(n) {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, "a list is expected here, [a, b], not %s", kind(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, item := range n.Content {
		entry := reflect.New(v.Type().Elem()).Elem()
		d.value(item, entry, index(path, i))
		list = reflect.Append(list, entry)
	}
	v.Set(list)
}

// text returns a single value's text with every ${NAME} replaced.
func (d *decoder) text(n *yaml.Node, path string) (string, bool) {
	switch {
	case null(n):
		d.fault(n, path, "a value is missing")
	case n.Kind != yaml.ScalarNode:
		d.fault(n, path, "a single value is expected here, not %s", kind(n))
	default:
		text, err := expand(n.Value)
		if err == nil && strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }) {
			err = fmt.Errorf("a control character is in the value")
		}
		if err == nil {
			return text, true
		}
		d.fault(n, path, "%v", err)
	}
	return "", false
}

func (d *decoder) scalar(n *yaml.Node, into Scalar, path string) {
	text, ok := d.text(n, path)
	if !ok {
		return
	}
	if err := into.DecodeConfig(text); err != nil {
		if text != n.Value { // the error may repeat what the environment holds
			err = fmt.Errorf("what %s stands for cannot be used here", n.Value)
		}
		d.fault(n, path, "%v", err)
	}
}

func (d *decoder) basic(n *yaml.Node, v reflect.Value, path string) {
	text, ok := d.text(n, path)
	if !ok {
		return
	}
	var err error
	want := ""
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		want = "true or false"
		v.SetBool(text == "true")
		if text != "true" && text != "false" {
			err = strconv.ErrSyntax
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var i int64
		want = "a whole number"
		i, err = strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var u uint64
		want = "a whole number, not negative"
		u, err = strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(u)
	case reflect.Float32, reflect.Float64:
		var f float64
		want = "a number"
		f, err = strconv.ParseFloat(text, v.Type().Bits())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			err = strconv.ErrSyntax
		}
		v.SetFloat(f)
	default:
		panic("config: no way to read a " + v.Type().String())
	}
	if err != nil {
		d.fault(n, path, "%s is expected here, not %s", want, shown(n.Value))
	}
}

type unmarshaler struct{ encoding.TextUnmarshaler }

func (u unmarshaler) DecodeConfig(text string) error { return u.UnmarshalText([]byte(text)) }

func kind(n *yaml.Node) string {
	switch {
	case null(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "keys with values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// shown quotes a value as written, before ${NAME} was replaced, and never much of it.
func shown(text string) string {
	if r := []rune(text); len(r) > 60 {
		text = string(r[:60]) + "…"
	}
	return strconv.Quote(text)
}
