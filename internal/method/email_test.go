package method_test

import (
	"bytes"
	"errors"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/notify"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
	"github.com/sparekey-id/sparekey/templates"
)

// mailedCode reads the code out of the one message that was sent.
func mailedCode(t testing.TB, sent []notify.Message) string {
	t.Helper()
	if len(sent) != 1 {
		t.Fatalf("%d messages were sent, want 1", len(sent))
	}
	m, ok := sent[0].Mail.(templates.CodeMail)
	if !ok {
		t.Fatalf("sent was a %T", sent[0].Mail)
	}
	return m.Code
}

// reset is the scene of a reset by e-mail.
func reset(t *testing.T) (method.Email, scene) {
	t.Helper()
	s := scenes()["email"]()
	return s.method.(method.Email), s
}

func TestRS06_AMailedCodeIsSixRandomDigitsKeptAsAKeyedSum(t *testing.T) {
	_, s := reset(t)
	seen, first := map[string]int{}, [10]int{}
	for range 2000 {
		prompt, state, sent := s.ask(t, s.who)
		code := mailedCode(t, sent)
		if !regexp.MustCompile(`^[0-9]{6}$`).MatchString(code) {
			t.Fatalf("the code is %q", code)
		}
		if seen[code]++; seen[code] > 3 {
			t.Fatalf("%s was drawn four times in 2,000", code)
		}
		first[code[0]-'0']++
		if bytes.Contains(state, []byte(code)) || strings.Contains(prompt.Hint, code) {
			t.Fatal("the code stands in the state or on the page")
		}
		if bytes.Contains(state, []byte("stark.example")) {
			t.Fatal("the address stands in the state")
		}
	}
	for d, n := range first { // 200 each expected, deviation 13
		if n < 120 || n > 290 {
			t.Errorf("%d codes of 2,000 begin with %d", n, d)
		}
	}
	t.Run("nobody without the key can try codes against the state", func(t *testing.T) {
		_, state, sent := s.ask(t, s.who)
		stranger := method.Email{MAC: secret.NewRing().MAC("email/avengers")}
		_, err := stranger.Verify(t.Context(), s.who, state, field("code", mailedCode(t, sent)))
		rejected(t, "another key", err)
	})
	t.Run("A10 another tenant's key is another key", func(t *testing.T) {
		ring := secret.NewRing()
		here, there := method.Email{MAC: ring.MAC("email/avengers")}, method.Email{MAC: ring.MAC("email/wakanda")}
		_, state, sent, err := here.Challenge(t.Context(), s.who)
		if err != nil {
			t.Fatal(err)
		}
		_, err = there.Verify(t.Context(), s.who, state, field("code", mailedCode(t, sent)))
		rejected(t, "another tenant", err)
	})
}

func TestAMailedCodeSaysWhatItIsFor(t *testing.T) {
	m, s := reset(t)
	// In a reset the hint is what was typed, and otherwise as much of the address as tells whose it is.
	for use, hint := range map[identity.Use]string{identity.Reset: "ironman@stark.example", identity.Manage: "i•••@stark.example"} {
		who := s.who
		who.For = use
		prompt, _, sent := s.ask(t, who)
		got := sent[0]
		if got.User != "id-ironman" || got.To != "ironman@stark.example" || got.Lang != "en" || !got.Until.Equal(noon.Add(5*time.Minute)) {
			t.Errorf("%s: sent %+v", use, got)
		}
		if c := got.Mail.(templates.CodeMail); c.Purpose != string(use) || c.Minutes != 5 || c.Tenant != "The Avengers" || c.Login != "ironman" {
			t.Errorf("%s: the mail is %+v", use, c)
		}
		if prompt.Shape != templates.AskCode || prompt.Hint != hint || !prompt.Resend.Equal(noon.Add(10*time.Second)) {
			t.Errorf("%s: asked is %+v", use, prompt)
		}
	}
	if m.Traits().For(identity.SignIn) || m.Traits().AMR != nil {
		t.Error("EN-13 e-mail is no factor of a sign-in")
	}
}

