package sparekey_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// mistyping lets passwords be mistyped without a wait or a puzzle.
func mistyping(t *sparekey.Tenant) {
	t.Limits.SignIn.After, t.Limits.SignIn.Captcha = 100, 100
}

// choosing is a browser that may choose ironman's new password in a reset.
func (h *house) choosing(key string) *browser {
	h.t.Helper()
	b := h.browser()
	b.beginReset("ironman")
	b.proveApp(key)
	b.want("Choose a new password")
	return b
}

// choose types a new password twice; old is typed where it is asked for.
func (b *browser) choose(next, old string) page {
	b.h.t.Helper()
	return b.post("new", next, "confirm", next, "old", old, "action", "next")
}

// failed are the rules that the page marks as broken.
func (p page) failed() (rules []string) {
	for _, m := range regexp.MustCompile(`(?s)<li class="no"[^>]*>(.*?)</li>`).FindAllStringSubmatch(p.body, -1) {
		rules = append(rules, strings.TrimSpace(tags.ReplaceAllString(m[1], "")))
	}
	return rules
}

func (h *house) opens(login, password string) bool {
	h.t.Helper()
	return h.browser().signIn(login, password).query("code") != ""
}

// A letter counts once, however many bytes or keys it takes.
func TestPW01_TheLengthIsCountedInCharacters(t *testing.T) {
	eight := 8
	for _, c := range []struct {
		set  *int
		want int
	}{{nil, 15}, {&eight, 8}} {
		t.Run(fmt.Sprint("at least ", c.want), func(t *testing.T) {
			h := open(t, with(func(t *sparekey.Tenant) { t.Passwords.MinLength = c.set }), rule(func(p *sparekey.Policy) { p.Unlock = new(bool) }))
			key, _, _ := h.equip(h.user("ironman").ID, "")
			b := h.choosing(key)
			if !strings.Contains(b.last.body, fmt.Sprintf("At least %d characters", c.want)) {
				t.Errorf("the page does not tell the rule: %s", b.last.body)
			}
			for how, letter := range map[string]string{"letters": "k", "bytes of two": "ß", "bytes of three": "短", "bytes of four": "🦾", "a letter and its accent apart": "e\u0301"} {
				short := strings.Repeat(letter, c.want-3) + "xy"
				if b.choose(short, ""); shown(b.last) != atNew || !strings.Contains(b.last.error(), fmt.Sprintf("at least %d characters", c.want)) {
					t.Fatalf("%d %s are taken: %q %s", c.want-1, how, shown(b.last), b.last.error())
				}
			}
			if b.choose("", ""); shown(b.last) != atNew || b.last.error() == "" {
				t.Errorf("none is taken: %s", shown(b.last))
			}
			enough := string([]rune("🦾短ß🦿四ü🦾語ö🧠ñ")[:c.want-4]) + "e\u0301gk"
			if b.choose(enough, ""); shown(b.last) == atReset {
				t.Errorf("%d are enough, and one is missing", c.want)
			}
			if b.choose(enough+"x", ""); shown(b.last) != atReset {
				t.Errorf("%d are not enough: %s", c.want, b.last.error())
			}
			if !h.opens("ironman", enough+"x") {
				t.Error("it does not open the account")
			}
		})
	}
	for n, good := range map[int]bool{0: false, 7: false, 8: true, 64: true, 65: false} {
		c := sparekey.Config{Database: "sqlite:" + t.TempDir() + "/x.db", Tenants: map[string]sparekey.Tenant{"avengers": tenantConfig("http://localhost:1/avengers", "The Avengers")}}
		tenant := c.Tenants["avengers"]
		tenant.Passwords.MinLength = &n
		c.Tenants["avengers"] = tenant
		if err := c.Check(); (err == nil) != good {
			t.Errorf("min_length %d: %v", n, err)
		}
	}
}

