package audit

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/secret"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

// room is a journal on an open store, with what it told.
type room struct {
	*Journal
	t       *testing.T
	db      *store.DB
	clock   *storetest.Clock
	ring    *secret.Ring
	log     *bytes.Buffer
	counted map[string]int
}

func open(t *testing.T, db *store.DB, clock *storetest.Clock) *room {
	r := &room{t: t, db: db, clock: clock, ring: secret.NewRing(), log: &bytes.Buffer{}, counted: map[string]int{}}
	r.Journal = r.other("avengers")
	return r
}

// other is a journal of another tenant, or of another node of the same.
func (r *room) other(tenant string) *Journal {
	return New(r.db.Tenant(tenant), Options{
		Ring: r.ring, Now: r.clock.Now, Logger: slog.New(slog.NewJSONHandler(r.log, nil)), Metrics: func(event string) { r.counted[event]++ },
	})
}

func (r *room) record(events ...Event) {
	r.t.Helper()
	write(r.t, r.Journal, events...)
}

func write(t *testing.T, j *Journal, events ...Event) {
	t.Helper()
	for _, e := range events {
		if err := j.db.Write(t.Context(), func(tx store.Tx) error { return j.Record(tx, e) }); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *room) link() {
	r.t.Helper()
	for {
		n, err := r.Link(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func (r *room) entries() []Entry {
	r.t.Helper()
	list, err := r.Tail(r.t.Context(), 0, 10000)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// exec does what somebody who can write to the database does.
func (r *room) exec(query string, args ...any) {
	r.t.Helper()
	err := r.Journal.db.Write(r.t.Context(), func(tx store.Tx) error {
		n, err := tx.Exec(query, args...)
		if err == nil && n == 0 {
			return errors.New("no row was touched")
		}
		return err
	})
	if err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
}

func each(t *testing.T, f func(t *testing.T, r *room)) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { f(t, open(t, db, clock)) })
}

func onOne(t *testing.T, url string, f func(t *testing.T, r *room)) {
	clock := storetest.NewClock()
	f(t, open(t, storetest.Open(t, url, store.Options{Now: clock.Now}), clock))
}

func TestADeedIsJournalledLoggedAndCountedOnceItIsCommitted(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.record(Event{Name: MethodBound, User: "u-1", Flow: "flow1", Client: "wiki", Network: "192.0.2.7", Detail: map[string]string{"kind": "totp", "label": "Authenticator app"}})
		list := r.entries()
		if len(list) != 1 {
			t.Fatalf("%d entries, want 1", len(list))
		}
		e := list[0]
		if e.Event != "method.bound" || e.Actor != "user" || e.Flow != "flow1" || e.Client != "wiki" || e.Network != "192.0.2.7" || !e.At.Equal(r.clock.Now()) {
			t.Errorf("entry %+v", e)
		}
		if !maps.Equal(e.Detail, map[string]string{"kind": "totp", "label": "Authenticator app"}) {
			t.Errorf("detail %v", e.Detail)
		}
		if r.counted["method.bound"] != 1 {
			t.Errorf("counted %v, want one method.bound", r.counted)
		}
		line := r.log.String()
		for _, want := range []string{`"event":"method.bound"`, `"who":"` + e.Who + `"`, `"tenant":"avengers"`, `"flow":"flow1"`, `"kind":"totp"`} {
			if strings.Count(line, want) != 1 {
				t.Errorf("the log line has %d of %s: %s", strings.Count(line, want), want, line)
			}
		}
	})
}

func TestADeedThatWasUndoneLeavesNoTrace(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		undone := errors.New("undone")
		err := r.Journal.db.Write(t.Context(), func(tx store.Tx) error {
			if err := r.Record(tx, Event{Name: ResetDone, User: "u-1"}); err != nil {
				return err
			}
			return undone
		})
		if !errors.Is(err, undone) {
			t.Fatal(err)
		}
		if len(r.entries()) != 0 || r.log.Len() != 0 || len(r.counted) != 0 {
			t.Errorf("entries %v, log %q, counted %v after a rollback", r.entries(), r.log, r.counted)
		}
	})
}

func TestUsersAppearUnderPseudonyms(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.record(Event{Name: SignInOK, User: "ironman-id"}, Event{Name: SignInOK, User: "ironman-id"}, Event{Name: SignInOK, User: "pepper-id"}, Event{Name: KeysRotated, Actor: "system"})
		wakanda := r.other("wakanda")
		write(t, wakanda, Event{Name: SignInOK, User: "ironman-id"})
		e := r.entries()
		foreign, err := wakanda.Tail(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if e[0].Who != e[1].Who || e[0].Who == e[2].Who || e[0].Who == foreign[0].Who || e[3].Who != "" || e[3].Actor != "system" {
			t.Errorf("who: %q %q %q, nobody %q, in another tenant %q", e[0].Who, e[1].Who, e[2].Who, e[3].Who, foreign[0].Who)
		}
		var out bytes.Buffer
		if err := r.Export(t.Context(), &out, "jsonl"); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String()+r.log.String(), "ironman") {
			t.Error("a user's id is in the journal or in the log")
		}
		_ = r.Journal.db.Read(t.Context(), func(tx store.Tx) error {
			if user, err := r.User(tx, e[0].Who); user != "ironman-id" || err != nil {
				t.Errorf("behind the pseudonym: %q, %v", user, err)
			}
			if _, err := r.User(tx, foreign[0].Who); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("A10 another tenant's pseudonym: %v, want ErrNotFound", err)
			}
			return nil
		})
	})
}

