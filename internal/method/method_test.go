package method_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
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

// scene is one user at one method: what the conformance rows play with.
type scene struct {
	method method.Method
	who    method.Claimant // the owner, in a flow of hers
	other  method.Claimant // another user in another flow, with an authenticator of his own
	rows   []row           // what account would have kept
	ask    func(t *testing.T, who method.Claimant) (templates.Prompt, method.State, []notify.Message)
	right  func(t *testing.T, who method.Claimant, sent []notify.Message) url.Values // the answer to a challenge
	field  string
	wrong  string        // a well-formed wrong answer
	lasts  time.Duration // so long is an answer good; zero: for ever
	once   bool          // an answer is good once
}

// row is an authenticator as account keeps it.
type row struct {
	user string
	identity.Authenticator
}

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func ask(m method.Method) func(*testing.T, method.Claimant) (templates.Prompt, method.State, []notify.Message) {
	return func(t *testing.T, who method.Claimant) (templates.Prompt, method.State, []notify.Message) {
		t.Helper()
		prompt, s, sent, err := m.Challenge(t.Context(), who)
		if err != nil {
			t.Fatal(err)
		}
		return prompt, s, sent
	}
}

func field(name, value string) url.Values { return url.Values{name: {value}} }

func claimant(user, flow string, use identity.Use, held ...identity.Authenticator) method.Claimant {
	return method.Claimant{Tenant: "The Avengers", Issuer: "https://id.example/avengers", User: directory.User{ID: directory.UserID("id-" + user), Login: user},
		Authenticators: held, For: use, Flow: flow, Lang: "en", Now: noon, Letter: templates.Letter{Tenant: "The Avengers", Login: user}}
}

// scenes has one row for each method there is.
func scenes() map[string]func() scene {
	return map[string]func() scene{
		"password": func() scene {
			m := method.Password{Directory: verifier(func(_ context.Context, u directory.User, password string) (directory.Verdict, error) {
				if u.ID == "id-ironman" && password == "jarvis" || u.ID == "id-hulk" && password == "smash!" {
					return directory.Right, nil
				}
				return directory.Wrong, nil
			})}
			return scene{method: m, who: claimant("ironman", "flow-1", identity.SignIn), other: claimant("hulk", "flow-2", identity.SignIn),
				ask: ask(m), field: "password", wrong: "pepper",
				right: func(*testing.T, method.Claimant, []notify.Message) url.Values { return field("password", "jarvis") }}
		},
		"totp": func() scene {
			m := method.TOTP{}
			hers := identity.Authenticator{ID: "app-1", Kind: identity.TOTP, Label: "Authenticator app", Data: []byte("12345678901234567890")}
			his := identity.Authenticator{ID: "app-2", Kind: identity.TOTP, Label: "Authenticator app", Data: []byte("09876543210987654321")}
			return scene{method: m, who: claimant("ironman", "flow-1", identity.SignIn, hers), other: claimant("hulk", "flow-2", identity.SignIn, his),
				rows: []row{{"id-ironman", hers}, {"id-hulk", his}}, ask: ask(m), field: "code", wrong: "000000", lasts: 60 * time.Second, once: true,
				right: func(t *testing.T, who method.Claimant, _ []notify.Message) url.Values {
					return field("code", appCode(t, hers.Data, who.Now))
				}}
		},
		"email": func() scene {
			m := method.Email{MAC: secret.NewRing().MAC("email/avengers")}
			hers := identity.Authenticator{ID: "mail-1", Kind: identity.Email, Label: "i•••@stark.example", Data: []byte("ironman@stark.example")}
			his := identity.Authenticator{ID: "mail-2", Kind: identity.Email, Label: "h•••@lab.example", Data: []byte("hulk@lab.example")}
			s := scene{method: m, who: claimant("ironman", "flow-1", identity.Reset, hers), other: claimant("hulk", "flow-2", identity.Reset, his),
				rows: []row{{"id-ironman", hers}, {"id-hulk", his}}, ask: ask(m), field: "code", lasts: 5 * time.Minute, once: true,
				right: func(t *testing.T, _ method.Claimant, sent []notify.Message) url.Values {
					return field("code", mailedCode(t, sent))
				}}
			s.who.Address, s.other.Address, s.wrong = "ironman@stark.example", "hulk@lab.example", ""
			return s
		},
	}
}