// Every character of a password counts, to the last one, and none is changed on the way.
func TestPW02_APasswordIsTakenWholeUpTo256Characters(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		key, _, _ := h.equip(h.user("ironman").ID, "")
		// 72 bytes are where others stop to look.
		base := "Mk42 ünd " + strings.Repeat("armour-", 8) + "blue123"
		if len(base) != 73 {
			t.Fatal(len(base))
		}
		long := strings.Repeat("a hundred suits, ", 12)[:199] + "Z"
		for _, c := range []struct {
			next  string
			wrong []string
		}{
			{base, []string{base[:72], base[:72] + "4", base + "3", strings.ToLower(base), strings.ToUpper(base), strings.ReplaceAll(base, " ", "")}},
			{long, []string{long[:199], long[:199] + "z", long[:72], long + "Z", long[1:]}},
			{"  spaces before and behind  ", []string{"spaces before and behind", "  spaces before and behind", "spaces before and behind  ", "  spaces  before and behind  "}},
			{"tab\tand <b>&amp; 'quote\" %41+x", []string{"tab and <b>&amp; 'quote\" %41+x", "tab\tand <b>& 'quote\" %41+x", "tab\tand <b>&amp; 'quote\" A x", "tab\tand &amp; 'quote\" %41+x"}},
			{strings.Repeat("短い四", 85) + "x", []string{strings.Repeat("短い四", 85), strings.Repeat("短い四", 84) + "x"}},
		} {
			b := h.choosing(key)
			if b.choose(c.next, ""); shown(b.last) != atReset {
				t.Fatalf("%d characters are refused: %s", len([]rune(c.next)), b.last.error())
			}
			for _, w := range c.wrong {
				if h.opens("ironman", w) {
					t.Errorf("%q opens what %q was set for", w, c.next)
				}
			}
			if !h.opens("ironman", c.next) {
				t.Errorf("%q does not open the account it was set for", c.next)
			}
		}
		b := h.choosing(key)
		for _, n := range []int{257, 300, 5000} {
			if b.choose(strings.Repeat("long ", n)[:n-1]+"x", ""); shown(b.last) != atNew || !strings.Contains(b.last.error(), "at most 256 characters") {
				t.Errorf("%d characters: %q %q", n, shown(b.last), b.last.error())
			}
		}
	}, with(mistyping))
}

// Neither digits nor capitals are asked for, and no password grows too old; it is changed when an operator says so.
func TestPW03_NothingIsAskedOfAPasswordButLengthAndItIsGoodForEver(t *testing.T) {
	h := open(t)
	key, _, _ := h.equip(h.user("ironman").ID, "")
	for _, next := range []string{"correct horse battery", "7203958164027", "GRUMPYSTALLION", "~!@#%^&*()_+", "пароль из многих слов"} {
		b := h.choosing(key)
		if n := strings.Count(b.last.body, "<li data-check") + strings.Count(b.last.body, "<li>"); n != 3 {
			t.Fatalf("%d rules are shown: %s", n, b.last.body)
		}
		if b.choose(next, ""); shown(b.last) != atReset {
			t.Errorf("%q is refused: %s", next, b.last.error())
		}
		if !h.opens("ironman", next) {
			t.Errorf("%q does not open the account", next)
		}
	}
	h.clock.Advance(3 * 366 * 24 * time.Hour)
	if !h.opens("ironman", "пароль из многих слов") {
		t.Error("after three years it is not good any more")
	}
	if err := h.admin("avengers").SetPassword(t.Context(), h.user("ironman"), "an-operators-own-word", "test"); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.signIn("ironman", "an-operators-own-word")
	b.want("Choose a new password")
}

