package sparekey_test

import (
	"context"
	"database/sql"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// dump is everything the database holds: every row, a column a line, and the bytes of SQLite's files, freed pages and log included.
func (h *house) dump() string {
	h.t.Helper()
	var all strings.Builder
	path, isFile := strings.CutPrefix(h.cfg.Database, "sqlite:")
	driver, tables := "pgx", `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`
	if isFile {
		files, err := filepath.Glob(path + "*")
		if err != nil || len(files) == 0 {
			h.t.Fatalf("no database at %s", path)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				h.t.Fatal(err)
			}
			all.Write(b)
		}
		driver, tables = "sqlite", `SELECT name FROM sqlite_master WHERE type = 'table'`
	} else {
		path = h.cfg.Database
	}
	db, err := sql.Open(driver, path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	for _, table := range h.rows(db, tables) {
		for _, row := range h.rows(db, `SELECT * FROM "`+strings.TrimSpace(table)+`"`) {
			all.WriteString(row)
		}
	}
	return all.String()
}

// rows gives every row with a column a line.
func (h *house) rows(db *sql.DB, query string) (list []string) {
	h.t.Helper()
	rows, err := db.QueryContext(h.t.Context(), query)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	for rows.Next() {
		values, at := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			at[i] = &values[i]
		}
		if err := rows.Scan(at...); err != nil {
			h.t.Fatal(err)
		}
		var row strings.Builder
		for _, v := range values {
			fmt.Fprintf(&row, "%s\n", v)
		}
		list = append(list, row.String())
	}
	if err := rows.Err(); err != nil {
		h.t.Fatal(err)
	}
	return list
}

// heard is one answer, as a browser or a relying party got it.
type heard struct {
	asked  string // method and address
	header string
	body   string
}

// secrets are values that open something, by what they are, with where each may stand all the same.
type secrets struct {
	t      *testing.T
	values map[string]string
	may    map[string]func(heard) bool
	heard  []heard
	stood  map[string]bool
}

func newSecrets(t *testing.T) *secrets {
	return &secrets{t: t, values: map[string]string{}, may: map[string]func(heard) bool{}, stood: map[string]bool{}}
}

func (s *secrets) add(what, value string, may func(heard) bool) {
	if value != "" {
		s.values[value], s.may[value] = what, may
	}
}

// listen keeps every answer of the browser, and learns the secrets that it types and gets.
func (s *secrets) listen(b *browser) {
	b.watch(func(r *http.Request, body []byte, send func(*http.Request) *http.Response) *http.Response {
		form, _ := url.ParseQuery(string(body))
		for _, name := range []string{"code", "password", "old", "new", "confirm"} {
			if v := form.Get(name); len(v) > 5 {
				s.add("the "+name+" that was typed", v, nil)
			}
		}
		res := send(r)
		for _, k := range res.Cookies() {
			if k.Value != "" {
				s.add("the cookie "+k.Name, k.Value, func(x heard) bool { return strings.Contains(x.header, "Set-Cookie: "+k.Name+"=") })
			}
		}
		if m := regexp.MustCompile(`(?s)data-secret[^>]*>([^<]*)<`).FindStringSubmatch(text(res)); m != nil {
			setup := func(x heard) bool { return strings.Contains(x.body, "data-secret") }
			bare := strings.ReplaceAll(m[1], " ", "")
			s.add("a seed in groups of four", m[1], setup)
			s.add("a seed", bare, setup)
			raw, err := base32.StdEncoding.DecodeString(bare)
			if err != nil {
				s.t.Fatal(err)
			}
			s.add("the bytes of a seed", string(raw), nil)
		}
		if to := res.Header.Get("Location"); strings.HasPrefix(to, callback) {
			u, _ := url.Parse(to)
			s.add("an authorization code", u.Query().Get("code"), func(x heard) bool { return strings.Contains(x.header, "Location: "+callback) })
		}
		var header strings.Builder
		_ = res.Header.Write(&header)
		s.heard = append(s.heard, heard{r.Method + " " + r.URL.String(), header.String(), text(res)})
		return res
	})
}

// mailed learns the codes and links that were delivered.
func (s *secrets) mailed(h *house) {
	for _, m := range h.mails.all() {
		if d := sixDigits.FindStringSubmatch(m.text); d != nil && strings.Contains(strings.ToLower(m.subject), "code") {
			s.add("a code mailed to "+m.to, d[1]+d[2], nil)
		}
		for _, link := range notMeLink.FindAllString(m.text, -1) {
			token := link[strings.LastIndex(link, "/")+1:]
			s.add("a link mailed to "+m.to, token, func(x heard) bool { return strings.Contains(x.asked, token) })
		}
	}
}

var digitsOnly = regexp.MustCompile(`^\d+$`)

// in gives the secrets that a text holds, whole or by another spelling.
func (s *secrets) in(text string) (found []string) {
	for value := range s.values {
		var patterns []string
		if digitsOnly.MatchString(value) { // a code is a number: alone it counts, within another one it does not
			split := value
			if len(value) == 6 {
				split = value[:3] + "[  ]?" + value[3:]
			}
			if regexp.MustCompile(`(^|[^0-9A-Za-z_.-])` + split + `($|[^0-9A-Za-z_-])`).MatchString(text) {
				found = append(found, value)
				continue
			}
		} else {
			patterns = []string{value, url.QueryEscape(value)}
		}
		b := []byte(value)
		for _, p := range append(patterns, hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), base64.RawStdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b)) {
			if strings.Contains(text, p) {
				found = append(found, value)
				break
			}
		}
	}
	return found
}

