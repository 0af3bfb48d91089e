package strangers

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// garbage is what none of them should be answered well to. Each costs the sender little.
var garbage = []struct {
	name string
	send func(w *flood, ctx context.Context) int
}{
	{"a broken request line", func(w *flood, ctx context.Context) int {
		return w.raw(ctx, "GET /avengers HTTP/7.x\r\n\r\n")
	}},
	{"bytes that are no HTTP", func(w *flood, ctx context.Context) int {
		return w.raw(ctx, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+strings.Repeat("\x00\xff", 100)+"\r\n\r\n")
	}},
	{"a line of a header that is no header", func(w *flood, ctx context.Context) int {
		return w.raw(ctx, "POST "+w.root.Path+" HTTP/1.1\r\nHost: "+w.root.Host+"\r\nno header at all\r\n\r\n")
	}},
	{"a header that is too long", func(w *flood, ctx context.Context) int {
		return w.raw(ctx, "GET "+w.root.Path+" HTTP/1.1\r\nHost: "+w.root.Host+"\r\nX-Long: "+strings.Repeat("x", 60<<10)+"\r\n\r\n")
	}},
	{"a path that is not there", func(w *flood, ctx context.Context) int {
		return w.send(ctx, http.MethodGet, []string{"/wp-login.php", "/.env", "/avengers/%ff%fe", "/admin", "/avengers/flow/" + invented()}[pick(5)], "", "", nil)
	}},
	{"a body that is too long", func(w *flood, ctx context.Context) int {
		return w.send(ctx, http.MethodPost, w.root.Path, "", "application/x-www-form-urlencoded", strings.NewReader("grant_type=refresh_token&refresh_token="+strings.Repeat("x", 200<<10)))
	}},
	{"an invented refresh token", func(w *flood, ctx context.Context) int {
		return w.form(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {invented()}, "client_id": {"es"}, "client_secret": {invented()}})
	}},
	{"an invented code", func(w *flood, ctx context.Context) int {
		return w.form(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {invented()}, "redirect_uri": {"http://localhost:9/callback"}, "code_verifier": {invented()}, "client_id": {invented()}})
	}},
	{"a form that is none", func(w *flood, ctx context.Context) int {
		return w.send(ctx, http.MethodPost, w.root.Path, "", "application/json", strings.NewReader(`{"grant_type":["client_credentials",{"$gt":""}]}`))
	}},
	{"the same field many times", func(w *flood, ctx context.Context) int {
		return w.send(ctx, http.MethodPost, w.root.Path, "", "application/x-www-form-urlencoded", strings.NewReader(strings.Repeat("grant_type=client_credentials&", 200)))
	}},
	{"an invented access token", func(w *flood, ctx context.Context) int {
		return w.send(ctx, http.MethodGet, strings.TrimSuffix(w.root.Path, "/token")+"/userinfo", "Bearer "+invented(), "", nil)
	}},
	{"a body that comes a byte at a time", func(w *flood, ctx context.Context) int { return w.slow(ctx) }},
}

func invented() string {
	return rand.Text() + rand.Text()
}

// litter is one piece of garbage.
func (w *flood) litter(ctx context.Context, n int) {
	g := garbage[n%len(garbage)]
	status := g.send(w, ctx)
	if ctx.Err() != nil {
		return
	}
	w.answered(g.name, status, 0, 1)
	if status >= 200 && status < 400 || status >= 500 {
		w.fault("%s was answered by %d", g.name, status)
	}
}

func (w *flood) form(ctx context.Context, form url.Values) int {
	return w.send(ctx, http.MethodPost, w.root.Path, "", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// send gives the status of the answer; 0: there was none.
func (w *flood) send(ctx context.Context, method, path, authorization, kind string, body io.Reader) int {
	r, err := http.NewRequestWithContext(ctx, method, w.root.Scheme+"://"+w.root.Host, body)
	if err != nil {
		w.fault("%v", err)
		return 0
	}
	r.URL.Opaque = "//" + w.root.Host + path // as it stands
	r.Header.Set("X-Forwarded-For", network())
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	res, err := w.client.Do(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	return res.StatusCode
}

// raw sends bytes and gives the status of the answer.
func (w *flood) raw(ctx context.Context, text string) int {
	return w.wire(ctx, func(c net.Conn) { io.WriteString(c, text) })
}

// slow sends the head of a request at once and its body a byte every tenth of a second, for three seconds; then it goes.
func (w *flood) slow(ctx context.Context) int {
	return w.wire(ctx, func(c net.Conn) {
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n", w.root.Path, w.root.Host)
		for range 30 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			if _, err := io.WriteString(c, "g"); err != nil {
				return
			}
		}
		c.(*net.TCPConn).CloseWrite()
	})
}

func (w *flood) wire(ctx context.Context, write func(net.Conn)) int {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", w.root.Host)
	if err != nil {
		return 0
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	defer context.AfterFunc(ctx, func() { c.Close() })()
	write(c)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}
