package method_test

import (
	"bytes"
	"net/url"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/method"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/templates"
)

func TestEN03_AnAddressIsBoundByTheCodeSentToIt(t *testing.T) {
	m := method.Email{MAC: secret.NewRing().MAC("email/avengers")}
	who := claimant("ironman", "flow-1", identity.SignIn)
	prompt, start, sent, err := m.Offer(t.Context(), who, nil)
	if err != nil || prompt.Shape != templates.AskAddress || len(sent) != 0 {
		t.Fatalf("%+v, %d messages, %v", prompt, len(sent), err)
	}
	step := func(who method.Claimant, s method.State, answer url.Values) method.Bound {
		t.Helper()
		b, err := m.Bind(t.Context(), who, s, answer)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	t.Run("A11 what is no plain address is refused before anything is sent", func(t *testing.T) {
		for what, typed := range hostile {
			if legal[what] || what == "encoded word" {
				continue
			}
			b, err := m.Bind(t.Context(), who, start, field("email", typed))
			rejected(t, what, err)
			if len(b.Messages) != 0 {
				t.Errorf("%s: sent to %q", what, b.Messages[0].To)
			}
		}
		for what, answer := range map[string]url.Values{"two values": {"email": {"a@b.example", "c@d.example"}}, "array form": field("email[]", "a@b.example"), "nil": nil} {
			_, err := m.Bind(t.Context(), who, start, answer)
			rejected(t, what, err)
		}
	})
	asked := step(who, start, field("email", "Tony@Stark.Example"))
	if asked.Done || asked.Prompt.Shape != templates.AskCode || asked.Prompt.Hint != "Tony@stark.example" || asked.Messages[0].To != "Tony@stark.example" {
		t.Fatalf("%+v", asked)
	}
	if c := asked.Messages[0].Mail.(templates.CodeMail); c.Purpose != "register" {
		t.Errorf("the mail is for %q", c.Purpose)
	}
	code := mailedCode(t, asked.Messages)
	if bytes.Contains(asked.State, []byte(code)) {
		t.Error("the code stands in the state")
	}
	t.Run("A02 a wrong, empty, late or foreign code binds nothing", func(t *testing.T) {
		late, elsewhere, someone := who, who, who
		late.Now, elsewhere.Flow, someone.User.ID = noon.Add(5*time.Minute), "flow-2", "id-hulk"
		for what, x := range map[string]struct {
			who    method.Claimant
			answer url.Values
		}{"wrong": {who, field("code", other(code))}, "empty": {who, field("code", "")}, "nil": {who, nil}, "twice": {who, url.Values{"code": {code, code}}},
			"at its end": {late, field("code", code)}, "another flow": {elsewhere, field("code", code)}, "another user": {someone, field("code", code)}} {
			b, err := m.Bind(t.Context(), x.who, asked.State, x.answer)
			rejected(t, what, err)
			if b.Done {
				t.Errorf("%s: bound %+v", what, b.Authenticator)
			}
		}
		forged := bytes.Replace(asked.State, []byte("Tony@stark.example"), []byte("evil@evil.example"), 1)
		_, err := m.Bind(t.Context(), who, forged, field("code", code))
		rejected(t, "A31 another address in the state", err)
		inReset := who
		inReset.For = identity.Reset
		inReset.Authenticators = []identity.Authenticator{{ID: "mail-1", Kind: identity.Email, Data: []byte("Tony@stark.example")}}
		_, err = m.Verify(t.Context(), inReset, asked.State, field("code", code))
		rejected(t, "a code for binding, used as a proof", err)
	})
	t.Run("another code makes the first one void and binds the same authenticator", func(t *testing.T) {
		again := step(who, asked.State, field("resend", "1"))
		if again.Done || again.Messages[0].To != "Tony@stark.example" || string(again.State) == string(asked.State) {
			t.Fatalf("%+v", again)
		}
		if fresh := mailedCode(t, again.Messages); fresh != code {
			_, err := m.Bind(t.Context(), who, again.State, field("code", code))
			rejected(t, "the first code", err)
		}
		_, offered, sent, err := m.Offer(t.Context(), who, asked.State)
		if err != nil {
			t.Fatal(err)
		}
		one, two := step(who, again.State, field("code", mailedCode(t, again.Messages))), step(who, offered, field("code", mailedCode(t, sent)))
		if !one.Done || !two.Done || one.Authenticator.ID != two.Authenticator.ID {
			t.Error("two codes of one binding make two authenticators, so both could be kept")
		}
	})
	bound := step(who, asked.State, url.Values{"code": {code}, "email": {"evil@evil.example"}})
	a := bound.Authenticator
	if !bound.Done || a.Kind != identity.Email || m.Address(a) != "Tony@stark.example" || a.Label != "T•••@stark.example" || len(a.ID) != 26 {
		t.Fatalf("bound is %+v", a)
	}
	if string(bound.State) != "" {
		t.Errorf("a state is left: %s", bound.State)
	}
	t.Run("an address she has already is refused", func(t *testing.T) {
		has := who
		has.Authenticators = []identity.Authenticator{a}
		for _, typed := range []string{"Tony@stark.example", "tony@STARK.example"} {
			_, err := m.Bind(t.Context(), has, start, field("email", typed))
			rejected(t, typed, err)
		}
		_, err := m.Bind(t.Context(), has, asked.State, field("code", code))
		rejected(t, "bound meanwhile", err)
	})
	t.Run("five addresses are as many as there can be", func(t *testing.T) {
		full := who
		for range method.Most {
			full.Authenticators = append(full.Authenticators, identity.Authenticator{ID: "x", Kind: identity.Email, Data: []byte("x@y.example")})
		}
		_, _, _, err := m.Offer(t.Context(), full, nil)
		rejected(t, "a sixth is offered", err)
		_, err = m.Bind(t.Context(), full, asked.State, field("code", code))
		rejected(t, "a sixth is bound", err)
	})
	t.Run("nobody binds nothing", func(t *testing.T) {
		for _, w := range []method.Claimant{claimant("", "flow-1", identity.SignIn), {User: directory.User{ID: "x"}}, {Flow: "f"}} {
			if w.User.ID == "id-" {
				w.User.ID = ""
			}
			if b, err := m.Bind(t.Context(), w, start, field("email", "a@b.example")); err == nil || len(b.Messages) != 0 {
				t.Errorf("%+v: %+v", w, b)
			}
		}
	})
}
