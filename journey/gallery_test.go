package journey

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// TestEverySamplePageInChromium looks over pages that the story does not come by as well: axe-core, sizes, widths, light and dark.
func TestEverySamplePageInChromium(t *testing.T) {
	chromium := need(t, "Chromium", "chromium", "/usr/bin/chromium")
	node := need(t, "Node.js", "node")
	need(t, "the journey's npm packages (npm ci in journey/)", "./node_modules/playwright-core")
	t.Parallel()
	folder := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "test", "../templates", "-run", "^TestGallery$", "-count=1", "-gallery", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	told, err := json.Marshal(map[string]string{"gallery": folder, "chromium": chromium})
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), node, "gallery.mjs")
	c.Env = append(os.Environ(), "JOURNEY="+string(told))
	out, err := c.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
