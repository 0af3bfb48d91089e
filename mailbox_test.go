package sparekey_test

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"time"
)

// mails is a mail server that keeps everything.
type mails struct {
	sync.Mutex
	list []mail
	fail func(context.Context) error // the server is down, or slow
	hold func()                      // called before a mail is kept; nil: nothing
}

type mail struct{ to, subject, text, html string }

func (m *mails) send(ctx context.Context, to, subject, text, html string) error {
	m.Lock()
	fail, hold := m.fail, m.hold
	m.Unlock()
	if hold != nil {
		hold()
	}
	if fail != nil {
		return fail(ctx)
	}
	m.Lock()
	defer m.Unlock()
	m.list = append(m.list, mail{to, subject, text, html})
	return nil
}

// failing makes every sending go as f says; nil: the server is well.
func (m *mails) failing(f func(context.Context) error) {
	m.Lock()
	defer m.Unlock()
	m.fail = f
}

func (m *mails) all() []mail {
	m.Lock()
	defer m.Unlock()
	return append([]mail{}, m.list...)
}

// await waits for the n-th mail that matches, counted from 1, and gives it.
func (h *house) await(n int, match func(mail) bool) mail {
	h.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		left := n
		for _, m := range h.mails.all() {
			if match(m) {
				if left--; left == 0 {
					return m
				}
			}
		}
	}
	var sent []string
	for _, m := range h.mails.all() {
		sent = append(sent, m.to+": "+m.subject)
	}
	h.t.Fatalf("no such mail; sent were\n%s", strings.Join(sent, "\n"))
	return mail{}
}

func subject(part string) func(mail) bool {
	return func(m mail) bool { return strings.Contains(m.subject, part) }
}

var sixDigits = regexp.MustCompile(`(?m)\b(\d{3}) ?(\d{3})\b`)

// code waits for the n-th mail to the address that carries a code.
func (h *house) code(n int, to string) string {
	h.t.Helper()
	m := h.await(n, func(m mail) bool {
		return m.to == to && sixDigits.MatchString(m.text) && strings.Contains(strings.ToLower(m.subject), "code")
	})
	d := sixDigits.FindStringSubmatch(m.text)
	return d[1] + d[2]
}
