package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/internal/admin"
	"github.com/sparekey-id/sparekey/internal/web"
)

func unlockCommand(c *call) error {
	if c.has("network") || c.has("brake") {
		return unlockMany(c)
	}
	a, u, done, err := c.user()
	if err != nil {
		return err
	}
	defer done()
	holds, err := a.Holds(c.ctx, u)
	if err != nil {
		return err
	}
	if err := a.Unlock(c.ctx, u, c.has("thaw"), c.by()); err != nil {
		return err
	}
	left, err := a.Holds(c.ctx, u)
	if err != nil {
		return err
	}
	lifted := slices.DeleteFunc(slices.Clone(holds), func(h string) bool { return slices.Contains(left, h) })
	if c.json(map[string]any{"user": u.Login, "lifted": append([]string{}, lifted...), "left": append([]string{}, left...)}) {
		return nil
	}
	if len(holds) == 0 {
		c.say("%s: nothing was held against her", u.Login)
	}
	for _, h := range lifted {
		c.say("%s: lifted: %s", u.Login, h)
	}
	if c.has("thaw") && slices.ContainsFunc(lifted, func(h string) bool { return strings.HasPrefix(h, "the password") }) {
		c.say("%s: the password that “This wasn’t me” was pressed about counts again: give her another one now (user set-password)", u.Login)
	}
	for _, h := range left {
		c.say("%s: still stands: %s", u.Login, h)
	}
	return nil
}

// unlockMany lifts what counts against a network, or against the whole tenant.
func unlockMany(c *call) error {
	if err := c.none(); err != nil {
		return err
	}
	network := ""
	if c.has("network") {
		if network = web.ReadNetwork(c.flag("network", "")); network == "" {
			return usage("--network wants an address: 192.0.2.7 or 2001:db8:1:2::")
		}
	}
	a, done, err := c.tenant()
	if err != nil {
		return err
	}
	defer done()
	if err := a.UnlockMany(c.ctx, network, c.has("brake"), c.by()); err != nil {
		return err
	}
	var lifted []string
	if network != "" {
		lifted = append(lifted, "what counted against "+network)
	}
	if c.has("brake") {
		lifted = append(lifted, "the brake on resets (what waits already waits as long as its mail says)")
	}
	if c.json(map[string]any{"lifted": lifted}) {
		return nil
	}
	for _, l := range lifted {
		c.say("lifted: %s", l)
	}
	return nil
}

func whyCommand(c *call) error {
	a, u, done, err := c.user()
	if err != nil {
		return err
	}
	defer done()
	w, err := a.Why(c.ctx, u)
	if err != nil {
		return err
	}
	for _, list := range []*[]string{&w.Groups, &w.Registered, &w.SignIn, &w.Reset, &w.Unlock, &w.Holds} {
		*list = append([]string{}, *list...) // empty, never null
	}
	if c.json(w) {
		return nil
	}
	c.say("%s (%s), in groups: %s", w.User, u.Name, or(strings.Join(w.Groups, ", "), "none"))
	c.say("registered: %s", or(strings.Join(w.Registered, ", "), "nothing"))
	for _, part := range []struct {
		title string
		lines []string
	}{{"sign-in", w.SignIn}, {"reset", w.Reset}, {"unlock", w.Unlock}, {"held against her", w.Holds}} {
		c.say("%s:", part.title)
		for _, l := range part.lines {
			c.say("  - %s", l)
		}
		if len(part.lines) == 0 {
			c.say("  - nothing")
		}
	}
	return nil
}