func TestErasingAUserLeavesAWholeChainAboutNobody(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.record(Event{Name: SignInOK, User: "u-1"}, Event{Name: SignInOK, User: "u-2"})
		r.link()
		before := r.entries()[0].Who
		if err := r.Journal.db.Write(t.Context(), func(tx store.Tx) error { return r.Erase(tx, "u-1") }); err != nil {
			t.Fatal(err)
		}
		err := r.Journal.db.Read(t.Context(), func(tx store.Tx) error {
			if list, err := r.Recent(tx, "u-1", 10); len(list) != 0 || err != nil {
				t.Errorf("an erased user has %d entries, %v", len(list), err)
			}
			if list, err := r.Recent(tx, "u-2", 10); len(list) != 1 || err != nil {
				t.Errorf("another user has %d entries, %v", len(list), err)
			}
			_, err := r.User(tx, before)
			return err
		})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("behind the erased pseudonym: %v, want ErrNotFound", err)
		}
		if v, err := r.Verify(t.Context()); err != nil || !v.OK() || v.Linked != 2 {
			t.Errorf("verdict %+v, %v", v, err)
		}
		r.record(Event{Name: SignInOK, User: "u-1"})
		if after := r.entries()[2].Who; after == before {
			t.Error("the same user came back under the erased pseudonym")
		}
	})
}

func TestANameThatIsNobodyHasAPseudonymAndNoRow(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		who := r.Unknown("Loki")
		for _, spelling := range []string{"loki", " LOKI ", "ｌｏｋｉ"} {
			if r.Unknown(spelling) != who {
				t.Errorf("A25 %q is another nobody than Loki", spelling)
			}
		}
		if r.Unknown("thor") == who || r.other("wakanda").Unknown("Loki") == who {
			t.Error("two nobodies look the same")
		}
		r.record(Event{Name: SignInRefused, User: who})
		if got := r.entries()[0].Who; got != who || strings.Contains(strings.ToLower(got), "loki") {
			t.Errorf("journalled as %q, want %q", got, who)
		}
		err := r.Journal.db.Read(t.Context(), func(tx store.Tx) error {
			var n int64
			err := tx.Row(`SELECT COUNT(*) FROM pseudonym WHERE tenant = $1`).Scan(&n)
			if n != 0 {
				t.Errorf("A50 %d rows for a name anybody can type", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestRecentTailAndFindGiveWhatIsAskedFor(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		for _, e := range []Event{
			{Name: ResetBegun, User: "u-1", Flow: "k7h2m9qqxw"}, {Name: SignInOK, User: "u-2", Flow: "abcdefgh"},
			{Name: ResetDone, User: "u-1", Flow: "k7h2m9qqxw"}, {Name: DeadEnd, User: "u-2", Flow: "zzzzzzzz", Detail: map[string]string{"reference": "AB12-CD34"}},
		} {
			r.record(e)
			r.clock.Advance(time.Second)
		}
		names := func(list []Entry) (s []string) {
			for _, e := range list {
				s = append(s, e.Event)
			}
			return s
		}
		expect := func(what string, list []Entry, err error, want ...string) {
			t.Helper()
			if err != nil || !slices.Equal(names(list), want) {
				t.Errorf("%s: %v, %v, want %v", what, names(list), err, want)
			}
		}
		_ = r.Journal.db.Read(t.Context(), func(tx store.Tx) error {
			list, err := r.Recent(tx, "u-1", 10)
			expect("recent", list, err, "reset.done", "reset.begun")
			list, err = r.Recent(tx, "u-1", 1)
			expect("the most recent", list, err, "reset.done")
			list, err = r.Recent(tx, "u-3", 1)
			expect("nobody's", list, err)
			return nil
		})
		ctx := t.Context()
		list, err := r.Tail(ctx, -1, 2)
		expect("the last two", list, err, "reset.done", "dead_end")
		list, err = r.Tail(ctx, list[0].Seq, 10)
		expect("after the third", list, err, "dead_end")
		list, err = r.Find(ctx, "K7H2-M9")
		expect("by the beginning of the flow", list, err, "reset.begun", "reset.done")
		list, err = r.Find(ctx, "ab12cd34")
		expect("by the reference", list, err, "dead_end")
		for _, wrong := range []string{"", "k7h2", "%%%%%%%", "______", "k7h2m9qqxwz", "2m9qqxw", "ab12cd3"} {
			list, err = r.Find(ctx, wrong)
			expect("by "+wrong, list, err)
		}
		list, err = r.other("wakanda").Find(ctx, "k7h2m9qqxw")
		expect("A10 in another tenant", list, err)
	})
}

func TestAJournalThatCannotBeWrittenUndoesTheDeed(t *testing.T) {
	full := errors.New("disk full")
	var failing bool
	db := storetest.Open(t, storetest.SQLiteURL(t), store.Options{Fault: func(op string) error {
		if failing && op == "exec" {
			return full
		}
		return nil
	}})
	j := New(db.Tenant("avengers"), Options{Ring: secret.NewRing()})
	failing = true
	err := db.Tenant("avengers").Write(context.Background(), func(tx store.Tx) error { return j.Record(tx, Event{Name: ResetDone, User: "u-1"}) })
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("A47 recording on a full disk: %v, want ErrUnavailable", err)
	}
}
