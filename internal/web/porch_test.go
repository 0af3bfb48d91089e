package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// events collects what the porch logs.
type events struct{ bytes.Buffer }

func (e *events) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(&e.Buffer, nil)) }

func (e *events) all(t *testing.T) (out []map[string]any) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(e.String()), "\n") {
		event := map[string]any{}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		out = append(out, event)
	}
	return out
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEveryAnswerCarriesTheSafeHeaders(t *testing.T) {
	want := map[string]string{
		"X-Content-Type-Options":     "nosniff",
		"X-Frame-Options":            "DENY",
		"Referrer-Policy":            "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Content-Security-Policy":    "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
	}
	for name, h := range map[string]http.HandlerFunc{
		"an answer":  func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") },
		"not found":  http.NotFound,
		"a panic":    func(http.ResponseWriter, *http.Request) { panic("x") },
		"no answer":  func(http.ResponseWriter, *http.Request) {},
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusSeeOther) },
	} {
		w := serve(Porch(h, Options{}), httptest.NewRequest("GET", "/", nil))
		for header, value := range want {
			if got := w.Header().Get(header); got != value {
				t.Errorf("%s: %s is %q, want %q", name, header, got, value)
			}
		}
		if !strings.Contains(w.Header().Get("Permissions-Policy"), "camera=()") || len(w.Header().Get("X-Request-Id")) != 26 {
			t.Errorf("%s: %v", name, w.Header())
		}
		if got := w.Header().Get("Strict-Transport-Security"); got != "" {
			t.Errorf("%s: HSTS %q without https", name, got)
		}
	}
}

func TestHSTSIsSentWhereTheBrowserCameByHTTPS(t *testing.T) {
	h := Porch(http.NotFoundHandler(), Options{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for target, c := range map[string]struct {
		peer, proto string
		want        bool
	}{
		"https://a/": {"203.0.113.9:1", "", true},
		"http://a/1": {"10.0.0.1:1", "https", true},
		"http://a/2": {"10.0.0.1:1", "http", false},
		"http://a/3": {"203.0.113.9:1", "https", false}, // claimed by a stranger
	} {
		r := httptest.NewRequest("GET", target, nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Forwarded-Proto", c.proto)
		if got := serve(h, r).Header().Get("Strict-Transport-Security") != ""; got != c.want {
			t.Errorf("%s from %s: %v, want %v", target, c.peer, got, c.want)
		}
	}
}

func TestOneEventARequestWithoutQueryCookieOrBody(t *testing.T) {
	var log events
	mux := http.NewServeMux()
	mux.HandleFunc("POST /a/flow/{id}", func(w http.ResponseWriter, r *http.Request) {
		Note(r, "step", "identify")
		Note(r, "step", "prove")
		if form, err := Form(r); err != nil || form.Get("password") != "canary-body" {
			t.Errorf("form %v, %v", form, err)
		}
		w.Header().Set("Set-Cookie", "s=canary-set")
		w.WriteHeader(http.StatusSeeOther)
		io.WriteString(w, "12345")
	})
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { now = now.Add(25 * time.Millisecond); return now }

	r := httptest.NewRequest("POST", "/a/flow/canary-path?x=canary-query", strings.NewReader("password=canary-body"))
	r.RemoteAddr = "[2001:db8:1:2:3:4:5:6]:99"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", "s=canary-cookie")
	r.Header.Set("Authorization", "Bearer canary-token")
	r.Header.Set("User-Agent", "canary-agent")
	w := serve(Porch(mux, Options{Logger: log.logger(), Now: clock}), r)

	if strings.Contains(log.String(), "canary") {
		t.Errorf("LG-01: logged what it must not: %s", log.String())
	}
	all := log.all(t)
	if len(all) != 1 {
		t.Fatalf("%d events", len(all))
	}
	for key, want := range map[string]any{"msg": "request", "level": "INFO", "method": "POST", "route": "POST /a/flow/{id}", "status": 303.0,
		"ms": 25.0, "bytes": 5.0, "network": "2001:db8:1:2::/64", "request": w.Header().Get("X-Request-Id"), "step": "prove"} {
		if all[0][key] != want {
			t.Errorf("%s = %v, want %v", key, all[0][key], want)
		}
	}
}

func TestWhatIsTheSameForEverybodyIsCountedAndLoggedForDebuggingAlone(t *testing.T) {
	var log events
	m := NewMetrics()
	status := http.StatusOK
	h := Porch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Quiet(r)
		w.WriteHeader(status)
	}), Options{Logger: log.logger(), Metrics: m})
	serve(h, httptest.NewRequest("GET", "/", nil))
	if log.String() != "" || !strings.Contains(shown(m), `sparekey_http_requests_total{method="GET",route="",status="200"} 1`) {
		t.Errorf("%s\n%s", log.String(), shown(m))
	}
	status = http.StatusMethodNotAllowed
	serve(h, httptest.NewRequest("GET", "/", nil))
	if all := log.all(t); len(all) != 1 || all[0]["status"] != 405.0 {
		t.Error("a refusal leaves no event")
	}
}

func TestAPanicBecomesAnEmpty500WithoutWhatTheHandlerHadSet(t *testing.T) {
	var log events
	h := Porch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "x"})
		w.Header().Set("Location", "/in")
		panic("A47 boom")
	}), Options{Logger: log.logger()})
	w := serve(h, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || w.Body.Len() != 0 || w.Header().Get("Set-Cookie") != "" || w.Header().Get("Location") != "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	all := log.all(t)
	if len(all) != 2 || all[0]["panic"] != "A47 boom" || !strings.Contains(all[0]["stack"].(string), "porch_test.go") || all[1]["status"] != 500.0 || all[1]["level"] != "ERROR" {
		t.Errorf("events %v", all)
	}
}