func methodsCommand(c *call) error {
	verb, err := c.verb("list", "remove", "require-again")
	if err != nil {
		return err
	}
	if verb == "require-again" && c.has("group") {
		return requireGroup(c)
	}
	a, u, done, err := c.user()
	if err != nil {
		return err
	}
	defer done()
	list, err := a.Methods(c.ctx, u)
	if err != nil {
		return err
	}
	switch verb {
	case "list":
		type row struct {
			ID        string    `json:"id"`
			Kind      string    `json:"kind"`
			Label     string    `json:"label"`
			Added     time.Time `json:"added"`
			Used      time.Time `json:"used,omitzero"`
			Suspended bool      `json:"suspended"`
		}
		rows := []row{}
		for _, m := range list {
			rows = append(rows, row{m.ID, string(m.Kind), m.Label, m.BoundAt, m.UsedAt, m.Suspended})
		}
		if c.json(rows) {
			return nil
		}
		for _, r := range rows {
			used := "never used"
			if !r.Used.IsZero() {
				used = "used " + r.Used.Format(time.DateTime)
			}
			c.say("%s  %-8s %-28s added %s  %s%s", r.ID, r.Kind, r.Label, r.Added.Format(time.DateTime), used, map[bool]string{true: "  SUSPENDED"}[r.Suspended])
		}
		if len(rows) == 0 {
			c.say("%s has registered nothing", u.Login)
		}
	case "remove":
		id := c.flag("id", "")
		if id == "" && !c.has("all") {
			return usage("which? --id ID or --all")
		}
		if !c.sure("remove %s of %s and sign her out everywhere", or(id, "every method"), u.Login) {
			return nil
		}
		n, err := a.RemoveMethods(c.ctx, u, id, c.by())
		if err != nil {
			return err
		}
		c.say("%s: %s removed", u.Login, several(n, "method", "methods"))
	case "require-again":
		if !c.sure("make what %s has registered count for nothing; she is asked anew at her next sign-in", u.Login) {
			return nil
		}
		if err := a.RequireAgain(c.ctx, u, c.by()); err != nil {
			return err
		}
		c.say("%s: will be asked to register again", u.Login)
	}
	return nil
}

func requireGroup(c *call) error {
	if err := c.none(); err != nil {
		return err
	}
	a, done, err := c.tenant()
	if err != nil {
		return err
	}
	defer done()
	group := c.flag("group", "")
	users, err := a.In(c.ctx, group)
	if err != nil {
		return err
	}
	if len(users) == 0 {
		return fmt.Errorf("nobody is in group %q", group)
	}
	if !c.sure("require registration again of %s in %s", several(len(users), "user", "users"), group) {
		return nil
	}
	return forAll(users, func(u directory.User) error { return a.RequireAgain(c.ctx, u, c.by()) }, c)
}

func forAll(users []directory.User, f func(directory.User) error, c *call) error {
	for _, u := range users {
		if err := f(u); err != nil {
			return err
		}
	}
	c.say("%s: done", several(len(users), "user", "users"))
	return nil
}

func sessionsCommand(c *call) error {
	verb, err := c.verb("list", "end")
	if err != nil {
		return err
	}
	a, u, done, err := c.user()
	if err != nil {
		return err
	}
	defer done()
	list, err := a.SessionList(c.ctx, u)
	if err != nil {
		return err
	}
	if verb == "end" {
		return endSessions(c, a, u, len(list))
	}
	type row struct {
		ID      string    `json:"id"`
		At      time.Time `json:"signed_in"`
		Seen    time.Time `json:"seen"`
		Agent   string    `json:"agent"`
		Network string    `json:"network"`
		Clients []string  `json:"clients"`
	}
	rows := []row{}
	for _, s := range list {
		rows = append(rows, row{s.ID, s.At, s.Seen, s.Agent, s.Network, s.Clients})
	}
	if c.json(rows) {
		return nil
	}
	for _, r := range rows {
		c.say("%s  signed in %s  seen %s  %s  %s  %s", r.ID, r.At.Format(time.DateTime), r.Seen.Format(time.DateTime), r.Network, r.Agent, strings.Join(r.Clients, ","))
	}
	if len(rows) == 0 {
		c.say("%s is signed in nowhere", u.Login)
	}
	return nil
}

func endSessions(c *call, a *admin.Admin, u directory.User, n int) error {
	if !c.sure("end %s of %s and void every grant", several(n, "session", "sessions"), u.Login) {
		return nil
	}
	if err := a.EndSessions(c.ctx, u, c.by()); err != nil {
		return err
	}
	c.say("%s: %s ended, every grant void", u.Login, several(n, "session", "sessions"))
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