// Which rule a password breaks is said beside it, wherever one is chosen.
func TestPW04_ARefusalNamesTheRuleThatFailed(t *testing.T) {
	h := open(t, with(func(t *sparekey.Tenant) { t.Passwords.BannedWords = []string{"Vibranium Shield 9"} }))
	if err := h.admin("avengers").SetPassword(t.Context(), h.user("hulk"), "good-only-once-123", "test"); err != nil {
		t.Fatal(err)
	}
	key, _, _ := h.equip(h.user("ironman").ID, "")
	due := h.browser()
	due.signIn("hulk", "good-only-once-123")
	due.want("Choose a new password")
	h.addUser("avengers", "thor", "Thor Odinson", "thunder@asgard.example")
	change := h.browser()
	change.register2("thor")
	change.manage("action", "password")
	change.want("Choose a new password")
	const common, words, length = "Not one of the passwords attackers try first", "Without your name, user name or your organization’s name", "At least 12 characters"
	for where, c := range map[string]struct {
		b        *browser
		old      string
		personal []string
	}{
		"in a reset":        {h.choosing(key), "", []string{"only ironman knows", "0nly 1r0nm4n kn0ws", "IRONMAN-for-ever", "ｉｒｏｎｍａｎ for ever", "dear tony and son", "the stark tower"}},
		"where it is due":   {due, "good-only-once-123", []string{"hulk smashes all", "h.u.l.k? HULK!!!!", "bruce lives here", "a big banner day"}},
		"where he wants to": {change, password, []string{"for THOR to know", "an 0d1n50n speaks", "thunder and rain"}},
	} {
		for rule, list := range map[string][]string{
			length: {"short", "elf zeichen"},
			common: {"passwordpassword", "P@ssw0rd2026!", "123456789012", "111111111111", "abababababab", "letmein!!!!!!", "vibranium shield 9", "V1br4nium Sh1eld 9"},
			words:  append([]string{"we avengers assemble", "AVENGERS-of-old"}, c.personal...),
		} {
			for _, next := range list {
				c.b.choose(next, c.old)
				if got := c.b.last.failed(); shown(c.b.last) != atNew || len(got) != 1 || !strings.HasSuffix(got[0], rule) || c.b.last.error() == "" {
					t.Errorf("%s, %q: at %q, broken are %q, want %q; it says %q", where, next, shown(c.b.last), got, rule, c.b.last.error())
				}
			}
		}
		if c.b.choose("a suit beyond compare", ""); len(c.b.last.failed()) > 0 || shown(c.b.last) == atNew && where == "in a reset" {
			t.Errorf("%s, a good one breaks %q: %s", where, c.b.last.failed(), c.b.last.error())
		}
	}
}

// Whoever has a session, or a password that is due, still types the password of now.
func TestPW06_AChangeTakesThePasswordOfNow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		key, _, _ := h.equip(h.user("ironman").ID, "")
		change := h.browser()
		change.key = key
		change.register2("ironman")
		change.manage("action", "password")
		if err := h.admin("avengers").SetPassword(t.Context(), h.user("hulk"), "good-only-once-123", "test"); err != nil {
			t.Fatal(err)
		}
		due := h.browser()
		due.signIn("hulk", "good-only-once-123")
		for login, c := range map[string]struct {
			b   *browser
			old string
		}{"ironman": {change, password}, "hulk": {due, "good-only-once-123"}} {
			c.b.want("Choose a new password")
			if !strings.Contains(c.b.last.body, `name="old"`) || !strings.Contains(c.b.last.body, `autocomplete="current-password"`) {
				t.Fatalf("%s is not asked for it", login)
			}
			at := c.b.last
			for how, form := range map[string][]string{
				"none":               {"new", renewed, "confirm", renewed, "action", "next"},
				"nothing":            {"old", "", "new", renewed, "confirm", renewed, "action", "next"},
				"a wrong one":        {"old", "not-that-one-42", "new", renewed, "confirm", renewed, "action", "next"},
				"the new one":        {"old", renewed, "new", renewed, "confirm", renewed, "action", "next"},
				"by another name":    {"password", c.old, "new", renewed, "confirm", renewed, "action", "next"},
				"the same again":     {"old", c.old, "new", c.old, "confirm", c.old, "action", "next"},
				"no second typing":   {"old", c.old, "new", renewed, "action", "next"},
				"another typing":     {"old", c.old, "new", renewed, "confirm", renewed + "!", "action", "next"},
				"a bad one at first": {"old", c.old, "new", "short", "confirm", "short", "action", "next"},
			} {
				c.b.last = at
				c.b.post(form...)
				if h1 := c.b.last.h1(); h1 != "Choose a new password" || c.b.last.error() == "" || c.b.last.location != "" {
					t.Fatalf("%s, %s: %q %q", login, how, h1, c.b.last.error())
				}
				v, _ := directory.As[directory.PasswordVerifier](h.admin("avengers").Directory)
				if verdict, err := v.VerifyPassword(t.Context(), h.user(login), c.old); err != nil || verdict == directory.Wrong {
					t.Fatalf("%s, %s: the password was changed: %v", login, how, err)
				}
			}
			c.b.last = at
			c.b.post("old", c.old, "new", renewed, "confirm", renewed, "action", "next")
			if c.b.last.h1() == "Choose a new password" || !h.opens(login, renewed) || h.opens(login, c.old) {
				t.Errorf("%s: it was not changed: %q %s", login, c.b.last.h1(), c.b.last.error())
			}
		}
	}, with(mistyping))
}

