package store

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// readPostgres reads up to most rows, or all for 0, and closes them.
func readPostgres(rows pgx.Rows, most int) ([][]any, error) {
	defer rows.Close()
	fields := rows.FieldDescriptions()
	var all [][]any
	for rows.Next() {
		if most > 0 && len(all) == most {
			break
		}
		row, err := readColumns(rows, fields)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return all, nil
}

// readColumns reads the few types our tables have straight from the wire, and lets the driver read all others.
func readColumns(rows pgx.Rows, fields []pgconn.FieldDescription) ([]any, error) {
	raw := rows.RawValues()
	row := make([]any, len(raw))
	for i, b := range raw {
		v, ok := column(fields[i], b)
		if !ok {
			all, err := rows.Values()
			if err != nil {
				return nil, err
			}
			if v, err = plain(all[i]); err != nil {
				return nil, fmt.Errorf("store: column %s: %w", fields[i].Name, err)
			}
		}
		row[i] = v
	}
	return row, nil
}

// column decodes one value of the binary format; false for what it does not know.
func column(f pgconn.FieldDescription, b []byte) (any, bool) {
	if b == nil {
		return nil, true
	}
	if f.Format != pgtype.BinaryFormatCode {
		if f.DataTypeOID == pgtype.TextOID {
			return string(b), true
		}
		return nil, false
	}
	switch f.DataTypeOID {
	case pgtype.TextOID, pgtype.VarcharOID:
		return string(b), true
	case pgtype.ByteaOID:
		return append(make([]byte, 0, len(b)), b...), true
	case pgtype.Int8OID:
		return int64(binary.BigEndian.Uint64(b)), len(b) == 8
	case pgtype.Int4OID:
		return int64(int32(binary.BigEndian.Uint32(b))), len(b) == 4
	case pgtype.BoolOID:
		return b[0] != 0, len(b) == 1
	case pgtype.Float8OID:
		return math.Float64frombits(binary.BigEndian.Uint64(b)), len(b) == 8
	}
	return nil, false
}

// plain brings the driver's types down to those a link gives; a sum of BIGINTs, which PostgreSQL makes a numeric, among them.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case nil, string, []byte, bool, int64, float64:
		return v, nil
	case int32:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case pgtype.Numeric:
		n, err := v.Int64Value()
		if err != nil {
			return nil, err
		}
		if !n.Valid {
			return nil, nil
		}
		return n.Int64, nil
	}
	return nil, fmt.Errorf("type %T is none of ours", v)
}
