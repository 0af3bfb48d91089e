package notify

import (
	"errors"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// compose makes the message of an envelope (RFC 5322): a text part always, and HTML beside it where there is one. The header is
// Auto-Submitted (RFC 3834 §5), Date, From, Message-ID, MIME-Version, Subject, To and the content's type, each once, and nothing else.
// What could add to it is refused with a PermanentError.
func compose(e Envelope, at time.Time) (*gomail.Msg, error) {
	refuse := func(why string) (*gomail.Msg, error) { return nil, &PermanentError{errors.New(why)} }
	from, err := sender(e.From)
	if err != nil {
		return nil, err // the config's fault, not the message's: it can be sent when that is mended
	}
	to, ok := Mailbox(e.To)
	switch {
	case !ok:
		return refuse("the recipient is not one plain address")
	case !printable(e.Subject):
		return refuse("control characters in the subject")
	case !messageID(e.MessageID):
		return refuse("not a message id")
	case strings.TrimSpace(e.Text) == "" || strings.ContainsRune(e.Text+e.HTML, 0):
		return refuse("no text, or a NUL in it")
	}
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(from)
	m.ToMailAddress(&mail.Address{Address: to})
	m.Subject(headline(e.Subject))
	m.SetDateWithValue(at)
	m.SetMessageIDWithValue(e.MessageID)
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, strings.ToValidUTF8(e.Text, "�"))
	if e.HTML != "" {
		m.AddAlternativeString(gomail.TypeTextHTML, strings.ToValidUTF8(e.HTML, "�"))
	}
	return m, nil
}

func messageID(id string) bool {
	left, right, ok := strings.Cut(id, "@")
	return ok && len(id) <= 200 && dotAtom(left) && hostname(right)
}
