package sparekey_test

import (
	"encoding/base32"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/identity"
)

// holds is what ironman has registered, as one string.
func (h *house) holds(login string) string {
	h.t.Helper()
	list, err := h.admin(h.tenant).Methods(h.t.Context(), h.user(login))
	if err != nil {
		h.t.Fatal(err)
	}
	var words []string
	for _, m := range list {
		words = append(words, m.ID+" "+string(m.Kind)+" "+m.Label+" "+map[bool]string{true: "first"}[m.Default])
	}
	return strings.Join(words, "\n")
}

// changes are all that can be changed on the security-info page.
func changes(b *browser) map[string][]string {
	app, mail := b.ids("totp")[0], b.ids("email")[0]
	return map[string][]string{"add": {"action", "add"}, "change app": {"action", "change", "id", app}, "change e-mail": {"action", "change", "id", mail},
		"delete app": {"action", "delete", "id", app}, "delete e-mail": {"action", "delete", "id", mail}, "make the first": {"action", "default", "id", mail}, "password": {"action", "password"}}
}

// A stolen cookie changes nothing: old proofs, or proofs weaker than the strongest method, are asked for anew.
func TestEN01_A18_AStolenSessionChangesNoSecurityInfo(t *testing.T) {
	h := open(t)
	owner := withEmail(t, h)
	before := h.holds("ironman")
	// finish posts whatever a thief can think of at a flow that asks for a proof.
	finish := func(thief *browser) {
		here := thief.last.url.String()
		for _, form := range []url.Values{{"action": {"delete"}}, {"action": {"replace"}}, {"action": {"next"}}, {"action": {"done"}}, {"choose": {"email"}, "action": {"next"}},
			{"choose": {"totp"}, "action": {"next"}}, {"email": {"thief@evil.example"}, "action": {"next"}}, {"code": {"000000"}, "action": {"verify"}},
			{"old": {password}, "new": {renewed}, "confirm": {renewed}, "action": {"next"}}} {
			form.Set("csrf", thief.token())
			thief.send(here, form)
			thief.get(here)
		}
	}
	refused := func(t *testing.T, thief *browser, what string, pairs []string) {
		t.Helper()
		thief.get("/avengers/security-info")
		thief.want("Security info")
		thief.post(pairs...)
		if h1 := thief.last.h1(); h1 == "Security info" || h1 == "Keep your account secure" || h1 == "Choose a new password" || strings.Contains(thief.last.body, `value="delete"`) {
			t.Errorf("%s: without a proof the thief meets %q", what, h1)
		}
		finish(thief)
		if now := h.holds("ironman"); now != before {
			t.Fatalf("%s: registered was\n%s\nand is\n%s", what, before, now)
		}
		if p := h.browser().signIn("ironman", password); p.query("code") == "" {
			t.Fatalf("%s: the password was changed", what)
		}
	}
	for what, pairs := range changes(owner) {
		h.clock.Advance(11 * time.Minute)
		t.Run("a session whose proofs are older than proof_age: "+what, func(t *testing.T) { refused(t, owner.withSession(), what, pairs) })
	}
	t.Run("a fresh session by the password alone", func(t *testing.T) {
		weak := h.browser()
		weak.signIn("ironman", password)
		for what, pairs := range changes(owner) {
			refused(t, weak.withSession(), what, pairs)
		}
	})
	t.Run("a fresh password and a weaker method than the strongest", func(t *testing.T) {
		weak := h.browser()
		weak.signIn("ironman", password)
		weak.get("/avengers/security-info")
		weak.post("action", "delete", "id", owner.ids("totp")[0])
		if m := regexp.MustCompile(`<input[^>]*data-kind="email"`).FindString(weak.last.body); m != "" {
			t.Errorf("the e-mail code is offered beside the stronger app")
		}
		weak.post("choose", owner.ids("email")[0], "action", "next")
		if strings.Contains(weak.last.body, `name="email"`) {
			t.Error("the e-mail code is taken by its id")
		}
	})
	t.Run("the ten minutes end to the second", func(t *testing.T) {
		b := h.browser()
		b.key = owner.key
		began := h.clock.Now() // of the password's proof; the app's is a little younger
		b.signIn("ironman", password)
		b.manage("action", "add")
		b.want("Keep your account secure")
		for _, step := range []struct {
			to    time.Duration
			fresh bool
		}{{10*time.Minute - time.Second, true}, {10 * time.Minute, true}, {10*time.Minute + time.Second, false}} {
			h.clock.Set(began.Add(step.to))
			b.get("/avengers/security-info")
			b.want("Security info")
			b.post("action", "add")
			if got := b.last.h1() == "Keep your account secure"; got != step.fresh {
				t.Errorf("after %v the proof is fresh: %v: %q", step.to, got, b.last.h1())
			}
		}
	})
	t.Run("a proof that grows old before the change is made", func(t *testing.T) {
		b := h.browser()
		b.key = owner.key
		b.signIn("ironman", password)
		b.manage("action", "delete", "id", owner.ids("email")[0])
		if !strings.Contains(b.last.body, `value="delete"`) {
			t.Fatalf("%s %s", b.last.h1(), b.last.error())
		}
		h.clock.Advance(11 * time.Minute)
		b.post("action", "delete")
		if now := h.holds("ironman"); now != before {
			t.Errorf("a proof of eleven minutes ago deleted a method")
		}
	})
}

