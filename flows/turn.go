package flows

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/account"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/policy"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
	"github.com/sparekey-id/sparekey/internal/web"
)

// turn is one request's view of a flow: the record, the facts, what policy says of them and the step that follows.
type turn struct {
	*Flows
	w        http.ResponseWriter
	r        *http.Request
	ctx      context.Context
	rec      store.Record[Flow]
	flow     *Flow
	form     url.Values
	user     directory.User
	account  account.Account
	held     []identity.Authenticator
	session  session.Session // the browser's, when the flow goes on from one
	decision policy.Decision
	step     Step
	cookies  []*http.Cookie
	hot      bool // resets are under attack in the whole tenant
	again    bool // the flow changed inside the transaction: save it once more

	administrators []directory.User // the tenant's, where a notice to them is due
}

// Errors that end a turn. Each has its page in oops.go.
var (
	errForeign = errors.New("no such flow in this browser")
	errAgain   = errors.New("the flow has moved on")
)

// open loads the flow of the request and works out where it stands. A flow that is unknown, over or bound to
// another browser is errForeign, whichever it is.
func (f *Flows) open(w http.ResponseWriter, r *http.Request, id string) (*turn, error) {
	t := &turn{Flows: f, w: w, r: r, ctx: r.Context()}
	browser := f.browser(r)
	if browser == "" || len(id) > 64 {
		return nil, errForeign
	}
	err := t.see(func(tx store.Tx) (err error) {
		if t.rec, err = f.shelf.Get(tx, id); err != nil {
			return fmt.Errorf("load flow: %w", err)
		}
		t.flow = &t.rec.Value
		if t.flow.Browser != browser {
			return errForeign
		}
		return nil
	})
	switch {
	case errors.Is(err, errForeign):
		web.Note(r, "foreign_flow", true)
		return nil, err
	case errors.Is(err, store.ErrNotFound):
		return nil, errForeign
	case err != nil:
		return nil, err
	}
	if err := f.unseal(t.flow); err != nil {
		return nil, fmt.Errorf("open flow: %w", err)
	}
	t.stand()
	if t.flow.Kind == Manage && !t.flow.Done && t.session.Key == "" {
		return nil, errForeign // the session it went on from has ended, or the browser is somebody else's by now (SECURITY SE-07)
	}
	return t, nil
}

// nobody is the user a decoy is looked up as.
const nobody directory.UserID = "nobody"

// situate gathers the facts anew and asks policy and Next.
func (t *turn) situate() error {
	err := t.see(func(store.Tx) error { return nil })
	if err == nil {
		t.stand()
	}
	return err
}

// see reads the facts, and before them, in the same transaction, what first reads.
func (t *turn) see(first func(store.Tx) error) error {
	return t.whole(t.ctx, func(tx store.Tx) (directory.UserID, error) {
		t.account, t.held, t.session = account.Account{}, nil, session.Session{}
		if err := first(tx); err != nil || !t.flow.Named && t.flow.Session == "" {
			return "", err
		}
		// A decoy is looked up as well: a name that is nobody costs what a name costs (SECURITY RS-02).
		return t.whom(), nil
	}, func(tx store.Tx, u directory.User) error {
		if t.user = u; u.ID == "" {
			t.user = directory.User{ID: t.flow.User, Login: t.flow.Login, State: directory.Disabled}
		}
		return t.load(tx)
	})
}

// whom is who is looked up.
func (t *turn) whom() directory.UserID {
	if t.flow.User == "" {
		return nobody
	}
	return t.flow.User
}

// stand works out from the facts where the flow stands.
func (t *turn) stand() {
	if t.flow.Kind == SignIn && !t.flow.Done && t.flow.Session != "" && t.session.Key == "" {
		t.forgetUser() // the session this sign-in went on from has ended, and its proofs with it
	}
	t.decide()
}

// load reads what the store knows of the user.
func (t *turn) load(tx store.Tx) (err error) {
	if t.account, err = t.Accounts.Load(tx, t.whom()); err == nil {
		err = t.loadRest(tx)
	}
	return err
}

// loadRest is load without the account.
func (t *turn) loadRest(tx store.Tx) (err error) {
	t.held, t.session = nil, session.Session{}
	if !t.flow.unproven() { // what she holds is nobody's business before, and would tell by the time it takes (SECURITY RS-02)
		if t.held, err = t.Accounts.Authenticators(tx, t.whom()); err != nil {
			return err
		}
	}
	t.hot = t.flow.Kind == Reset && t.Guard.Hot(tx)
	if t.flow.Session != "" {
		t.session, err = t.Sessions.Current(tx, t.r)
		if errors.Is(err, session.ErrNone) || err == nil && (t.session.Key != t.flow.Session || t.session.User != string(t.flow.User)) {
			t.session, err = session.Session{}, nil
		}
	}
	return err
}

func (t *turn) decide() {
	f := t.flow
	if f.unproven() {
		// Every name meets the same page, whatever policy says of it.
		t.decision = policy.Decision{Password: true, Required: 1}
		t.step = Next(*f, t.decision)
		return
	}
	facts := policy.Facts{Now: t.Now(), For: f.purpose(), User: t.user, Held: t.held, Proofs: f.Proofs,
		CanSet: t.can().set, CanOpen: true, Due: f.Kind == SignIn && f.Due,
		Asked: t.account.Asked(), Hot: t.hot, HeldUntil: f.HeldUntil}
	facts.Address = t.Methods.FromDirectory(t.user)
	if f.Decoy && f.Kind == Reset {
		if rule := t.otherwise(facts); rule != nil {
			facts.Under = rule
		} else {
			facts.Under, facts.Held = t.decoy(t.who())
		}
		facts.User = directory.User{Login: f.Login}
		facts.Asked, facts.Proofs = policy.Asked{}, nil
	}
	t.decision = t.Policy.Decide(facts)
	// Staged authenticators are proven; only their commit is missing. One that policy does not ask for any more fills no gap.
	wanted := t.decision.Register
	t.decision.Register = slices.DeleteFunc(slices.Clone(wanted), func(k identity.Kind) bool {
		return slices.ContainsFunc(f.hidden.Staged, func(a identity.Authenticator) bool { return a.Kind == k })
	})
	t.decision.Missing = max(t.decision.Missing-len(wanted)+len(t.decision.Register), 0)
	t.step = Next(*f, t.decision)
}

