package provider

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
)

// Of all bearer values, a value counts that is one we gave out, byte for byte; and what counts at one place counts at no other. The value is made from a true
// one by putting something in the place of a part of it.
func FuzzZ05_OnlyWhatWasGivenOutCounts(f *testing.F) {
	h := newHouse(f)
	b, held := h.granted("scope", "openid offline_access")
	code := b.authorize().code()
	pushed := h.browser().do("POST", "/avengers/par", h.ask("client_id", "pusher", "redirect_uri", "https://pusher.example.com/cb"), "Authorization", basic("pusher", "pusher-secret")).json()["request_uri"].(string)
	b.do("POST", "/avengers/authorize", h.ask())
	parked := strings.TrimPrefix(b.do("POST", "/avengers/authorize", h.ask()).location().RawQuery, "posted=")
	cookie := ""
	for name, value := range b.cookies {
		if strings.Contains(name, "session") {
			cookie = value
		}
	}
	if cookie == "" || parked == "" {
		f.Fatal("something was not given out")
	}
	issued := []string{held.access, held.refresh, code, pushed, parked, cookie, held.id}
	ask := func(method, target string, form url.Values, headers ...string) (int, string) {
		r := httptest.NewRequest(method, issuer+"/x", strings.NewReader(form.Encode()))
		u, err := url.Parse(issuer + target)
		if err != nil {
			return 0, ""
		}
		r.URL, r.RequestURI = u, u.RequestURI()
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header[headers[i]] = []string{headers[i+1]}
		}
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		return w.Code, w.Body.String() + w.Header().Get("Location")
	}
	counts := []func(value string) bool{
		func(v string) bool {
			status, _ := ask("GET", userinfoPath, nil, "Authorization", "Bearer "+v)
			return status == http.StatusOK
		},
		func(v string) bool {
			_, body := ask("POST", introspectPath, url.Values{"token": {v}}, "Authorization", basic("wiki", wikiSecret))
			return strings.Contains(body, `"active":true`) && !strings.Contains(body, "Bearer") // of a refresh token
		},
		func(v string) bool { // a wrong verifier ends no code
			_, body := ask("POST", tokenPath, url.Values{"grant_type": {"authorization_code"}, "code": {v}, "redirect_uri": {callback}, "code_verifier": {strings.Repeat("x", 50)}}, "Authorization", basic("wiki", wikiSecret))
			return strings.Contains(body, "code_verifier does not fit")
		},
		func(v string) bool {
			status, to := ask("GET", authorizePath+"?client_id=pusher&request_uri="+url.QueryEscape(v), nil)
			return status == http.StatusSeeOther && strings.Contains(to, "/flow/")
		},
		func(v string) bool {
			status, _ := ask("GET", authorizePath+"?posted="+url.QueryEscape(v), nil)
			return v != "" && status == http.StatusSeeOther
		},
		func(v string) bool {
			r := httptest.NewRequest("GET", issuer+"/", nil)
			name := ""
			for n, value := range b.cookies {
				if value == cookie {
					name = n
				}
			}
			r.Header["Cookie"] = []string{name + "=" + v}
			err := h.db.Read(r.Context(), func(tx store.Tx) error {
				_, err := h.sessions.Current(tx, r)
				return err
			})
			if err != nil && err != session.ErrNone && !strings.Contains(err.Error(), session.ErrNone.Error()) {
				panic(err)
			}
			return err == nil
		},
		func(v string) bool {
			_, ok := h.p.readHint(context.Background(), v, "wiki")
			return ok
		},
	}
	for i, value := range issued {
		for k, does := range counts {
			if does(value) != (i == k) {
				f.Fatalf("value %d counts at place %d: %v", i, k, !(i == k))
			}
		}
	}
	for kind := range issued {
		for _, with := range []string{"", "A", "\x00", "=", " ", "%", "\xff", "..", "/", "\r\n", ";", ",", "\""} {
			f.Add(uint8(kind), uint8(kind), uint16(0), uint16(0), with)
			f.Add(uint8(kind), uint8(kind), uint16(43), uint16(43), with)
			f.Add(uint8(kind), uint8(kind+1), uint16(1000), uint16(1000), with)
			f.Add(uint8(kind), uint8(kind), uint16(10), uint16(11), with)
		}
	}
	f.Fuzz(func(t *testing.T, kind, place uint8, from, to uint16, with string) {
		whole, at := issued[int(kind)%len(issued)], int(place)%len(counts)
		a, z := min(int(from), len(whole)), min(int(to), len(whole))
		given := whole[:a] + with + whole[max(a, z):]
		if (at == 0 || at == 5) && strings.ContainsAny(given, "\r\n\x00") || !counts[at](given) {
			return // no header carries that
		}
		same := given
		switch at { // blanks around a header's value, and what stands around a cookie's (RFC 6265 §5.2), are not of it
		case 0:
			same = strings.TrimLeft(given, " ")
		case 5:
			first, _, _ := strings.Cut(given, ";")
			same = strings.Trim(first, " \t\"")
		}
		if same == issued[at] {
			return
		}
		t.Fatalf("%q counts at place %d and was never given out", given, at)
	})
}