func TestA18_APendingSignInChangesNothing(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.SecondFactor, p.AcceptSingle = "when_registered", true }))
	owner := h.browser()
	owner.register("ironman")
	before := h.holds("ironman")
	b := h.browser()
	b.signIn("ironman", password)
	if b.last.location != "" || !strings.Contains(b.last.body, `name="code"`) || b.cookie(sessionCookie) != "" {
		t.Fatalf("no second factor is asked for: %s", b.last.h1())
	}
	here, csrf := b.last.url.String(), b.token()
	if p := b.get("/avengers/security-info"); p.h1() == "Security info" {
		t.Error("the page of her security info opens")
	}
	for _, do := range []string{"add", "password", "delete", "change", "default", "sign_out_everywhere"} {
		p := b.send(h.issuer+"/security-info", url.Values{"csrf": {csrf}, "action": {do}, "id": {owner.ids("totp")[0]}})
		if h1 := p.h1(); h1 != "Sign in" && p.status < 400 {
			t.Errorf("%s leads to %q", do, h1)
		}
	}
	for _, form := range []url.Values{{"action": {"done"}}, {"action": {"skip"}}, {"choose": {"totp"}, "action": {"next"}}, {"email": {"thief@evil.example"}, "action": {"next"}}} {
		form.Set("csrf", csrf)
		if p := b.send(here, form); p.query("code") != "" {
			t.Errorf("%v signed in", form)
		}
	}
	if h.holds("ironman") != before || b.cookie(sessionCookie) != "" {
		t.Error("something was changed, or a session began")
	}
	if p := owner.authorize("prompt", "none"); p.query("code") == "" {
		t.Error("the owner was signed out")
	}
}

func TestEN02_TheAddressOfRecordHearsOfTheFirstMethod(t *testing.T) {
	h := open(t)
	h.browser().register("ironman")
	m := h.await(1, to("tony@stark.example", "added"))
	if !notMeLink.MatchString(m.text) || !strings.Contains(m.text, "ironman") {
		t.Errorf("the notice has no way to object: %s", m.text)
	}
}

func TestEN04_AMethodKeepsWhenAndWhenceItCame(t *testing.T) {
	h := open(t)
	at := h.clock.Now()
	b := h.browser()
	b.register("ironman")
	one := func() identity.Authenticator {
		list, err := h.admin("avengers").Methods(t.Context(), h.user("ironman"))
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		return list[0]
	}
	m := one()
	if !m.BoundAt.Equal(at) || m.Kind != "totp" || !strings.Contains(m.BoundFrom, "Firefox on Linux") || !strings.Contains(m.BoundFrom, "127.0.0.1") {
		t.Errorf("bound %v %s from %q", m.BoundAt, m.Kind, m.BoundFrom)
	}
	h.clock.Advance(time.Hour)
	b.proveAgain()
	if used := one().UsedAt; !used.Equal(h.clock.Now()) {
		t.Errorf("last used %v, not %v", used, h.clock.Now())
	}
	// What was removed stays in the journal.
	b.addEmail("tony@home.example", 1)
	b.manage("action", "delete", "id", b.ids("email")[0])
	b.post("action", "delete")
	for _, event := range []string{"method.bound", "method.unbound"} {
		if !strings.Contains(h.logged(), "event="+event) {
			t.Errorf("no %s", event)
		}
	}
}

// proveAgain makes the browser prove password and app on its security-info page.
func (b *browser) proveAgain() {
	b.h.t.Helper()
	b.manage("action", "add")
	b.want("Keep your account secure")
}

