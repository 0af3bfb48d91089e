package guard

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
)

func TestRS05TheSameWrongPasswordIsCountedOnce(t *testing.T) {
	each(t, Options{}, func(h *house) {
		trial := func(password string) Trial { return Trial{For: SignIn, User: "u1", Network: "n", Password: password} }
		for range 100 {
			if !h.wrong(trial("autumn 2025")) {
				h.Fatal("an old password that a device still sends locks its owner out")
			}
		}
		h.wrong(trial("e\u0301tude"))
		h.wrong(trial("\u00e9tude")) // the same in another normal form
		if n := h.failures(trial("")); n != 2 {
			h.Errorf("%d wrong passwords count, want 2", n)
		}
		h.wrong(trial("c"))
		h.wrong(trial("d"))
		h.wrong(trial("autumn 2025"))
		if n := h.failures(trial("")); n != 5 {
			h.Errorf("%d wrong passwords count, want 5: the first is no longer among the last three", n)
		}
		h.Run("another user’s counts on its own", func(*testing.T) {
			if h.wrong(Trial{For: SignIn, User: "u2", Network: "n", Password: "d"}); h.failures(Trial{For: SignIn, User: "u2"}) != 1 {
				h.Error("not counted")
			}
		})
		h.Run("it is counted nowhere: not for the network either", func(*testing.T) {
			err := h.g().db.Read(h.Context(), func(tx store.Tx) error {
				crowd, err := h.g().crowd(tx, networkKey(trial("")), h.clock.Now())
				if crowd.sum() != 6 {
					h.Errorf("%d count for the network, want 6", crowd.sum())
				}
				return err
			})
			if err != nil {
				h.Error(err)
			}
		})
		h.Run("none is dropped with the window", func(*testing.T) {
			h.clock.Advance(24*time.Hour - time.Second)
			if n := h.failures(trial("")); n != 5 {
				h.Errorf("%d wrong passwords count after a day less a second, want 5", n)
			}
			h.clock.Advance(time.Second)
			if n := h.failures(trial("")); n != 0 {
				h.Errorf("%d wrong passwords count after a day", n)
			}
		})
	})
}

func TestA16TheSameWrongPasswordFiftyTimesAtOnceIsCountedOnce(t *testing.T) {
	each(t, Options{}, func(h *house) {
		trial := Trial{For: SignIn, User: "u1", Network: "n", Password: "autumn 2025"}
		through := parallel(50, func(i int) bool {
			a, err := h.nodes[i%2].Try(h.Context(), trial)
			var wait *WaitError
			if errors.As(err, &wait) {
				return false
			}
			if err == nil {
				err = a.Wrong(h.Context())
			}
			if err != nil {
				h.Error(err)
			}
			return err == nil
		})
		if through < 10 {
			h.Errorf("%d were let through, want 10 at least", through)
		}
		if n := h.failures(trial); n != 1 {
			h.Errorf("%d count, want 1", n)
		}
	})
}

func TestAWrongPasswordWhoseTwinWasGivenBackStaysCounted(t *testing.T) {
	each(t, Options{}, func(h *house) {
		trial := Trial{For: SignIn, User: "u1", Network: "n", Password: "x"}
		first, second := h.try(trial), h.try(trial)
		if err := errors.Join(first.GiveBack(h.Context()), second.Wrong(h.Context())); err != nil {
			h.Fatal(err)
		}
		if n := h.failures(trial); n != 1 {
			h.Errorf("%d count, want 1", n)
		}
	})
}

func TestNoPasswordIsStored(t *testing.T) {
	each(t, Options{}, func(h *house) {
		h.wrong(Trial{For: SignIn, User: "u1", Network: "n", Password: "correct horse"})
		h.wrong(Trial{For: SignIn, User: "u2", Network: "n", Password: "correct horse"})
		var values []string
		h.write(func(tx store.Tx) error {
			rows, err := tx.Rows("SELECT value FROM shelf WHERE tenant = $1 AND shelf = $2 AND owner <> ''", "tally")
			for err == nil && rows.Next() {
				var v []byte
				err = rows.Scan(&v)
				values = append(values, string(v))
			}
			return err
		})
		if len(values) != 2 {
			h.Fatalf("%d records", len(values))
		}
		same := func(v string) string { _, s, _ := strings.Cut(v, `"same":"`); return s[:22] }
		if same(values[0]) == same(values[1]) {
			h.Error("two users’ equal passwords can be told from the records")
		}
		for _, v := range values {
			if strings.Contains(v, "horse") {
				h.Errorf("the password lies in the record: %s", v)
			}
		}
	})
}

func TestANetworkHasABrakeThatAnOfficePasses(t *testing.T) {
	each(t, Options{}, func(h *house) {
		h.Run("four hundred colleagues sign in from one address", func(*testing.T) {
			for i := range 400 {
				u := fmt.Sprint("u", i)
				if i%4 == 0 {
					h.wrong(Trial{For: SignIn, User: u, Network: "office", Password: "typo"})
				}
				h.right(Trial{For: SignIn, User: u, Network: "office"})
			}
		})
		h.Run("A16 somebody tries one password on everybody", func(*testing.T) {
			through := 0
			for i := range 400 {
				if h.wrong(Trial{For: SignIn, User: fmt.Sprint("v", i), Network: "spray", Password: "Summer2026"}) {
					through++
				}
			}
			if through != 300 {
				h.Errorf("%d were let through, want 300", through)
			}
		})
		h.Run("A26 a known browser in that network still signs in", func(*testing.T) {
			if h.wrong(Trial{For: SignIn, User: "boss", Network: "spray", Password: "x"}) {
				h.Error("an unknown browser was let through")
			}
			h.right(Trial{For: SignIn, User: "boss", Known: true, Network: "spray"})
		})
		h.Run("it falls by itself", func(*testing.T) {
			until, _ := h.peek(Trial{For: SignIn, User: "boss", Network: "spray"})
			if wait := until.Sub(h.clock.Now()); wait <= 0 || wait > 11*time.Minute {
				h.Errorf("has to wait %v", wait)
			}
			h.clock.Set(until)
			h.right(Trial{For: SignIn, User: "boss", Network: "spray"})
		})
	})
}

func TestAPuzzleIsAskedForAfterThreeWrongPasswords(t *testing.T) {
	each(t, Options{}, func(h *house) {
		needs := func(trial Trial) (yes bool) {
			err := h.g().db.Read(h.Context(), func(tx store.Tx) (err error) {
				yes, err = h.g().NeedsPuzzle(tx, trial)
				return err
			})
			if err != nil {
				h.Fatal(err)
			}
			return yes
		}
		for _, user := range []string{"u1", "unknown:9f"} { // A22: nobody is asked just like somebody
			trial := Trial{For: SignIn, User: user, Network: "n"}
			for i := range 5 {
				if got, want := needs(trial), i >= 3; got != want {
					h.Errorf("%s, after %d wrong passwords: puzzle %v, want %v", user, i, got, want)
				}
				trial.Password = fmt.Sprint(i)
				h.wrong(trial)
			}
			trial.Known = true
			if needs(trial) {
				h.Error("a known browser is asked for what strangers did")
			}
		}
		for i := range 75 {
			h.wrong(Trial{For: SignIn, User: fmt.Sprint("v", i), Network: "spray", Password: "x"})
		}
		if !needs(Trial{For: SignIn, User: "new", Network: "spray"}) || needs(Trial{For: SignIn, User: "new", Known: true, Network: "spray"}) || needs(Trial{For: SignIn, User: "new", Network: "n"}) {
			h.Error("a network with many wrong passwords is asked, but for known browsers")
		}
	})
}
