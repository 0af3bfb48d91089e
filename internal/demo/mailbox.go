package demo

import (
	"context"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Mail is one mail as it would have left the house.
type Mail struct {
	ID          int
	At          time.Time
	To, Subject string
	Text, HTML  string
}

// Mailbox keeps the last mails sent, whoever they are for. It is safe for concurrent use.
type Mailbox struct {
	mu    sync.Mutex
	next  int
	mails []Mail
}

var link = regexp.MustCompile(`https?://[^\s<>"]+`)

// Linked is the text with its addresses made links.
func (m Mail) Linked() template.HTML {
	return template.HTML(link.ReplaceAllStringFunc(template.HTMLEscapeString(m.Text), func(address string) string {
		return `<a href="` + address + `">` + address + `</a>`
	}))
}

const mailboxHolds = 200

// Send keeps a mail.
func (m *Mailbox) Send(_ context.Context, to, subject, text, html string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next++
	m.mails = append(m.mails, Mail{ID: m.next, At: time.Now(), To: to, Subject: subject, Text: text, HTML: html})
	if len(m.mails) > mailboxHolds {
		m.mails = slices.Delete(m.mails, 0, len(m.mails)-mailboxHolds)
	}
	return nil
}

// All lists the mails, newest first.
func (m *Mailbox) All() []Mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.mails)
	slices.Reverse(list)
	return list
}

// ServeHTTP shows the list at /, and one mail at /mail/{id}.
func (m *Mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { show(w, http.StatusOK, "mailbox.html", m.All()) })
	mux.HandleFunc("GET /mail/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		for _, mail := range m.All() {
			if mail.ID == id {
				show(w, http.StatusOK, "mail.html", mail)
				return
			}
		}
		http.NotFound(w, r)
	})
	mux.ServeHTTP(w, r)
}