func TestRS01_AResetAsksForTheAddressBeforeAnythingIsSent(t *testing.T) {
	_, s := reset(t)
	s.who.Address = ""
	prompt, state, sent := s.ask(t, s.who)
	if prompt.Shape != templates.AskAddress || prompt.Hint != "" || state != nil || len(sent) != 0 {
		t.Fatalf("asked is %+v, state %s, %d messages", prompt, state, len(sent))
	}
	t.Run("and what is typed sends to the stored address or to nobody, with one face", func(t *testing.T) {
		for what, typed := range map[string]string{"right": "ironman@stark.example", "other case": "IronMan@Stark.Example", "spaces": " ironman@stark.example ", "another's": "hulk@lab.example", "of no one": "nobody@nowhere.example"} {
			who, decoy := s.who, s.who
			who.Address, decoy.Address, decoy.User, decoy.Authenticators = typed, typed, directory.User{}, nil
			prompt, state, sent := s.ask(t, who)
			fake, fakeState, none := s.ask(t, decoy)
			if !reflect.DeepEqual(prompt, fake) || len(none) != 0 {
				t.Errorf("%s: a user is asked %+v, a decoy %+v with %d messages", what, prompt, fake, len(none))
			}
			if n := len(state) - len(fakeState); n < 0 || n > len(`"to":"mail-1",`) { // sealed by the flow; no more than the id apart
				t.Errorf("%s: the states differ by %d bytes", what, n)
			}
			want := what == "right" || what == "other case" || what == "spaces"
			if (len(sent) == 1) != want {
				t.Errorf("%s: %d messages, want sent %v", what, len(sent), want)
			}
			for _, m := range sent {
				if m.To != "ironman@stark.example" {
					t.Errorf("%s: sent to %q", what, m.To)
				}
			}
			if !want {
				for _, code := range []string{"000000", "123456", "999999"} {
					_, err := s.method.Verify(t.Context(), who, state, field("code", code))
					rejected(t, what, err)
				}
			}
		}
	})
	t.Run("with several addresses, the typed one is written to", func(t *testing.T) {
		who := s.who
		who.Authenticators = append(slices.Clone(who.Authenticators), identity.Authenticator{ID: "mail-9", Kind: identity.Email, Label: "i•••@stark.example", Data: []byte("iris@stark.example")})
		who.Address = "iris@stark.example"
		_, state, sent := s.ask(t, who)
		r, err := s.method.Verify(t.Context(), who, state, field("code", mailedCode(t, sent)))
		if err != nil || sent[0].To != "iris@stark.example" || r.Authenticator != "mail-9" {
			t.Errorf("sent to %q, proven %q, %v", sent[0].To, r.Authenticator, err)
		}
	})
}

func TestA11_TheRecipientIsAlwaysTheStoredAddress(t *testing.T) {
	_, s := reset(t)
	for what, typed := range hostile {
		who := s.who
		who.Address = typed
		prompt, _, sent := s.ask(t, who)
		if typed == "" {
			continue // asked for the address
		}
		if prompt.Shape != templates.AskCode {
			t.Errorf("%s: asked is %+v", what, prompt)
		}
		if len(sent) != 0 {
			t.Errorf("%s: %q sent a code to %q", what, typed, sent[0].To)
		}
	}
	t.Run("a stored value that is no plain address gets nothing", func(t *testing.T) {
		for what, stored := range hostile {
			if legal[what] || what == "encoded word" {
				continue
			}
			who := s.who
			who.For, who.Authenticators = identity.Manage, []identity.Authenticator{{ID: "mail-1", Kind: identity.Email, Data: []byte(stored)}}
			if _, _, sent := s.ask(t, who); len(sent) != 0 {
				t.Errorf("%s: sent to %q", what, sent[0].To)
			}
		}
	})
	t.Run("an address that is posted beside the code changes nothing", func(t *testing.T) {
		_, state, sent := s.ask(t, s.who)
		r, err := s.method.Verify(t.Context(), s.who, state, url.Values{"code": {mailedCode(t, sent)}, "email": {"evil@evil.example"}, "email[]": {"evil@evil.example"}, "to": {"mail-2"}})
		if err != nil || r.Authenticator != "mail-1" {
			t.Errorf("%q, %v", r.Authenticator, err)
		}
	})
}

