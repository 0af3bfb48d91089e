package notify

import (
	"bytes"
	"maps"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/templates"
)

// hostile are texts that have made a second recipient or another header elsewhere.
var hostile = []string{
	"x\r\nBcc: evil@evil.example", "x\nBcc: evil@evil.example", "x\rBcc: evil@evil.example", "x\r\n\r\nbody", "x\x00y", "x\x0bBcc: e@e.example",
	"=?utf-8?q?x=0D=0ABcc:_evil@evil.example?=", "=?utf-8?B?eA0KQmNjOiBl?= y", "x\u2028Bcc: e@e.example", "x\u0085Bcc: e@e.example", "\xff\xfe", "x\r\n Bcc: folded",
	"Group: a@a.example, b@b.example;", "\"quoted\" <evil@evil.example>", "evil@evil.example, x", strings.Repeat("long ", 300), strings.Repeat("ü", 500), "", " ",
}

func TestA39_OnlyOnePlainAddressIsARecipient(t *testing.T) {
	bad := append([]string{
		"ironman", "@stark.example", "ironman@", "ironman@@stark.example", "iron man@stark.example", " ironman@stark.example", "ironman@stark.example ",
		"<ironman@stark.example>", "Tony <ironman@stark.example>", "ironman@stark.example,evil@evil.example", "ironman@stark.example;evil@evil.example",
		"ironman@stark.example>\r\nRCPT TO:<evil@evil.example", "ironman@stark.example\n", "ironman@stark.example\x00", "\"iron man\"@stark.example",
		"\"x\r\ny\"@stark.example", "ironman(comment)@stark.example", "ironman@[127.0.0.1]", "ironman@127.0.0.1", "Group:ironman@stark.example;",
		"=?utf-8?q?ironman=40stark.example?=", "ironman=?@evil@stark.example", "iron..man@stark.example", ".ironman@stark.example", "ironman.@stark.example",
		"ironman@stark..example", "ironman@-stark.example", "ironman@stark.example.", "ironman@star_k.example", "ırönman@stark.example",
		"ironman%evil.example@@stark.example", strings.Repeat("a", 65) + "@stark.example", "a@" + strings.Repeat("b.", 130) + "example", "ironman@stark.example NOTIFY=NEVER",
		"ironman@\u017Ftark.example", "ironman@star\u212A.example", "ironman@\uFF53tark.example", "ironman@stark\u3002example", "ironman@st\u00ADark.example", // mapped, these are another's
	}, hostile...)
	for _, to := range bad {
		if got, ok := Mailbox(to); ok {
			t.Errorf("%q became the recipient %q", to, got)
		}
		e := letterTo(to)
		if _, err := compose(e, time.Now()); !permanent(err) {
			t.Errorf("a message to %q: %v, want a refusal for good", to, err)
		}
	}
	for to, want := range map[string]string{
		"ironman@stark.example": "ironman@stark.example", "Iron.Man+sparekey@stark.example": "Iron.Man+sparekey@stark.example",
		"jürgen": "", "juergen@bücher.example": "juergen@xn--bcher-kva.example", "root@localhost": "root@localhost", "o'neil@x-y.example": "o'neil@x-y.example",
	} {
		if got, ok := Mailbox(to); got != want || ok != (want != "") {
			t.Errorf("%q became %q, %v, want %q", to, got, ok, want)
		}
	}
}

func TestA39_AMessageToSuchARecipientIsNeverSentAndStopsNoDeed(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		for _, to := range hostile {
			r.queue(code(to, "482913"))
		}
		r.deliver(0)
		for _, row := range r.rows() {
			if row.state != failed || len(row.recipient)+len(row.body) != 0 {
				t.Errorf("row %+v", row)
			}
		}
		if len(r.rows()) != len(hostile) || r.tally[failed] != len(hostile) {
			t.Errorf("%d rows, counted %v", len(r.rows()), r.tally)
		}
	})
}

func TestA39_TenantNamesAndLoginsAddNothingToTheHeader(t *testing.T) {
	p := serve(t, Mandatory)
	sender := p.sender(Mandatory)
	each(t, func(t *testing.T, r *room) {
		r.o.Sender = sender
		for _, text := range hostile {
			before := len(p.taken())
			letter := templates.Letter{Tenant: text, Name: text, Login: text, Where: text, Help: text, NotMe: text}
			r.queue(Message{User: "u-1", To: "ironman@stark.example", Lang: text, Mail: templates.MethodAdded{Letter: letter, Kind: "totp", Label: text}},
				Message{User: "u-1", To: "pepper@stark.example", Lang: "en", Mail: templates.AdministratorReset{Letter: letter, Who: text}})
			r.deliver(2)
			for _, d := range p.taken()[before:] {
				if len(d.to) != 1 {
					t.Errorf("%q made the recipients %v", text, d.to)
				}
				sound(t, d.data, "", d.to[0])
			}
		}
	})
}