// nowhere fails for every secret in the text.
func (s *secrets) nowhere(where, text string) {
	s.t.Helper()
	for _, v := range s.in(text) {
		s.t.Errorf("%s is in %s", s.values[v], where)
	}
}

// answers looks through all that was heard.
func (s *secrets) answers() {
	s.t.Helper()
	for _, x := range s.heard {
		for _, v := range s.in(x.header + "\n" + x.body) {
			if may := s.may[v]; may == nil || !may(x) {
				s.t.Errorf("%s is in the answer to %s", s.values[v], x.asked)
			} else {
				s.stood[strings.SplitN(s.values[v], " mailed", 2)[0]] = true
			}
		}
	}
}

// mails looks through all mails: a code or a link is in the one that was to bring it.
func (s *secrets) mails(h *house) {
	s.t.Helper()
	for _, m := range h.mails.all() {
		for _, v := range s.in(m.subject + "\n" + m.text + "\n" + m.html) {
			switch what := s.values[v]; {
			case what == "a code mailed to "+m.to && strings.Contains(strings.ToLower(m.subject), "code"):
			case strings.HasPrefix(what, "a link mailed to ") && strings.Contains(m.text, "/not-me/"+v):
			default:
				s.t.Errorf("%s is in the mail %q to %s", what, m.subject, m.to)
			}
		}
	}
}

// metrics are the names and labels that are shown, without the figures.
func (h *house) metrics() string {
	w := httptest.NewRecorder()
	h.p.Metrics().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var all strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		all.WriteString(line[:max(0, strings.LastIndex(line, " "))] + "\n")
	}
	return all.String()
}

// Nothing that opens anything stands anywhere but where its owner has to read it: the key on the page that sets an app up, a code and
// a link in their mail, a cookie and a token in the one answer that gives it.
func TestA04_NoCodeSeedLinkPasswordOrTokenStandsWhereItNeedNot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		s := newSecrets(t)
		s.add("the client's secret", "wiki-secret", nil)
		tour(t, h, s.listen)

		h.addUser("avengers", "thor", "Thor", "thor@asgard.example", "Avengers")
		b := h.browser()
		s.listen(b)
		got := h.redeem(b.register("thor"))
		for what, v := range map[string]string{"an access token": got.Access, "a refresh token": got.Refresh, "an ID token": got.ID} {
			s.add(what, v, nil)
		}
		// Codes that wait for a mail server, and codes, passwords and names that are wrong.
		h.mails.failing(func(context.Context) error { return errors.New("smtp: down") })
		b.manage("action", "add")
		b.post("choose", "email", "action", "next")
		b.post("email", "thor@home.example", "action", "next")
		waiting := h.dump()
		h.mails.failing(nil)
		h.clock.Advance(time.Minute)
		b.post("code", h.code(1, "thor@home.example"), "action", "verify")
		b.want("Security info")
		for _, name := range []string{"thor", "hulk", "nobody-at-all"} {
			r := h.browser()
			s.listen(r)
			r.beginReset(name)
			r.chooseEmail("thor@home.example")
			r.post("code", "918273", "action", "verify")
			r.post("action", "none")
			x := h.browser()
			s.listen(x)
			x.signIn(name, "guess-of-a-stranger")
		}
		x := h.browser()
		s.listen(x)
		x.signIn("thor", password)
		x.get("/avengers/security-info")
		x.post("action", "add")
		x.post("code", "482915", "action", "verify")
		r := h.browser()
		s.listen(r)
		r.beginReset("thor")
		r.chooseEmail("thor@home.example")
		r.post("code", h.code(3, "thor@home.example"), "action", "verify")
		r.want("Choose a new password")
		r.post("new", renewed, "confirm", "typed-otherwise-the-second-time", "action", "next")
		// A failure on the way tells no more.
		failed := 0
		for n := 1; n < 40 && r.last.h1() != "Your password has been reset" && r.last.status != http.StatusForbidden; n++ {
			at, calls := r.last, atomic.Int64{}
			h.failing(func(string) error {
				if calls.Add(1) == int64(n) {
					return errors.New("canary of the disk")
				}
				return nil
			})
			next := fmt.Sprintf("a-suit-that-is-lost-at-call-%d", n)
			if r.post("new", next, "confirm", next, "action", "next"); r.last.status >= 500 {
				failed++
				r.last = at
			}
			h.failing(nil)
		}
		if failed == 0 {
			t.Error("nothing failed")
		}
		s.mailed(h)

		s.answers()
		s.mails(h)
		for _, what := range []string{"a seed", "a seed in groups of four", "the cookie " + sessionCookie, "the cookie " + browserCookie, "an authorization code", "a link"} {
			if !s.stood[what] {
				t.Errorf("%s was never seen where it has to stand: is it looked for?", what)
			}
		}
		now := h.dump()
		if !strings.Contains(now, "thor@asgard.example") || !strings.Contains(waiting, "waiting") {
			t.Error("the dump is not of this database")
		}
		s.nowhere("the database while the mail waits", waiting)
		s.nowhere("the database", now)
		if log := h.logged(); !strings.Contains(log, "event=reset.done") {
			t.Error("the log is empty")
		} else {
			s.nowhere("the log", log)
		}
		if m := h.metrics(); !strings.Contains(m, "sparekey_events_total") {
			t.Error("there are no metrics")
		} else {
			s.nowhere("the metrics", m)
		}
	})
}
