package sparekey_test

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/directorytest"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/store"
)

// The steps of a reset, as a model of it tells them apart and as a page shows them.
const (
	atName    = "name"
	atWhat    = "what"
	atChoose  = "choose"
	atApp     = "app"
	atAddress = "address"
	atMail    = "mail"
	atNew     = "new password"
	atReset   = "password reset"
	atOpen    = "account unlocked"
	atDead    = "dead end"
	atGone    = "gone"
)

// shown is the step that a page shows.
func shown(p page) string {
	field := func(name string) bool { return strings.Contains(p.body, `name="`+name+`"`) }
	switch {
	case p.status == http.StatusForbidden:
		return atGone
	case p.status != http.StatusOK:
		return fmt.Sprint(p.status, " ", p.h1())
	case field("captcha_id"):
		return atName
	case field("what"):
		return atWhat
	case field("choose"):
		return atChoose
	case field("email"):
		return atAddress
	case field("code") && strings.Contains(p.body, `value="resend"`):
		return atMail
	case field("code"):
		return atApp
	case field("new"):
		return atNew
	}
	return map[string]string{"Your password has been reset": atReset, "Your account is unlocked": atOpen, "Ask your administrator": atDead}[p.h1()]
}

// actions are the names of all buttons there are, and some that there are not.
var actions = []string{"next", "verify", "sign_in", "resend", "other", "back", "none", "skip", "done", "delete", "replace", "different_account", "add", "change", "default", "password",
	"sign_out", "sign_out_everywhere", "not_me", "finish", "new_password", ""}

// soul is somebody whose name can be typed, with what she could prove by.
type soul struct {
	login, address, key string
	app, mail           string // her authenticators' ids
	id                  directory.UserID
	need                int   // proofs of different methods; 0: a reset is nothing for her
	step                int64 // of the app's code that was used last
	mailed              int   // codes sent to her address
	password            string
}

// armoury is a house over a directory in memory, whose passwords can be read.
type armoury struct {
	*house
	m                     *directorytest.Memory
	souls                 []*soul
	needed                map[string]int  // by flow: the proofs that its reset or unlock took
	decoys                map[string]bool // flows of names that cannot reset
	resets, unlocks, dead int
}

// openArmoury wants one proof of the group One and two of the group Two; no limit is reached in it.
func openArmoury(t *testing.T, database string, settings ...setting) *armoury {
	t.Helper()
	m := &directorytest.Memory{}
	two := 2
	h := openAt(t, database, append([]setting{with(func(t *sparekey.Tenant) {
		t.Directories = map[string]sparekey.Directory{"staff": {Type: "program"}}
		t.Limits = guard.Limits{Proofs: config.Rate{Count: 100, Per: time.Second}, ProofsNetwork: config.Rate{Count: 100, Per: time.Second},
			Rush: config.Rate{Count: 10_000, Per: time.Minute}, Siege: config.Rate{Count: 10_000, Per: time.Minute}, Sends: config.Rate{Count: 10_000, Per: time.Minute}, SendsNetwork: config.Rate{Count: 10_000, Per: time.Minute}}
		t.Policies = []sparekey.Policy{{For: sparekey.For{Groups: []string{"One"}}, Reset: true}, {For: sparekey.For{Groups: []string{"Two"}}, Reset: true, Required: &two}}
	}), bring(m)}, settings...)...)
	return &armoury{house: h, m: m, needed: map[string]int{}, decoys: map[string]bool{}}
}

// soul adds a user; bare: she has an app alone.
func (h *armoury) soul(need int, bare bool, groups ...string) *soul {
	h.t.Helper()
	s := &soul{login: fmt.Sprintf("walker%d", len(h.souls)), need: need, password: password}
	h.souls = append(h.souls, s)
	s.address = s.login + "@home.example"
	s.id = h.m.Add(directorytest.Account{User: directory.User{Login: s.login, Email: s.login + "@stark.example", Groups: groups}, Password: password}).ID
	address := s.address
	if bare {
		address = ""
	}
	s.key, s.app, s.mail = h.equip(s.id, address)
	return s
}