// otherwise is the rule under which a user who may not do what she asks for, but may do the other of the two that a reset offers, meets her own
// page, as one that leads nowhere: whoever asks for the one and for the other in her name sees the same, as with a name that is nobody
// (SECURITY RS-01). nil: she may do neither, or there is no such user.
func (t *turn) otherwise(facts policy.Facts) *policy.Rule {
	if t.flow.User == "" || t.flow.What == "" {
		return nil
	}
	if facts.Proofs = nil; facts.For == policy.Reset {
		facts.For = policy.Unlock
	} else {
		facts.For = policy.Reset
	}
	if t.Policy.Decide(facts).Refuse != "" {
		return nil
	}
	_, rule := t.Policy.Effective(t.user)
	rule.Reset, rule.Unlock = true, true
	return &rule
}

// proven adds a proof to the flow. The first one pins the account's epoch: what ends from then on ends this flow too.
func (t *turn) proven(p identity.Proof) {
	if t.flow.Epoch == 0 {
		t.flow.Epoch = max(t.account.Epoch, 1)
	}
	t.flow.prove(p)
}

// current locks the account, and is errAgain when everything of the user has ended since the flow's first proof.
func (t *turn) current(tx store.Tx) (account.Account, error) {
	now, err := t.Accounts.Lock(tx, t.flow.User)
	if err == nil && now.Epoch != t.flow.Epoch {
		err = errAgain
	}
	return now, err
}

// meanwhile is a turn that sees the flow as it stood and everything else as the transaction does, to decide once more by. It is errBusy while
// a password is being written.
func (t *turn) meanwhile(tx store.Tx, stood *Flow) (turn, error) {
	now, err := t.current(tx)
	if err == nil && now.Intent != "" {
		err = errBusy
	}
	if err != nil {
		return turn{}, err
	}
	seen := *t
	seen.account, seen.flow = now, stood
	return seen, seen.loadRest(tx)
}

// commit writes the flow and whatever f adds, in one transaction, and sets the cookies that go with it.
// store.ErrChanged means that somebody was first: the caller shows where the flow stands now.
func (t *turn) commit(f func(store.Tx) error) error {
	t.flow.Proofs = slices.Clip(t.flow.Proofs)
	if err := t.seal(t.flow); err != nil {
		return err
	}
	t.rec.Owner, t.rec.Until = t.flow.owner(), t.flow.Until
	var rec store.Record[Flow]
	start := *t.flow
	err := t.Store.Write(t.ctx, func(tx store.Tx) error {
		*t.flow = start // a transaction that collided with another runs once more
		t.cookies, t.again = t.cookies[:0], false
		rec = t.rec
		// Saving first makes the losers of a race stop before anything is spent.
		if err := t.shelf.Save(tx, &rec); err != nil {
			if errors.Is(err, store.ErrNotFound) {
				return store.ErrChanged
			}
			return err
		}
		if f == nil {
			return nil
		}
		if err := f(tx); err != nil || !t.again {
			return err
		}
		if err := t.seal(t.flow); err != nil {
			return err
		}
		rec.Value, rec.Owner = *t.flow, t.flow.owner()
		return t.shelf.Save(tx, &rec)
	})
	if err != nil {
		*t.flow = start
		return err
	}
	t.rec.Version = rec.Version
	for _, c := range t.cookies {
		http.SetCookie(t.w, c)
	}
	return nil
}

// event fills in what every event of this turn has.
func (t *turn) event(name string, detail map[string]string) audit.Event {
	e := audit.Event{Name: name, User: t.whoever(), Flow: t.flow.ID, Client: t.flow.Request.Client, Network: web.Network(t.r), Detail: detail}
	return e
}

// use is the question this turn puts to methods: a proof asked for before security info changes is no sign-in.
func (t *turn) use() identity.Use {
	switch {
	case t.flow.Kind == Reset:
		return identity.Reset
	case t.flow.Kind == Manage, t.decision.Enough:
		return identity.Manage
	}
	return identity.SignIn
}

// who is the user as guard counts her: her id, or the pseudonym of a name that is nobody.
func (t *turn) who() string {
	if t.flow.User != "" {
		return string(t.flow.User)
	}
	return t.Journal.Unknown(t.flow.Login)
}

// whoever is who, or empty while nobody has been named.
func (t *turn) whoever() string {
	if t.flow.User == "" && t.flow.Login == "" {
		return ""
	}
	return t.who()
}

func (t *turn) field(name string) string { return t.form.Get(name) }
func (t *turn) action() string           { return t.form.Get("action") }

// here is the flow's own address.
func (t *turn) here() string { return t.Prefix + "/flow/" + t.flow.ID }

// abilities of the directory, found once a turn.
type abilities struct{ verify, set, change bool }

func (f *Flows) can() abilities {
	_, v := directory.As[directory.PasswordVerifier](f.Directory)
	_, s := directory.As[directory.PasswordSetter](f.Directory)
	_, c := directory.As[directory.PasswordChanger](f.Directory)
	return abilities{v, s, c}
}
