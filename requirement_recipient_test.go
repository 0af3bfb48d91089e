package sparekey_test

import (
	"io"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/sparekey-id/sparekey"
)

// post is a mail server that notes whom each message is for.
type post struct {
	sync.Mutex
	taken []delivery
}

type delivery struct {
	to   []string
	text string
}

func (p *post) NewSession(*smtp.Conn) (smtp.Session, error) { return &delivering{post: p}, nil }

type delivering struct {
	*post
	to []string
}

func (d *delivering) Mail(string, *smtp.MailOptions) error { return nil }
func (d *delivering) Rcpt(to string, _ *smtp.RcptOptions) error {
	d.to = append(d.to, to)
	return nil
}
func (d *delivering) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	d.Lock()
	defer d.Unlock()
	d.taken = append(d.taken, delivery{d.to, string(text)})
	return err
}
func (d *delivering) Reset()        { d.to = nil }
func (d *delivering) Logout() error { return nil }

func TestA11_TheMailServerIsGivenOneRecipientAMessage(t *testing.T) {
	p := &post{}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(p)
	server.Domain = "localhost"
	over := make(chan struct{})
	go func() { defer close(over); server.Serve(l) }()
	t.Cleanup(func() { l.Close(); server.Close(); <-over })
	h := open(t, unsilenced, func(h *house) {
		h.cfg.Mail = sparekey.Mail{From: "no-reply@sparekey.example", SMTP: &sparekey.SMTP{Host: "localhost", Port: l.Addr().(*net.TCPAddr).Port, TLS: "none"}}
	})
	arrived := func() []delivery {
		h.drained()
		p.Lock()
		defer p.Unlock()
		return slices.Clone(p.taken)
	}
	owner := h.browser()
	owner.register("ironman")
	owner.manage("action", "add")
	owner.post("choose", "email", "action", "next")
	owner.post("email", stored, "action", "next")
	list := arrived()
	at := slices.IndexFunc(list, func(d delivery) bool { return slices.Contains(d.to, stored) })
	if at < 0 {
		t.Fatalf("no code came, only %+v", list)
	}
	code := sixDigits.FindStringSubmatch(list[at].text)
	if code == nil {
		t.Fatalf("no code in %s", list[at].text)
	}
	owner.post("code", code[1]+code[2], "action", "verify")
	owner.want("Security info")
	before := len(arrived())
	for typed := range tricks {
		b := h.browser()
		b.beginReset("ironman")
		b.chooseEmail(typed)
	}
	list = arrived()
	n := 0
	for _, same := range tricks {
		if same {
			n++
		}
	}
	if len(list)-before != n {
		t.Errorf("%d messages for codes, want %d", len(list)-before, n)
	}
	h.browser().reset("ironman", owner.key, renewed)
	list = arrived()
	seen := map[string]int{}
	for _, d := range list {
		m, err := netmail.ReadMessage(strings.NewReader(d.text))
		if err != nil {
			t.Fatal(err)
		}
		named, err := m.Header.AddressList("To")
		if len(d.to) != 1 || err != nil || len(named) != 1 || named[0].Address != d.to[0] || m.Header.Get("Cc")+m.Header.Get("Bcc") != "" {
			t.Errorf("%q: RCPT TO %q, To %v %v", m.Header.Get("Subject"), d.to, named, err)
			continue
		}
		seen[d.to[0]]++
	}
	if len(seen) != 2 || seen[stored] == 0 || seen["tony@stark.example"] == 0 {
		t.Errorf("recipients were %v", seen)
	}
}
