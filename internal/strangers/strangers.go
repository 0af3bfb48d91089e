// Package strangers is a flood: people whom nobody knows, each from a network of her own, who try wrong passwords, beside as much garbage as
// is wanted. It is for tests and figures, and never part of a server.
//
// What comes does not wait for what came before: so many arrive a second, however slowly they are answered.
package strangers

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Flood is what comes. The server has to trust X-Forwarded-For from where it comes.
type Flood struct {
	Authorize string  `json:"authorize"` // an authorization request, to sign in for
	Token     string  `json:"token"`     // the token endpoint
	Wrong     float64 `json:"wrong"`     // wrong passwords a second
	Garbage   float64 `json:"garbage"`   // pieces of garbage a second
	Users     int     `json:"users"`     // half of the passwords are for user0 to this one, the others for names that are nobody's
	Open      int     `json:"open"`      // so many sign-ins, and so many pieces of garbage, are under way at most; who comes then goes away again; 0: 256
}

// Told is what came of it.
type Told struct {
	Seconds   float64        `json:"seconds"`
	Requests  int64          `json:"requests"`  // of sign-ins
	Passwords int64          `json:"passwords"` // that were answered
	Garbage   int64          `json:"garbage"`   // that was answered, refused or cut off
	Left      int64          `json:"left"`      // who went away again
	Answers   map[string]int `json:"answers"`   // to passwords and to garbage, by kind and status; 0: none
	Faults    []string       `json:"faults"`    // answers that none of them should have had
}

type flood struct {
	Flood
	root   *url.URL
	client *http.Client
	told   Told
	mu     sync.Mutex
	asked  atomic.Int64
}

// each is how many passwords one of them tries before she goes: fewer than make a puzzle of the next.
const each = 2

// Run floods until ctx ends.
func (f Flood) Run(ctx context.Context) (Told, error) {
	if f.Open == 0 {
		f.Open = 256
	}
	root, err := url.Parse(f.Token)
	if err != nil {
		return Told{}, err
	}
	t := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 5 * time.Second, DisableCompression: true}
	defer t.CloseIdleConnections()
	w := &flood{Flood: f, root: root, client: &http.Client{Transport: t, Timeout: 20 * time.Second, CheckRedirect: stay}, told: Told{Answers: map[string]int{}}}
	began := time.Now()
	var all sync.WaitGroup
	all.Go(func() { w.arrive(ctx, f.Wrong/each, w.guess) })
	all.Go(func() { w.arrive(ctx, f.Garbage, w.litter) })
	all.Wait()
	w.told.Seconds, w.told.Requests = time.Since(began).Seconds(), w.asked.Load()
	return w.told, nil
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// arrive begins one so many times a second, and gives the n-th its number.
func (w *flood) arrive(ctx context.Context, second float64, one func(ctx context.Context, n int)) {
	if second <= 0 {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	seats := make(chan struct{}, w.Open)
	began := time.Now()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(time.Duration(float64(n) / second * float64(time.Second))))):
		}
		select {
		case seats <- struct{}{}:
			all.Go(func() {
				defer func() { <-seats }()
				one(ctx, n)
			})
		default:
			w.mu.Lock()
			w.told.Left++
			w.mu.Unlock()
		}
	}
}

func (w *flood) answered(kind string, status int, passwords, garbage int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told.Answers[fmt.Sprintf("%s %d", kind, status)]++
	w.told.Passwords += passwords
	w.told.Garbage += garbage
}

func (w *flood) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.told.Faults) < 20 {
		w.told.Faults = append(w.told.Faults, fmt.Sprintf(format, args...))
	}
}

// network is an address of its own for each of them.
func network() string {
	return fmt.Sprintf("10.%d.%d.%d", pick(256), pick(256), 1+pick(254))
}

// pick is a number below n, by chance.
func pick(n int) int {
	var b [4]byte
	rand.Read(b[:])
	return int(binary.BigEndian.Uint32(b[:]) % uint32(n))
}

var csrf = regexp.MustCompile(`name="csrf" value="([^"]*)"`)

// guess is one of them: a browser, a name, wrong passwords.
func (w *flood) guess(ctx context.Context, n int) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.fault("%v", err)
		return
	}
	name, from := "nobody-"+strings.ToLower(rand.Text()), network()
	if n%2 == 0 && w.Users > 0 {
		name = fmt.Sprintf("user%d", pick(w.Users))
	}
	browser := &http.Client{Transport: w.client.Transport, Timeout: w.client.Timeout, Jar: jar}
	ask := func(method, address string, form url.Values) (page string, at *url.URL, status int) {
		r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
		if err != nil {
			w.fault("%v", err)
			return "", nil, 0
		}
		r.Header.Set("X-Forwarded-For", from)
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w.asked.Add(2) // and the page that the answer leads to
		res, err := browser.Do(r)
		if err != nil {
			return "", nil, 0
		}
		defer res.Body.Close()
		text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		if err != nil {
			return "", nil, 0
		}
		return string(text), res.Request.URL, res.StatusCode
	}
	page, at, status := ask(http.MethodGet, w.Authorize, nil)
	for i := range 1 + each {
		m := csrf.FindStringSubmatch(page)
		if m == nil || strings.Contains(page, `name="captcha_id"`) {
			if status != 0 && status < 400 && m == nil {
				w.fault("a stranger met %d %s", status, at)
			}
			return
		}
		form := url.Values{"csrf": {m[1]}, "username": {name}, "action": {"next"}}
		if i > 0 {
			form = url.Values{"csrf": {m[1]}, "password": {"a guess of many, " + rand.Text()}, "action": {"sign_in"}}
		}
		page, at, status = ask(http.MethodPost, at.String(), form)
		if i > 0 && ctx.Err() == nil {
			w.answered("password", status, 1, 0)
		}
	}
}
