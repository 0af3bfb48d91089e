package sparekey_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/store"
)

// deeds counts the journal's rows, those of what went wrong left out.
func (h *house) deeds() (n int) {
	h.t.Helper()
	err := h.admin("avengers").Store.Read(h.t.Context(), func(tx store.Tx) error {
		return tx.Row(`SELECT count(*) FROM journal WHERE tenant = $1 AND event NOT IN ('proof.wrong', 'captcha.wrong', 'throttled')`).Scan(&n)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

var anInput = regexp.MustCompile(`<(?:input|button)[^>]*name="([^"]*)"`)

// outline is what a page asks for, without what it says.
func outline(body string) string {
	var names []string
	for _, m := range anInput.FindAllStringSubmatch(body, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return first(body, `(?s)<h1[^>]*>(.*?)</h1>`) + " " + strings.Join(names, " ")
}

// needed are the fields without which a form says nothing. A button counts where nothing is typed or chosen beside it, and an id
// where something is done to what it names; a flow knows that by itself.
func needed(path string, form url.Values) (names []string) {
	inFlow := strings.Contains(path, "/flow/")
	named := !inFlow && slices.Contains([]string{"change", "delete", "default", "sign_out"}, form.Get("action"))
	for name := range form {
		if name != "csrf" && name != "action" && (name != "id" || named) {
			names = append(names, name)
		}
	}
	if len(names) == 0 || !inFlow {
		names = append(names, "action")
	}
	slices.Sort(names)
	return names
}

// maul makes every POST of the browser's pages be tried first with something missing, twice, in another shape or by another method.
// None of it may move the flow or be journalled as a deed; then the true one goes through, and the walk has to succeed.
func maul(t *testing.T, b *browser, seen map[string]bool) {
	b.client.Transport = served{b.h.p}
	b.watch(func(r *http.Request, body []byte, send func(*http.Request) *http.Response) *http.Response {
		if r.Method != http.MethodPost {
			return send(r)
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Fatal(err)
		}
		where := regexp.MustCompile(`/[\w-]{20,}$`).ReplaceAllString(r.URL.Path, "/{}") + " " + strings.Join(needed(r.URL.Path, form), "+") + " " + form.Get("action")
		seen[where] = true
		look := func() string {
			g := again(r, nil)
			g.Method, g.Body, g.ContentLength = http.MethodGet, nil, 0
			return text(send(g))
		}
		page, deeds := look(), b.h.deeds()
		try := func(how string, c *http.Request, same func(string) string, statuses ...int) {
			t.Helper()
			res := send(c)
			if !slices.Contains(statuses, res.StatusCode) {
				t.Errorf("%s: %s answers %d, want %v", where, how, res.StatusCode, statuses)
			}
			for _, k := range res.Cookies() {
				t.Errorf("%s: %s sets the cookie %s", where, how, k.Name)
			}
			now := look()
			if same(now) != same(page) {
				t.Fatalf("%s: %s moves it from\n%s\nto\n%s", where, how, same(page), same(now))
			}
			page = now
			if n := b.h.deeds(); n != deeds {
				t.Fatalf("%s: %s is journalled as %d deeds", where, how, n-deeds)
			}
		}
		but := func(edit func(url.Values)) *http.Request {
			f := maps.Clone(form)
			edit(f)
			return again(r, []byte(f.Encode()))
		}
		typed := func(kind, text string) *http.Request {
			c := again(r, []byte(text))
			if c.Header.Set("Content-Type", kind); kind == "" {
				c.Header.Del("Content-Type")
			}
			return c
		}
		try("an empty body", again(r, nil), plainly, 403)
		try("an empty body of no type", typed("", ""), plainly, 400)
		try("the token alone", again(r, []byte(url.Values{"csrf": form["csrf"]}.Encode())), outline, 303, 403)
		in := again(r, nil)
		in.URL.RawQuery = string(body)
		try("all of it in the address", in, plainly, 403)
		in = again(r, []byte(url.Values{"csrf": form["csrf"]}.Encode()))
		in.URL.RawQuery = string(body)
		try("all but the token in the address", in, outline, 303, 403)

		object := map[string]string{}
		var parts bytes.Buffer
		m := multipart.NewWriter(&parts)
		for name, v := range form {
			object[name] = v[0]
			_ = m.WriteField(name, v[0])
		}
		m.Close()
		asJSON, _ := json.Marshal(object)
		try("JSON", typed("application/json", string(asJSON)), plainly, 400)
		try("JSON that is called a form", typed("application/x-www-form-urlencoded", string(asJSON)), plainly, 403)
		try("a form that is called JSON", typed("application/json", string(body)), plainly, 400)
		try("a multipart form", typed(m.FormDataContentType(), parts.String()), plainly, 400)
		try("plain text", typed("text/plain", string(body)), plainly, 400)
		try("a form of no type", typed("", string(body)), plainly, 400)
		try("a form in UTF-16", typed("application/x-www-form-urlencoded; charset=utf-16", string(body)), plainly, 400)

		for _, name := range needed(r.URL.Path, form) {
			value := form.Get(name)
			try("without "+name, but(func(f url.Values) { f.Del(name) }), outline, 303, 403)
			try("with nothing as "+name, but(func(f url.Values) { f.Set(name, "") }), outline, 303, 403)
			try("with "+name+" twice", but(func(f url.Values) { f[name] = []string{value, value} }), plainly, 400)
			try("with two of "+name, but(func(f url.Values) { f[name] = []string{"x", value} }), plainly, 400)
			for _, odd := range []string{name + "[]", name + "[0]", name + "[x]"} {
				try("with "+odd, but(func(f url.Values) { f.Del(name); f.Set(odd, value) }), plainly, 400)
				try("with "+odd+" beside it", but(func(f url.Values) { f.Set(odd, value) }), plainly, 400)
			}
			for how, odd := range map[string]string{"NUL": value + "\x00", "no UTF-8": value + "\xff"} {
				try("with "+name+" that holds "+how, but(func(f url.Values) { f.Set(name, odd) }), plainly, 400)
			}
		}
		try("a broken escape", typed("application/x-www-form-urlencoded", string(body)+"&x=%zz"), plainly, 400)
		try("a body of 64 KiB and one", typed("application/x-www-form-urlencoded", string(body)+"&x="+strings.Repeat("x", 64<<10-len(body)-2)), plainly, 413)
		try("a body of 1 MiB", typed("application/x-www-form-urlencoded", string(body)+"&x="+strings.Repeat("x", 1<<20)), plainly, 413)
		for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "BREW"} {
			c := again(r, body)
			if c.Method = method; method == http.MethodHead {
				try(method, c, plainly, 200)
				continue
			}
			try(method, c, plainly, 404, 405)
		}
		return send(again(r, body))
	})
}

// Whoever leaves out what a step asks for has not answered it, in whatever shape she leaves it out.
func TestA02_NothingIsTakenForAnAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		seen := map[string]bool{}
		tour(t, h, func(b *browser) { maul(t, b, seen) })

		h.addUser("avengers", "thor", "Thor", "thor@asgard.example", "Avengers")
		b := h.browser()
		maul(t, b, seen)
		b.register("thor")
		b.addEmail("thor@home.example", 1)
		r := h.browser()
		maul(t, r, seen)
		r.beginReset("thor")
		r.chooseEmail("thor@home.example")
		h.code(2, "thor@home.example") // has arrived before the next is sent
		h.clock.Advance(11 * time.Second)
		r.post("action", "resend")
		r.post("action", "other")
		r.chooseEmail("thor@home.example")
		r.post("code", h.code(3, "thor@home.example"), "action", "verify")
		r.want("Choose a new password")
		r.post("new", renewed, "confirm", renewed, "action", "next")
		r.want("Your password has been reset")
		r = h.browser()
		maul(t, r, seen)
		r.beginReset("thor")
		r.post("action", "none")
		r.want("Ask your administrator")
		s := h.browser()
		maul(t, s, seen)
		s.signIn("thor", renewed)
		s.get("/avengers/security-info")
		s.post("action", "sign_out_everywhere")
		if s.authorize("prompt", "none").query("error") != "login_required" {
			t.Error("signed out everywhere, and still signed in")
		}
		for _, want := range []string{"/flow/{} username next", "/flow/{} password sign_in", "/flow/{} action next", "/flow/{} code verify", "/flow/{} action done", "/flow/{} captcha+captcha_id+username next", "/flow/{} what next",
			"/flow/{} choose next", "/flow/{} email verify", "/flow/{} email next", "/flow/{} confirm+new next", "/flow/{} confirm+new+old next", "/flow/{} action delete", "/flow/{} action resend", "/flow/{} action other", "/flow/{} action none",
			"/flow/{} action sign_out", "/security-info action add", "/security-info action+id default", "/security-info action+id change", "/security-info action+id delete", "/security-info action password",
			"/security-info action sign_out_everywhere", "/not-me/{} action not_me"} {
			if !seen["/avengers"+want] {
				t.Errorf("the walk did not come by %q", want)
			}
		}
		if t.Failed() {
			t.Log(fmt.Sprint(slices.Sorted(maps.Keys(seen))))
		}
	}, with(func(t *sparekey.Tenant) {
		t.Limits.Proofs, t.Limits.ProofsNetwork, t.Limits.Codes = config.Rate{Count: 100, Per: time.Second}, config.Rate{Count: 100, Per: time.Second}, config.Rate{Count: 100, Per: time.Second}
		t.Limits.Sends, t.Limits.SendsNetwork = config.Rate{Count: 1000, Per: time.Minute}, config.Rate{Count: 1000, Per: time.Minute}
	}))
}
