package notify

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func letterTo(to string) Envelope {
	return Envelope{From: "Sparekey <no-reply@login.example>", To: to, Subject: "Ihr Code für Avengers", Text: "Hallo Jürgen,\n\n.\n    482913\n", HTML: "<p>482913 für Jürgen</p>", MessageID: "abc123@login.example"}
}

func TestAMessageArrivesOverEachKindOfLine(t *testing.T) {
	for _, mode := range []string{Mandatory, Implicit, None} {
		t.Run(mode, func(t *testing.T) {
			p := serve(t, mode)
			s := p.sender(mode)
			s.Now = storetest.NewClock().Now
			if err := s.Send(t.Context(), letterTo("ironman@stark.example")); err != nil {
				t.Fatal(err)
			}
			got := p.taken()
			if len(got) != 1 {
				t.Fatalf("%d messages arrived, want 1", len(got))
			}
			d := got[0]
			if d.secure != (mode != None) || d.user != "sparekey" || d.from != "no-reply@login.example" || d.greeting != "login.example" {
				t.Errorf("arrived as %+v", d)
			}
			if len(d.to) != 1 || d.to[0] != "ironman@stark.example" {
				t.Errorf("A11 recipients %v, want exactly one", d.to)
			}
			read(t, d.data)
		})
	}
}

// read checks that the message says what letterTo says.
func read(t *testing.T, data string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); subject != "Ihr Code für Avengers" || err != nil {
		t.Errorf("subject %q, %v", subject, err)
	}
	if m.Header.Get("Auto-Submitted") != "auto-generated" || m.Header.Get("Message-Id") != "<abc123@login.example>" || m.Header.Get("User-Agent")+m.Header.Get("X-Mailer") != "" {
		t.Errorf("header %v", m.Header)
	}
	if at, err := m.Header.Date(); err != nil || !at.Equal(storetest.NewClock().Now()) {
		t.Errorf("date %v, %v", at, err)
	}
	kind, values, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %s, %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, values["boundary"])
	for _, want := range [][2]string{{"text/plain; charset=UTF-8", "Hallo Jürgen,\n\n.\n    482913\n"}, {"text/html; charset=UTF-8", "<p>482913 für Jürgen</p>"}} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if got := strings.ReplaceAll(string(body), "\r\n", "\n"); got != want[1] || err != nil || part.Header.Get("Content-Type") != want[0] {
			t.Errorf("part %s says %q, %v, want %q", part.Header.Get("Content-Type"), got, err, want[1])
		}
	}
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		t.Errorf("after the two parts: %v", err)
	}
}

