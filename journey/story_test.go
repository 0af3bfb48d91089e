package journey

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTheStoryInChromium walks PRODUCT's story in a real browser: wide, narrow, and without JavaScript.
func TestTheStoryInChromium(t *testing.T) {
	chromium := need(t, "Chromium", "chromium", "/usr/bin/chromium")
	node := need(t, "Node.js", "node")
	need(t, "the journey's npm packages (npm ci in journey/)", "./node_modules/playwright-core")
	shots, err := filepath.Abs("shots")
	if err != nil {
		t.Fatal(err)
	}
	for _, variant := range []struct {
		name       string
		width      int
		javascript bool
	}{{"wide", 1280, true}, {"narrow", 360, true}, {"no-javascript", 1280, false}} {
		t.Run(variant.name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			wiki := fmt.Sprintf("https://wiki.elsewhere.example.test:%d/", port)
			w := newWorld(t, "login.example.test", fmt.Sprintf(`      - {id: wiki, name: Mission Wiki, secret: file:wiki.secret, redirect_uris: ["%scallback"], post_logout_redirect_uris: ["%sbye"]}
`, wiki, wiki))
			w.write("wiki.secret", "wiki-secret\n")
			password := w.run("user", "add", "ironman", "--name", "Tony Stark", "--email", "tony@stark.example", "--group", "Avengers")
			w.run("user", "add", "hulk", "--name", "Bruce Banner", "--email", "bruce@banner.example")
			w.start()
			into := filepath.Join(shots, variant.name)
			if err := os.RemoveAll(into); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(into, 0o755); err != nil {
				t.Fatal(err)
			}
			told, err := json.Marshal(map[string]any{"issuer": w.issuer, "wiki": wiki, "password": password, "mails": w.mails, "shots": into, "chromium": chromium,
				"javascript": variant.javascript, "viewport": map[string]int{"width": variant.width, "height": 900}, "key": w.key, "cert": w.cert})
			if err != nil {
				t.Fatal(err)
			}
			c := exec.CommandContext(t.Context(), node, "story.mjs")
			c.Env = append(os.Environ(), "JOURNEY="+string(told), "NODE_EXTRA_CA_CERTS="+w.cert)
			out, err := c.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
