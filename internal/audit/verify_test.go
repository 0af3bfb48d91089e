package audit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/store/storetest"
)

func TestVerifyFindsWhatWasChanged(t *testing.T) {
	deeds := map[string]struct {
		do   func(r *room)
		want []int64
	}{
		"a row's event":   {func(r *room) { r.exec(`UPDATE journal SET event = 'sign_out' WHERE tenant = $1 AND link = $2`, 4) }, []int64{4}},
		"a row's user":    {func(r *room) { r.exec(`UPDATE journal SET who = '' WHERE tenant = $1 AND link = $2`, 4) }, []int64{4}},
		"a row's time":    {func(r *room) { r.exec(`UPDATE journal SET at = at + 1 WHERE tenant = $1 AND link = $2`, 4) }, []int64{4}},
		"a row's actor":   {func(r *room) { r.exec(`UPDATE journal SET actor = 'system' WHERE tenant = $1 AND link = $2`, 4) }, []int64{4}},
		"a row's network": {func(r *room) { r.exec(`UPDATE journal SET network = '' WHERE tenant = $1 AND link = $2`, 4) }, []int64{4}},
		"a row's flow":    {func(r *room) { r.exec(`UPDATE journal SET flow = 'x' WHERE tenant = $1 AND link = $2`, 4) }, []int64{4}},
		"a row's client":  {func(r *room) { r.exec(`UPDATE journal SET client = 'x' WHERE tenant = $1 AND link = $2`, 4) }, []int64{4}},
		"a row's detail": {func(r *room) {
			r.exec(`UPDATE journal SET detail = '{"kind": "totp"}' WHERE tenant = $1 AND link = $2`, 4)
		}, []int64{4}},
		"text moved from one column to the next": {func(r *room) {
			r.exec(`UPDATE journal SET flow = network, network = '' WHERE tenant = $1 AND link = $2`, 4)
		}, []int64{4}},
		"a row, with a hash that fits it": {func(r *room) {
			e := r.entries()
			e[3].Event = "sign_out"
			r.exec(`UPDATE journal SET event = 'sign_out', hash = $3 WHERE tenant = $1 AND link = $2`, 4, hash("avengers", e[2].Hash, e[3]))
		}, []int64{5}},
		"a row removed":     {func(r *room) { r.exec(`DELETE FROM journal WHERE tenant = $1 AND link = $2`, 4) }, []int64{4, 5}},
		"the first removed": {func(r *room) { r.exec(`DELETE FROM journal WHERE tenant = $1 AND link = $2`, 1) }, []int64{1, 2}},
		"the last removed":  {func(r *room) { r.exec(`DELETE FROM journal WHERE tenant = $1 AND link >= $2`, 7) }, []int64{7, 8}},
		"all removed":       {func(r *room) { r.exec(`DELETE FROM journal WHERE tenant = $1`) }, []int64{1, 2, 3, 4, 5, 6, 7, 8}},
		"two rows exchanged": {func(r *room) {
			r.exec(`UPDATE journal SET link = 9 - link WHERE tenant = $1 AND link >= $2 AND link <= $3`, 4, 5)
		}, []int64{4, 5, 6}},
		"a row added": {func(r *room) {
			r.exec(`INSERT INTO journal (tenant, at, event, who, actor, link, hash) VALUES ($1, 0, 'sign_out', '', 'user', $2, $3)`, 4, "00")
		}, []int64{4}},
		"a row added before the beginning": {func(r *room) {
			r.exec(`INSERT INTO journal (tenant, at, event, who, actor, link, hash) VALUES ($1, 0, 'sign_out', '', 'user', $2, $3)`, 0, "00")
		}, []int64{0}},
		"a row added after the end": {func(r *room) {
			write(r.t, r.Journal, Event{Name: SignOut})
			e := r.entries()
			made := e[8]
			made.Link = 9
			r.exec(`UPDATE journal SET link = 9, hash = $3 WHERE tenant = $1 AND seq = $2`, made.Seq, hash("avengers", e[7].Hash, made))
		}, []int64{9}},
		"a row taken out of the chain": {func(r *room) {
			r.exec(`UPDATE journal SET link = NULL, hash = NULL WHERE tenant = $1 AND link = $2`, 8)
		}, []int64{8}},
		"a row taken out of the chain and linked again": {func(r *room) {
			r.exec(`UPDATE journal SET link = NULL, hash = NULL, event = 'sign_out' WHERE tenant = $1 AND link = $2`, 8)
			r.link()
		}, []int64{8, 9}},
	}
	for name, deed := range deeds {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *room) {
				r.some(8)
				r.whole(8, 0)
				deed.do(r)
				if v := r.verdict(); v.OK() || !slices.Equal(v.Broken, deed.want) || !v.Marked {
					t.Errorf("verdict %+v, want %v broken", v, deed.want)
				}
			})
		})
	}
}

