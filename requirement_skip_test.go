package sparekey_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/audit"
)

// twoSkips lets a registration be put off twice.
func twoSkips(h *house) { rule(func(p *sparekey.Policy) { p.Registration.Skip.Times = 2 })(h) }

// tabs are n tabs of browsers of ironman's, five each, all at the offer of his last skip.
func (h *house) tabs(n int) (tabs []*browser) {
	h.t.Helper()
	b := h.browser()
	b.signIn("ironman", password)
	if p := b.post("action", "skip"); p.query("code") == "" {
		h.t.Fatalf("the first skip leads to %q", p.h1())
	}
	for i := range n {
		if i%5 == 0 {
			b = h.browser()
		}
		tab := b.twin()
		tab.signIn("ironman", password)
		tab.want("More information required")
		if !strings.Contains(tab.last.body, "Skip for now") {
			h.t.Fatal("no skip is left")
		}
		tabs = append(tabs, tab)
	}
	return tabs
}

// together presses "Skip for now" in all tabs at once, and counts who is let through. The first one's press is held before it writes until
// the others have read where they stand: until each has called the store as often as the first one had by then.
func (h *house) together(tabs []*browser) (through int) {
	h.t.Helper()
	n := int32(len(tabs))
	var calls, begins, one atomic.Int32
	begun, read := make(chan struct{}), make(chan struct{})
	h.failing(func(op string) error {
		now := calls.Add(1)
		if now == n*one.Load() {
			close(read)
		}
		if op == "begin" && begins.Add(1) == 2 {
			one.Store(now - 1)
			close(begun)
			<-read
		}
		return nil
	})
	defer h.failing(nil)
	return atOnce(len(tabs), func(i int) bool {
		if i > 0 {
			<-begun
		}
		return tabs[i].post("action", "skip").query("code") != ""
	})
}

// Skips are counted in the store, and the count is looked at in the transaction that raises it.
func TestEN06_OfManyTabsThatPressTheLastSkipAtOnceOneIsLetThrough(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		tabs := h.tabs(20)
		if n := h.together(tabs); n != 1 {
			t.Fatalf("the last skip let %d of %d through", n, len(tabs))
		}
		if n := h.journalled(audit.Skipped, "", ""); n != 2 {
			t.Errorf("the journal has %d skips of 2", n)
		}
		tabs = slices.DeleteFunc(tabs, func(b *browser) bool { return b.last.query("code") != "" })
		for _, tab := range tabs {
			tab.want("More information required")
			tab.get(tab.last.url.String()) // the first look may come before the other tab's skip is on the disk
			if strings.Contains(tab.last.body, "Skip for now") {
				t.Error("a skip is offered that is spent")
			}
			if tab.twin().post("action", "skip").query("code") != "" {
				t.Error("a skip that is spent was let through when it was pressed again")
			}
		}
		tabs[0].app()
		tabs[0].want("All set")
	}, twoSkips, quietly)
}
