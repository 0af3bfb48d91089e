package audit

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
)

func TestLG01_NothingThatOpensAnythingIsEverWrittenOrLogged(t *testing.T) {
	token := secret.Token()
	bad := map[string]Event{
		"a code under a key of its own":     {Detail: map[string]string{"code": "482913"}},
		"a password under a key of its own": {Detail: map[string]string{"password": "correct horse"}},
		"a code as a reason":                {Detail: map[string]string{"reason": "482913"}},
		"a code as a count":                 {Detail: map[string]string{"count": "482913"}},
		"a code as a label":                 {Detail: map[string]string{"label": "482913"}},
		"a code among words":                {Detail: map[string]string{"label": "it was 482913 today"}},
		"a bearer value as an id":           {Detail: map[string]string{"session": token}},
		"a bearer value as a label":         {Detail: map[string]string{"agent": "x " + token}},
		"a seed as a label":                 {Detail: map[string]string{"label": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}},
		"a link":                            {Detail: map[string]string{"label": "https://login.example.com/not-me/abc"}},
		"a seed's address":                  {Detail: map[string]string{"label": "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP"}},
		"a password as a purpose":           {Detail: map[string]string{"purpose": "Correct horse!"}},
	}
	each(t, func(t *testing.T, r *room) {
		for name, e := range bad {
			t.Run(name, func(t *testing.T) {
				e.Name, e.User = ProofWrong, "u-1"
				r.log.Reset()
				r.record(e)
				var out bytes.Buffer
				if err := r.Export(t.Context(), &out, "jsonl"); err != nil {
					t.Fatal(err)
				}
				for key, value := range e.Detail {
					if strings.Contains(out.String()+r.log.String(), value) {
						t.Errorf("%q was kept", value)
					}
					last := r.entries()
					if got := last[len(last)-1].Detail; len(got) != 1 || got["dropped"] != key {
						t.Errorf("detail %v, want only that %s was dropped", got, key)
					}
					if !strings.Contains(r.log.String(), "left out") {
						t.Error("the log does not tell that a detail was left out")
					}
				}
			})
		}
	})
}

func TestDetailsThatServeAreKept(t *testing.T) {
	good := map[string]string{
		"kind": "totp", "kinds": "totp,email", "reason": "no_methods", "purpose": "reset", "authenticator": secret.ID(), "session": secret.ID(),
		"reference": "K7H2-M9QQ", "count": "12", "until": "2026-06-01T12:00:00Z", "wait": "1m30s", "label": "i•••@stark.example",
		"agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "group": "Domain Users",
	}
	kept, dropped := allowed(good)
	if len(dropped) != 0 || len(kept) != len(good) {
		t.Errorf("dropped %v, kept %v", dropped, kept)
	}
	if kept, dropped := allowed(map[string]string{"label": "  ", "reason": ""}); len(kept)+len(dropped) != 0 {
		t.Errorf("empty details: kept %v, dropped %v", kept, dropped)
	}
}

func TestAnEventWithoutADottedNameIsRefused(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		for _, name := range []string{"", "Sign in", "sign_in.", ".ok", "sign_in.ok\n", "a.b.c.d.e", "user@example.com"} {
			err := r.Journal.db.Write(t.Context(), func(tx store.Tx) error { return r.Record(tx, Event{Name: name}) })
			if err == nil {
				t.Errorf("%q was taken for the name of an event", name)
			}
		}
		if n := len(r.entries()); n != 0 {
			t.Errorf("%d entries", n)
		}
	})
}

func TestHostileTextsFitOneLineAndNeverStopADeed(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		hostile := "a\x00b\r\nc\xffd\u2028" + strings.Repeat("ü", 400)
		r.record(Event{Name: SignInRefused, Actor: hostile, Flow: hostile, Client: hostile, Network: hostile, Detail: map[string]string{"agent": hostile, hostile: hostile}})
		e := r.entries()[0]
		for _, s := range []string{e.Actor, e.Flow, e.Client, e.Network, e.Detail["dropped"]} {
			if strings.ContainsAny(s, "\x00\r\n\u2028") || len(s) > 128 || !strings.HasPrefix(strings.TrimPrefix(s, "agent,"), "a b  c�d ") && s != e.Detail["dropped"] {
				t.Errorf("kept %q", s)
			}
		}
		r.link()
		if v, err := r.Verify(t.Context()); err != nil || !v.OK() {
			t.Errorf("verdict %+v, %v", v, err)
		}
	})
}
