package templates

import "testing"

func TestNewStarts(t *testing.T) {
	if _, err := New(); err != nil {
		t.Fatal(err)
	}
}
