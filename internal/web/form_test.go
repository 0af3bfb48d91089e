package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

const urlencoded = "application/x-www-form-urlencoded"

func post(kind, body string) *http.Request {
	r := httptest.NewRequest("POST", "/?password=query&only=query", strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	return r
}

func TestAFormIsReadFromTheBodyAlone(t *testing.T) {
	r := post(urlencoded+"; charset=UTF-8", "login=iron+man&password=p%26%C3%A9%20&empty=")
	for range 2 { // a second look sees the same
		form, err := Form(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(form) != 3 || form.Get("login") != "iron man" || form.Get("password") != "p&é " || !form.Has("empty") {
			t.Errorf("form %v", form)
		}
	}
	if err := r.ParseForm(); err != nil || r.PostForm.Get("login") != "iron man" {
		t.Errorf("a library that reads it after us sees %v, %v", r.PostForm, err)
	}
	if form, err := Form(post(urlencoded, "")); err != nil || len(form) != 0 {
		t.Errorf("an empty form: %v, %v", form, err)
	}
}

func TestA02_AFormWithTwoMeaningsIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ kind, body string }{
		"a field twice":                  {urlencoded, "code=1&code=2"},
		"a field twice, the same":        {urlencoded, "code=1&code=1"},
		"a field twice, encoded":         {urlencoded, "code=1&c%6fde=2"},
		"A11 an array":                   {urlencoded, "email[]=a@a.example&email[]=b@b.example"},
		"A11 an array of one":            {urlencoded, "email[]=a@a.example"},
		"A11 an encoded array":           {urlencoded, "email%5B%5D=a@a.example"},
		"A11 an object":                  {urlencoded, "user[email]=a@a.example"},
		"NUL in a value":                 {urlencoded, "login=a%00b"},
		"NUL in a name":                  {urlencoded, "log%00in=a"},
		"no UTF-8 in a value":            {urlencoded, "login=%ff"},
		"no UTF-8 in a name":             {urlencoded, "%c0%af=x"},
		"raw bytes that are no UTF-8":    {urlencoded, "login=\xc3\x28"},
		"broken escapes":                 {urlencoded, "login=%zz"},
		"a cut escape":                   {urlencoded, "login=a%4"},
		"a semicolon between":            {urlencoded, "a=1;b=2"},
		"too many fields":                {urlencoded, strings.Repeat("&", maxFields)},
		"JSON":                           {"application/json", `{"login":"a"}`},
		"a form that is called JSON":     {"application/json", "login=a"},
		"multipart":                      {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"login\"\r\n\r\na\r\n--x--\r\n"},
		"plain text":                     {"text/plain", "login=a"},
		"no content type":                {"", "login=a"},
		"a broken content type":          {urlencoded + ";;=", "login=a"},
		"another charset":                {urlencoded + "; charset=utf-16", "login=a"},
		"a charset that hides quotes":    {urlencoded + "; charset=utf-7", "login=+ACI-"},
		"an empty charset":               {urlencoded + `; charset=""`, "login=a"},
		"a prefix of the right one":      {urlencoded + "x", "login=a"},
		"a longer list of content types": {urlencoded + ", text/plain", "login=a"},
	} {
		r := post(c.kind, c.body)
		for _, look := range []string{"first", "second"} {
			if form, err := Form(r); !errors.Is(err, ErrForm) || form != nil {
				t.Errorf("%s, %s look: %v, %v", name, look, form, err)
			}
		}
	}
	twice := post(urlencoded, "login=a")
	twice.Header.Add("Content-Type", "application/json")
	if _, err := Form(twice); !errors.Is(err, ErrForm) {
		t.Errorf("two content types: %v", err)
	}
	packed := post(urlencoded, "login=a")
	packed.Header.Set("Content-Encoding", "gzip")
	if _, err := Form(packed); !errors.Is(err, ErrForm) {
		t.Errorf("a packed body: %v", err)
	}
}

func TestA02_OnlyAPostCarriesAForm(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "X"} {
		r := post(urlencoded, "login=a")
		r.Method = method
		if form, err := Form(r); !errors.Is(err, ErrForm) || form != nil {
			t.Errorf("%s: %v, %v", method, form, err)
		}
	}
}

func TestA02_AHugeBodyIsTooLarge(t *testing.T) {
	most := "password=" + strings.Repeat("x", maxBody-len("password="))
	if form, err := Form(post(urlencoded, most)); err != nil || len(form.Get("password")) != maxBody-9 {
		t.Errorf("the largest: %v", err)
	}
	for name, body := range map[string]string{"one byte more": most + "x", "a megabyte": strings.Repeat("a=1&", 1<<18)} {
		r := post(urlencoded, body)
		for _, look := range []string{"first", "second"} {
			if form, err := Form(r); !errors.Is(err, ErrTooLarge) || form != nil {
				t.Errorf("%s, %s look: %v", name, look, err)
			}
		}
	}
	serve(Porch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := Form(r); !errors.Is(err, ErrTooLarge) {
			t.Errorf("above the porch's own limit: %v", err)
		}
	}), Options{MaxBody: 10}), post(urlencoded, "password=12345"))
}

func TestAFormThatALibraryReadBeforeIsHeldToTheSameRules(t *testing.T) {
	for body, ok := range map[string]bool{"a=1&b=2": true, "a=1&a=2": false, "a[]=1": false, "a=%00": false, "a=%ff": false} {
		r := post(urlencoded, body)
		if err := r.ParseForm(); err != nil {
			t.Fatal(err)
		}
		form, err := Form(r)
		if ok != (err == nil) || !ok && !errors.Is(err, ErrForm) || form.Has("only") {
			t.Errorf("%q: %v, %v", body, form, err)
		}
	}
}

func TestAFormThatBreaksOffIsRefusedAndNotRepeated(t *testing.T) {
	r := post(urlencoded, "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("password=secret"), brokenReader{}))
	if _, err := Form(r); !errors.Is(err, ErrForm) {
		t.Errorf("err = %v", err)
	}
	if _, err := Form(post(urlencoded, "password=canary%zz")); strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "%zz") {
		t.Errorf("the error repeats what was typed: %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func FuzzA02_AnAcceptedFormHasOneReading(f *testing.F) {
	for _, seed := range []string{"", "a=1&b=2", "a=1&a=2", "a[]=1", "%00=", "a;b", "&&", "=", "a=%c3%a9+x", strings.Repeat("a&", 50)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := Form(post(urlencoded, body))
		if err != nil {
			if !errors.Is(err, ErrForm) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("err = %v", err)
			}
			return
		}
		for name, values := range form {
			if len(values) != 1 || strings.ContainsAny(name, "[]\x00") || strings.Contains(values[0], "\x00") || !utf8.ValidString(name+values[0]) {
				t.Fatalf("%q gave %q = %q", body, name, values)
			}
		}
		again, err := url.ParseQuery(form.Encode())
		if err != nil || again.Encode() != form.Encode() {
			t.Fatalf("%q is read differently the second time: %v, %v", body, again, err)
		}
	})
}
