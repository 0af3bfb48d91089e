package guard

import (
	"cmp"
	"time"

	"github.com/sparekey-id/sparekey/internal/config"
)

// Limits are a tenant's, as the config file has them under "limits". A rate is a count and a window: 5/24h.
// A zero takes its default.
type Limits struct {
	Proofs        config.Rate `yaml:"proofs"`             // wrong proofs in resets for each account, from unknown browsers and from known ones apart; then no reset for as long as the window: 5/24h
	ProofsNetwork config.Rate `yaml:"proofs_per_network"` // wrong proofs in resets for each network: 20/24h
	Rush          config.Rate `yaml:"rush"`               // wrong proofs in resets in the whole tenant that put the brake on: 50/10m
	Siege         config.Rate `yaml:"siege"`              // the same over a longer time: 500/24h
	Sends         config.Rate `yaml:"sends"`              // messages with a code for each account, then silence: 5/10m
	SendsNetwork  config.Rate `yaml:"sends_per_network"`  // the same for each network: 30/10m
	Codes         config.Rate `yaml:"codes"`              // wrong codes at sign-in for each authenticator; then waits, the first as long as the window, doubled up to sign_in.longest: 5/60s
	SignIn        Passwords   `yaml:"sign_in"`            // wrong passwords
	Waiting       config.Rate `yaml:"waiting_tickets"`    // puzzles answered by waiting, for each network: 10/1m
	Begun         int         `yaml:"begun"`              // sign-ins, and resets, that were begun and not gone on with, of which no more are kept; the oldest go first: 100000
}

// Passwords limits wrong passwords.
type Passwords struct {
	After   int             `yaml:"after"`       // wrong passwords of one account, from unknown browsers and from known ones apart, before the first wait: 10
	Wait    config.Duration `yaml:"wait"`        // the first wait, doubled with each further wrong one: 60s
	Longest config.Duration `yaml:"longest"`     // no wait is longer: 1h
	Forget  config.Duration `yaml:"forget"`      // a wrong password or code is held against nobody for longer: 24h
	Captcha int             `yaml:"captcha"`     // wrong passwords of one account before a puzzle is asked for: 3
	Network config.Rate     `yaml:"per_network"` // wrong passwords from unknown browsers of one network, whosever (an office behind one address must pass): 300/10m
}

// DefaultLimits are those of the manual.
func DefaultLimits() Limits {
	const day = 24 * time.Hour
	return Limits{
		Proofs:        config.Rate{Count: 5, Per: day},
		ProofsNetwork: config.Rate{Count: 20, Per: day},
		Rush:          config.Rate{Count: 50, Per: 10 * time.Minute},
		Siege:         config.Rate{Count: 500, Per: day},
		Sends:         config.Rate{Count: 5, Per: 10 * time.Minute},
		SendsNetwork:  config.Rate{Count: 30, Per: 10 * time.Minute},
		Codes:         config.Rate{Count: 5, Per: time.Minute},
		SignIn: Passwords{After: 10, Wait: config.Duration(time.Minute), Longest: config.Duration(time.Hour), Forget: config.Duration(day),
			Captcha: 3, Network: config.Rate{Count: 300, Per: 10 * time.Minute}},
		Waiting: config.Rate{Count: 10, Per: time.Minute},
		Begun:   100_000,
	}
}

// filled gives the limits with defaults where nothing is said.
func (l Limits) filled() Limits {
	d := DefaultLimits()
	l.Proofs = cmp.Or(l.Proofs, d.Proofs)
	l.ProofsNetwork = cmp.Or(l.ProofsNetwork, d.ProofsNetwork)
	l.Rush = cmp.Or(l.Rush, d.Rush)
	l.Siege = cmp.Or(l.Siege, d.Siege)
	l.Sends = cmp.Or(l.Sends, d.Sends)
	l.SendsNetwork = cmp.Or(l.SendsNetwork, d.SendsNetwork)
	l.Codes = cmp.Or(l.Codes, d.Codes)
	l.Waiting = cmp.Or(l.Waiting, d.Waiting)
	l.Begun = cmp.Or(l.Begun, d.Begun)
	l.SignIn.After = cmp.Or(l.SignIn.After, d.SignIn.After)
	l.SignIn.Wait = cmp.Or(l.SignIn.Wait, d.SignIn.Wait)
	l.SignIn.Longest = cmp.Or(l.SignIn.Longest, d.SignIn.Longest)
	l.SignIn.Forget = cmp.Or(l.SignIn.Forget, d.SignIn.Forget)
	l.SignIn.Captcha = cmp.Or(l.SignIn.Captcha, d.SignIn.Captcha)
	l.SignIn.Network = cmp.Or(l.SignIn.Network, d.SignIn.Network)
	return l
}

