package sparekey_test

import (
	"go/ast"
	"go/token"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// injections are values that turn a statement into another where one is put together from them, on either engine.
var injections = []string{
	`'`, `''`, `"`, `\`, `\'`, "`", `;`, `--`, `/*`, `*/`, `#`, `%`, `_`, `$1`, `$2`, `?`, `:1`, `@p1`, `{{1}}`, "x\x00y", "\xff\xfe'", `%27`, `%2527`, `ʼ`, `＇`, "\u02bc OR 1=1",
	`' OR '1'='1`, `' OR '1'='1' --`, `' OR '1'='1' /*`, `" OR "1"="1`, `') OR ('1'='1`, `')) OR (('1'='1`, `1 OR 1=1`, `1' OR 1=1#`, `admin'--`, `ironman' --`, `ironman'/*`, `ironman' AND '1'='1`, `ironman' AND '1'='2`, `' OR tenant = 'avengers`, `' OR tenant <> '`, `x' OR login_key LIKE '%`, `' OR TRUE --`, `\' OR 1=1 --`, `\\' OR 1=1 --`,
	`'; DROP TABLE shelf; --`, `x'; DELETE FROM account; --`, `'; UPDATE account SET epoch = 0; --`, `'; TRUNCATE journal; --`, `'); INSERT INTO setting VALUES ('avengers','x','y'); --`, `'; COPY local_user TO '/tmp/x'; --`, `'; ATTACH DATABASE '/tmp/x' AS x; --`, `'; PRAGMA writable_schema = 1; --`, `'; COMMIT; --`, `'; ROLLBACK; --`,
	`' UNION SELECT NULL --`, `' UNION SELECT NULL,NULL,NULL --`, `' UNION ALL SELECT key,owner,version,until,value FROM shelf --`, `' UNION SELECT password FROM local_user --`, `' UNION SELECT sql FROM sqlite_master --`, `' UNION SELECT table_name FROM information_schema.tables --`,
	`'||(SELECT password FROM local_user LIMIT 1)||'`, `' || pg_sleep(5) --`, `'; SELECT pg_sleep(5); --`, `' AND 1=(SELECT 1 FROM pg_sleep(5)) --`, `' AND randomblob(500000000) --`, `' OR (SELECT count(*) FROM shelf a, shelf b, shelf c, shelf d) > 0 --`, `' AND load_extension('x') --`, `'||CAST((SELECT version()) AS INT)||'`, `' AND 1=CAST((SELECT version()) AS INT) --`, `' AND json_extract(value,'$') --`,
	`x' LIMIT 1 OFFSET 1 --`, `x' ORDER BY 100 --`, `x' GROUP BY 1 HAVING 1=1 --`, `0x27`, `CHAR(39)`, `CHR(39)||CHR(39)`, `E'\x27'`, `$$ OR 1=1 --`, `$tag$x$tag$`, `U&'\0027'`,
	`eyJvZmZzZXQiOiIxJyBPUiAxPTEifQ==`, `1 UNION SELECT 1`, `(SELECT 1)`, `1,2,3`, `*`, `null`, `NaN`, `1e309`, `-1`, `9223372036854775808`, `{"$ne": null}`, `[]`, `true`,
}

// Whatever is put wherever a request says something, in the address, the query, a field, a cookie or a header, is a value: no statement fails
// by it or takes long, no answer shows what an injected one would, and what the database holds stays.
func TestA49_WhateverARequestSaysIsAnArgument(t *testing.T) {
	t.Parallel()
	corpus := injections
	each(t, func(t *testing.T, h *house) {
		owner := h.browser()
		owner.register("ironman")
		b := h.browser()
		before := h.records("avengers", false)
		at := func(method, address string, form url.Values, header http.Header) (int, string) {
			t.Helper()
			r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
			if err != nil {
				return 0, "" // no such address can be asked for
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", h.origin)
			for name, lines := range header {
				r.Header[name] = lines
			}
			for _, c := range b.jar.Cookies(r.URL) {
				r.AddCookie(c)
			}
			began := time.Now()
			res, err := served{h.p}.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("%s %s %v took %v", method, address, form, took)
			}
			return res.StatusCode, text(res) + res.Header.Get("Location")
		}
		hash := regexp.MustCompile(`\$argon2|CREATE TABLE|sqlite_|pg_catalog|PostgreSQL \d|SQLSTATE`)
		seen := 0
		check := func(what, value string, status int, body string) {
			t.Helper()
			if seen++; status >= 500 || hash.MatchString(body) || strings.Contains(body, "code=") && !strings.Contains(body, "error") {
				t.Errorf("%s with %q: %d %s", what, value, status, body)
			}
		}
		for i, value := range corpus {
			form := func(pairs ...string) url.Values {
				v := url.Values{"csrf": {b.token()}}
				for i := 0; i+1 < len(pairs); i += 2 {
					v.Set(pairs[i], pairs[i+1])
				}
				return v
			}
			b.authorize()
			here := b.last.url.String()
			do := func(what, method, address string, form url.Values, header http.Header) {
				status, body := at(method, address, form, header)
				check(what, value, status, body)
			}
			q := url.QueryEscape(value)
			do("a name", "POST", here, form("username", value, "action", "next"), nil)
			do("a password", "POST", here, form("password", value, "action", "sign_in"), nil)
			do("a token of a form", "POST", here, url.Values{"csrf": {value}, "username": {"ironman"}, "action": {"next"}}, nil)
			do("an action", "POST", here, form("action", value), nil)
			do("a field", "POST", here, form(value, value), nil)
			do("a flow", "GET", h.issuer+"/flow/"+url.PathEscape(value), nil, nil)
			do("a link", "GET", h.issuer+"/not-me/"+url.PathEscape(value), nil, nil)
			do("a link pressed", "POST", h.issuer+"/not-me/"+url.PathEscape(value), form("action", "not_me"), nil)
			do("a reset's beginning", "GET", h.issuer+"/reset?from="+q, nil, nil)
			do("a notice", "GET", h.issuer+"/security-info?done="+q, nil, nil)
			do("a return", "GET", h.issuer+"/authorize/resume?request="+q+"&flow="+q, nil, nil)
			do("a return from signing out", "GET", h.issuer+"/logout/resume?request="+q+"&flow="+q, nil, nil)
			do("a parked request", "GET", h.issuer+"/authorize?posted="+q, nil, nil)
			do("a pushed request", "GET", h.issuer+"/authorize?client_id=wiki&request_uri=urn:ietf:params:oauth:request_uri:"+q, nil, nil)
			for _, name := range []string{"client_id", "redirect_uri", "scope", "state", "nonce", "prompt", "max_age", "login_hint", "id_token_hint", "claims", "ui_locales", "acr_values", "code_challenge", "response_type", "response_mode"} {
				do("authorize’s "+name, "GET", h.authorizeURL("avengers", name, value), nil, nil)
			}
			for _, name := range []string{"code", "refresh_token", "client_id", "client_secret", "redirect_uri", "code_verifier", "scope", "grant_type"} {
				v := url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "refresh_token": {"x"}, "redirect_uri": {callback}, "code_verifier": {verifier}, "client_id": {"wiki"}, "client_secret": {"wiki-secret"}}
				if name == "refresh_token" {
					v.Set("grant_type", "refresh_token")
				}
				v.Set(name, value)
				do("the token request’s "+name, "POST", h.issuer+"/token", v, nil)
			}
			for _, path := range []string{"/revoke", "/introspect"} {
				do(path, "POST", h.issuer+path, url.Values{"token": {value}, "token_type_hint": {value}, "client_id": {"wiki"}, "client_secret": {"wiki-secret"}}, nil)
			}
			do("a bearer token", "GET", h.issuer+"/userinfo", nil, http.Header{"Authorization": {"Bearer " + value}})
			do("a hint to sign out", "GET", h.issuer+"/logout?id_token_hint="+q+"&client_id="+q+"&state="+q, nil, nil)
			for _, name := range []string{sessionCookie, browserCookie, deviceCookie} {
				do("the cookie "+name, "GET", h.issuer+"/security-info", nil, http.Header{"Cookie": {name + `="` + value + `"`}})
				do("the cookie "+name, "GET", h.issuer+"/security-info", nil, http.Header{"Cookie": {name + "=" + q}})
			}
			do("headers", "GET", h.authorizeURL("avengers"), nil, http.Header{"User-Agent": {value}, "Accept-Language": {value}, "Origin": {value}, "Referer": {value}, "X-Forwarded-For": {value}, "X-Request-Id": {value}})
			if i%5 == 0 { // these leave rows or take puzzles
				h.clock.Advance(11 * time.Minute)
				r := h.browser()
				r.get("/avengers/reset")
				r.post(append(r.puzzle(), "username", value, "action", "next")...)
				check("a reset's name", value, r.last.status, r.last.body)
				r.beginReset("ironman")
				for _, name := range []string{"what", "choose", "code", "email", "new"} {
					r.post(name, value, "action", "next")
					check("a reset's "+name, value, r.last.status, r.last.body)
				}
				r.get("/avengers/reset")
				r.post("captcha_id", value, "captcha", value, "username", value, "action", "next")
				check("a puzzle", value, r.last.status, r.last.body)
				for _, do := range []string{"delete", "change", "default", "sign_out", value} {
					owner.get("/avengers/security-info")
					owner.post("action", do, "id", value)
					check("security info’s "+do, value, owner.last.status, owner.last.body)
				}
			}
		}
		if seen < 3000 {
			t.Errorf("only %d requests were made", seen)
		}
		log := h.logged()
		for line := range strings.Lines(log) {
			if strings.Contains(line, "level=ERROR") || strings.Contains(line, "SQL") {
				t.Errorf("logged: %s", line)
			}
		}
		for _, line := range before {
			kind, rest, _ := strings.Cut(line, " ")
			if (kind == "account" || kind == "authenticator" || kind == "grant") && !slices.Contains(h.records("avengers", false), line) {
				t.Errorf("gone: %s %s", kind, rest)
			}
		}
		if h.opens("hulk", password) == false {
			t.Error("a user is gone")
		}
	})
}

