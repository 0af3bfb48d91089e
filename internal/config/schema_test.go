package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTheSchemaNamesEveryKeyAndNoOther(t *testing.T) {
	text, err := json.Marshal(Schema(file{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"listen":{"type":["string","number","boolean"]}`,
		`"enum":["sign_in","reset"]`,
		`"enum":["mandatory","implicit","none"]`,
		`"everyone":{"anyOf":[{"type":"boolean"}`,
		`"directories":{"additionalProperties":{"additionalProperties":false,"properties":{"type":`,
		`"additionalProperties":false`,
		`"$schema":"https://json-schema.org/draft/2020-12/schema"`,
		`^file:.+$`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "Hidden") || strings.Contains(string(text), `"Scope"`) {
		t.Error("a field that the file cannot set is in the schema")
	}
}
