package store

import (
	"database/sql"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// Micros is a time as it is stored: microseconds since 1970; 0 for the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the time that Micros stored, in UTC; the zero time for 0.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

var errText = errors.New("not a text: it holds a NUL or is not UTF-8")

// value turns an argument into one of the few types both engines bind alike.
func value(arg any) (any, error) {
	switch v := arg.(type) {
	case nil, int64, float64:
		return v, nil
	case bool:
		return flag(v), nil
	case string:
		return text(v)
	case []byte:
		if v == nil {
			return []byte{}, nil
		}
		return v, nil
	case int:
		return int64(v), nil
	case time.Time:
		return Micros(v), nil
	}
	v := reflect.ValueOf(arg)
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return value(v.Elem().Interface())
	case reflect.String:
		return text(v.String())
	case reflect.Bool:
		return flag(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return nil, errors.New("a number too large for BIGINT")
		}
		return int64(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return value(v.Bytes())
		}
	}
	return nil, fmt.Errorf("type %T cannot be stored", arg)
}

// flag is how a bool is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func text(s string) (any, error) {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return nil, errText
	}
	return s, nil
}

// scan fills destinations from the columns of one row.
func scan(row []any, dest []any) error {
	if len(row) != len(dest) {
		return fmt.Errorf("store: %d columns for %d destinations", len(row), len(dest))
	}
	for i, d := range dest {
		if err := assign(d, row[i]); err != nil {
			return fmt.Errorf("store: column %d: %w", i+1, err)
		}
	}
	return nil
}

// assign puts one value where dest points.
func assign(dest, v any) error {
	switch d := dest.(type) {
	case *string:
		if s, ok := v.(string); ok {
			*d = s
			return nil
		}
	case *int64:
		if n, ok := v.(int64); ok {
			*d = n
			return nil
		}
	case *[]byte:
		switch b := v.(type) {
		case []byte:
			*d = b
			return nil
		case nil:
			*d = nil
			return nil
		}
	case *bool:
		switch b := v.(type) {
		case bool:
			*d = b
			return nil
		case int64:
			*d = b != 0
			return nil
		}
	case *time.Time:
		if n, ok := v.(int64); ok {
			*d = Time(n)
			return nil
		}
	case *any:
		*d = v
		return nil
	case sql.Scanner:
		return d.Scan(v)
	}
	p := reflect.ValueOf(dest)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("destination %T is no pointer", dest)
	}
	return assignKind(p.Elem(), v)
}

// assignKind is assign for named types, smaller numbers and pointers.
func assignKind(d reflect.Value, v any) error {
	if d.Kind() == reflect.Pointer {
		if v == nil {
			d.SetZero()
			return nil
		}
		fill := reflect.New(d.Type().Elem())
		if err := assign(fill.Interface(), v); err != nil {
			return err
		}
		d.Set(fill)
		return nil
	}
	switch v := v.(type) {
	case string:
		if d.Kind() == reflect.String {
			d.SetString(v)
			return nil
		}
	case []byte:
		if d.Kind() == reflect.Slice && d.Type().Elem().Kind() == reflect.Uint8 {
			d.SetBytes(v)
			return nil
		}
	case bool:
		if d.Kind() == reflect.Bool {
			d.SetBool(v)
			return nil
		}
	case float64:
		if d.CanFloat() {
			d.SetFloat(v)
			return nil
		}
	case int64:
		switch {
		case d.Kind() == reflect.Bool:
			d.SetBool(v != 0)
			return nil
		case d.CanFloat():
			d.SetFloat(float64(v))
			return nil
		case d.CanInt() && !d.OverflowInt(v):
			d.SetInt(v)
			return nil
		case d.CanUint() && v >= 0 && !d.OverflowUint(uint64(v)):
			d.SetUint(uint64(v))
			return nil
		}
	}
	return fmt.Errorf("a %T does not fit a %s", v, d.Type())
}
