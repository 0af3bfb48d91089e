package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	hidden    = "•••"
	maxSecret = 64 << 10 // bytes
)

// Secret is a value that does not stand in the config file: it is written "file:PATH" or "${NAME}" and nothing else.
// A file's last newline is dropped. Whatever prints, logs or marshals it gets "•••".
type Secret struct{ text *string } // a pointer, so that fmt prints none of it from an unexported field either

// NewSecret is for programs that fill a config themselves.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the secret itself; empty when it was not set.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Set reports whether there is one.
func (s Secret) Set() bool { return s.text != nil }

func (s Secret) String() string               { return hidden }
func (s Secret) Format(f fmt.State, _ rune)   { io.WriteString(f, hidden) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Path is a path of the file system, with or without "file:" in front, as seen from the config file's folder when it is relative.
type Path string

func (d *decoder) path(n *yaml.Node, into *Path, text, path string) {
	text = strings.TrimPrefix(text, "file:")
	if text == "" {
		d.fault(n, path, "a path is missing")
		return
	}
	*into = Path(d.Resolve(text))
}

var whole = regexp.MustCompile(`^\$\{([^{}]*)\}$`)

func (d *decoder) secret(n *yaml.Node, into *Secret, path string) {
	if n.Kind != yaml.ScalarNode || null(n) {
		d.fault(n, path, "a secret is expected here, file:PATH or ${NAME}, not %s", kind(n))
		return
	}
	text, err := "", error(nil)
	if file, ok := strings.CutPrefix(n.Value, "file:"); ok {
		text, err = d.secretFile(file, path)
	} else if name := whole.FindStringSubmatch(n.Value); name != nil {
		text, err = environment(name[1])
	} else {
		err = errors.New("a secret does not stand in this file: write file:PATH or ${NAME}")
	}
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if err == nil && text == "" {
		err = errors.New("the secret is empty")
	}
	if err != nil {
		d.fault(n, path, "%v", err)
		return
	}
	*into = Secret{&text}
}

func (d *decoder) secretFile(name, path string) (string, error) {
	name, err := expand(name)
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", errors.New("a path is missing after file:")
	}
	name = d.Resolve(name)
	info, err := os.Stat(name)
	if err != nil {
		d.files.note(name, nil, err)
		return "", cannot(name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		d.files.note(name, nil, errors.ErrUnsupported)
		return "", fmt.Errorf("%s is no file, or larger than %d bytes", name, maxSecret)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0 {
		d.Warn(path, "everybody on this machine may read %s; chmod o-r it", name)
	}
	text, err := d.ReadFile(name)
	if err != nil {
		return "", cannot(name, err)
	}
	return string(text), nil
}

func cannot(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s", name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the file %s may not be read", name)
	}
	return fmt.Errorf("the file %s cannot be read", name)
}
