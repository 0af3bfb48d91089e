package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const hidden = "•••"

// Text is a secret that does not print itself: whatever formats, logs or marshals it gets "•••".
// It cannot be stored as JSON for the same reason; a sealed Box is for that.
// Two places escape it, since the methods of a value are not asked there: an unexported field printed by fmt, and a map's key.
type Text string

// Reveal returns the secret itself.
func (t Text) Reveal() string { return string(t) }

func (t Text) String() string               { return hidden }
func (t Text) Format(s fmt.State, _ rune)   { io.WriteString(s, hidden) }
func (t Text) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (t Text) MarshalText() ([]byte, error) { return []byte(hidden), nil }
func (t Text) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
