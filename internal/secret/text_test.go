package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestLG01_ATextNeverPrintsItself(t *testing.T) {
	type holder struct {
		Password Text
		Pointer  *Text
		List     []Text
		Map      map[string]Text
	}
	const plain = "hunter2-hunter2"
	text := Text(plain)
	h := holder{text, &text, []Text{text}, map[string]Text{"k": text}}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", text)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", []any{text})
	}
	fmt.Fprintln(&out, text, fmt.Errorf("bind: %v", text), text.String())
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "text", text, "holder", h, "list", []Text{text})
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"text": text, "holder": h}); err != nil {
		t.Fatal(err)
	}

	for _, leak := range []string{plain, fmt.Sprintf("%x", plain), fmt.Sprintf("%X", plain)} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed %q in:\n%s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), hidden) {
		t.Error("nothing was printed at all")
	}
	if text.Reveal() != plain {
		t.Errorf("Reveal() = %q", text.Reveal())
	}
}
