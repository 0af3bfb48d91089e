package provider

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// processor is the time this process has used so far, user and system.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWholeFlow measures the processor time of one sign-in at a relying party by a browser that is signed in already:
// authorize, code, token, userinfo, on a durable SQLite file, through the whole handler. Beside it stands what one RSA signature
// costs in the same run: cpu/rsa has to stay below 0.8 with ES256 and below 2.0 with RS256. The number is how many browsers come at once:
// commits are shared among them.
func BenchmarkWholeFlow(b *testing.B) {
	for _, one := range []struct{ alg, id, secret, callback string }{{"ES256", "wiki", wikiSecret, callback}, {"RS256", "rsa", "rsa-secret", "https://rsa.example.com/cb"}} {
		for _, width := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", one.alg, width), func(b *testing.B) {
				url := "sqlite:" + filepath.Join(b.TempDir(), "bench.db")
				db, clock := storetest.Open(b, url, store.Options{}), storetest.NewClock()
				clock.Set(time.Now())
				h := newHouseIn(b, db, clock, "avengers", secret.NewRing(), issuer)
				br := h.browser()
				br.signedIn(ironman)
				f := newRunner(h, br, one.id, one.secret, one.callback)
				f.run(b)
				yardstick := signature(b)
				b.ReportAllocs()
				b.ResetTimer()
				began := processor()
				var left atomic.Int64
				left.Store(int64(b.N))
				var all sync.WaitGroup
				for range width {
					all.Go(func() {
						for left.Add(-1) >= 0 {
							f.run(b)
						}
					})
				}
				all.Wait()
				used := float64((processor() - began).Microseconds()) / float64(b.N)
				b.ReportMetric(used, "cpu-µs/op")
				b.ReportMetric(used/float64(yardstick.Microseconds()), "cpu/rsa")
			})
		}
	}
}

// signature is what one RSA-2048 signature costs here and now.
func signature(b *testing.B) time.Duration {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("yardstick"))
	const times = 100
	began := processor()
	for range times {
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
	return (processor() - began) / times
}

// runner prepares the requests, so that the benchmark measures the server.
type runner struct {
	h                             *house
	authorize, cookie, token, pre string
	id, secret                    string
}

func newRunner(h *house, br *browser, id, password, callback string) *runner {
	f := &runner{h: h, id: id, secret: password}
	f.authorize = h.p.c.Issuer + authorizePath + "?" + h.ask("client_id", id, "redirect_uri", callback, "scope", "openid profile email").Encode()
	for name, value := range br.cookies {
		f.cookie = name + "=" + value
	}
	f.token = h.p.c.Issuer + tokenPath
	f.pre = url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {callback}, "code_verifier": {verifier}}.Encode() + "&code="
	return f
}

func (f *runner) run(b *testing.B) {
	r := httptest.NewRequest("GET", f.authorize, nil)
	r.Header.Set("Cookie", f.cookie)
	w := httptest.NewRecorder()
	f.h.handler.ServeHTTP(w, r)
	_, code, ok := strings.Cut(w.Header().Get("Location"), "code=")
	if !ok {
		b.Fatal(w.Code, w.Body.String())
	}
	code, _, _ = strings.Cut(code, "&")

	r = httptest.NewRequest("POST", f.token, strings.NewReader(f.pre+code))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(f.id, f.secret)
	w = httptest.NewRecorder()
	f.h.handler.ServeHTTP(w, r)
	_, access, ok := strings.Cut(w.Body.String(), `"access_token":"`)
	if !ok {
		b.Fatal(w.Code, w.Body.String())
	}
	access, _, _ = strings.Cut(access, `"`)

	r = httptest.NewRequest("GET", f.h.p.c.Issuer+userinfoPath, nil)
	r.Header.Set("Authorization", "Bearer "+access)
	w = httptest.NewRecorder()
	f.h.handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatal(w.Code, w.Body.String())
	}
}