// There is no hint to a password, and nothing personal to be asked instead of it.
func TestPW09_ThereAreNoHintsAndNoSecretQuestions(t *testing.T) {
	h := open(t)
	asked := regexp.MustCompile(`(?i)name="[^"]*(hint|question|answer|maiden|birth)[^"]*"|security question|password hint|(?i)mother’s`)
	pages := 0
	tour(t, h, func(b *browser) {
		b.watch(func(r *http.Request, _ []byte, send func(*http.Request) *http.Response) *http.Response {
			res := send(r)
			if pages++; asked.MatchString(text(res)) {
				t.Errorf("%s asks for %s", r.URL.Path, asked.FindString(text(res)))
			}
			return res
		})
	})
	if pages < 50 {
		t.Errorf("only %d pages were seen", pages)
	}
	for _, name := range []string{"questions", "security_questions", "hint", "password"} {
		c := sparekey.Config{Database: "sqlite:" + t.TempDir() + "/x.db", Tenants: map[string]sparekey.Tenant{"avengers": tenantConfig("http://localhost:1/avengers", "The Avengers")}}
		c.Tenants["avengers"].Policies[0].Methods[name] = sparekey.MethodUse{}
		if err := c.Check(); err == nil {
			t.Errorf("the method %s is taken", name)
		}
	}
	// A wrong password says nothing of the right one, nor whether there is one.
	said := map[string]string{}
	for _, login := range []string{"hulk", "pepper", "nobody-at-all"} {
		b := h.browser()
		b.signIn(login, "not-that-one-at-all")
		said[login] = strings.ReplaceAll(plainly(b.last.body), login, "~")
	}
	if said["hulk"] != said["pepper"] || said["hulk"] != said["nobody-at-all"] {
		t.Errorf("what a wrong password meets differs by name:\n%s\n---\n%s", said["hulk"], said["nobody-at-all"])
	}
}

// What is served begins with nobody in it, whatever the demo shows.
func TestPW10_AServedConfigurationHasNoUserAndNoPassword(t *testing.T) {
	h := newProcess(t, storetest.SQLiteURL(t), 0)
	h.start()
	for login, guess := range map[string]string{"ironman": password, "pepper": password, "hulk": password, "tchalla": password, "admin": "admin", "administrator": "password", "root": "root", "sparekey": "sparekey", "operator": "changeme"} {
		if p := h.browser().signIn(login, guess); p.query("code") != "" || p.h1() != "Sign in" || p.error() == "" {
			t.Errorf("%s with %s meets %q %q", login, guess, p.h1(), p.location)
		}
	}
	h.kill()
	users, ok := directory.As[directory.Lister](h.admin("avengers").Directory)
	if !ok {
		t.Fatal("the directory cannot be listed")
	}
	for u, err := range users.Users(context.Background()) {
		t.Errorf("there is %s %v", u.Login, err)
	}
}
