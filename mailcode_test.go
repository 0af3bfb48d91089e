package sparekey_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// In a reset the page says what is true of a right address, of a wrong one and of nobody's, in the same words.
func TestRS01_AResetClaimsNoCodeWhereNoneWasSent(t *testing.T) {
	h := open(t)
	withEmail(t, h)
	sent := h.mailedTo("tony@home.example", "code")
	nobody := ""
	for i := 0; nobody == ""; i++ { // one whose invented ways are those of ironman
		b := h.browser()
		if b.beginReset(fmt.Sprint("nobody-", i)); b.choice("totp") != "" && b.choice("email") != "" {
			nobody = fmt.Sprint("nobody-", i)
		}
	}
	words := map[string]string{}
	for _, c := range []struct{ login, address string }{{"ironman", "tony@home.example"}, {"ironman", "tony@hme.example"}, {nobody, "tony@home.example"}} {
		b := h.browser()
		b.beginReset(c.login)
		b.chooseEmail(c.address)
		asked := b.last
		h.clock.Advance(11 * time.Second)
		b.post("action", "resend")
		for when, p := range map[string]page{"asked": asked, "asked again": b.last} {
			text := first(p.body, `(?s)(<p class="lead">.*?)</form>`)
			if p.status != http.StatusOK || !strings.Contains(text, "If "+c.address+" is an address you have set up, a code is on its way") || strings.Contains(text, "We sent") {
				t.Errorf("%s, %s: %q", c.login, when, text)
			}
			if strings.Contains(text, "new code is on its way") != (when == "asked again") {
				t.Errorf("%s, %s: %q", c.login, when, text)
			}
			text = strings.ReplaceAll(strings.ReplaceAll(text, c.address, "~"), first(p.body, `(?s)<time[^>]*>(.*?)</time>`), "~")
			if was, ok := words[when]; ok && was != text {
				t.Errorf("%s with %s, %s: %q, and for another %q", c.login, c.address, when, text, was)
			}
			words[when] = text
		}
	}
	h.drained()
	if n := h.mailedTo("tony@home.example", "code") - sent; n != 2 {
		t.Errorf("%d codes were sent, not the two to the right address of the right name", n)
	}
}