// equip binds an app to the user, and an address unless it is empty, and gives the app's key and the ids of both.
func (h *house) equip(id directory.UserID, address string) (key, app, mail string) {
	h.t.Helper()
	seed := make([]byte, 20)
	rand.Read(seed)
	h.write(h.tenant, func(tx store.Tx) error {
		a, err := h.admin(h.tenant).Accounts.Bind(tx, id, identity.Authenticator{Kind: identity.TOTP, Label: "Authenticator app", Data: seed})
		if app = a.ID; err != nil || address == "" {
			return err
		}
		label := address[:1] + "•••" + address[strings.Index(address, "@"):]
		m, err := h.admin(h.tenant).Accounts.Bind(tx, id, identity.Authenticator{Kind: identity.Email, Label: label, Data: []byte(address)})
		mail = m.ID
		return err
	})
	return base32.StdEncoding.EncodeToString(seed), app, mail
}

// holds is the password that the directory holds.
func (h *armoury) holds(s *soul) (password string) {
	h.m.Change(s.login, func(a *directorytest.Account) { password = a.Password })
	return password
}

// walk is one reset in somebody's browser, and what the model knows of it.
type walk struct {
	b        *browser
	at, csrf string
	login    string // that it types
	whose    *soul  // whose password it is after
	who      *soul  // nil: nobody was named, or nobody who can reset
	named    bool
	step     string
	unlock   bool
	proven   []string
	code     string // the one that was mailed last, to the right address
	older    []string
	address  string // typed
	app      string // what the page of choices calls her app
	mail     string // and her address
	resend   time.Time
	over     time.Time       // of the code
	sent     map[string]sent // to addresses that she has left
	until    time.Time
}

// sent is a code that was mailed.
type sent struct {
	code         string
	resend, over time.Time
}

// left goes from a code: it is met again by whoever types its address again before another may be sent.
func (w *walk) left() {
	if w.step == atMail {
		if w.sent == nil {
			w.sent = map[string]sent{}
		}
		w.sent[strings.ToLower(w.address)] = sent{w.code, w.resend, w.over}
	}
	w.code = ""
}

func (h *armoury) walk(b *browser, whose *soul, login string) *walk {
	h.t.Helper()
	b.get("/avengers/reset")
	b.want("Get back into your account")
	return &walk{b: b, whose: whose, login: login, at: b.last.url.String(), csrf: b.token(), step: atName, until: h.clock.Now().Add(15 * time.Minute)}
}

// decoy says that the name which was typed is of nobody who can reset: the walk may go anywhere but through a gate.
func (w *walk) decoy() bool { return w.named && w.who == nil && w.step != atGone }

func (w *walk) need() int {
	if w.who == nil {
		return 0
	}
	return w.who.need
}

// answer is what the model makes of a form that the walk's own browser posts, with the puzzle solved or not.
// It gives the new password where one is set by it.
func (h *armoury) answer(w *walk, form url.Values, solved bool) (set string) {
	if w.step != atGone && !h.clock.Now().Before(w.until) {
		w.step = atGone
	}
	action := form.Get("action")
	if w.decoy() {
		return ""
	}
	switch w.step {
	case atName:
		login := strings.TrimSpace(form.Get("username"))
		if login == "" || !solved {
			return ""
		}
		w.named = true
		for _, s := range h.souls {
			if s.login == login && s.need > 0 {
				w.who = s
			}
		}
		w.step = atWhat
	case atWhat:
		if action == "back" {
			w.step, w.named, w.who, w.sent = atName, false, nil, nil
			return ""
		}
		if what := form.Get("what"); what != "forgot" && what != "locked" {
			return ""
		} else {
			w.step, w.unlock = atChoose, what == "locked"
		}
	case atChoose, atApp, atAddress, atMail:
		h.prove(w, form, action)
	case atNew:
		if next := form.Get("new"); next != "" && next == form.Get("confirm") && len(next) >= 12 {
			w.step = atReset
			if shown := h.clock.Now().Add(5 * time.Minute); w.until.Before(shown) { // the last page can be seen
				w.until = shown
			}
			return next
		}
	}
	return ""
}

