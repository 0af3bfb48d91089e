package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

const maxFields = 200

var (
	// ErrForm is what Form returns for a request that is no plain form, or whose form has two meanings.
	ErrForm = errors.New("form refused")
	// ErrTooLarge is what Form returns for a body above the limit.
	ErrTooLarge = errors.New("body too large")
)

// Form reads the body of a POST as application/x-www-form-urlencoded in UTF-8; the query is never looked at. Every field has
// exactly one value: a field sent twice, a name with brackets, a NUL or a byte that is not UTF-8 is ErrForm, so that no two
// readers can see different forms. A body above 64 KiB is ErrTooLarge. It may be called again, and after r.ParseForm.
func Form(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return nil, fmt.Errorf("%w: %s is not POST", ErrForm, methodName(r))
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, named := params["charset"]
	if err != nil || kind != "application/x-www-form-urlencoded" || named && !strings.EqualFold(charset, "utf-8") ||
		len(r.Header["Content-Type"]) != 1 || r.Header.Get("Content-Encoding") != "" {
		return nil, fmt.Errorf("%w: the body is not an UTF-8 urlencoded form", ErrForm)
	}
	if r.PostForm == nil {
		values, err := readForm(r.Body)
		if err != nil {
			r.Body = spent{err} // read again, it must not look like an empty form
			return nil, err
		}
		r.PostForm = values
	}
	if err := plain(r.PostForm); err != nil {
		return nil, err
	}
	return r.PostForm, nil
}

func readForm(body io.Reader) (url.Values, error) {
	if body == nil {
		return url.Values{}, nil
	}
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if errors.Is(err, ErrForm) || errors.Is(err, ErrTooLarge) {
		return nil, err
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) || len(text) > maxBody {
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	if strings.Count(string(text), "&") >= maxFields {
		return nil, fmt.Errorf("%w: too many fields", ErrForm)
	}
	values, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w: not urlencoded", ErrForm) // the parser's own words would repeat what was typed
	}
	return values, nil
}

type spent struct{ err error }

func (s spent) Read([]byte) (int, error) { return 0, s.err }
func (s spent) Close() error             { return nil }

func plain(form url.Values) error {
	for name, values := range form {
		switch {
		case len(values) != 1:
			return fmt.Errorf("%w: a field was sent %d times", ErrForm, len(values))
		case strings.ContainsAny(name, "[]") || !clean(name):
			return fmt.Errorf("%w: a field's name has brackets or is not text", ErrForm)
		case !clean(values[0]):
			return fmt.Errorf("%w: a field is not text", ErrForm)
		}
	}
	return nil
}

func clean(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func methodName(r *http.Request) string {
	if methods[r.Method] {
		return r.Method
	}
	return "the method"
}