// fields are the header of every message.
var fields = []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}

// sound checks that a message has the header of every message, each field once, and exactly one recipient.
func sound(t *testing.T, data, subject, to string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("the message cannot be read: %v in %q", err, data)
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(m.Header)), func(s string) bool { return s == "Content-Transfer-Encoding" })
	if !slices.Equal(names, fields) {
		t.Errorf("the header is %v, want %v", names, fields)
	}
	for name, values := range m.Header {
		if len(values) != 1 || strings.ContainsAny(values[0], "\r\n\x00") {
			t.Errorf("%s: %q", name, values)
		}
	}
	list, err := m.Header.AddressList("To")
	if err != nil || len(list) != 1 || list[0].Address != to || list[0].Name != "" {
		t.Errorf("To: %v, %v, want %s alone", list, err, to)
	}
	if from, err := m.Header.AddressList("From"); err != nil || len(from) != 1 {
		t.Errorf("From: %v, %v, want one", from, err)
	}
	got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "" && got != subject {
		t.Errorf("the subject reads %q, %v, want %q", got, err, subject)
	}
}

func TestA39_TheSubjectIsOneLineAndReadsAsItWasWritten(t *testing.T) {
	for _, text := range hostile {
		e := letterTo("ironman@stark.example")
		if e.Subject = text; !printable(text) {
			if _, err := compose(e, time.Now()); !permanent(err) {
				t.Errorf("the subject %q: %v, want a refusal for good", text, err)
			}
		}
		e.Subject = headline(text)
		e.From = (&mail.Address{Name: headline(text), Address: "no-reply@login.example"}).String()
		m, err := compose(e, time.Now())
		if err != nil {
			t.Errorf("%q: %v", e.Subject, err)
			continue
		}
		var b bytes.Buffer
		if _, err := m.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		sound(t, b.String(), e.Subject, e.To)
	}
}

func TestA39_AMessageIDAndABodyAddNothingEither(t *testing.T) {
	for _, text := range append([]string{"a@b.example>\r\nBcc: <e@e.example", "no-domain", "a b@c.example"}, hostile...) {
		e := letterTo("ironman@stark.example")
		e.MessageID = text
		if _, err := compose(e, time.Now()); !permanent(err) {
			t.Errorf("the message id %q: %v, want a refusal for good", text, err)
		}
		e = letterTo("ironman@stark.example")
		if e.Text, e.HTML = text+"\r\n.\r\n"+text, text; strings.ContainsRune(text, 0) {
			if _, err := compose(e, time.Now()); !permanent(err) {
				t.Errorf("the text %q: %v, want a refusal for good", text, err)
			}
			continue
		}
		m, err := compose(e, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := m.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		sound(t, b.String(), e.Subject, e.To)
	}
	e := letterTo("ironman@stark.example")
	e.Text = " \n"
	if _, err := compose(e, time.Now()); !permanent(err) {
		t.Errorf("a message without a text: %v, want a refusal for good", err)
	}
}

func FuzzZ07_AMessageHasOneRecipientAndTheSameHeader(f *testing.F) {
	for i, text := range hostile {
		f.Add(text, "ironman@stark.example", "no-reply@login.example", "text", "<p>text</p>")
		f.Add("subject", text, "no-reply@login.example", text, text)
		f.Add(text, hostile[(i+1)%len(hostile)], text, "\r\n.\r\nQUIT\r\n", "")
		f.Add("subject", "ironman@stark.example", text+" <no-reply@login.example>", "text", "")
	}
	f.Fuzz(func(t *testing.T, subject, to, from, text, html string) {
		for _, s := range []string{subject, headline(subject)} {
			m, err := compose(Envelope{From: from, To: to, Subject: s, Text: text, HTML: html, MessageID: "abc@" + domain(from)}, time.Unix(1.8e9, 0))
			if err != nil {
				continue
			}
			var b bytes.Buffer
			if _, err := m.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			address, ok := Mailbox(to)
			if !ok {
				t.Fatalf("a message was made to %q", to)
			}
			sound(t, b.String(), headline(s), address)
		}
	})
}

func TestCheckFromTakesOneSender(t *testing.T) {
	for _, from := range []string{"no-reply@example.com", "Example <no-reply@example.com>", "\"Example, Inc.\" <no-reply@example.com>", "Bücher <a@b.example>"} {
		if err := CheckFrom(from); err != nil {
			t.Errorf("%q: %v", from, err)
		}
	}
	for _, from := range append([]string{"", "example.com", "a@b.example, c@d.example", "Group: a@b.example;", "a@[127.0.0.1]", "A\r\nBcc: x <a@b.example>"}, hostile[:12]...) {
		if err := CheckFrom(from); err == nil {
			t.Errorf("%q was taken for a sender", from)
		}
	}
}
