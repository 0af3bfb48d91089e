package notify

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

// The states of a row. Only a waiting one holds recipient and words.
const (
	waiting = "waiting"
	sent    = "sent"
	failed  = "failed"  // refused for good
	expired = "expired" // out of date before it could be sent
)

// letter is what a row says, sealed.
type letter struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html,omitempty"`
}

// Queue renders the messages now and writes them as part of tx: they are sent exactly when the deed was done.
// A message whose recipient is not one plain address is written as failed, with nothing in it, and logged: a directory that holds
// nonsense must not stop a reset.
func (o *Outbox) Queue(tx store.Tx, messages ...Message) error {
	for _, m := range messages {
		if err := o.queue(tx, m); err != nil {
			return fmt.Errorf("queue %s: %w", kind(m), err)
		}
	}
	if len(messages) > 0 {
		tx.After(o.nudge)
	}
	return nil
}

func (o *Outbox) queue(tx store.Tx, m Message) error {
	now := tx.Now()
	if m.Until.IsZero() {
		m.Until = now.Add(keep)
	}
	if m.Mail == nil {
		return fmt.Errorf("nothing to say")
	}
	subject, text, html, err := o.o.Templates.Mail(m.Lang, m.Mail)
	if err != nil {
		return err
	}
	id, state, recipient, body := secret.ID(), waiting, []byte{}, []byte{}
	if to, ok := Mailbox(m.To); ok {
		plain, err := json.Marshal(letter{Subject: headline(subject), Text: text, HTML: html})
		if err != nil {
			return err
		}
		recipient, body = o.box.Seal("to/"+id, []byte(to)), o.box.Seal("body/"+id, plain)
	} else {
		state = failed
		tx.After(func() {
			o.o.Metrics(failed)
			o.o.Logger.Warn("outbox: the recipient is not one plain address", slog.String("tenant", o.db.Name()), slog.String("id", id), slog.String("kind", kind(m)))
		})
	}
	_, err = tx.Exec(`INSERT INTO outbox (tenant, id, user_id, recipient, body, created_at, due_at, until, tries, leased_until, sent_at, state, kind)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0, $9, $10)`,
		id, m.User, recipient, body, store.Micros(now), store.Micros(now), store.Micros(m.Until), state, kind(m))
	return err
}

// Erase removes all that is queued for the user or was sent to her.
func (o *Outbox) Erase(tx store.Tx, user string) error {
	if user == "" {
		return nil
	}
	_, err := tx.Exec(`DELETE FROM outbox WHERE tenant = $1 AND user_id = $2 AND user_id <> ''`, user)
	return err
}

// kind is the name of the mail's struct.
func kind(m Message) string {
	name := fmt.Sprintf("%T", m.Mail)
	return name[strings.LastIndexByte(name, '.')+1:]
}

// Sealed is where the mails of a tenant that wait have their recipients and their words.
func Sealed(tenant string, ring *secret.Ring) []store.Column {
	box := ring.Box("outbox/" + tenant)
	column := func(what, name, label string) store.Column {
		return store.Column{What: what, Table: "outbox", Name: name, Where: "state = '" + waiting + "'",
			Renew: func(id, _ string, value []byte) ([]byte, error) { return box.Reseal(label+id, value) }}
	}
	return []store.Column{column("recipient of a mail", "recipient", "to/"), column("mail", "body", "body/")}
}