// PostgreSQL lets nobody set a row's number.
func TestVerifyFindsAChangedNumber(t *testing.T) {
	onOne(t, storetest.SQLiteURL(t), func(t *testing.T, r *room) {
		r.some(8)
		r.exec(`UPDATE journal SET seq = seq + 500 WHERE tenant = $1 AND link = $2`, 4)
		if v := r.verdict(); v.OK() || !slices.Equal(v.Broken, []int64{4}) || !v.Marked {
			t.Errorf("verdict %+v, want row 4 broken", v)
		}
	})
}

func TestAChainMadeAnewWithoutTheKeyIsFound(t *testing.T) {
	// Whoever can write to the database, and knows how hashes are made, but has not the key ring.
	each(t, func(t *testing.T, r *room) {
		r.some(6)
		foreign := open(t, r.db, r.clock) // another ring
		r.exec(`UPDATE journal SET event = 'sign_out' WHERE tenant = $1 AND link = $2`, 3)
		r.exec(`UPDATE journal SET link = NULL, hash = NULL WHERE tenant = $1`)
		r.exec(`DELETE FROM setting WHERE tenant = $1 AND name = $2`, headName)
		foreign.link()
		if v := foreign.verdict(); !v.OK() {
			t.Fatalf("the forger sees %+v", v)
		}
		if v := r.verdict(); v.OK() || v.Marked {
			t.Errorf("verdict %+v, want the head not to be ours", v)
		}
		r.some(2) // the journal goes on, and the chainer does not wash it clean
		if v := r.verdict(); v.OK() || v.Marked || v.Linked != 8 || v.Unlinked != 0 || len(v.Broken) != 0 {
			t.Errorf("verdict %+v, want 8 linked and the head not to be ours", v)
		}
		r.clock.Advance(time.Hour)
		r.some(1)
		if _, err := r.Sweep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		r.whole(1, 0) // what was forged is gone with its time
	})
}

// Whoever verifies while another node links the first rows of all finds nothing wrong, whatever he had looked at before.
func TestAChainThatBeginsWhileItIsVerifiedIsWhole(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		for at := range 10 {
			clock, tenant := storetest.NewClock(), fmt.Sprintf("tenant%d", at)
			linking := open(t, storetest.Open(t, url, store.Options{Now: clock.Now}), clock)
			other := linking.other(tenant)
			write(t, other, Event{Name: SignInOK, User: "u-1"})
			asked, linked := 0, false
			watching := open(t, storetest.Open(t, url, store.Options{Now: clock.Now, Fault: func(op string) error {
				if asked++; asked == at+1 {
					n, err := other.Link(t.Context())
					linked = n == 1
					return err
				}
				return nil
			}}), clock)
			watching.ring = linking.ring
			v, err := watching.other(tenant).Verify(t.Context())
			if err != nil || !v.OK() {
				t.Errorf("linked before call %d: %+v %v", at+1, v, err)
			}
			if !linked {
				t.Errorf("nothing was linked before call %d", at+1)
			}
		}
	})
}

func TestAHeadThatIsGoneOrDamagedIsTold(t *testing.T) {
	t.Run("damaged, and every row removed", func(t *testing.T) {
		each(t, func(t *testing.T, r *room) {
			r.some(3)
			r.exec(`DELETE FROM journal WHERE tenant = $1`)
			r.exec(`UPDATE setting SET value = $3 WHERE tenant = $1 AND name = $2`, headName, []byte("{}"))
			r.some(1)
			if v := r.verdict(); v.OK() || v.Marked || v.Linked != 1 {
				t.Errorf("verdict %+v, want the head not to be ours", v)
			}
		})
	})
	for name, harm := range map[string]func(r *room){
		"gone": func(r *room) { r.exec(`DELETE FROM setting WHERE tenant = $1 AND name = $2`, headName) },
		"damaged": func(r *room) {
			r.exec(`UPDATE setting SET value = $3 WHERE tenant = $1 AND name = $2`, headName, []byte("{"))
		},
		"of another": func(r *room) {
			r.exec(`UPDATE setting SET value = $3 WHERE tenant = $1 AND name = $2`, headName, []byte(`{"head":{"link":2},"mark":"x"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *room) {
				r.some(3)
				harm(r)
				r.some(2)
				if v := r.verdict(); v.OK() || v.Marked || v.Linked != 5 {
					t.Errorf("verdict %+v, want 5 linked and the head not to be ours", v)
				}
			})
		})
	}
}