func (h *armoury) prove(w *walk, form url.Values, action string) {
	switch action {
	case "none":
		w.step = atDead
		return
	case "back":
		switch {
		case w.step == atMail:
			w.left()
			w.step = atAddress
		case len(w.proven) > 0: // with a proof given there is no way back from the only choice that is left
		case w.step == atChoose:
			w.step = atWhat
		default:
			w.step = atChoose
		}
		return
	case "other":
		w.left()
		w.step = atChoose
		return
	case "different_account": // that is for signing in
		return
	case "resend":
		if w.step == atMail && !h.clock.Now().Before(w.resend) {
			h.mail(w)
		}
		return
	}
	switch w.step {
	case atChoose:
		w.look()
		switch choice := form.Get("choose"); {
		case choice == "":
		case choice == w.app && !slices.Contains(w.proven, "totp"):
			w.step = atApp
		case choice == w.mail && !slices.Contains(w.proven, "email"):
			w.step = atAddress
		}
	case atAddress:
		if w.address = form.Get("email"); w.address != "" {
			w.step = atMail
			h.mail(w)
		}
	case atApp:
		for i := -1; i <= 1; i++ {
			if step := h.clock.Now().Unix()/30 + int64(i); form.Get("code") == h.totp(w.who.key, i) && step > w.who.step {
				w.who.step = step
				h.gate(w, "totp")
				return
			}
		}
	case atMail:
		if w.code != "" && form.Get("code") == w.code && h.clock.Now().Before(w.over) {
			w.code = ""
			h.gate(w, "email")
		}
	}
}

// mail notes that a code goes out, to whom it may concern.
func (h *armoury) mail(w *walk) {
	if s := w.sent[strings.ToLower(w.address)]; h.clock.Now().Before(s.resend) {
		w.code, w.resend, w.over = s.code, s.resend, s.over
		return
	}
	w.code, w.resend, w.over = "", h.clock.Now().Add(10*time.Second), h.clock.Now().Add(5*time.Minute)
	if w.address == w.who.address {
		w.who.mailed++
		w.code = "due" // what it is, the mail tells
	}
}

// gate is one proof more; with enough of them the password may be chosen.
func (h *armoury) gate(w *walk, kind string) {
	w.proven, w.sent = append(w.proven, kind), nil
	switch {
	case len(w.proven) >= w.who.need && w.unlock:
		w.step = atOpen
	case len(w.proven) >= w.who.need:
		w.step = atNew
	case kind == "totp":
		w.step = atAddress // one way is left, and asking sends nothing yet
	default:
		w.step = atApp
	}
}

// look reads off the page of choices what it calls them.
func (w *walk) look() {
	w.b.get(w.at)
	w.app, w.mail = w.b.choice("totp"), w.b.choice("email")
}

// choices are what can be chosen on the page.
func choices(p page) (ids []string) {
	for _, m := range regexp.MustCompile(`<input[^>]*name="choose"[^>]*>`).FindAllString(p.body, -1) {
		ids = append(ids, first2(m, "value"))
	}
	return ids
}

// onward is the form that a walk needs next.
func (h *armoury) onward(w *walk, n int) (form url.Values, solved bool) {
	form, s := url.Values{"action": {"next"}}, w.whose
	if w.decoy() {
		form.Set("choose", append(choices(w.b.get(w.at)), "x")[0])
		form.Set("what", "forgot")
		form.Set("email", s.address)
		form.Set("code", h.totp(s.key, 0))
		for _, own := range h.souls { // whoever cannot reset may well have methods of her own
			if own.login == w.login {
				form.Set("email", own.address)
				form.Set("code", h.totp(own.key, 0))
			}
		}
		form.Set("new", renewed)
		form.Set("confirm", renewed)
		return form, false
	}
	switch w.step {
	case atName:
		w.b.get(w.at)
		form.Set("username", w.login)
		for p := w.b.puzzle(); len(p) > 0; p = p[2:] {
			form.Set(p[0], p[1])
		}
		return form, true
	case atWhat:
		form.Set("what", "forgot")
	case atChoose:
		w.look()
		form.Set("choose", w.app)
		if n%2 == 0 || slices.Contains(w.proven, "totp") {
			form.Set("choose", w.mail)
		}
	case atAddress:
		form.Set("email", s.address)
	case atApp:
		h.clock.Advance(30 * time.Second)
		form.Set("code", h.totp(s.key, 0))
	case atMail:
		form.Set("code", w.code)
	case atNew:
		next := fmt.Sprintf("another-suit-%d", n)
		form.Set("new", next)
		form.Set("confirm", next)
	}
	return form, false
}
