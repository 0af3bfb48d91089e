package sparekey_test

import (
	"errors"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// outage makes one storage call fail, or all from one on, while a walk is under way.
type outage struct {
	sync.Mutex
	on      bool // calls are counted
	n       int  // the one that fails; 0: none
	lasting bool
	answers bool // it is the answers to commits that are lost
	calls   int
	struck  bool // since asked last
	places  map[[32]uintptr]bool
	sample  []int // the calls that are the first from their place in the code, and those that commit
}

func (o *outage) call(op string) error {
	o.Lock()
	defer o.Unlock()
	if !o.on {
		return nil
	}
	o.calls++
	if o.n == 0 {
		var place [32]uintptr
		runtime.Callers(2, place[:])
		if !o.places[place] || op == "commit" {
			o.places[place] = true
			o.sample = append(o.sample, o.calls)
		}
	}
	if o.n == 0 || o.calls < o.n || o.calls > o.n && !o.lasting {
		return nil
	}
	o.struck = true
	return errors.New("input/output error")
}

func (o *outage) begin(n int, lasting bool) {
	o.Lock()
	defer o.Unlock()
	o.on, o.n, o.lasting, o.calls, o.struck = true, n, lasting, 0, false
	if n == 0 {
		o.sample = nil
	}
}

// end heals the store and gives how many calls there were.
func (o *outage) end() int {
	o.Lock()
	defer o.Unlock()
	o.on, o.struck = false, false
	return o.calls
}

// chosen are the calls that are to fail, after a walk on which none did.
func (o *outage) chosen() []int {
	if !deep() {
		return o.sample
	}
	var all []int
	for n := range o.calls {
		all = append(all, n+1)
	}
	return all
}

// hit reports whether a call has failed since it was asked last.
func (o *outage) hit() (yes bool) {
	o.Lock()
	defer o.Unlock()
	yes, o.struck = o.struck, false
	return yes
}

// pause keeps calls of the test's own from being counted.
func (o *outage) pause(f func()) {
	o.Lock()
	was := o.on
	o.on = false
	o.Unlock()
	f()
	o.Lock()
	o.on = was
	o.Unlock()
}

// run is one user who walks once, while the store fails, and then once more.
type run struct {
	*house
	o       *outage
	b       *browser // hers
	login   string
	address string // of her network
	user    directory.User
	mail    string // the directory's address of hers
	first   string // the hash of the password she began with
	hash    string // of the one she has
	old     string // the password that works
	next    string // the one she chooses
	used    string // the code of her app that the walk has used
	owner   *browser
	held    tokens // what owner was given before the walk
	has     string // what was registered before
	token   string // what the walk brings along: a code, a token, a link
	again   int    // walks tried before this one
	lost    string // the address at which the walk could not be gone on with
}

// brokenOff is how a walk ends at a page that cannot be gone on from.
var brokenOff = errors.New("broken off")

// looked is called with every page of the walk: where a storage call has failed, the page must say so or the deed must be done all the same.
func (x *run) looked(cookie string, p page) {
	x.t.Helper()
	if !x.o.hit() {
		return
	}
	if p.status < 500 && p.query("error") == "" {
		return // what the walk leads to shows whether that was right
	}
	x.unhelpful(p)
	if now := x.b.cookie(sessionCookie); now != "" && now != cookie {
		x.o.pause(func() {
			list, err := x.admin("avengers").SessionList(x.t.Context(), x.user)
			if err != nil || !slices.ContainsFunc(list, func(s session.Session) bool { return s.Key == secret.Digest(now) }) {
				x.t.Errorf("a cookie of a session that never began (%v)", err)
			}
		})
	}
	lasting := x.o.lasting
	if !lasting {
		x.o.end()
	}
	again := x.resend()
	if lasting {
		if again.status < 500 && again.query("error") == "" {
			x.t.Errorf("the store is still away, and %s shows %d %q %q", again.url, again.status, again.h1(), again.location)
		}
		x.unhelpful(again)
		panic(brokenOff)
	}
	if again.status >= 400 || again.query("error") != "" {
		x.lost = again.url.Path
		panic(brokenOff)
	}
}

// unhelpful fails unless the page is one that tells of an outage and of nothing else.
func (x *run) unhelpful(p page) {
	x.t.Helper()
	if p.status != http.StatusServiceUnavailable && p.query("error") != "temporarily_unavailable" {
		x.t.Errorf("%s answers an outage by %d %q %q", p.url, p.status, p.h1(), p.location)
	}
	if p.query("code") != "" || strings.Contains(p.body, "input/output") || strings.Contains(p.body, "data-secret") {
		x.t.Errorf("%s shows in an outage: %q %s", p.url, p.location, p.body)
	}
}

// resend is what a person does at such a page: reload, which posts once more where the page was the answer to a post.
func (x *run) resend() page {
	x.t.Helper()
	b, r := x.b, x.b.sent
	after := b.after
	b.after = nil
	defer func() { b.after = after }()
	if b.last.method == http.MethodPost {
		body, err := r.GetBody()
		if err != nil {
			x.t.Fatal(err)
		}
		again := r.Clone(x.t.Context())
		again.Body = body
		again.Header.Del("Cookie")
		return b.do(again)
	}
	return b.get(b.last.url.String())
}

// ask sends a request of a relying party, and once more after an outage.
func (x *run) ask(f func() tokens) tokens {
	x.t.Helper()
	got := f()
	if !x.o.hit() {
		return got
	}
	if got.status == http.StatusOK {
		return got
	}
	if got.status != http.StatusServiceUnavailable || got.Access+got.ID+got.Refresh != "" {
		x.t.Errorf("a relying party is answered in an outage: %d %s", got.status, got.raw)
	}
	if x.o.lasting {
		if again := f(); again.status != http.StatusServiceUnavailable || again.Access != "" {
			x.t.Errorf("the store is still away, and a relying party is answered %d %s", again.status, again.raw)
		}
		panic(brokenOff)
	}
	x.o.end()
	again := f()
	if again.status != http.StatusOK {
		x.lost = again.raw
		panic(brokenOff)
	}
	return again
}

// walk goes through it, up to its end or to the page at which it broke off.
func (x *run) walk(w errand) (finished bool) {
	x.t.Helper()
	defer func() {
		if r := recover(); r != nil && r != error(brokenOff) {
			panic(r)
		}
	}()
	w.walk(x)
	return true
}

// deep reports whether every call is to fail, instead of a sample.
func deep() bool { return os.Getenv("SPAREKEY_DEEP") == "1" }

// leaves looks at what a walk has left, and lets her walk again. It is called once the store is well.
func (x *run) leaves(w errand, finished bool) {
	x.t.Helper()
	unsure := false
	if x.account().Intent != "" {
		if unsure = true; finished {
			x.t.Error("all was shown as done, and an intent stands")
		}
		x.dead("a password may have been set")
		if err := x.p.Settle(x.t.Context()); err != nil || x.account().Intent != "" {
			x.t.Errorf("the intent cannot be settled: %v", err)
		}
		if x.notices("PasswordMayHaveChanged") == 0 {
			x.t.Error("nobody is told that the password may have changed")
		}
	}
	if unsure = unsure || x.notices("PasswordMayHaveChanged") > 0; unsure {
		x.dead("a password may have been set, and that is settled")
	}
	renewed := x.passwords()
	state := done
	if w.state != nil {
		state = w.state(x)
	}
	switch {
	case finished && state != done:
		x.t.Errorf("all was shown as done, and the store has: %s", state)
	case state != done && state != none && !unsure:
		x.t.Errorf("half a deed: %s", state)
	}
	if renewed {
		x.dead("the password is new")
	}
	if !finished {
		x.deliver() // each code is the newest when it comes
		x.peeks(state)
		x.again++
		x.b = nil
		switch {
		case state == done && w.rest != nil:
			w.rest(x)
		case state != done || renewed || w.state == nil:
			if !x.walk(w) {
				x.t.Fatal("broken off with a store that is well")
			}
			if state == none && w.state != nil && !unsure && w.state(x) != done {
				x.t.Errorf("walked again, and the store has: %s", w.state(x))
			}
			if renewed || unsure {
				x.passwords()
				x.dead("the password is new")
			}
		}
		if x.account().Intent != "" {
			x.t.Error("an intent stands after all went well")
		}
	}
	if w.end != nil {
		w.end(x)
	}
	if x.used != "" {
		x.begins("forgot")
		x.picks("totp")
		if p := x.b.post("code", x.used, "action", "verify"); p.h1() == "Choose a new password" {
			x.t.Error("a code of the app was good twice")
		}
	}
}

// peeks looks at the page she was at: it shows no success of what was not done.
func (x *run) peeks(state string) {
	x.t.Helper()
	if x.b == nil || state == done || !strings.Contains(x.b.last.url.Path, "/flow/") {
		return
	}
	at := x.b.last.url.String()
	x.b.after = nil
	switch p := x.b.get(at); p.h1() {
	case "All set", "Your password has been reset", "Your account is unlocked", "Your account is protected", "You are signed out":
		x.t.Errorf("%s shows %q, and the store has: %s", at, p.h1(), state)
	}
}

// passwords fails unless exactly one password works, and tells whether that is a new one. From then on she knows it.
func (x *run) passwords() (renewed bool) {
	x.t.Helper()
	now := x.stored()
	if now == x.hash {
		return false
	}
	// There is one hash, and two passwords have not the same.
	if ok, _, err := secret.NewHasher(1).Verify(x.t.Context(), now, x.next); !ok || err != nil {
		x.t.Errorf("neither password works: %v", err)
	}
	x.old, x.next, x.hash = x.next, x.next+"!", now
	return true
}

// The n-th storage call fails, alone or with all that follow: nothing is shown that was not done, what was not done can be done again,
// and nothing is left half done. A sample of calls fails: the first from each place in the code, and all that commit. With SPAREKEY_DEEP=1
// every call of every errand fails in both ways, which takes about ten minutes (-timeout 30m).
func TestA47_F15_AFailingStorageCallIsNeverASuccess(t *testing.T) {
	t.Parallel()
	o := &outage{places: map[[32]uintptr]bool{}}
	h, user := faulty(t, storetest.SQLiteURL(t), o)
	h.failing(o.call)
	whole := h.t
	for _, w := range errands {
		t.Run(w.name, func(t *testing.T) {
			h.t = t
			defer func() { h.t = whole }()
			calls, n, lasting := 0, 0, false
			defer func() {
				if t.Failed() {
					t.Logf("call %d of %d failed; those after it as well: %v", n, calls, lasting)
				}
			}()
			try := func() {
				x := user(t)
				w.ready(x)
				x.has = x.kinds()
				if w.state != nil && w.state(x) != none {
					t.Fatalf("before: %s", w.state(x))
				}
				o.begin(n, lasting)
				finished := x.walk(w)
				calls = max(calls, o.end())
				if n == 0 && !finished {
					t.Fatal("broken off although no call failed")
				}
				x.leaves(w, finished)
				// Only what is handed over once cannot be asked for again: the end of a sign-in, and of a sign-out.
				if x.lost != "" && !strings.HasSuffix(x.lost, "/resume") {
					t.Errorf("%s cannot be gone on with", x.lost)
				}
			}
			try()
			t.Logf("%d of %d calls", len(o.chosen()), calls)
			for i, c := range o.chosen() {
				for _, lasting = range []bool{false, true} {
					if n = c; !deep() && lasting != (i%2 == 1) {
						continue
					}
					if try(); t.Failed() {
						return
					}
				}
			}
		})
	}
}