// madeOfParts are the places in which a statement is put together, and of what: constants of the program, never a value of a request. Whoever adds
// one says here what it is made of.
var madeOfParts = map[string]string{
	"internal/store":                   "the store's own texts, and the tables and columns of Column, which rooms name by constants",
	"internal/notify/deliver.go take":  "the engine's locking clause",
	"internal/notify/deliver.go note":  "the assignment is one of this file's texts",
	"internal/audit/chain.go count":    "its callers' texts",
	"internal/audit/entry.go read":     "columns and conditions are texts of this room",
	"internal/account/account.go load": "columns, and the engine's locking clause",
	"internal/account/account.go set":  "assignments of this file's texts",
	"directory/local/local.go oneOf":   "its callers' texts",
	"directory/local/list.go page":     "its callers' texts",
	"directory/local/users.go free":    "one of two texts of this file",
}

// A statement that is a text of the program can take nothing from a request but by its arguments. Every statement is one, but for those that are
// put together from such texts.
func TestA49_EveryStatementIsATextOfTheProgram(t *testing.T) {
	files := source(t)
	consts := map[string]bool{}
	for path, f := range files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				for _, s := range g.Specs {
					for _, name := range s.(*ast.ValueSpec).Names {
						consts[filepath.Dir(path)+"."+name.Name] = true
					}
				}
			}
		}
	}
	found, used := 0, map[string]bool{}
	for path, f := range files {
		if strings.HasPrefix(path, "internal/store/storetest") {
			continue
		}
		var constant func(e ast.Expr) bool
		constant = func(e ast.Expr) bool {
			switch x := e.(type) {
			case *ast.BasicLit:
				return x.Kind == token.STRING
			case *ast.Ident:
				return consts[filepath.Dir(path)+"."+x.Name]
			case *ast.BinaryExpr:
				return constant(x.X) && constant(x.Y)
			case *ast.ParenExpr:
				return constant(x.X)
			case *ast.CallExpr: // the clause that locks a row is the engine's
				sel, ok := x.Fun.(*ast.SelectorExpr)
				return ok && sel.Sel.Name == "Locking" && len(x.Args) == 0
			}
			return false
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || !slices.Contains([]string{"Exec", "Row", "Rows", "Query", "QueryRow", "ExecContext", "QueryContext", "QueryRowContext"}, sel.Sel.Name) {
					return true
				}
				if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "tx" && !strings.HasPrefix(path, "internal/store") {
					return true
				}
				if found++; constant(call.Args[0]) {
					return true
				}
				here := filepath.ToSlash(path) + " " + fn.Name.Name
				for place := range madeOfParts {
					if here == place || strings.HasPrefix(here, place+"/") {
						used[place] = true
						return true
					}
				}
				t.Errorf("%s runs a statement that is not a text of the program: say in madeOfParts what it is made of", here)
				return true
			})
		}
	}
	if found < 60 {
		t.Errorf("only %d statements were found", found)
	}
	for place := range madeOfParts {
		if !used[place] {
			t.Errorf("%s puts no statement together", place)
		}
	}
}
