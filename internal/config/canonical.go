package config

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Canonical writes what a configuration says, a setting a line, in an order that is always the same, so that two of them can be compared by a sum. What was left out
// is left out, so that a setting which a later version adds changes nothing. A field with the tag node:"own" may differ from node to node and is
// left out, too. Secrets are in it as they are: it is for a keyed sum alone, and nobody keeps or shows it.
func Canonical(v any) []byte {
	var b bytes.Buffer
	canonical(&b, "", reflect.ValueOf(v))
	return b.Bytes()
}

func canonical(b *bytes.Buffer, path string, v reflect.Value) {
	if s, ok := v.Interface().(Secret); ok {
		if s.Set() {
			fmt.Fprintf(b, "%s=%q\n", path, s.Reveal())
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fmt.Fprintf(b, "%s\n", path) // said, though it may be zero
			canonical(b, path, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("node") != "own" {
				canonical(b, path+"."+f.Name, v.Field(i))
			}
		}
	case reflect.Map:
		keys := map[string]reflect.Value{}
		for _, k := range v.MapKeys() {
			keys[fmt.Sprintf("%q", k.Interface())] = v.MapIndex(k)
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			fmt.Fprintf(b, "%s[%s]\n", path, k)
			canonical(b, path+"["+k+"]", keys[k])
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 { // a picture: a line for each of its bytes would be a hundred times as long
			if v.Len() > 0 {
				fmt.Fprintf(b, "%s=%x\n", path, sha256.Sum256(v.Bytes()))
			}
			return
		}
		for i := range v.Len() {
			fmt.Fprintf(b, "%s[%d]\n", path, i)
			canonical(b, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.String:
		if v.String() != "" {
			fmt.Fprintf(b, "%s=%q\n", path, v.String())
		}
	default:
		if !v.IsZero() {
			fmt.Fprintf(b, "%s=%#v\n", path, v.Interface()) // with no String of its own, which may round
		}
	}
}
