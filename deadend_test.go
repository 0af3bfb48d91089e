package sparekey_test

import (
	"testing"

	"github.com/sparekey-id/sparekey"
)

func TestEveryDeadEndIsInTheJournalOnce(t *testing.T) {
	dead := func(t *testing.T, h *house, b *browser, rows int, reason string) {
		t.Helper()
		for range 3 {
			b.get(b.last.url.String())
			b.want("Ask your administrator")
		}
		if n := h.journalled("dead_end", "reason", reason); n != rows {
			t.Errorf("%d rows with the reason %q, not %d", n, reason, rows)
		}
		number := first(b.last.body, `(?s)class="number">(.*?)<`)
		if found, err := h.admin("avengers").Journal.Find(t.Context(), number); err != nil || len(found) == 0 {
			t.Errorf("the number %q leads nowhere: %v", number, err)
		}
	}
	t.Run("by her own wish", func(t *testing.T) {
		h := open(t)
		for i, name := range []string{"hulk", "nobody-at-all"} {
			b := h.browser()
			b.beginReset(name)
			b.post("action", "none")
			dead(t, h, b, 1, []string{"out_of_scope", ""}[i])
		}
	})
	t.Run("at once", func(t *testing.T) {
		h := open(t, rule(func(p *sparekey.Policy) { p.DeadEnd = "direct" }))
		b := h.browser()
		b.beginReset("hulk")
		dead(t, h, b, 1, "out_of_scope")
		b = h.browser()
		b.beginReset("nobody-at-all")
		dead(t, h, b, 1, "")
	})
	t.Run("at sign-in", func(t *testing.T) {
		h := open(t)
		b := h.browser()
		b.register("ironman")
		b.manage("action", "password")
		b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
		h.press(linkOf(h.await(1, to("tony@stark.example", "was changed"))))
		s := h.browser()
		s.authorize()
		s.password("ironman", renewed)
		dead(t, h, s, 1, "doubted")
		s.post("action", "different_account")
		s.password("ironman", renewed)
		dead(t, h, s, 2, "doubted") // another attempt, told anew
	})
}
