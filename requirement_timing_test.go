package sparekey_test

import (
	"crypto/rand"
	"fmt"
	"math"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/config"
)

// times are what a step took, in microseconds, by whose name was typed.
type times map[string][]float64

// quartiles of a sorted list.
func quartiles(list []float64) (low, median, high float64) {
	return list[len(list)/4], list[len(list)/2], list[3*len(list)/4]
}

// mannWhitney is the probability that two lists which are alike differ as much in rank as these do (normal approximation, two-sided).
func mannWhitney(a, b []float64) float64 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	rank := map[float64]float64{}
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j] == all[i] {
			j++
		}
		rank[all[i]], i = float64(i+j+1)/2, j
	}
	n, m, sum := float64(len(a)), float64(len(b)), 0.0
	for _, v := range a {
		sum += rank[v]
	}
	z := (sum - n*(n+1)/2 - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
	return math.Erfc(math.Abs(z) / math.Sqrt2)
}

// spread is by how much the medians of two lists may differ by chance: four standard errors.
func spread(a, b []float64) float64 {
	error := func(list []float64) float64 {
		low, _, high := quartiles(list)
		return 0.93 * (high - low) / math.Sqrt(float64(len(list)))
	}
	return 4 * math.Hypot(error(a), error(b))
}

// mixed is a list in an order nobody chose.
func mixed(list []string) []string {
	list = slices.Clone(list)
	for i := range list {
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(list)-i)))
		j := i + int(n.Int64())
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// names are one name of each sort, all of them shown the same choices in a reset: a decoy's are drawn by its name.
func names(t *testing.T, h *house) map[string]string {
	t.Helper()
	withEmail(t, h)
	list := map[string]string{"she": "ironman"}
	for who, make := range map[string]func(login string){
		"nobody": func(string) {},
		"who has registered nothing": func(login string) {
			h.addUser("avengers", login, "Name", login+"@stark.example", "Avengers")
		},
		"who may not reset": func(login string) { h.addUser("avengers", login, "Name", login+"@stark.example", "Others") },
		"who is disabled": func(login string) {
			h.addUser("avengers", login, "Name", login+"@stark.example", "Avengers")
			if err := h.admin("avengers").SetDisabled(t.Context(), h.user(login), true, "test"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for n := 0; list[who] == ""; n++ {
			login := fmt.Sprintf("%s%02d", who[len(who)-5:], n)
			login = strings.ReplaceAll(login, " ", "x")
			make(login)
			b := h.browser()
			if b.beginReset(login); strings.Contains(b.last.body, `data-kind="email"`) && strings.Contains(b.last.body, `data-kind="totp"`) {
				list[who] = login
			}
		}
	}
	return list
}

// measured walks a reset and a sign-in with each name in turn, so many times, and takes the time of every POST.
func measured(t *testing.T, h *house, list map[string]string, rounds int) map[string]times {
	t.Helper()
	took := map[string]times{}
	var order []string
	for who := range list {
		order = append(order, who)
	}
	for i := range rounds {
		if i%15 == 0 {
			h.drained()
			h.clock.Advance(25 * time.Hour) // no limit is reached
		}
		for _, who := range mixed(order) {
			var b *browser
			open := func(address string) {
				b = h.browser()
				b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				b.get(address)
				b.get(b.last.location)
			}
			post := func(step string, fields ...string) {
				if took[step] == nil {
					took[step] = times{}
				}
				began := time.Now()
				b.post(fields...)
				took[step][who] = append(took[step][who], float64(time.Since(began).Nanoseconds())/1000)
				b.get(b.last.location)
			}
			open("/avengers/reset")
			post("reset: name", append(b.puzzle(), "username", list[who], "action", "next")...)
			post("reset: what", "what", "forgot", "action", "next")
			for _, tag := range tagsOf(b.last.body, "choose") {
				if strings.Contains(tag, `data-kind="email"`) {
					post("reset: choice", "choose", first2(tag, "value"), "action", "next")
					break
				}
			}
			post("reset: address", "email", "tony@home.example", "action", "verify")
			if !strings.Contains(b.last.body, `name="code"`) {
				t.Fatalf("%s: %q %q", who, b.last.h1(), b.last.error())
			}
			post("reset: code", "code", "000000", "action", "verify")
			open(h.authorizeURL("avengers"))
			post("sign-in: name", "username", list[who], "action", "next")
			post("sign-in: password", "password", fmt.Sprint("a guess of many ", i), "action", "sign_in")
			if !strings.Contains(b.last.error(), "does not fit") {
				t.Fatalf("%s: %q %q", who, b.last.h1(), b.last.error())
			}
		}
	}
	return took
}

// Whether a name is somebody's is not told by how long the answer takes: nobody, somebody disabled, who may not reset or has nothing
// registered costs what she does who can. Other work on the machine makes a measurement worthless now and then, so three are made
// before it is believed. SPAREKEY_DEEP=1 measures a thousand rounds and compares ranks, too.
func TestRS02_ATimeTellsNothingOfAName(t *testing.T) {
	rounds, deep := 50, os.Getenv("SPAREKEY_DEEP") == "1"
	if deep {
		rounds = 1000
	}
	h := open(t, unsilenced, rule(func(p *sparekey.Policy) { p.DeadEnd = "neutral" }), with(func(t *sparekey.Tenant) {
		many := config.Rate{Count: 10_000, Per: 10 * time.Minute}
		t.Limits.Rush, t.Limits.Siege = many, many
		t.Limits.SignIn.After, t.Limits.SignIn.Captcha, t.Limits.SignIn.Network = 100, 100, many
	}))
	list := names(t, h)
	var faults []string
	for range 3 {
		faults = nil
		for step, took := range measured(t, h, list, rounds) {
			hers := took["she"]
			slices.Sort(hers)
			_, usual, _ := quartiles(hers)
			for who, theirs := range took {
				if who == "she" {
					continue
				}
				slices.Sort(theirs)
				_, median, _ := quartiles(theirs)
				p := mannWhitney(hers, theirs)
				line := fmt.Sprintf("%-17s %6.0f µs for her and %6.0f µs for %s (p = %.2g)", step, usual, median, who, p)
				if deep {
					t.Log(line)
				}
				if math.Abs(usual-median) > max(50, usual/50, spread(hers, theirs)) {
					faults = append(faults, line)
				} else if deep && (step == "reset: name" || step == "sign-in: password") && p <= 0.001 {
					faults = append(faults, line)
				}
			}
		}
		if len(faults) == 0 {
			return
		}
		t.Logf("not alike, measured once more: %q", faults)
	}
	t.Error(strings.Join(faults, "\n"))
}