func TestEN05_EveryChangeIsToldToOldAndNewAddressesAndCanBeStopped(t *testing.T) {
	h := open(t)
	b := withEmail(t, h)
	const primary, old, next = "tony@stark.example", "tony@home.example", "tony@tower.example"
	h.await(2, to(primary, "added")) // the app, the address
	h.await(1, to(old, "added"))
	b.manage("action", "change", "id", b.ids("email")[0])
	b.post("email", next, "action", "next")
	b.post("code", h.code(1, next), "action", "verify")
	b.want("Security info")
	for _, address := range []string{primary, old, next} {
		h.await(1, to(address, "changed"))
	}
	b.manage("action", "delete", "id", b.ids("email")[0])
	b.post("action", "delete")
	for _, address := range []string{primary, next} {
		h.await(1, to(address, "deleted"))
	}
	b.manage("action", "password")
	b.post("old", password, "new", renewed, "confirm", renewed, "action", "next")
	h.await(1, to(primary, "was changed"))
	for _, m := range h.mails.all() {
		if strings.Contains(m.text+m.html, password) || strings.Contains(m.text+m.html, renewed) {
			t.Error("a password is in a mail")
		}
	}

	b.addEmail("thief@evil.example", 1)
	link := notMeLink.FindString(h.await(1, func(m mail) bool { return m.to == primary && strings.Contains(m.text, "t•••@evil") }).text)
	if link == "" {
		t.Fatal("no link in the notice")
	}
	other := h.browser()
	other.get(link)
	other.post("action", "not_me")
	list, err := h.admin("avengers").Methods(t.Context(), h.user("ironman"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Suspended != (m.Kind == "email") {
			t.Errorf("%s %s is suspended: %v", m.Kind, m.Label, m.Suspended)
		}
	}
	if p := b.get("/avengers/security-info"); p.h1() == "Security info" {
		t.Error("the session goes on")
	}
	h.await(1, to(primary, "protected"))
	b.authorize()
	b.password("ironman", renewed)
	b.get("/avengers/security-info")
	b.post("action", "add")
	if b.last.h1() == "Keep your account secure" {
		t.Error("changes are not frozen")
	}
	r := h.browser()
	r.beginReset("ironman")
	if r.chooseEmail("thief@evil.example"); strings.Contains(r.last.body, "Choose a new password") {
		t.Error("a suspended method resets")
	}
	if h.mailedTo("thief@evil.example", "code") != 1 {
		t.Error("a suspended address is sent a code")
	}
}

func TestEN08_TheSeedIs160BitsSealedAndShownOnce(t *testing.T) {
	h := open(t)
	b := h.browser()
	var addresses []string
	pages := map[string]int{}
	b.watch(func(r *http.Request, _ []byte, send func(*http.Request) *http.Response) *http.Response {
		addresses = append(addresses, r.URL.String())
		res := send(r)
		if m := regexp.MustCompile(`(?s)data-secret[^>]*>([^<]*)<`).FindStringSubmatch(text(res)); m != nil {
			pages[m[1]]++
		}
		return res
	})
	b.register("ironman")
	b.get("/avengers/security-info")
	b.want("Security info")
	seed, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(b.key, " ", ""))
	if err != nil || len(seed) != 20 {
		t.Fatalf("%d bytes, %v", len(seed), err)
	}
	if len(pages) != 1 || pages[b.key] != 1 {
		t.Errorf("keys were shown on pages: %v", pages)
	}
	bare := strings.ReplaceAll(b.key, " ", "")
	for _, secret := range []string{bare, b.key, string(seed)} {
		if h.inDatabase(secret) {
			t.Error("the seed is in the database, not sealed")
		}
		if strings.Contains(h.logged(), secret) || strings.Contains(strings.Join(addresses, " "), secret) {
			t.Error("the seed is in a log or in an address")
		}
		for _, m := range h.mails.all() {
			if strings.Contains(m.text+m.html, secret) {
				t.Error("the seed is in a mail")
			}
		}
	}
	if p := b.last; strings.Contains(p.body, bare) || strings.Contains(p.body, b.key) {
		t.Error("security info shows the key")
	}
}

// Codes are counted by authenticator, whichever page asks for them, and waiting is the only punishment.
func TestEN09_CodesShareOneCounterOnAllPages(t *testing.T) {
	h := open(t, rule(func(p *sparekey.Policy) { p.SecondFactor, p.AcceptSingle = "when_registered", true }))
	owner := h.browser()
	owner.register("ironman")
	h.clock.Advance(11 * time.Minute) // her session's proofs are old
	wrong := func(b *browser) string { return b.post("code", "000000", "action", "verify").error() }
	at := func() *browser { b := h.browser(); b.signIn("ironman", password); return b }
	for range 3 {
		wrong(at()) // at sign-in, a flow each
	}
	stranger := at()
	for range 2 {
		wrong(stranger)
	}
	// The sixth is not compared, although it is right.
	h.clock.Advance(time.Second)
	if p := stranger.post("code", h.totp(owner.key, 0), "action", "verify"); p.query("code") != "" {
		t.Error("a sixth code in 60 seconds was compared at sign-in")
	}
	thief := at() // the other page: a proof before a change, in a browser that is as unknown
	if p := thief.post("code", h.totp(owner.key, 0), "action", "verify"); p.query("code") != "" {
		t.Error("another flow starts another count")
	}
	// By the owner's own browser she is not locked out: strangers are counted apart.
	owner.manage("action", "add")
	owner.want("Keep your account secure")
	h.clock.Advance(61 * time.Second)
	if p := thief.post("code", h.totp(owner.key, 0), "action", "verify"); p.query("code") == "" {
		t.Errorf("a minute later the right code is refused: %s %s", p.h1(), p.error())
	}
}