// rules are the limits as the counters read them.
type rules struct {
	proofs, proofsNetwork, password, codes, sends, sendsNetwork, waiting rule
	passwordNetwork                                                      surge
	rush, siege                                                          surge
}

func (l Limits) rules() rules {
	window := func(r config.Rate) rule { return rule{count: r.Count, per: r.Per} }
	longest, forget := time.Duration(l.SignIn.Longest), time.Duration(l.SignIn.Forget)
	return rules{
		proofs:        rule{count: l.Proofs.Count, per: l.Proofs.Per, wait: l.Proofs.Per, most: l.Proofs.Per},
		proofsNetwork: window(l.ProofsNetwork),
		password: rule{count: l.SignIn.After, per: forget, wait: time.Duration(l.SignIn.Wait), most: longest, forget: forget,
			same: 3},
		codes: rule{count: l.Codes.Count, per: l.Codes.Per, wait: l.Codes.Per, most: max(longest, l.Codes.Per), forget: forget,
			long: 4 * l.Codes.Count}, // guesses that come too slowly for the window meet the waits as well: NIST SP 800-63B §3.2.2 allows 100 in all
		sends:           window(l.Sends),
		sendsNetwork:    window(l.SendsNetwork),
		waiting:         window(l.Waiting),
		passwordNetwork: surge{l.SignIn.Network.Count, l.SignIn.Network.Per},
		rush:            surge{l.Rush.Count, l.Rush.Per},
		siege:           surge{l.Siege.Count, l.Siege.Per},
	}
}

// Check names what is wrong with the limits, setting by setting as the config file calls them; nil: nothing.
func (l Limits) Check() map[string]string {
	faults := map[string]string{}
	for name, r := range map[string]config.Rate{"proofs": l.Proofs, "proofs_per_network": l.ProofsNetwork, "rush": l.Rush, "siege": l.Siege,
		"sends": l.Sends, "sends_per_network": l.SendsNetwork, "codes": l.Codes, "waiting_tickets": l.Waiting, "sign_in.per_network": l.SignIn.Network} {
		if r != (config.Rate{}) && (r.Count < 1 || r.Count > 10_000 || r.Per < time.Second || r.Per > 366*24*time.Hour) {
			faults[name] = "want between 1 and 10,000 in between a second and a year"
		}
	}
	for name, r := range map[string]config.Rate{"proofs": l.Proofs, "proofs_per_network": l.ProofsNetwork, "codes": l.Codes} {
		if r.Count > 100 {
			faults[name] = "more than 100 guesses are too many (NIST SP 800-63B §3.2.2)"
		}
	}
	for name, n := range map[string]int{"sign_in.after": l.SignIn.After, "sign_in.captcha": l.SignIn.Captcha} {
		if n < 0 || n > 100 {
			faults[name] = "want between 1 and 100"
		}
	}
	if l.Begun != 0 && (l.Begun < 100 || l.Begun > 10_000_000) {
		faults["begun"] = "want between 100 and 10,000,000"
	}
	for name, d := range map[string]config.Duration{"sign_in.wait": l.SignIn.Wait, "sign_in.longest": l.SignIn.Longest, "sign_in.forget": l.SignIn.Forget} {
		if t := time.Duration(d); t != 0 && (t < time.Second || t > 366*24*time.Hour) {
			faults[name] = "want between a second and a year"
		}
	}
	if l := l.filled(); faults["sign_in.longest"] == "" && l.SignIn.Longest < l.SignIn.Wait {
		faults["sign_in.longest"] = "must not be shorter than sign_in.wait"
	}
	return faults
}
