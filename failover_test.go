package sparekey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// siblings are two nodes, each the real binary in a process of its own, on a PostgreSQL cluster whose primary may be killed.
type siblings struct {
	*process
	second  *process
	cluster *storetest.Cluster
	at      [2]*house // as those see it whom a balancer sends to one of the nodes
	clocks  sync.Mutex
	spell
}

// spell is what callers met.
type spell struct {
	sync.Mutex
	done    map[string]int // deeds
	since   map[string]int // deeds since the last failure of all
	missed  map[string]int // failures
	last    time.Time      // of them
	slowest time.Duration  // from a call to its failure
	unknown [2]int         // answers that were lost: what had not been done, and what had
}

func (s *spell) did(what string) {
	s.Lock()
	defer s.Unlock()
	s.done[what]++
	s.since[what]++
}

func (s *spell) miss(what string, began time.Time) {
	s.Lock()
	defer s.Unlock()
	s.missed[what]++
	s.last, s.slowest = time.Now(), max(s.slowest, time.Since(began))
	clear(s.since)
}

func (s *spell) lost(done bool) {
	s.Lock()
	defer s.Unlock()
	if done {
		s.unknown[1]++
	} else {
		s.unknown[0]++
	}
}

// calm reports whether all goes well again: nothing has failed for a while, and each of these deeds was done some times since.
func (s *spell) calm(deeds ...string) bool {
	s.Lock()
	defer s.Unlock()
	for _, what := range deeds {
		if s.since[what] < 5 {
			return false
		}
	}
	return time.Since(s.last) > 2*time.Second
}

// newSiblings starts both nodes with so many people.
func newSiblings(t *testing.T, people int) *siblings {
	t.Helper()
	c := storetest.NewCluster(t)
	w := &siblings{process: newProcess(t, c.URL(), people), cluster: c}
	w.done, w.since, w.missed = map[string]int{}, map[string]int{}, map[string]int{}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	second := l.Addr().String()
	text, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	w.put("second.yaml", strings.Replace(string(text), "listen: "+strings.TrimPrefix(w.origin, "http://"), "listen: "+second, 1))
	h := w.named("http://" + second)
	h.log = &bytes.Buffer{}
	w.second = &process{house: h, bin: w.bin, dir: w.dir, file: w.dir + "/second.yaml"}
	t.Cleanup(w.second.kill)
	w.start()
	w.second.start()
	for i, address := range []string{strings.TrimPrefix(w.origin, "http://"), second} {
		w.at[i] = w.named(w.origin)
		w.at[i].client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 30, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}}
	}
	return w
}

