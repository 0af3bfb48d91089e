package guard

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"github.com/sparekey-id/sparekey/templates"
)

// FuzzZ14CaptchaAnswer posts anything: what is accepted is a ticket that was issued here, byte for byte, with an answer that solves it.
func FuzzZ14CaptchaAnswer(f *testing.F) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	db, err := store.Open(f.Context(), storetest.SQLiteURL(f), store.Options{Now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	handle := db.Tenant("avengers")
	image, err := NewImage()
	if err != nil {
		f.Fatal(err)
	}
	ring := secret.NewRing()
	work, picture := New(handle, Options{Ring: ring, Captcha: easy.Captcha}), New(handle, Options{Ring: ring, Captcha: image})
	offer := func(g *Guard) (c templates.Captcha) {
		if err := handle.Read(f.Context(), func(tx store.Tx) (err error) { c, err = g.Offer(tx, "flow"); return err }); err != nil {
			f.Fatal(err)
		}
		return c
	}
	issued, seen := offer(work), offer(picture)
	sealed, _ := base64.RawURLEncoding.DecodeString(seen.ID)
	plain, err := picture.tickets.Open("flow", sealed)
	if err != nil {
		f.Fatal(err)
	}
	_, digits, _ := strings.Cut(string(plain), `"a":"`)
	digits = digits[:6]
	for _, answer := range []string{"", "0", solve(issued), "+1", "01", "1e3", "0x10", " 1", "1 ", "18446744073709551616", "१", "１２３４５６", "12 34-56", digits, "true", "[]", "\x00", "\xff"} {
		for _, id := range []string{issued.ID, seen.ID, "", "AAAA", issued.ID + "=", issued.ID[:40]} {
			f.Add("captcha_id="+url.QueryEscape(id)+"&captcha="+url.QueryEscape(answer), answer)
		}
	}
	f.Fuzz(func(t *testing.T, body, answer string) {
		if (ProofOfWork{}).Check(Puzzle{Salt: issued.Salt, Bits: 6}, answer) {
			sum := sha256.Sum256([]byte(issued.Salt + answer))
			n, err := strconv.ParseUint(answer, 10, 64)
			if err != nil || fmt.Sprint(n) != answer || sum[0]>>2 != 0 {
				t.Errorf("%q solves the puzzle", answer)
			}
		}
		if image.Check(Puzzle{Answer: digits}, answer) {
			bare := strings.NewReplacer(" ", "", "-", "").Replace(answer)
			if bare != digits && bare == strings.Map(func(r rune) rune {
				if r < 0x80 {
					return r
				}
				return -1
			}, bare) {
				t.Errorf("%q is read as %s", answer, digits)
			}
		}
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		for _, g := range []*Guard{work, picture} {
			want := issued
			if g == picture {
				want = seen
			}
			switch err := g.Redeem(t.Context(), "flow", "n", form); {
			case err == nil:
				if form.Get("captcha_id") != want.ID {
					t.Errorf("redeemed %q, which was never issued", form.Get("captcha_id"))
				}
				_ = handle.Write(t.Context(), func(tx store.Tx) error { _, err := tx.Exec("DELETE FROM shelf WHERE tenant = $1"); return err })
			case !errors.Is(err, ErrCaptcha):
				if soon := (*TooSoonError)(nil); !errors.As(err, &soon) {
					t.Error(err)
				}
			}
			now = now.Add(time.Microsecond)
		}
	})
}