func TestAPanicHalfWayCutsTheConnection(t *testing.T) {
	var log events
	server := httptest.NewServer(Porch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic("boom")
	}), Options{Logger: log.logger()}))
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(answer.Body); err == nil {
		t.Errorf("the client took %q for the whole answer", body)
	}
	answer.Body.Close()
	server.Close()
	if !strings.Contains(log.String(), `"panic":"boom"`) || !strings.Contains(log.String(), `"msg":"request"`) {
		t.Errorf("events: %s", log.String())
	}
}

func TestAHandlerThatAbortsIsNotReportedAsAPanic(t *testing.T) {
	var log events
	h := Porch(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), Options{Logger: log.logger()})
	defer func() {
		if broken := recover(); broken != http.ErrAbortHandler {
			t.Errorf("recovered %v", broken)
		}
		if all := log.all(t); len(all) != 1 || all[0]["status"] != 499.0 {
			t.Errorf("events %v", all)
		}
	}()
	serve(h, httptest.NewRequest("GET", "/", nil))
}

func TestA50_OversizedRequestsAreRefusedAtTheDoor(t *testing.T) {
	reached := false
	var readErr error
	h := Porch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = true
		_, readErr = io.ReadAll(r.Body)
	}), Options{MaxBody: 1000})
	try := func(target, cookie string, body int) int {
		reached, readErr = false, nil
		r := httptest.NewRequest("POST", target, strings.NewReader(strings.Repeat("x", body)))
		r.Header.Set("Cookie", cookie)
		return serve(h, r).Code
	}
	if code := try("/?"+strings.Repeat("q", maxTarget-2), "", 0); code != 200 || !reached {
		t.Errorf("the longest query: %d", code)
	}
	if code := try("/?"+strings.Repeat("q", maxTarget), "", 0); code != 414 || reached {
		t.Errorf("a longer query: %d, reached %v", code, reached)
	}
	if code := try("/"+strings.Repeat("p", maxTarget), "", 0); code != 414 || reached {
		t.Errorf("a longer path: %d, reached %v", code, reached)
	}
	if code := try("/"+strings.Repeat("%41", maxTarget/3+1), "", 0); code != 414 || reached {
		t.Errorf("a path that is longer before it is decoded: %d, reached %v", code, reached)
	}
	if code := try("/", strings.Repeat("c", maxHeader), 0); code != 431 || reached {
		t.Errorf("longer headers: %d, reached %v", code, reached)
	}
	if try("/", "", 1000); readErr != nil {
		t.Errorf("the longest body: %v", readErr)
	}
	var tooLarge *http.MaxBytesError
	if try("/", "", 1001); !errors.As(readErr, &tooLarge) {
		t.Errorf("a longer body: %v", readErr)
	}
}

func TestA12_NothingBehindThePorchSeesAForwardedHost(t *testing.T) {
	hostile := []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Prefix",
		"X-Original-URL", "X-Rewrite-URL", "X-Real-IP", "X-HTTP-Method-Override", "X-Host", "True-Client-IP"}
	for _, peer := range []string{"203.0.113.9:1", "10.0.0.1:1"} { // a stranger, and a trusted proxy that passes them on
		r := httptest.NewRequest("GET", "https://login.example.com/", nil)
		r.RemoteAddr = peer
		for _, name := range hostile {
			r.Header.Set(name, "evil.example")
		}
		r.Header.Set("Accept", "text/html")
		serve(Porch(http.HandlerFunc(func(w http.ResponseWriter, inner *http.Request) {
			for name, lines := range inner.Header {
				if strings.Contains(strings.Join(lines, ""), "evil") {
					t.Errorf("from %s: %s came through", peer, name)
				}
			}
			if inner.Host != "login.example.com" || inner.Method != "GET" || inner.URL.Path != "/" || inner.Header.Get("Accept") != "text/html" {
				t.Errorf("from %s: %v", peer, inner)
			}
		}), Options{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}), r)
		if r.Header.Get("X-Forwarded-Host") != "evil.example" {
			t.Error("the host program's own request was changed")
		}
	}
}

func TestARequestIsNamedByATrustedProxyOrByUs(t *testing.T) {
	h := Porch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, RequestID(r)) }),
		Options{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}})
	for _, c := range []struct {
		peer, id string
		taken    bool
	}{
		{"10.0.0.1:1", "trace-0123456789", true},
		{"203.0.113.9:1", "trace-0123456789", false},
		{"10.0.0.1:1", "short", false},
		{"10.0.0.1:1", "line\nbreak-<script>", false},
		{"10.0.0.1:1", strings.Repeat("x", 65), false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Request-Id"] = []string{c.id}
		w := serve(h, r)
		if got := w.Body.String(); (got == c.id) != c.taken || got != w.Header().Get("X-Request-Id") || len(got) < 8 {
			t.Errorf("%q from %s: %q", c.id, c.peer, got)
		}
	}
}

func TestNoncesAndRequestIDsAreNewEachTime(t *testing.T) {
	seen := map[string]bool{}
	h := Porch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if Nonce(r) != Nonce(r) || len(Nonce(r)) < 22 || Nonce(r) == RequestID(r) {
			t.Errorf("nonce %q", Nonce(r))
		}
		seen[Nonce(r)], seen[RequestID(r)] = true, true
	}), Options{})
	for range 50 {
		serve(h, httptest.NewRequest("GET", "/", nil))
	}
	if len(seen) != 100 {
		t.Errorf("%d different values of 100", len(seen))
	}
	bare := httptest.NewRequest("GET", "/", nil)
	if Note(bare, "k", "v"); Nonce(bare) != "" || RequestID(bare) != "" {
		t.Error("values outside a porch")
	}
}
