package sparekey_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/store"
)

// tardy is a directory that is slow to say no. Whoever leaves before is told nothing.
type tardy struct {
	*meddling
	leave func()
	says  bool // it says no all the same
}

func (d *tardy) VerifyPassword(ctx context.Context, u directory.User, password string) (directory.Verdict, error) {
	v, err := d.meddling.VerifyPassword(ctx, u, password)
	if v == directory.Wrong && d.leave != nil {
		d.leave()
		<-ctx.Done()
		if !d.says {
			err = ctx.Err()
		}
	}
	return v, err
}

// Guesses whose answers nobody waits for count, and are journalled, whether or not they were compared.
func TestA16_LeavingEarlyIsNoGuessForNothing(t *testing.T) {
	for name, says := range map[string]bool{"before it was compared": false, "before it was told": true} {
		t.Run(name, func(t *testing.T) {
			d := &tardy{says: says}
			h, _, _, _ := meddled(t, func(h *house) {
				d.meddling = h.brought["avengers"].(*meddling)
				h.brought["avengers"] = d
			})
			for i := range 10 {
				b := h.browser()
				b.authorize()
				b.post("username", "loki", "action", "next")
				ctx, leave := context.WithCancel(t.Context())
				d.leave = leave
				form := "csrf=" + b.token() + "&action=sign_in&password=a-guess-" + fmt.Sprint(i)
				if p := b.puzzle(); p != nil {
					form += "&captcha_id=" + p[1] + "&captcha=" + p[3]
				}
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.last.url.String(), strings.NewReader(form))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				if _, err := b.client.Do(r); err == nil {
					t.Fatal("the answer came before she left")
				}
			}
			d.leave = nil
			rows := func() int { return h.journalled(audit.ProofWrong, "", "") }
			for end := time.Now().Add(10 * time.Second); (h.counted("loki") < 10 || rows() < 10) && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			}
			if n, m := h.counted("loki"), rows(); n != 10 || m != 10 {
				t.Errorf("of ten guesses whose answers nobody waited for %d count, and %d are in the journal", n, m)
			}
		})
	}
}

// A wrong answer is counted, and so it is in the journal, whatever becomes of its flow in the meantime.
func TestLG01_WhatCountsIsInTheJournalWhateverBecomesOfItsFlow(t *testing.T) {
	for what, statement := range map[string]string{
		"changes": `UPDATE shelf SET version = version + 1 WHERE tenant = $1 AND shelf = 'flow'`,
		"ends":    `DELETE FROM shelf WHERE tenant = $1 AND shelf = 'flow'`,
	} {
		for name, a := range answers() {
			t.Run(name+", and the flow "+what, func(t *testing.T) {
				h, m, b, _ := meddled(t, quietly)
				x := a.to(h, m, b)
				begins := atomic.Int32{}
				h.failing(func(op string) error {
					if op == "begin" && begins.Add(1) == 2 { // the first reads where the flow stands
						h.failing(nil)
						h.write("avengers", func(tx store.Tx) error {
							_, err := tx.Exec(statement)
							return err
						})
					}
					return nil
				})
				if x.post(a.wrong(1)...); begins.Load() < 2 {
					t.Fatal("nothing happened meanwhile")
				}
				n, rows := h.counted("loki"), h.journalled(audit.ProofWrong, "", "")
				if n != rows || n == 0 && a.deed == 1 {
					t.Errorf("%d count, %d are in the journal", n, rows)
				}
			})
		}
	}
}

// A code that comes a second time counts as a try, and is journalled as one.
func TestLG01_AUsedCodeIsInTheJournal(t *testing.T) {
	h, _, b, _ := meddled(t)
	r := h.browser()
	r.beginReset("loki")
	r.proveApp(b.key)
	r.want("Choose a new password")
	x := h.browser()
	x.beginReset("loki")
	x.post("code", h.totp(b.key, 0), "action", "verify")
	if n := h.counted("loki"); n != 1 || h.journalled(audit.ProofWrong, "reason", "used") != 1 || h.journalled(audit.ProofWrong, "", "") != 1 {
		t.Errorf("%d count, %d are in the journal", n, h.journalled(audit.ProofWrong, "", ""))
	}
	x.want("Get back into your account")
	if x.last.error() == "" {
		t.Error("she is told nothing")
	}
}
