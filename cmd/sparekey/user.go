package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey/directory"
	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/admin"
)

func userCommand(c *call) error {
	verb, err := c.verb("add", "list", "show", "disable", "enable", "remove", "set-password")
	if err != nil {
		return err
	}
	switch verb {
	case "add":
		return addUser(c)
	case "list":
		return listUsers(c)
	}
	a, u, done, err := c.user()
	if err != nil {
		return err
	}
	defer done()
	switch verb {
	case "show":
		if c.json(shown(u)) {
			return nil
		}
		c.say("user name  %s\nname       %s\ne-mail     %s\ngroups     %s\nstate      %s", u.Login, u.Name, u.Email, or(strings.Join(u.Groups, ", "), "none"), stateWords(u))
		if !u.PasswordChangedAt.IsZero() {
			c.say("password   changed %s", u.PasswordChangedAt.Format(time.DateTime))
		}
	case "disable":
		if !c.sure("disable %s and end her sessions", u.Login) {
			return nil
		}
		if err := a.SetDisabled(c.ctx, u, true, c.by()); err != nil {
			return err
		}
		c.say("%s is disabled", u.Login)
	case "enable":
		if err := a.SetDisabled(c.ctx, u, false, c.by()); err != nil {
			return err
		}
		c.say("%s is enabled", u.Login)
	case "remove":
		if !c.sure("remove %s and all that is known of her", u.Login) {
			return nil
		}
		if err := a.RemoveUser(c.ctx, u, c.by()); err != nil {
			return err
		}
		c.say("%s is removed", u.Login)
	case "set-password":
		if !c.sure("set a password of %s that is good once, sign her out everywhere and void every grant", u.Login) {
			return nil
		}
		password, generated, err := c.password(a)
		if err != nil {
			return err
		}
		if err := a.SetPassword(c.ctx, u, password, c.by()); err != nil {
			return err
		}
		c.handOver(u.Login, password, generated, "next")
	}
	return nil
}

// handOver prints a password that was made up, once.
func (c *call) handOver(login, password string, generated bool, when string) {
	if !generated {
		password = ""
	}
	told := struct {
		Login    string `json:"user"`
		Password string `json:"password,omitempty"`
	}{login, password}
	if c.json(told) || !generated {
		return
	}
	c.say("%s", password)
	fmt.Fprintf(c.errs, "good once: %s has to choose her own at the %s sign-in\n", login, when)
}

// password reads one from standard input, or makes one up.
func (c *call) password(a *admin.Admin) (password string, generated bool, err error) {
	if !c.has("password-stdin") {
		return a.GeneratePassword(), true, nil
	}
	line, err := bufio.NewReader(c.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", false, fmt.Errorf("read the password from standard input: %w", err)
	}
	if password = strings.TrimRight(line, "\r\n"); password == "" {
		return "", false, errors.New("no password on standard input")
	}
	return password, false, nil
}

func addUser(c *call) error {
	login, err := c.one("user name")
	if err != nil {
		return err
	}
	n := local.NewUser{Login: login, Name: c.flag("name", ""), Email: c.flag("email", ""), Phone: c.flag("phone", ""), Groups: c.flags["group"],
		EmailVerified: c.has("verified"), Privileged: c.has("privileged"), MustChange: true}
	a, done, err := c.tenant()
	if err != nil {
		return err
	}
	defer done()
	password, generated, err := c.password(a)
	if err != nil {
		return err
	}
	n.Password = password
	if err := a.AddUser(c.ctx, n, c.by()); err != nil {
		return err
	}
	c.handOver(login, password, generated, "first")
	return nil
}

type userRow struct {
	ID     directory.UserID `json:"id"`
	Login  string           `json:"user"`
	Name   string           `json:"name"`
	Email  string           `json:"email"`
	Groups []string         `json:"groups"`
	State  string           `json:"state"`
}

func shown(u directory.User) userRow {
	return userRow{u.ID, u.Login, u.Name, u.Email, u.Groups, stateWords(u)}
}

func listUsers(c *call) error {
	if err := c.none(); err != nil {
		return err
	}
	a, done, err := c.tenant()
	if err != nil {
		return err
	}
	defer done()
	users, err := a.Users(c.ctx)
	if err != nil {
		return err
	}
	if c.has("json") {
		return eachJSON(c.out, users)
	}
	for u, err := range users {
		if err != nil {
			return err
		}
		r := shown(u)
		c.say("%-16s %-24s %-28s %-20s %s", r.Login, r.Name, r.Email, strings.Join(r.Groups, ","), r.State)
	}
	return nil
}

// eachJSON prints a list user by user, as call.json prints one: there may be a million. After an error it is no JSON.
func eachJSON(w io.Writer, users iter.Seq2[directory.User, error]) error {
	before, end := "[\n  ", "[]\n"
	for u, err := range users {
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(shown(u), "  ", "  ")
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s%s", before, text); err != nil {
			return err
		}
		before, end = ",\n  ", "\n]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

func stateWords(u directory.User) string {
	var words []string
	for _, s := range []struct {
		state directory.State
		word  string
	}{{directory.Disabled, "disabled"}, {directory.AdminLocked, "locked by an operator"}, {directory.TempLocked, "locked"}, {directory.Expired, "password expired"}, {directory.MustChange, "must change password"}} {
		if u.State.Has(s.state) {
			words = append(words, s.word)
		}
	}
	if u.Privileged {
		words = append(words, "privileged")
	}
	return or(strings.Join(words, ", "), "active")
}

func localUser(u demoUser) local.NewUser {
	return local.NewUser{Login: u.login, Name: u.name, Email: u.email, Groups: u.groups, Password: u.password}
}
