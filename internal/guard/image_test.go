package guard

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/templates"
)

func data(t *testing.T, kind, u string) []byte {
	t.Helper()
	rest, ok := strings.CutPrefix(u, "data:"+kind+";base64,")
	b, err := base64.StdEncoding.DecodeString(rest)
	if !ok || err != nil {
		t.Fatalf("no %s: %.40s", kind, u)
	}
	return b
}

// inside opens a ticket as only the guard can.
func (h *house) inside(flow string, c templates.Captcha) ticket {
	h.Helper()
	t, err := h.g().open(flow, c.ID, h.clock.Now())
	if err != nil {
		h.Fatal(err)
	}
	return t
}

func TestAPictureIsReadOrHeard(t *testing.T) {
	captcha, err := NewImage()
	if err != nil {
		t.Fatal(err)
	}
	each(t, Options{Captcha: captcha}, func(h *house) {
		h.Run("A23 once, in this flow, by its digits, however they are typed", func(t *testing.T) {
			for _, typed := range []func(string) string{
				func(s string) string { return s },
				func(s string) string { return " " + s[:3] + " " + s[3:] + " " },
				func(s string) string { return s[:3] + "-" + s[3:] },
				func(s string) string { return strings.Map(func(r rune) rune { return r - '0' + '０' }, s) },
			} {
				c := h.offer("flow")
				answer := typed(h.inside("flow", c).Answer)
				if err := h.redeem("another", form(c.ID, answer)); !errors.Is(err, ErrCaptcha) {
					t.Errorf("in another flow: %v", err)
				}
				if err := h.redeem("flow", form(c.ID, answer)); err != nil {
					t.Errorf("%q: %v", answer, err)
				}
				if err := h.redeem("flow", form(c.ID, answer)); !errors.Is(err, ErrCaptcha) {
					t.Errorf("%q once more: %v", answer, err)
				}
			}
		})
		h.Run("A23 a wrong, short, long or empty answer spends it, and waiting does not help", func(t *testing.T) {
			for _, wrong := range []func(string) string{
				func(string) string { return "" },
				func(string) string { return "------" },
				func(s string) string { return s[:5] },
				func(s string) string { return s + s[:1] },
				func(s string) string { return string(s[0]^1) + s[1:] },
			} {
				c := h.offer("flow")
				answer := h.inside("flow", c).Answer
				h.clock.Advance(10 * time.Minute)
				if err := h.redeem("flow", form(c.ID, wrong(answer))); !errors.Is(err, ErrCaptcha) {
					t.Errorf("%q for %q: %v", wrong(answer), answer, err)
				}
				if err := h.redeem("flow", form(c.ID, answer)); !errors.Is(err, ErrCaptcha) {
					t.Errorf("the right answer after a wrong one: %v", err)
				}
			}
		})
		h.Run("A23 the answer is nowhere to be read, and a page stays small", func(t *testing.T) {
			seen := map[string]bool{}
			for range 20 {
				c := h.offer("flow")
				in := h.inside("flow", c)
				if len(in.Answer) != 6 || seen[in.Answer+c.ID] {
					t.Errorf("answer %q", in.Answer)
				}
				page, err := json.Marshal(c)
				if err != nil {
					t.Fatal(err)
				}
				if len(page) > 140<<10 {
					t.Errorf("%d bytes", len(page))
				}
				picture, sound := data(t, "image/png", c.Image), data(t, "audio/wav", c.Audio)
				id, _ := base64.RawURLEncoding.DecodeString(c.ID)
				visible := c
				visible.Image, visible.Audio, visible.ID = "", "", ""
				for where, text := range map[string][]byte{"fields": fmt.Append(nil, visible), "picture": picture, "sound": sound, "ticket": id} {
					if bytes.Contains(text, []byte(in.Answer)) {
						t.Errorf("the answer can be read in the %s", where)
					}
				}
				if _, err := readWAV(sound); err != nil {
					t.Errorf("the sound: %v", err)
				}
				if length := len(sound) / soundRate; length < 4 || length > 12 {
					t.Errorf("the sound lasts %d seconds", length)
				}
				im, err := png.Decode(bytes.NewReader(picture))
				if err != nil {
					t.Fatal(err)
				}
				if b := im.Bounds(); b.Dx() != imageWide || b.Dy() != imageTall {
					t.Errorf("the picture is %v", b)
				}
			}
		})
		h.Run("A23 a page that is loaded anew shows other digits", func(t *testing.T) {
			c := h.offer("flow")
			if d := h.again("flow", c.ID); d.ID == c.ID || d.Image == "" || d.Waited {
				t.Error("the same digits were drawn twice, or none")
			}
		})
		h.Run("it is not harder to read when the tenant is hot", func(t *testing.T) {
			h.assault(0, 60, 0)
			if c := h.offer("flow"); !h.hot() || c.Image == "" || c.Bits != 0 {
				t.Errorf("%+v", c.Bits)
			}
			h.write(func(tx store.Tx) error { return h.g().LiftTenant(tx) })
		})
	})
}

func TestTheSameDigitsNeverLookOrSoundTheSame(t *testing.T) {
	captcha, err := NewImage()
	if err != nil {
		t.Fatal(err)
	}
	a, err := captcha.draw("012345")
	if err != nil {
		t.Fatal(err)
	}
	b, err := captcha.draw("012345")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) {
		t.Error("two pictures are the same")
	}
	if x, y := captcha.speak("012345"), captcha.speak("012345"); bytes.Equal(x, y) || len(x) == len(y) {
		t.Error("two sounds are the same, or equally long")
	}
}

func TestEveryDigitIsDrawnAndSpoken(t *testing.T) {
	captcha, err := NewImage()
	if err != nil {
		t.Fatal(err)
	}
	dark := func(digits string) (n int) {
		picture, err := captcha.draw(digits)
		if err != nil {
			t.Fatal(err)
		}
		im, err := png.Decode(bytes.NewReader(picture))
		if err != nil {
			t.Fatal(err)
		}
		for y := range imageTall {
			for x := range imageWide {
				if r, _, _, _ := im.At(x, y).RGBA(); r < 0x5000 {
					n++
				}
			}
		}
		return n
	}
	empty := dark("")
	for d := range 10 {
		digit := fmt.Sprint(d)
		if n := dark(strings.Repeat(digit, 6)); n < empty+600 {
			t.Errorf("%s leaves %d dark points, an empty picture %d", digit, n, empty)
		}
		if s := float64(len(captcha.voice[d])) / soundRate; s < 0.25 || s > 1 {
			t.Errorf("%s is spoken for %.2f s", digit, s)
		}
		loud := 0.0
		for _, x := range captcha.voice[d] {
			loud += x * x
		}
		if loud /= float64(len(captcha.voice[d])); loud < 200 {
			t.Errorf("%s is hardly heard (%.0f)", digit, loud)
		}
	}
}
