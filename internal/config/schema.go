package config

import (
	"encoding"
	"reflect"
	"time"
)

// Schema returns the JSON Schema (2020-12) of the files that can be decoded into a struct, ready for encoding/json, so that editors
// can complete and check them. A ${NAME} may stand for any single value.
func Schema(of any) map[string]any {
	schema := schemaOf(reflect.TypeOf(of))
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	return schema
}

const (
	anyVariable  = `^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`
	someDuration = `([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?`
)

func schemaOf(t reflect.Type) map[string]any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch reflect.New(t).Interface().(type) {
	case *Secret:
		return pattern(`^file:.+$`)
	case *Duration, *time.Duration:
		return pattern(`^(0|` + someDuration + `)$`)
	case *Rate:
		return pattern(`^[1-9][0-9]*/` + someDuration + `$`)
	case *time.Time:
		return map[string]any{"type": "string"}
	case Scalar, encoding.TextUnmarshaler:
		return map[string]any{"type": []string{"string", "number", "boolean"}}
	}
	switch t.Kind() {
	case reflect.Struct:
		properties := map[string]any{}
		for _, f := range fieldsOf(t) {
			s := schemaOf(f.typ)
			if len(f.oneof) > 0 {
				s = oneOf(f)
			}
			properties[f.name] = s
		}
		return map[string]any{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": schemaOf(t.Elem())}
	case reflect.Slice:
		return map[string]any{"type": []string{"array", "null"}, "items": schemaOf(t.Elem())}
	case reflect.Bool:
		return orVariable(map[string]any{"type": "boolean"})
	case reflect.Float32, reflect.Float64:
		return orVariable(map[string]any{"type": "number"})
	case reflect.String:
		return map[string]any{"type": []string{"string", "number", "boolean"}} // taken as written
	}
	return orVariable(map[string]any{"type": "integer"})
}

func pattern(p string) map[string]any {
	return orVariable(map[string]any{"type": "string", "pattern": p})
}

func orVariable(s map[string]any) map[string]any {
	return map[string]any{"anyOf": []any{s, map[string]any{"type": "string", "pattern": anyVariable}}}
}

func oneOf(f field) map[string]any {
	words := map[string]any{"enum": f.oneof}
	if f.typ.Kind() == reflect.Slice {
		return map[string]any{"type": "array", "items": orVariable(words)}
	}
	return orVariable(words)
}
