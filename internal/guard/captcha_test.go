package guard

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"github.com/sparekey-id/sparekey/templates"
)

func (h *house) offer(flow string) (c templates.Captcha) {
	h.Helper()
	err := h.g().db.Read(h.Context(), func(tx store.Tx) (err error) {
		c, err = h.g().Offer(tx, flow)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return c
}

func (h *house) again(flow, id string) (c templates.Captcha) {
	h.Helper()
	err := h.g().db.Read(h.Context(), func(tx store.Tx) (err error) {
		c, err = h.g().Again(tx, flow, id)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return c
}

func (h *house) redeem(flow string, form url.Values) error {
	return h.g().Redeem(h.Context(), flow, "192.0.2.1", form)
}

func form(id, answer string) url.Values {
	return url.Values{"captcha_id": {id}, "captcha": {answer}}
}

// solve does what the page's script does: it reads what everybody can read and searches.
func solve(c templates.Captcha) string {
	for n := 0; ; n++ {
		answer := strconv.Itoa(n)
		sum := sha256.Sum256([]byte(c.Salt + answer))
		if strings.HasPrefix(fmt.Sprintf("%08b%08b%08b", sum[0], sum[1], sum[2]), strings.Repeat("0", c.Bits)) {
			return answer
		}
	}
}

// miss is a number that does not solve the puzzle.
func miss(c templates.Captcha) string {
	for n := 0; ; n++ {
		if answer := strconv.Itoa(n); !(ProofOfWork{}).Check(Puzzle{Salt: c.Salt, Bits: c.Bits}, answer) {
			return answer
		}
	}
}

var easy = Options{Captcha: ProofOfWork{Bits: 6}}

func TestASolvedPuzzleIsRedeemed(t *testing.T) {
	each(t, easy, func(h *house) {
		c := h.offer("flow")
		if c.Kind != "proof_of_work" || c.Salt == "" || c.Bits != 6 || c.Wait != 15 || c.Waited || c.Image != "" || c.Audio != "" {
			h.Errorf("offered %+v", c)
		}
		if err := h.redeem("flow", form(c.ID, solve(c))); err != nil {
			h.Error(err)
		}
	})
}

func TestA13ATicketIsGoodOnceForFiftyAtOnceOnTwoNodes(t *testing.T) {
	each(t, easy, func(h *house) {
		for round := range 5 {
			flow := fmt.Sprint("flow", round)
			c := h.offer(flow)
			answer := form(c.ID, solve(c))
			if round == 4 {
				answer = url.Values{"captcha_id": {c.ID}}
				h.clock.Advance(15 * time.Second)
			}
			got := parallel(50, func(i int) bool {
				err := h.nodes[i%2].Redeem(h.Context(), flow, fmt.Sprint("n", i), answer)
				if err != nil && !errors.Is(err, ErrCaptcha) {
					h.Error(err)
				}
				return err == nil
			})
			if got != 1 {
				h.Errorf("round %d: redeemed %d times, want once", round, got)
			}
		}
	})
}

func TestA23NothingButAFreshTicketOfThisFlowWithItsAnswerIsAccepted(t *testing.T) {
	each(t, easy, func(h *house) {
		other := h.open(easy, "wakanda")
		image, err := NewImage()
		if err != nil {
			h.Fatal(err)
		}
		picture := h.open(Options{Captcha: image}, "avengers")
		strange := New(storetest.Open(h, h.url, store.Options{Now: h.clock.Now}).Tenant("avengers"), Options{Ring: secret.NewRing(), Captcha: easy.Captcha})
		of := func(g *Guard) (c templates.Captcha) {
			err := g.db.Read(h.Context(), func(tx store.Tx) (err error) {
				c, err = g.Offer(tx, "flow")
				return err
			})
			if err != nil {
				h.Fatal(err)
			}
			return c
		}
		tests := []struct {
			name string
			form func(c templates.Captcha) url.Values
		}{
			{"nothing at all", func(templates.Captcha) url.Values { return nil }},
			{"no ticket and an empty answer", func(templates.Captcha) url.Values { return form("", "") }},
			{"an answer without a ticket", func(c templates.Captcha) url.Values { return url.Values{"captcha": {solve(c)}} }},
			{"an unknown ticket and an empty answer", func(templates.Captcha) url.Values { return form(strings.Repeat("A", 200), "") }},
			{"an unknown ticket", func(c templates.Captcha) url.Values { return form(secret.Token(), solve(c)) }},
			{"a ticket cut short", func(c templates.Captcha) url.Values { return form(c.ID[:len(c.ID)-4], solve(c)) }},
			{"a ticket made longer", func(c templates.Captcha) url.Values { return form(c.ID+"AAAA", solve(c)) }},
			{"a ticket with a new line in it", func(c templates.Captcha) url.Values { return form(c.ID[:9]+"\n"+c.ID[9:], solve(c)) }},
			{"a ticket with one character changed", func(c templates.Captcha) url.Values {
				b := []byte(c.ID)
				b[len(b)/2] ^= 1
				return form(string(b), solve(c))
			}},
			{"a huge ticket", func(c templates.Captcha) url.Values { return form(strings.Repeat(c.ID, 100), solve(c)) }},
			{"two tickets", func(c templates.Captcha) url.Values {
				return url.Values{"captcha_id": {c.ID, c.ID}, "captcha": {solve(c)}}
			}},
			{"two answers", func(c templates.Captcha) url.Values {
				return url.Values{"captcha_id": {c.ID}, "captcha": {solve(c), solve(c)}}
			}},
			{"fields of an array", func(c templates.Captcha) url.Values {
				return url.Values{"captcha_id[]": {c.ID}, "captcha[]": {solve(c)}}
			}},
			{"a wrong answer", func(c templates.Captcha) url.Values { return form(c.ID, miss(c)) }},
			{"an answer with a sign", func(c templates.Captcha) url.Values { return form(c.ID, "+"+solve(c)) }},
			{"an answer with a zero in front", func(c templates.Captcha) url.Values { return form(c.ID, "0"+solve(c)) }},
			{"an answer that is no number", func(c templates.Captcha) url.Values { return form(c.ID, "true") }},
			{"a ticket of another tenant", func(c templates.Captcha) url.Values { x := of(other); return form(x.ID, solve(x)) }},
			{"a ticket under another key ring", func(c templates.Captcha) url.Values { x := of(strange); return form(x.ID, solve(x)) }},
			{"a ticket of another sort of puzzle", func(c templates.Captcha) url.Values { return form(of(picture).ID, solve(c)) }},
			{"a ticket of another flow", func(c templates.Captcha) url.Values { x := h.offer("another"); return form(x.ID, solve(x)) }},
		}
		for _, test := range tests {
			h.Run(test.name, func(t *testing.T) {
				c := h.offer("flow")
				h.clock.Advance(time.Minute) // no empty answer is too early
				if err := h.redeem("flow", test.form(c)); !errors.Is(err, ErrCaptcha) {
					t.Errorf("%v, want ErrCaptcha", err)
				}
			})
		}
		h.Run("a ticket of another sort that would count by waiting", func(t *testing.T) {
			c := h.offer("flow")
			h.clock.Advance(time.Minute)
			if err := picture.Redeem(t.Context(), "flow", "n", form(c.ID, "")); !errors.Is(err, ErrCaptcha) {
				t.Errorf("%v, want ErrCaptcha", err)
			}
		})
		h.Run("a ticket that has expired", func(t *testing.T) {
			for _, answered := range []bool{true, false} {
				c := h.offer("flow")
				answer := ""
				if answered {
					answer = solve(c)
				}
				h.clock.Advance(15*time.Minute - time.Microsecond)
				late := h.offer("flow")
				if err := h.redeem("flow", form(late.ID, solve(late))); err != nil {
					t.Error(err)
				}
				h.clock.Advance(time.Microsecond)
				if err := h.redeem("flow", form(c.ID, answer)); !errors.Is(err, ErrCaptcha) {
					t.Errorf("%v, want ErrCaptcha", err)
				}
			}
			c := h.offer("flow")
			h.clock.Advance(15*time.Minute - time.Microsecond)
			if err := h.redeem("flow", form(c.ID, solve(c))); err != nil {
				t.Errorf("just before its end: %v", err)
			}
		})
		h.Run("a ticket from the future", func(t *testing.T) {
			c := h.offer("flow")
			h.clock.Advance(-2 * time.Minute)
			if err := h.redeem("flow", form(c.ID, solve(c))); !errors.Is(err, ErrCaptcha) {
				t.Errorf("%v, want ErrCaptcha", err)
			}
			h.clock.Advance(2 * time.Minute)
		})
		h.Run("a ticket that was spent", func(t *testing.T) {
			c := h.offer("flow")
			right := form(c.ID, solve(c))
			if err := h.redeem("flow", right); err != nil {
				t.Fatal(err)
			}
			for range 16 {
				if err := h.redeem("flow", right); !errors.Is(err, ErrCaptcha) {
					t.Errorf("%v, want ErrCaptcha", err)
				}
				if err := h.redeem("flow", form(c.ID, "")); err == nil {
					t.Error("redeemed by waiting after it was spent")
				}
				h.clock.Advance(59 * time.Second)
			}
		})
		h.Run("a ticket that was spent by a wrong answer", func(t *testing.T) {
			c := h.offer("flow")
			if err := h.redeem("flow", form(c.ID, miss(c))); !errors.Is(err, ErrCaptcha) {
				t.Fatal(err)
			}
			if err := h.redeem("flow", form(c.ID, solve(c))); !errors.Is(err, ErrCaptcha) {
				t.Errorf("%v, want ErrCaptcha", err)
			}
		})
		h.Run("a ticket that was spent before a restart", func(t *testing.T) {
			c := h.offer("flow")
			if err := h.redeem("flow", form(c.ID, solve(c))); err != nil {
				t.Fatal(err)
			}
			if err := h.open(easy, "avengers").Redeem(t.Context(), "flow", "n", form(c.ID, solve(c))); !errors.Is(err, ErrCaptcha) {
				t.Errorf("%v, want ErrCaptcha", err)
			}
		})
	})
}

func TestA23OneNumberHasOneSpelling(t *testing.T) {
	p := Puzzle{Salt: "salt", Bits: 6}
	for _, form := range []string{"%d", "0%d", "+%d", "-%d", " %d", "%d ", "%d.", "0x%x", "%d_0"} {
		solved := false
		for n := 0; n < 2000; n++ {
			solved = solved || ProofOfWork{}.Check(p, fmt.Sprintf(form, n))
		}
		if want := form == "%d"; solved != want {
			t.Errorf("a number written like %q solves a puzzle: %v, want %v", form, solved, want)
		}
	}
	if (ProofOfWork{}).Check(Puzzle{}, "0") || (&Image{}).Check(Puzzle{}, "") {
		t.Error("a puzzle without a question is solved")
	}
}

func TestATicketCountsByWaiting(t *testing.T) {
	each(t, easy, func(h *house) {
		wait := func(c templates.Captcha) error { return h.redeem("flow", url.Values{"captcha_id": {c.ID}}) }
		var soon *TooSoonError

		h.Run("from fifteen seconds on, and trying earlier spends nothing", func(t *testing.T) {
			c := h.offer("flow")
			for range 15 {
				if err := wait(c); !errors.As(err, &soon) || soon.Until.Sub(h.clock.Now()) > 15*time.Second || !soon.Until.After(h.clock.Now()) {
					t.Fatalf("too soon: %v", err)
				}
				h.clock.Advance(time.Second)
			}
			if err := h.redeem("flow", form(c.ID, "")); err != nil {
				t.Errorf("after fifteen seconds: %v", err)
			}
			if err := wait(c); !errors.Is(err, ErrCaptcha) {
				t.Errorf("a second time: %v", err)
			}
		})
		h.Run("a page that is loaded anew goes on waiting", func(t *testing.T) {
			c := h.offer("flow")
			h.clock.Advance(9500 * time.Millisecond)
			if d := h.again("flow", c.ID); d.ID != c.ID || d.Salt != c.Salt || d.Bits != c.Bits || d.Wait != 6 || d.Waited {
				t.Errorf("%+v", d)
			}
			h.clock.Advance(6 * time.Second)
			if d := h.again("flow", c.ID); d.ID != c.ID || d.Wait != 0 || !d.Waited {
				t.Errorf("%+v", d)
			}
			for _, id := range []string{"", "nonsense", h.offer("another").ID} {
				if d := h.again("flow", id); d.ID == id || d.ID == c.ID || d.Wait != 15 || d.Waited {
					t.Errorf("%q again: %+v", id, d)
				}
			}
			if err := wait(c); err != nil {
				t.Error(err)
			}
			if d := h.again("flow", c.ID); d.ID == c.ID {
				t.Error("a spent ticket was offered again")
			}
			late := h.offer("flow")
			h.clock.Advance(15 * time.Minute)
			if d := h.again("flow", late.ID); d.ID == late.ID {
				t.Error("an expired ticket was offered again")
			}
		})
		h.Run("ten in a minute for each network, exactly", func(t *testing.T) {
			var tickets []templates.Captcha
			for range 50 {
				tickets = append(tickets, h.offer("flow"))
			}
			h.clock.Advance(30 * time.Second)
			got := parallel(50, func(i int) bool {
				err := h.nodes[i%2].Redeem(t.Context(), "flow", "crowd", url.Values{"captcha_id": {tickets[i].ID}})
				var soon *TooSoonError
				if err != nil && !errors.As(err, &soon) {
					t.Error(err)
				}
				return err == nil
			})
			if got != 10 {
				t.Errorf("%d were redeemed, want 10", got)
			}
			c := h.offer("flow")
			if err := h.g().Redeem(t.Context(), "flow", "crowd", form(c.ID, solve(c))); err != nil {
				t.Errorf("a solved puzzle in the same network: %v", err)
			}
			h.clock.Advance(time.Minute)
			again := parallel(50, func(i int) bool {
				return h.nodes[i%2].Redeem(t.Context(), "flow", "crowd", url.Values{"captcha_id": {tickets[i].ID}}) == nil
			})
			if again != 10 {
				t.Errorf("%d of those refused were redeemed a minute later, want 10", again)
			}
		})
	})
}

func TestA47NoPuzzleIsSolvedWhoseSpendingIsNotOnDisk(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url_ string) {
		clock := storetest.NewClock()
		var calls, failing atomic.Int64
		db := storetest.Open(t, url_, store.Options{Now: clock.Now, Fault: func(string) error {
			if n := failing.Load(); n > 0 && calls.Add(1) == n {
				return errors.New("disk full")
			}
			return nil
		}})
		g := New(db.Tenant("avengers"), Options{Ring: secret.NewRing(), Captcha: easy.Captcha})
		h := &house{T: t, clock: clock, nodes: [2]*Guard{g, g}}
		for _, waiting := range []bool{true, false} {
			c := h.offer("flow")
			answer := form(c.ID, solve(c))
			if waiting {
				answer.Del("captcha")
				clock.Advance(time.Minute)
			}
			for n := int64(1); ; n++ {
				calls.Store(0)
				failing.Store(n)
				err := h.redeem("flow", answer)
				if calls.Load() < n {
					if err != nil {
						t.Errorf("no call failed, and yet: %v", err)
					}
					if n < 3 {
						t.Errorf("%d storage calls were seen", n-1)
					}
					break
				}
				if err == nil || errors.Is(err, ErrCaptcha) {
					t.Errorf("call %d failed, and the answer is %v", n, err)
				}
			}
			failing.Store(0)
			if err := h.redeem("flow", answer); err == nil {
				t.Error("redeemed twice")
			}
		}
	})
}

func TestNoneLetsEverybodyPassAndIsNeverTheDefault(t *testing.T) {
	h := &house{T: t, nodes: [2]*Guard{New(storetest.SQLite(t).Tenant("avengers"), Options{Ring: secret.NewRing(), Captcha: None{}})}}
	if c := h.offer("flow"); c.Kind != "none" || c.ID != "" {
		t.Errorf("offered %+v", c)
	}
	if err := h.redeem("flow", nil); err != nil {
		t.Error(err)
	}
	h.nodes[0] = New(storetest.SQLite(t).Tenant("avengers"), Options{Ring: secret.NewRing()})
	if c := h.offer("flow"); c.Kind != "proof_of_work" || c.Bits != 17 {
		t.Errorf("offered %+v", c)
	}
	if err := h.redeem("flow", nil); !errors.Is(err, ErrCaptcha) {
		t.Error(err)
	}
}