// keep writes the scene's rows as account would.
func keep(t *testing.T, h *store.Handle, rows []row) {
	t.Helper()
	err := h.Write(t.Context(), func(tx store.Tx) error {
		for _, r := range rows {
			if _, err := tx.Exec(`INSERT INTO authenticator (tenant, id, user_id, kind, label, data, bound_at, step) VALUES ($1, $2, $3, $4, $5, $6, 1, $7)`,
				r.ID, r.user, string(r.Kind), r.Label, []byte("sealed"), r.Step); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// remembers reports whether the method keeps a state between asking and checking.
func (s scene) remembers(t *testing.T) bool {
	_, state, _ := s.ask(t, s.who)
	return state != nil
}

// rejected demands a rejection that has words.
func rejected(t *testing.T, what string, err error) {
	t.Helper()
	var why *method.Rejection
	if !errors.Is(err, method.ErrRejected) || !errors.As(err, &why) || !strings.HasPrefix(why.Key, "problem.") {
		t.Errorf("%s: %v, want a rejection", what, err)
	}
}

// TestEveryMethod runs the rows that hold for each method.
func TestEveryMethod(t *testing.T) {
	words, err := templates.New()
	if err != nil {
		t.Fatal(err)
	}
	for name, build := range scenes() {
		t.Run(name, func(t *testing.T) {
			t.Run("takes the right answer and names what was proven", func(t *testing.T) {
				s := build()
				_, state, sent := s.ask(t, s.who)
				r, err := s.method.Verify(t.Context(), s.who, state, s.right(t, s.who, sent))
				if err != nil {
					t.Fatal(err)
				}
				if r.Spend == nil {
					t.Error("there is nothing to spend with")
				}
				if want := (len(s.rows) > 0); (r.Authenticator != "") != want || want && r.Authenticator != s.rows[0].ID {
					t.Errorf("proven is %q", r.Authenticator)
				}
			})
			t.Run("A02 rejects wrong, empty, missing, doubled and garbage answers", func(t *testing.T) {
				s := build()
				_, state, sent := s.ask(t, s.who)
				right := s.right(t, s.who, sent)
				good := right.Get(s.field)
				if s.wrong == "" {
					s.wrong = other(good)
				}
				bad := map[string]url.Values{
					"wrong": field(s.field, s.wrong), "nil": nil, "empty": field(s.field, ""), "no value": {s.field: nil}, "space": field(s.field, " "),
					"another field": field("answer", good), "the array form": field(s.field+"[]", good), "upper case": field(strings.ToUpper(s.field), good),
					"twice": {s.field: {good, good}}, "right then wrong": {s.field: {good, s.wrong}}, "longer": field(s.field, good+"0"), "shorter": field(s.field, good[:len(good)-1]),
					"NUL": field(s.field, good+"\x00"), "line break and more": field(s.field, good+"\r\n"+"x"), "negative": field(s.field, "-"+good+"."), "hex": field(s.field, "0x"+good),
					"not UTF-8": field(s.field, good+"\xff"), "huge": field(s.field, strings.Repeat("9", 1<<16)), "JSON": field(s.field, `["`+good+`"]`), "null": field(s.field, "null"), "true": field(s.field, "true"),
				}
				for what, answer := range bad {
					r, err := s.method.Verify(t.Context(), s.who, state, answer)
					rejected(t, what, err)
					if r.Spend != nil || r.Authenticator != "" {
						t.Errorf("%s: a rejected answer gives %+v", what, r)
					}
					var why *method.Rejection
					if errors.As(err, &why) && !words.Has(why.Key) {
						t.Errorf("%s: there are no words for %s", what, why.Key)
					}
				}
				if _, err := s.method.Verify(t.Context(), s.who, state, right); err != nil {
					t.Errorf("the right answer after all these: %v", err)
				}
			})
			if s := build(); s.remembers(t) {
				t.Run("A08 rejects every answer to a state that is missing, cut or somebody's own making", func(t *testing.T) {
					s := build()
					_, state, sent := s.ask(t, s.who)
					right := s.right(t, s.who, sent)
					for i := range len(state) {
						if _, err := s.method.Verify(t.Context(), s.who, state[:i], right); !errors.Is(err, method.ErrRejected) {
							t.Fatalf("cut at %d: %v", i, err)
						}
					}
					for _, forged := range []method.State{nil, method.State("null"), method.State("{}"), method.State(`[]`), method.State(`{"to":"mail-1","sum":""}`),
						method.State(`{"id":"","to":"mail-1","until":"2099-01-01T00:00:00Z"}`), method.State(`{"id":"x","sum":"AAAA","to":"mail-1","until":"2099-01-01T00:00:00Z"}`)} {
						_, err := s.method.Verify(t.Context(), s.who, forged, right)
						rejected(t, string(forged), err)
					}
				})
			}
			if build().lasts > 0 {
				t.Run("A46 an answer is good until its second and not one longer", func(t *testing.T) {
					s := build()
					_, state, sent := s.ask(t, s.who)
					right := s.right(t, s.who, sent)
					for off, good := range map[time.Duration]bool{-time.Second: true, 0: false, time.Second: false, time.Minute: false, 24 * time.Hour: false} {
						late := s.who
						late.Now = noon.Add(s.lasts + off)
						if _, err := s.method.Verify(t.Context(), late, state, right); (err == nil) != good {
							t.Errorf("%v from its end: %v, want good %v", off, err, good)
						} else if !good {
							rejected(t, "expired", err)
						}
					}
					for _, jump := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
						set := s.who
						set.Now = noon.Add(jump)
						_, err := s.method.Verify(t.Context(), set, state, right)
						rejected(t, fmt.Sprint("the clock set by ", jump), err)
					}
				})
			}
			t.Run("A30 one user's answer opens nothing of another's", func(t *testing.T) {
				s := build()
				_, hers, sent := s.ask(t, s.who)
				_, his, _ := s.ask(t, s.other)
				right := s.right(t, s.who, sent)
				mixed := s.other
				mixed.Flow = s.who.Flow
				for what, x := range map[string]struct {
					who   method.Claimant
					state method.State
				}{"his flow, her state": {s.other, hers}, "his flow, his state": {s.other, his}, "her flow taken over": {mixed, hers}} {
					_, err := s.method.Verify(t.Context(), x.who, x.state, right)
					rejected(t, what, err)
				}
			})
			t.Run("RS-13 a decoy is asked alike and never verifies", func(t *testing.T) {
				s := build()
				decoy := s.who
				decoy.User, decoy.Authenticators = directory.User{}, nil
				prompt, state, sent := s.ask(t, s.who)
				fake, fakeState, none := s.ask(t, decoy)
				if !reflect.DeepEqual(prompt, fake) {
					t.Errorf("a user is asked %+v and a decoy %+v", prompt, fake)
				}
				if len(none) != 0 {
					t.Errorf("for a decoy, %d messages are sent", len(none))
				}
				if (state == nil) != (fakeState == nil) {
					t.Error("only one of them has a state")
				}
				right := s.right(t, s.who, sent)
				for _, x := range []method.State{fakeState, state} {
					_, err := s.method.Verify(t.Context(), decoy, x, right)
					rejected(t, "a decoy", err)
				}
				nameless := s.who // authenticators that got there by mistake count for nothing without a user
				nameless.User = directory.User{}
				_, err := s.method.Verify(t.Context(), nameless, state, right)
				rejected(t, "nobody with authenticators", err)
			})
			if len(build().rows) > 0 {
				t.Run("a suspended authenticator proves nothing", func(t *testing.T) {
					s := build()
					_, state, sent := s.ask(t, s.who)
					right := s.right(t, s.who, sent)
					s.who.Authenticators = append([]identity.Authenticator(nil), s.who.Authenticators...)
					s.who.Authenticators[0].Suspended = true
					_, err := s.method.Verify(t.Context(), s.who, state, right)
					rejected(t, "suspended", err)
					if _, _, sent := s.ask(t, s.who); len(sent) != 0 {
						t.Error("something was sent to a suspended authenticator")
					}
					s.who.Authenticators[0].Suspended, s.who.Authenticators[0].Kind = false, "phone"
					_, err = s.method.Verify(t.Context(), s.who, state, right)
					rejected(t, "another kind", err)
				})
			}
			t.Run("A21 serves the purposes of its traits and no other", func(t *testing.T) {
				s := build()
				_, state, sent := s.ask(t, s.who)
				right := s.right(t, s.who, sent)
				for _, use := range []identity.Use{identity.SignIn, identity.Reset, identity.Manage, "", "register"} {
					who := s.who
					who.For = use
					_, _, _, err := s.method.Challenge(t.Context(), who)
					if good := s.method.Traits().For(use); (err == nil) != good {
						t.Errorf("asked for %q: %v, want possible %v", use, err, good)
					} else if !good {
						if _, err := s.method.Verify(t.Context(), who, state, right); err == nil || errors.Is(err, method.ErrRejected) {
							t.Errorf("checked for %q: %v, want a fault", use, err)
						}
					}
				}
			})
			t.Run("a method's answer is spent exactly once", func(t *testing.T) {
				storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { spendOnce(t, db, clock, build()) })
			})
		})
	}
}

func TestStatesAndRejectionsPrintNoSecret(t *testing.T) {
	s := method.State(`{"seed":"c2VjcmV0"}`)
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "state", s, "in", struct{ S method.State }{s}.S)
	for _, printed := range []string{fmt.Sprint(s), fmt.Sprintf("%v %s %+v %#v", s, s, s, s), b.String()} {
		if strings.Contains(printed, "seed") || strings.Contains(printed, "c2Vj") {
			t.Errorf("printed: %s", printed)
		}
	}
}

// other is a different code of the same form.
func other(code string) string {
	if code == "" {
		return "000000"
	}
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}