// ask asks one node as the relying party; the answer's status is 503 where nothing works now, and every other failure is one of the test.
func (w *siblings) ask(i int, path string, form url.Values, access string) (got tokens) {
	began := time.Now()
	r, err := http.NewRequest(http.MethodPost, w.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Error(err)
		return got
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.SetBasicAuth("wiki", "wiki-secret"); access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	res, err := w.at[i%2].client.Do(r)
	if err != nil {
		w.t.Errorf("%s: node %d gives no answer: %v", path, i%2, err)
		return got
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err == nil {
		got.status, got.raw = res.StatusCode, body.String()
		_ = json.Unmarshal(body.Bytes(), &got)
	}
	switch got.status {
	case http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized:
	case http.StatusServiceUnavailable:
		w.miss(path, began)
		time.Sleep(20 * time.Millisecond)
	default:
		w.t.Errorf("%s: node %d answers %d %s", path, i%2, got.status, got.raw)
	}
	return got
}

// visit is a page of one node for a browser, which is sent there with a GET of the address or with what it is on, filled in; ok is false where nothing works now.
func (w *siblings) visit(b *browser, i int, what, address string, pairs ...string) (ok bool) {
	began := time.Now()
	c := b.moved(w.at[i%2])
	c.last = b.last
	var p page
	if address == "" {
		p = c.try(pairs...)
	} else if r, err := http.NewRequest(http.MethodGet, address, nil); err == nil {
		p = c.attempt(r)
	}
	switch {
	case p.status == http.StatusServiceUnavailable, p.query("error") == "temporarily_unavailable":
		w.miss(what, began)
		time.Sleep(20 * time.Millisecond)
		return false
	case p.status == 0 || p.status >= 500 || p.query("error") != "":
		w.t.Errorf("%s: node %d answers %d %q %q", what, i%2, p.status, p.location, p.h1())
		return false
	}
	b.last = p
	return true
}

// code is that of somebody's app now, so many steps on.
func (w *siblings) code(key string, steps int) string {
	w.clocks.Lock()
	defer w.clocks.Unlock()
	catchUp(w.house)
	return w.totp(key, steps)
}

// failovers is how often the primary is killed.
func failovers() int {
	if deep() {
		return 10
	}
	return 1
}

const (
	readers   = 1 // people whose access token is used all the time
	redeemers = 4 // who sign in at the wiki all the time
	renewers  = 4 // whose wiki refreshes all the time
	resetters = 12
	movers    = 8 // who register an app
)

// TestF09_AFailoverLosesNothingThatWasAnsweredAndNothingIsGoodTwice kills the primary of a PostgreSQL cluster under two nodes, while people at both of them redeem codes, refresh,
// reset their passwords by their apps and register methods without a pause, and promotes the synchronous standby. Whatever was answered
// before or since holds; what was good once was not good twice, whosever answer was lost; within 15 s of the promotion nothing fails any more, without a restart. It
// is done once, and ten times back and forth with SPAREKEY_DEEP=1.
func TestF09_AFailoverLosesNothingThatWasAnsweredAndNothingIsGoodTwice(t *testing.T) {
	t.Parallel()
	began := time.Now()
	always, each := readers+redeemers+renewers, resetters+movers
	w := newSiblings(t, always+failovers()*each)
	for n := range failovers() {
		people := w.people[always+n*each:][:each]
		for _, one := range people[resetters:] {
			if _, err := w.admin("avengers").RemoveMethods(t.Context(), w.user(one.login), "", "test"); err != nil {
				t.Fatal(err)
			}
		}
		if n > 0 {
			w.cluster.Replace()
		}
		w.failover(n, w.people[:always], people[:resetters], people[resetters:])
		if t.Failed() {
			break
		}
	}
	for i, p := range []*process{w.process, w.second} {
		select {
		case <-p.gone:
			t.Errorf("node %d ended: %s", i, p.logged())
		default:
		}
	}
	t.Logf("%d failovers in %v: done %v, failed meanwhile %v, the slowest failure after %v; of the answers that were lost %d had done nothing and %d their deed",
		failovers(), time.Since(began).Round(time.Second), w.done, w.missed, w.spell.slowest, w.unknown[0], w.unknown[1])
	if len(w.missed) == 0 {
		t.Error("nothing failed while there was no primary")
	}
}

// failover is one of them, with those who do the same all the time, those who reset their passwords and those who register.
func (w *siblings) failover(n int, always, resetting, moving []*resident) {
	t := w.t
	t.Helper()
	stop := make(chan struct{})
	var all sync.WaitGroup
	keep := &kept{codes: map[string]tokens{}}
	run := func(f func(going func() bool)) {
		all.Go(func() {
			f(func() bool {
				select {
				case <-stop:
					return false
				default:
					return !t.Failed()
				}
			})
		})
	}
	var deeds []string
	for i, one := range always {
		one.b = w.at[0].browserFrom(one.address)
		if one.b.signIn(one.login, password).query("code") == "" {
			t.Fatalf("%s cannot sign in: %q", one.login, one.b.last.h1())
		}
		first := w.ask(0, "/token", codeForm(one.b.last.query("code")), "")
		switch {
		case i < readers:
			run(func(going func() bool) { w.reads(going, first.Access) })
		case i < readers+redeemers:
			run(func(going func() bool) { w.redeems(going, one, i, keep) })
		default:
			run(func(going func() bool) { w.renews(going, one, i, first, keep) })
		}
	}
	for i := range 2 {
		deeds = append(deeds, fmt.Sprint("read ", i), fmt.Sprint("redeemed ", i), fmt.Sprint("refreshed ", i))
	}
	reset, moved := make(chan *resident), make(chan *resident)
	for i := range 2 {
		run(func(going func() bool) {
			for one := range reset {
				w.resets(going, one, i, keep)
			}
		})
		run(func(going func() bool) {
			for one := range moved {
				w.registers(going, one, i, keep)
			}
		})
	}
	run(func(going func() bool) { hand(going, reset, resetting) })
	run(func(going func() bool) { hand(going, moved, moving) })

	time.Sleep(2*time.Second + anyTime(t, time.Second))
	w.cluster.Kill()
	killed := time.Now()
	for end := killed.Add(10 * time.Second); w.process.ready() || w.second.ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("a node that has no primary says it is ready")
			break
		}
	}
	time.Sleep(anyTime(t, time.Second))
	w.cluster.Promote()
	promoted := time.Now()
	for time.Since(promoted) < 25*time.Second && !w.calm(deeds...) && !t.Failed() {
		time.Sleep(50 * time.Millisecond)
	}
	close(stop)
	all.Wait()
	w.spell.Lock()
	last := w.spell.last.Sub(promoted)
	w.spell.Unlock()
	if !w.calm() || last > 15*time.Second {
		t.Errorf("the last failure was %v after the promotion", last)
	}
	if !w.process.ready() || !w.second.ready() {
		t.Error("a node is not ready after the failover")
	}
	t.Logf("failover %d: promoted %v after the kill, the last failure %v after that", n+1, promoted.Sub(killed).Round(time.Millisecond), last.Round(time.Millisecond))
	w.holds(keep)
}

// hand gives people out, one every now and then, so that some of them are in the middle whatever happens.
func hand(going func() bool, to chan<- *resident, people []*resident) {
	defer close(to)
	for _, one := range people {
		if !going() {
			return
		}
		to <- one
		time.Sleep(250 * time.Millisecond)
	}
}

// kept is what was answered, and what nobody knows.
type kept struct {
	sync.Mutex
	codes   map[string]tokens // that gave these
	used    []string          // refresh tokens that gave others
	current []string          // and those that came of them last
	reset   []answered
	app     []answered
}

// answered is somebody who knows that her deed is done, or does not.
type answered struct {
	*resident
	done bool
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

// TestF09_AnAnswerIsNoYesBeforeTheStandbyHasIt cuts the standby off and has PostgreSQL call the COMMIT of a redeemed code done although nobody else has it. The primary shows
// the tokens then; but the relying party does not get them, since a failover would undo them.
func TestF09_AnAnswerIsNoYesBeforeTheStandbyHasIt(t *testing.T) {
	c := storetest.NewCluster(t)
	h := openAt(t, c.URL(), quietly)
	at := h.browser().register("ironman")
	h.meta("avengers")
	c.Cut()
	answer := make(chan tokens, 1)
	go func() { answer <- h.redeem(at) }()
	for end := time.Now().Add(3 * time.Second); c.Tell(`SELECT COUNT(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'`) == "0"; {
		if time.Now().After(end) {
			t.Error("no COMMIT waits for the standby")
			break
		}
	}
	if got := <-answer; got.status != http.StatusServiceUnavailable || got.Access != "" {
		t.Errorf("a redemption that the standby has not got: %d %s", got.status, got.raw)
	}
	c.Kill()
}
