package flows

import (
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/internal/method"
)

// Posted is a question whose code was sent: one of the two.
type Posted struct {
	Asking *Asking `json:"asking,omitempty"`
	Setup  *Setup  `json:"setup,omitempty"`
}

// mostPosted bounds the record; guard lets fewer codes out in the time that one stands here.
const mostPosted = 10

// resend is when another code may be sent to the same target.
func (p Posted) resend() time.Time {
	if p.Asking != nil {
		return p.Asking.Prompt.Resend
	}
	return p.Setup.Prompt.Resend
}

// posted notes a question whose code is being sent.
func (t *turn) posted(p Posted) {
	list := slices.DeleteFunc(slices.Clone(t.flow.hidden.Posted), func(x Posted) bool { return !t.Now().Before(x.resend()) })
	t.flow.hidden.Posted = append(list[max(len(list)-mostPosted+1, 0):], p)
}

// soon reports whether a question is to be put whose code was sent only just now, wherever the user went in this flow in between: a page back,
// or by another choice. Then she meets it again as it stood, with its code still good, and is told when another may be sent. An address that
// was mistyped and is typed right waits for nothing; how many codes there may be in all is guard's.
func (t *turn) soon(same func(Posted) bool) (yes bool, err error) {
	h := &t.flow.hidden
	for _, p := range h.Posted {
		if t.Now().Before(p.resend()) && same(p) {
			if p.Asking != nil {
				h.Asking = p.Asking
			} else {
				h.Setup = p.Setup
			}
			return true, t.problemUntil("code", "resend_soon", p.resend())
		}
	}
	return false, nil
}

// sameTyped reports whether two addresses are one, as they were typed.
func sameTyped(a, b string) bool {
	return method.SameMailbox(strings.Trim(a, " "), strings.Trim(b, " "))
}
