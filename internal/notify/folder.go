package notify

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Folder is a Sender that puts each message as a file NAME.eml in a folder of its own, made on first use, mode 0700. The name is the
// message id's, so a message tried twice is one file. It is for a machine without a mail server: the messages hold codes.
type Folder struct {
	Path string
	Now  func() time.Time
}

// Send writes the message; a reader of the folder never sees a part of one.
func (f *Folder) Send(_ context.Context, e Envelope) error {
	now := f.Now
	if now == nil {
		now = time.Now
	}
	m, err := compose(e, now())
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	t, err := os.CreateTemp(f.Path, ".new-*")
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	defer os.Remove(t.Name()) // gone already when all went well
	_, err = t.Write(b.Bytes())
	if bad := t.Close(); err == nil {
		err = bad
	}
	if err == nil {
		err = os.Rename(t.Name(), filepath.Join(f.Path, fileName(e.MessageID)))
	}
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// fileName is the message id with what means something in a path left out.
func fileName(id string) string {
	name := []byte(id)
	for i, c := range name {
		if !alphanumeric(c) && c != '@' && c != '.' && c != '-' || i == 0 && c == '.' {
			name[i] = '_'
		}
	}
	return string(name) + ".eml"
}