func TestA14_AMailedCodeDiesWithItsRequest(t *testing.T) {
	_, s := reset(t)
	_, first, sent := s.ask(t, s.who)
	_, second, sentAgain := s.ask(t, s.who)
	old, fresh := field("code", mailedCode(t, sent)), field("code", mailedCode(t, sentAgain))
	for old.Get("code") == fresh.Get("code") { // one in a million
		_, second, sentAgain = s.ask(t, s.who)
		fresh = field("code", mailedCode(t, sentAgain))
	}
	if _, err := s.method.Verify(t.Context(), s.who, second, fresh); err != nil {
		t.Fatal(err)
	}
	_, err := s.method.Verify(t.Context(), s.who, second, old)
	rejected(t, "the first code after a second request", err)
	for what, change := range map[string]func(*method.Claimant){
		"another flow":          func(w *method.Claimant) { w.Flow = "flow-9" },
		"another purpose":       func(w *method.Claimant) { w.For = identity.Manage },
		"another user":          func(w *method.Claimant) { w.User.ID = "id-hulk" },
		"no authenticator":      func(w *method.Claimant) { w.Authenticators = nil },
		"another authenticator": func(w *method.Claimant) { w.Authenticators = s.other.Authenticators },
	} {
		who := s.who
		change(&who)
		_, err := s.method.Verify(t.Context(), who, first, old)
		rejected(t, what, err)
	}
	t.Run("A13 a state with another id for the code, to spend it once more, proves nothing", func(t *testing.T) {
		forged := regexp.MustCompile(`"id":"[a-z2-7]+"`).ReplaceAll(first, []byte(`"id":"`+secret.ID()+`"`))
		if bytes.Equal(forged, first) {
			t.Fatal("the code has no id")
		}
		_, err := s.method.Verify(t.Context(), s.who, forged, old)
		rejected(t, "another id", err)
	})
	t.Run("without its end in the state it is too old", func(t *testing.T) {
		cut := regexp.MustCompile(`"until":"[^"]*",?`).ReplaceAll(first, nil)
		cut = bytes.Replace(cut, []byte(",}"), []byte("}"), 1)
		if bytes.Equal(cut, first) {
			t.Fatal("the state has no end")
		}
		_, err := s.method.Verify(t.Context(), s.who, cut, old)
		var why *method.Rejection
		if !errors.As(err, &why) || why.Key != "problem.expired_code" {
			t.Error(err)
		}
	})
}

func TestA31_ACodeProvesOnlyTheAddressItWasSentTo(t *testing.T) {
	_, s := reset(t)
	_, state, sent := s.ask(t, s.who)
	code := field("code", mailedCode(t, sent))
	for what, now := range map[string][]identity.Authenticator{
		"the address changed under the same id":        {{ID: "mail-1", Kind: identity.Email, Data: []byte("evil@evil.example")}},
		"the address changed by one letter":            {{ID: "mail-1", Kind: identity.Email, Data: []byte("ironmen@stark.example")}},
		"the address changed to no address":            {{ID: "mail-1", Kind: identity.Email, Data: nil}},
		"the same address, bound anew":                 {{ID: "mail-7", Kind: identity.Email, Data: []byte("ironman@stark.example")}},
		"an app with the same id":                      {{ID: "mail-1", Kind: identity.TOTP, Data: []byte("ironman@stark.example")}},
		"an authenticator without an id":               {{Kind: identity.Email, Data: []byte("ironman@stark.example")}},
		"another address added, the first one deleted": {{ID: "mail-8", Kind: identity.Email, Data: []byte("evil@evil.example")}},
	} {
		who := s.who
		who.Authenticators = now
		_, err := s.method.Verify(t.Context(), who, state, code)
		rejected(t, what, err)
	}
	if _, err := s.method.Verify(t.Context(), s.who, state, code); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
}

func TestTheDirectorysOwnAddressCanBeAnAuthenticator(t *testing.T) {
	m, s := reset(t)
	user := directory.User{ID: "id-ironman", Login: "ironman", Email: "Tony@Stark.Example"}
	a, ok := m.FromDirectory(user)
	if !ok || a.ID != method.FromDirectory || m.Address(a) != "Tony@stark.example" || a.Label != "T•••@stark.example" {
		t.Fatalf("%+v, %v", a, ok)
	}
	for _, u := range []directory.User{{}, {ID: "x"}, {ID: "x", Email: "a@b.example, c@d.example"}, {Email: "a@b.example"}} {
		if a, ok := m.FromDirectory(u); ok {
			t.Errorf("%+v gives %+v", u, a)
		}
	}
	if m.Address(identity.Authenticator{Kind: identity.TOTP, Data: []byte("seed")}) != "" {
		t.Error("an app has an address")
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		who := s.who
		who.User, who.Authenticators, who.Address = user, []identity.Authenticator{a}, "tony@stark.example"
		_, state, sent := s.ask(t, who)
		r, err := m.Verify(t.Context(), who, state, field("code", mailedCode(t, sent)))
		if err != nil || r.Authenticator != method.FromDirectory {
			t.Fatal(r.Authenticator, err)
		}
		h := db.Tenant("avengers")
		if err := h.Write(t.Context(), r.Spend); err != nil {
			t.Errorf("it has no row, and cannot be spent: %v", err)
		}
		if err := h.Write(t.Context(), r.Spend); !errors.Is(err, store.ErrChanged) {
			t.Errorf("spent twice: %v", err)
		}
	})
}
