package templates

import (
	"html/template"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// today is the day all samples are rendered on.
var today = time.Date(2027, 1, 12, 14, 5, 30, 0, time.UTC)

// sample is one page or mail as an end-user may meet it. Its name is that of its golden file.
type sample struct {
	name string
	page Page
}

func frame(edit ...func(*Frame)) Frame {
	f := Frame{
		Tenant: "The Avengers", Accent: "#8a1c24", Help: "https://help.example.com", Lang: "en", Base: "/avengers",
		Nonce: "bm9uY2U", CSRF: "csrf-value", Action: "/avengers/flow/k3jx", Who: "ironman",
	}
	for _, e := range edit {
		e(&f)
	}
	return f
}

func nobody(f *Frame) { f.Who = "" }

// endless is a name of 300 letters without a place to break it.
var endless = strings.Repeat("Wolfeschlegelsteinhausenbergerdorff", 9)[:300]

func long(f *Frame) { f.Tenant, f.Who = endless, endless }

func step(at, of int) func(*Frame) { return func(f *Frame) { f.At, f.Of = at, of } }

func wrong(field, key string, args ...any) func(*Frame) {
	return func(f *Frame) { f.Problem = Problem{Field: field, Key: key, Args: args} }
}

func notice(key string) func(*Frame) { return func(f *Frame) { f.Notice = key } }

var (
	appRow  = MethodRow{ID: "m1", Kind: "totp", Label: "Authenticator app", Added: today.AddDate(0, -9, -20), Used: today.Add(-3 * time.Hour), Default: true}
	mailRow = MethodRow{ID: "m2", Kind: "email", Label: "t•••@stark.example", Added: today.AddDate(0, 0, -1), ResetOnly: true}
	newApp  = MethodRow{ID: "m1", Kind: "totp", Label: "Authenticator app", Added: today.Add(-5 * time.Second), Default: true}

	puzzle = &Captcha{Kind: "proof_of_work", ID: "ticket", Salt: "c2FsdHNhbHRzYWx0c2FsdA", Bits: 16, Wait: 15}

	ways = []Choice{{"m1", "totp", ""}, {"m2", "email", "t•••@stark.example"}}

	rules = []Rule{
		{Key: "rule.min_length", Args: []any{12}, Check: "min_length", Value: "12"},
		{Key: "rule.common"},
		{Key: "rule.contains", Check: "not_contain", Value: "ironman\navengers"},
	}

	qr = template.HTML(`<svg viewBox="0 0 29 29" shape-rendering="crispEdges" aria-hidden="true"><path d="M0 0h7v7H0zM1 1v5h5V1zM2 2h3v3H2zM22 0h7v7h-7zM23 1v5h5V1zM24 2h3v3h-3zM0 22h7v7H0zM1 23v5h5v-5zM2 24h3v3H2z" fill-rule="evenodd"/><path d="M9 0h2v1H9zM12 1h3v1h-3zM17 0h1v3h-1zM20 1h1v2h-1zM9 3h1v2H9zM11 3h4v1h-4zM18 4h2v1h-2zM10 6h1v1h-1zM12 6h1v1h-1zM14 6h1v1h-1zM16 6h1v1h-1zM18 6h1v1h-1zM20 6h1v1h-1zM0 9h3v1H0zM5 8h2v2H5zM8 8h4v1H8zM13 9h2v2h-2zM16 8h3v1h-3zM21 9h4v1h-4zM26 8h3v2h-3zM1 11h4v1H1zM7 11h3v2H7zM11 12h2v2h-2zM15 12h5v1h-5zM22 11h2v3h-2zM25 12h3v1h-3zM0 14h2v2H0zM4 13h2v3H4zM8 15h5v1H8zM14 15h2v3h-2zM18 14h3v2h-3zM23 16h5v1h-5zM1 18h5v1H1zM8 18h2v3H8zM11 18h3v1h-3zM17 18h4v2h-4zM22 19h2v2h-2zM26 18h2v4h-2zM0 20h3v1H0zM9 22h4v1H9zM14 21h2v4h-2zM18 22h3v1h-3zM22 23h4v2h-4zM9 24h2v4H9zM12 25h1v3h-1zM16 26h3v1h-3zM20 25h1v4h-1zM22 27h3v1h-3zM27 25h1v3h-1z"/></svg>`)

	secret = Prompt{Shape: ShowSecret, Kind: "totp", QR: qr, Key: "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP", URI: "otpauth://totp/The%20Avengers:ironman?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=The%20Avengers"}
	app    = Prompt{Shape: AskCode, Kind: "totp"}
	mailed = Prompt{Shape: AskCode, Kind: "email", Hint: "t•••@stark.example", Resend: today.Add(8 * time.Second), Expires: today.Add(5 * time.Minute)}
	typed  = Prompt{Shape: AskCode, Kind: "email", Hint: "tony@stark.example", Resend: today.Add(8 * time.Second), Expires: today.Add(5 * time.Minute)}
)

func samples() []sample {
	return []sample{
		{"sign_in_name", SignInName{Frame: frame(nobody), Client: "Mission Wiki", Reset: "/avengers/reset"}},
		{"sign_in_name.problem", SignInName{Frame: frame(nobody, wrong("username", "problem.name_missing")), Client: "Mission Wiki", Reset: "/avengers/reset"}},
		{"sign_in_password", SignInPassword{Frame: frame(), Login: "ironman", Client: "Mission Wiki", Reset: "/avengers/reset"}},
		{"sign_in_password.problem", SignInPassword{Frame: frame(wrong("password", "problem.wrong_password")), Login: "ironman", Client: "Mission Wiki", Reset: "/avengers/reset", Captcha: puzzle}},
		{"account", Account{Frame: frame(), Login: "ironman", Name: "Tony Stark", Client: "Mission Wiki"}},
		{"choose.reset", Choose{Frame: frame(step(1, 2)), Purpose: "reset", Choices: ways, None: true, Back: true}},
		{"choose.manage", Choose{Frame: frame(wrong("choose", "problem.choose")), Purpose: "manage", Choices: ways, None: true, Back: true}},
		{"prove.totp", Prove{Frame: frame(step(2, 2), notice("one_more")), Purpose: "sign_in", Prompt: app, Other: true, None: true, Account: true}},
		{"prove.totp.problem", Prove{Frame: frame(step(1, 2), func(f *Frame) {
			f.Problem = Problem{Field: "code", Key: "problem.used_code", Until: today.Add(12 * time.Second)}
		}), Purpose: "reset", Prompt: app, Other: true, None: true, Back: true}},
		{"prove.email", Prove{Frame: frame(notice("code_sent")), Purpose: "manage", Prompt: mailed, Other: true, None: true, Back: true}},
		{"prove.email.reset", Prove{Frame: frame(step(1, 2), notice("code_perhaps_sent")), Purpose: "reset", Prompt: typed, Other: true, None: true, Back: true}},
		{"prove.address", Prove{Frame: frame(step(1, 2)), Purpose: "reset", Prompt: Prompt{Shape: AskAddress, Kind: "email"}, Other: true, None: true, Back: true}},
		{"prove.password", Prove{Frame: frame(), Purpose: "manage", Prompt: Prompt{Shape: AskSecret, Kind: "password"}, Back: true}},
		{"new_password.reset", NewPassword{Frame: frame(), Purpose: "reset", Login: "ironman", Rules: rules}},
		{"new_password.problem", NewPassword{Frame: frame(wrong("new", "problem.contains")), Purpose: "due", Login: "ironman", Rules: []Rule{rules[0], rules[1], {Key: "rule.contains", Check: "not_contain", Value: "ironman", Failed: true}}}},
		{"new_password.change", NewPassword{Frame: frame(wrong("confirm", "problem.confirm")), Purpose: "change", Old: true, Login: "ironman", Rules: rules}},
		{"more_information", MoreInformation{Frame: frame(), Needs: []string{"totp"}, Missing: 1}},
		{"more_information.skip", MoreInformation{Frame: frame(), Needs: []string{"totp", "email"}, Missing: 1, MaySkip: true, SkipLeft: 2, SkipUntil: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}},
		{"register_choose", RegisterChoose{Frame: frame(), Choices: []Choice{{"totp", "totp", ""}, {"email", "email", ""}}}},
		{"register_intro", RegisterIntro{Frame: frame(step(1, 3)), Kind: "totp", Other: true}},
		{"register.show", Register{Frame: frame(step(2, 3)), Prompt: secret, Other: true}},
		{"register.code", Register{Frame: frame(step(3, 3), wrong("code", "problem.wrong_code")), Prompt: app, Other: true}},
		{"register.address", Register{Frame: frame(step(1, 2)), Prompt: Prompt{Shape: AskAddress, Kind: "email"}}},
		{"register.address.change", Register{Frame: frame(step(1, 2)), Prompt: Prompt{Shape: AskAddress, Kind: "email"}, Change: true}},
		{"register.mailed", Register{Frame: frame(step(2, 2)), Prompt: mailed}},
		{"all_set", AllSet{Frame: frame(), Methods: []MethodRow{newApp}}},
		{"security_info", SecurityInfo{Frame: frame(func(f *Frame) { f.Who = "Tony Stark · ironman" }, notice("method_added")), Name: "Tony Stark", Login: "ironman",
			HasPassword: true, PasswordChangedAt: today.AddDate(0, -3, 0), Methods: []MethodRow{appRow, mailRow}, Addable: true,
			Devices:  []Device{{ID: "d1", Agent: "Chrome on Linux", Network: "192.0.2.7", Seen: today, This: true}, {ID: "d2", Agent: "Safari on iPhone", Network: "198.51.100.23", Seen: today.AddDate(0, 0, -1)}},
			Activity: []Activity{{At: today.Add(-time.Minute), Event: "method.bound", Network: "192.0.2.7"}, {At: today.AddDate(0, 0, -3), Event: "sign_in.ok", Network: "192.0.2.7"}, {At: today.AddDate(0, -2, 0), Event: "unheard.of"}}}},
		{"security_info.frozen", SecurityInfo{Frame: frame(), Login: "ironman", HasPassword: true, Addable: true, Frozen: true, Methods: []MethodRow{{ID: "m3", Kind: "email", Label: "x•••@evil.example", Added: today.Add(-time.Hour), Suspended: true}}}},
		{"security_info.thawing", SecurityInfo{Frame: frame(), Login: "ironman", HasPassword: true, Addable: true, Thawing: true, Methods: []MethodRow{appRow, {ID: "m3", Kind: "email", Label: "x•••@evil.example", Added: today.Add(-time.Hour), Suspended: true}}}},
		{"confirm_delete", ConfirmDelete{Frame: frame(), Method: mailRow}},
		{"confirm_delete.replace", ConfirmDelete{Frame: frame(), Method: appRow, Replace: true}},
		{"reset_name", ResetName{Frame: frame(nobody), Login: "ironman", Captcha: puzzle, Back: "/avengers/flow/k3jx"}},
		{"reset_name.problem", ResetName{Frame: frame(nobody, wrong("captcha", "problem.captcha")), Login: "ironman", Captcha: &Captcha{Kind: "proof_of_work", Waited: true, ID: "t"}}},
		{"reset_name.image", ResetName{Frame: frame(nobody), Captcha: &Captcha{Kind: "image", ID: "t", Image: "data:image/png;base64,iVBORw0KGgo=", Audio: "data:audio/wav;base64,UklGRg=="}}},
		{"reset_what", ResetWhat{Frame: frame()}},
		{"reset_done", ResetDone{Frame: frame(), SignIn: "/avengers/flow/k3jx"}},
		{"unlock", Unlock{Frame: frame()}},
		{"unlock_done", UnlockDone{Frame: frame(), SignIn: "/avengers/flow/k3jx"}},
		{"dead_end", DeadEnd{Frame: frame(), Reference: "7F3K-9QPL", Back: "/avengers/reset"}},
		{"dead_end.sign_in", DeadEnd{Frame: frame(), Reference: "7F3K-9QPL", Other: true, Return: true}},
		{"not_me.password", NotMe{Frame: frame(nobody), What: "password_reset", At: today.Add(-26 * time.Hour)}},
		{"not_me", NotMe{Frame: frame(nobody), What: "method_added", At: today.Add(-26 * time.Hour)}},
		{"not_me.unsure", NotMe{Frame: frame(nobody), What: "password_may_have_changed", At: today.Add(-26 * time.Hour)}},
		{"not_me_done", NotMeDone{Frame: frame(nobody), What: "method_added", SecurityInfo: "/avengers/security-info"}},
		{"not_me_done.password", NotMeDone{Frame: frame(nobody), What: "password_reset"}},
		{"not_me_done.used", NotMeDone{Frame: frame(nobody), What: "reset_begun", Used: true, SecurityInfo: "/avengers/security-info"}},
		{"sign_out", SignOut{Frame: frame(), Login: "ironman", Client: "Mission Wiki"}},
		{"signed_out", SignedOut{Frame: frame(nobody), SignIn: "/avengers/security-info"}},
		{"wait.sign_in", Wait{Frame: frame(), Reason: "sign_in", Until: today.Add(59 * time.Second), Back: "/avengers/flow/k3jx"}},
		{"wait.reset", Wait{Frame: frame(), Reason: "reset", Until: today.Add(20 * time.Hour), Back: "/avengers/flow/k3jx", Reference: "7F3K-9QPL-2WXZ"}},
		{"wait.password", Wait{Frame: frame(), Reason: "password", Here: "/avengers/flow/r8sd"}},
		{"wait.reset_held", Wait{Frame: frame(), Reason: "reset_held", Until: today.Add(30 * time.Minute), Here: "/avengers/flow/r8sd", Back: "/avengers/flow/k3jx", Reference: "7F3K-9QPL-2WXZ"}},
		{"oops.expired", Oops{Frame: frame(nobody), Reason: "expired", Again: "/avengers/security-info"}},
		{"oops.link", Oops{Frame: frame(nobody), Reason: "link", Reference: "7F3K-9QPL", Again: "/avengers/security-info"}},
		{"oops.internal", Oops{Frame: frame(nobody, func(f *Frame) { f.Accent, f.Logo = "", "/avengers/assets/logo-1.png" }), Reason: "internal", Reference: "7F3K-9QPL"}},
		{"long.account", Account{Frame: frame(long), Login: endless, Name: endless, Client: endless}},
		{"long.dead_end", DeadEnd{Frame: frame(long), Reference: endless, Back: "/avengers/reset"}},
		{"long.prove", Prove{Frame: frame(long), Purpose: "reset", Prompt: Prompt{Shape: AskCode, Kind: "email", Hint: endless + "@stark.example"}, Other: true, None: true, Back: true}},
		{"long.security_info", SecurityInfo{Frame: frame(long), Name: endless, Login: endless, HasPassword: true, Addable: true,
			Methods:  []MethodRow{{ID: "m2", Kind: "email", Label: endless, Added: today, ResetOnly: true}},
			Devices:  []Device{{ID: "d1", Agent: endless, Network: endless, Seen: today, This: true}},
			Activity: []Activity{{At: today, Event: "sign_in.ok", Network: endless}}}},
		{"long.sign_out", SignOut{Frame: frame(long), Login: endless, Client: endless}},
		{"long.sign_in_password", SignInPassword{Frame: frame(long), Login: endless, Client: endless}},
		{"form_post", FormPost{Frame: frame(nobody), Target: "https://wiki.example.com/callback", Fields: [][2]string{{"code", "c0de"}, {"state", "xyz"}, {"iss", "https://login.example.com/avengers"}}}},
	}
}

func letterOf() Letter {
	return Letter{Tenant: "The Avengers", Accent: "#8a1c24", Help: "mailto:help@example.com", Name: "Tony Stark", Login: "ironman", At: today,
		NotMe: "https://login.example.com/avengers/not-me?t=abc", SecurityInfo: "https://login.example.com/avengers/security-info", Where: "Chrome on Linux · 192.0.2.7"}
}

type mailSample struct {
	name string
	mail Mail
}

func mailSamples() []mailSample {
	l := letterOf()
	quiet := Letter{Tenant: "The Avengers", Login: "ironman", At: today}
	return []mailSample{
		{"code_mail.reset", CodeMail{quiet, "278382", 5, "reset"}},
		{"code_mail.register", CodeMail{quiet, "278382", 1, "register"}},
		{"code_mail.sign_in", CodeMail{quiet, "278382", 5, "sign_in"}},
		{"code_mail.manage", CodeMail{quiet, "278382", 5, "manage"}},
		{"password_reset", PasswordReset{l}},
		{"reset_held", ResetHeld{l, today.Add(30 * time.Minute)}},
		{"password_changed", PasswordChanged{l}},
		{"password_may_have_changed", PasswordMayHaveChanged{l}},
		{"method_added", MethodAdded{l, "totp", "Authenticator app"}},
		{"method_changed", MethodChanged{l, "email", "t•••@stark.example"}},
		{"method_removed", MethodRemoved{l, "email", "t•••@stark.example"}},
		{"account_unlocked", AccountUnlocked{l}},
		{"administrator_reset", AdministratorReset{l, "pepper"}},
		{"not_me_acted", NotMeActed{quiet, "method_added"}},
		{"not_me_acted.password", NotMeActed{quiet, "password_reset"}},
	}
}

func newTestSet(t testing.TB) *Set {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	s.Now = func() time.Time { return today }
	return s
}

func render(t testing.TB, s *Set, p Page) string {
	t.Helper()
	var b strings.Builder
	if err := s.Page(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// inLanguage gives the page with another language in its frame.
func inLanguage(p Page, lang string) Page {
	return withFrame(p, func(f *Frame) { f.Lang = lang })
}

// withFrame gives a copy of the page with its frame edited.
func withFrame(p Page, edit func(*Frame)) Page {
	copied := reflect.New(reflect.TypeOf(p)).Elem()
	copied.Set(reflect.ValueOf(p))
	edit(copied.FieldByName("Frame").Addr().Interface().(*Frame))
	return copied.Interface().(Page)
}