func TestF07_NothingIsSentInPlainTextWhenTLSIsStripped(t *testing.T) {
	plain := func(t *testing.T, heard string) {
		t.Helper()
		for _, leak := range []string{"MAIL", "RCPT", "DATA", "AUTH", "stark", "482913", "hunter2", "aHVudGVyMg"} {
			if strings.Contains(strings.ToUpper(heard), strings.ToUpper(leak)) {
				t.Errorf("%s went over the line in plain text: %q", leak, heard)
			}
		}
	}
	send := func(t *testing.T, s *SMTP) {
		t.Helper()
		if err := s.Send(t.Context(), letterTo("ironman@stark.example")); err == nil || permanent(err) {
			t.Errorf("the answer is %v, want an error that means later", err)
		}
	}
	t.Run("STARTTLS is not offered", func(t *testing.T) {
		p := serve(t, None)
		for _, mode := range []string{"", Mandatory} {
			send(t, p.sender(mode))
		}
		if n := len(p.taken()); n != 0 {
			t.Errorf("%d messages arrived", n)
		}
	})
	for name, said := range map[string]string{
		"STARTTLS is cut from the offer":  "250-localhost\r\n250 AUTH PLAIN\r\n",
		"STARTTLS is offered and refused": "250-localhost\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := act(t, "220 localhost ESMTP\r\n", func(line string) (string, bool) {
				if strings.HasPrefix(line, "EHLO") {
					return said, true
				}
				return "454 4.7.0 TLS not available\r\n", true
			})
			send(t, s.sender(Mandatory))
			plain(t, s.all())
		})
	}
	t.Run("answers slipped in before TLS count for nothing", func(t *testing.T) {
		s := act(t, "220 localhost ESMTP\r\n", func(line string) (string, bool) {
			switch {
			case strings.HasPrefix(line, "EHLO"):
				return "250-localhost\r\n250 STARTTLS\r\n", true
			case line == "STARTTLS":
				return "220 go on\r\n250-localhost\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 ok\r\n250 ok\r\n", true
			}
			return "", true
		})
		sender := s.sender(Mandatory)
		sender.Timeout = 200 * time.Millisecond
		send(t, sender)
		plain(t, s.all())
	})
	t.Run("a line that should begin with TLS does not", func(t *testing.T) {
		s := act(t, "220 localhost ESMTP\r\n", func(string) (string, bool) { return "250 ok\r\n", true })
		send(t, s.sender(Implicit))
		plain(t, s.all())
	})
	for _, mode := range []string{Mandatory, Implicit} {
		t.Run("nobody vouches for the server: "+mode, func(t *testing.T) {
			p := serve(t, mode)
			s := p.sender(mode)
			_, s.Roots = certificate(t)
			send(t, s)
			if n := len(p.taken()); n != 0 {
				t.Errorf("%d messages arrived", n)
			}
		})
	}
	t.Run("a certificate of another name", func(t *testing.T) {
		p := serve(t, Mandatory)
		s := p.sender(Mandatory)
		s.Host = "127.0.0.2" // the same machine, not in the certificate
		send(t, s)
	})
}

func TestAServersRefusalIsForGoodOnlyWhenItIsAboutTheMessage(t *testing.T) {
	answer := func(code int, text string) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text + " ironman@stark.example"}
	}
	for name, c := range map[string]struct {
		set   func(p *post, s *SMTP)
		never bool
	}{
		"550 to the recipient":    {func(p *post, _ *SMTP) { p.onRcpt = answer(550, "no such user") }, true},
		"451 to the recipient":    {func(p *post, _ *SMTP) { p.onRcpt = answer(451, "greylisted") }, false},
		"554 to the message":      {func(p *post, _ *SMTP) { p.onData = answer(554, "spam for") }, true},
		"452 to the message":      {func(p *post, _ *SMTP) { p.onData = answer(452, "no room for") }, false},
		"550 to the sender":       {func(p *post, _ *SMTP) { p.onMail = answer(550, "relaying denied for") }, false},
		"535 to the password":     {func(_ *post, s *SMTP) { s.Password = "wrong" }, false},
		"a server that is down":   {func(_ *post, s *SMTP) { s.Port = closedPort(t) }, false},
		"a name that is nowhere":  {func(_ *post, s *SMTP) { s.Host = "mx.invalid" }, false},
		"a sender that is no one": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, Mandatory)
			s, e := p.sender(Mandatory), letterTo("ironman@stark.example")
			if c.set != nil {
				c.set(p, s)
			} else {
				e.From = "no-reply"
			}
			err := s.Send(t.Context(), e)
			if err == nil || permanent(err) != c.never {
				t.Errorf("the answer is %v, for good: %v, want %v", err, permanent(err), c.never)
			}
			if err != nil && (strings.Contains(err.Error(), "stark") || strings.Contains(err.Error(), "482913") || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("LG-01 the error quotes the message: %v", err)
			}
			if n := len(p.taken()); n != 0 {
				t.Errorf("%d messages arrived", n)
			}
		})
	}
}

func closedPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestF07_ATarpitIsLeftSoon(t *testing.T) {
	t.Run("it says nothing", func(t *testing.T) {
		s := act(t, "", func(string) (string, bool) { return "", true })
		leaves(t, s.sender(None), 100*time.Millisecond)
	})
	t.Run("it says a letter at a time", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan struct{})
		go func() {
			defer close(over)
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			io.WriteString(conn, "220-")
			for range tick.C { // always within the time for one answer
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
			}
		}()
		t.Cleanup(func() { listener.Close(); <-over })
		s := &SMTP{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, TLS: None}
		leaves(t, s, 200*time.Millisecond)
	})
	t.Run("whoever waits gives up", func(t *testing.T) {
		s := act(t, "", func(string) (string, bool) { return "", true })
		sender := s.sender(None)
		sender.Timeout = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := sender.Send(ctx, letterTo("ironman@stark.example")); err == nil || permanent(err) {
			t.Errorf("the answer is %v, want an error that means later", err)
		}
	})
}

func leaves(t *testing.T, s *SMTP, step time.Duration) {
	t.Helper()
	s.Timeout = step
	begin := time.Now()
	if err := s.Send(t.Context(), letterTo("ironman@stark.example")); err == nil || permanent(err) {
		t.Errorf("the answer is %v, want an error that means later", err)
	}
	if took := time.Since(begin); took > 3*step+5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAMessageTheServerTookIsSentEvenIfItHangsUpThen(t *testing.T) {
	data := false
	s := act(t, "220 localhost ESMTP\r\n", func(line string) (string, bool) {
		switch {
		case data && line == ".":
			return "250 2.0.0 taken\r\n", false
		case data:
			return "", true
		case line == "DATA":
			data = true
			return "354 go on\r\n", true
		}
		return "250 ok\r\n", true
	})
	sender := s.sender(None)
	sender.User, sender.Password = "", ""
	if err := sender.Send(t.Context(), letterTo("ironman@stark.example")); err != nil {
		t.Errorf("it would be sent again: %v", err)
	}
}

func TestSettingsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct {
		s  SMTP
		ok bool
	}{
		{SMTP{Host: "mx.example.com"}, true},
		{SMTP{Host: "mx.example.com", TLS: Mandatory, Port: 25}, true},
		{SMTP{Host: "mx.example.com", TLS: Implicit}, true},
		{SMTP{Host: "localhost", TLS: None}, true},
		{SMTP{Host: "127.0.0.1", TLS: None}, true},
		{SMTP{Host: "::1", TLS: None}, true},
		{SMTP{Host: "mx.example.com", TLS: None}, false},
		{SMTP{Host: "192.0.2.1", TLS: None}, false},
		{SMTP{Host: "localhost.example.com", TLS: None}, false},
		{SMTP{Host: "mx.example.com", TLS: "opportunistic"}, false},
		{SMTP{Host: "mx.example.com", Port: 70000}, false},
		{SMTP{Host: "mx.example.com", User: "sparekey", Password: "secret"}, true},
		{SMTP{Host: "mx.example.com", User: "sparekey"}, false},
		{SMTP{Host: "mx.example.com", Password: "secret"}, false},
		{SMTP{}, false},
	} {
		if faults := c.s.Check(); (len(faults) == 0) != c.ok {
			t.Errorf("%s %q port %d: %v", c.s.Host, c.s.TLS, c.s.Port, faults)
		}
		if !c.ok {
			if err := c.s.Send(t.Context(), letterTo("ironman@stark.example")); err == nil {
				t.Errorf("%s %q was used all the same", c.s.Host, c.s.TLS)
			}
		}
	}
}

func TestF07_AMailServerThatComesBackGetsWhatIsStillGood(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		port := closedPort(t)
		p := &post{}
		r.o.Sender = Func(func(ctx context.Context, e Envelope) error {
			s := p.sender(Mandatory)
			s.Port = port
			return s.Send(ctx, e)
		})
		short := code("hulk@stark.example", "111111")
		short.Until = r.clock.Now().Add(5 * time.Minute)
		r.queue(short, code("ironman@stark.example", "482913"))
		for range 60 { // an hour without a server
			r.deliver(0)
			r.clock.Advance(time.Minute)
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p.start(t, listener, Mandatory)
		port = p.port
		r.clock.Advance(time.Hour)
		r.deliver(1)
		got := p.taken()
		if len(got) != 1 || got[0].to[0] != "ironman@stark.example" || !got[0].secure {
			t.Errorf("arrived: %+v", got)
		}
	})
}
